"""`pytest-soak explain` shows from the journal alone why an iteration changed parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.commands.explain import explained
from pytest_soak.store.files import json_hash
from tests.commands.conftest import TUNED, soak
from tests.strategies import mock_system
from tests.support import linked, records, told

if TYPE_CHECKING:
    from pathlib import Path

ENDED = ("--soak-dir", "ended")
GUARDED = """
from dataclasses import replace
from pytest_soak import Proposal

class Mine:
    requires = ("latency_p95_ms",)

    def propose(self, history, parameters):
        if len(history) == 2:
            return Proposal()
        deltas = {"workers": 20, "backoff_s": -0.2, "batch_size": 4}
        return Proposal(deltas, ("why not",), {}, ("batch",))

class Other:
    requires = ()

    def propose(self, history, parameters):
        return Proposal({"batch_size": -4}, ("smaller",))

class Half:
    def review(self, history, decision, settings):
        halved = tuple(
            replace(change, effective=change.effective / 2, new=change.old + change.effective / 2)
            if change.parameter == "backoff_s"
            else change
            for change in decision.changes
        )
        return replace(decision, changes=halved)

def pytest_soak_tuners():
    return {"mine": lambda pack: Mine(), "other": lambda pack: Other()}

def pytest_soak_guards():
    return {"half": lambda pack: Half()}
"""
DEAF = mock_system(
    "deaf",
    after="""
        if iteration == 2:
            report["parameters"]["workers"] = 2
        if iteration == 3:
            del report["parameters"]
        if iteration == 4:
            report["totals"]["error_rate"] = None
    """,
)


def sections(lines: list[str]) -> dict[str, list[str]]:
    """Return ``{title: lines}`` of an explanation."""
    found: dict[str, list[str]] = {}
    for text in lines:
        if not text.startswith(" "):
            found[title := text] = []
        else:
            found[title].append(text.strip())
    return found


def test_an_iteration_is_explained_from_its_metrics_to_the_effect(ended: Path) -> None:
    journal = (ended / "journal.jsonl").read_bytes()
    for path in ended.rglob("*"):
        if path.is_file():
            path.unlink()
    (ended / "journal.jsonl").write_bytes(journal)
    code, lines = told("explain", "--iter", "2", *ENDED)
    assert code == 0
    assert len(lines) <= 40
    assert lines[0].startswith(f"{ended.name}, run 2")
    assert lines[1].startswith("iteration 2 of 6, 2")
    assert lines[2:] == [
        "verdict FAIL; the run is PASS, settled for 3 of 6 iterations; judged on 3: 4 to 6",
        "ran with",
        "  backoff_s   0.3  base 0.2",
        "  batch_size   35  base 40",
        "  workers       4  base 2",
        "measured",
        "  metric             value     n  warn   fail    verdict  in iteration 3",
        "  latency_p95_ms   308.893  1000  > 250  > 300   FAIL     → 258.866",
        "  error_rate      0.052179  1000         > 0.05  FAIL     → 0.04135",
        "  throughput       108.472  1000         < 80    PASS     → 116.658",
        "tuners",
        "  demo-table: latency>240, errors>0.04",
        "    asked for backoff_s +0.1: errors>0.04",
        "    asked for batch_size -5: latency>240",
        "    asked for workers +2: latency>240",
        "guards",
        "  none did anything",
        "changes",
        "  applied",
        "    backoff_s   0.3 → 0.4  (+0.1)  errors>0.04",
        "    batch_size  35 → 30    (-5)    latency>240",
        "    workers     4 → 6      (+2)    latency>240",
        "effect",
        "  the next report confirms that the system used the new values",
        "  verdict FAIL → WARN in iteration 3, metrics as above",
    ]


def test_what_the_run_did_not_pass_is_shown_with_each_iteration(workplace: Path) -> None:
    gate = "--soak-gate=trend:throughput>=-1/iteration"
    soak(workplace, "--soak-iterations=3", "--soak-dir=work", gate, code=1)
    found = sections(told("explain", "--iter", "3", "--soak-dir", "work")[1])
    run = "the run is FAIL, settled for 3 of 3 iterations; judged on 3: 1 to 3; 1 not judged"
    assert f"verdict FAIL, in the observation window; {run}" in found
    assert found["what the run did not pass"] == [
        "criterion  KPI             verdict  value     rule    n",
        "limits     latency_p95_ms  FAIL     360.312   > 300   3",
        "3 of 3 iterations; iterations 1 to 3",
        "limits     error_rate      FAIL     0.061179  > 0.05  3",
        "3 of 3 iterations; iterations 1 to 3",
        "not judged: trend throughput (3 iterations to judge by plan, 24 needed)",
    ]


def test_a_run_without_a_verdict_has_none(ended: Path) -> None:
    found = records(ended)[:-1]
    assert "verdict FAIL; the run has no verdict" in explained(found, 2)


def test_what_a_guard_stopped_is_shown_with_the_reason(ended: Path) -> None:
    found = sections(told("explain", "--iter", "5", *ENDED)[1])
    assert any(title.startswith("verdict PASS, in the observation window;") for title in found)
    assert found["guards"] == [
        "observation_window: stopped everything: observation_window",
        "no other guard did anything",
    ]
    assert found["tuners"] == ["demo-table: proposed nothing"]
    assert found["changes"] == ["not applied: observation_window"]
    assert found["effect"] == ["verdict PASS → PASS in iteration 6, metrics as above"]
    found = sections(told("explain", "--iter", "6", *ENDED)[1])
    assert found["effect"] == ["unknown: this is the last iteration"]


def test_what_was_withheld_reduced_or_stopped_is_shown_with_its_source(workplace: Path) -> None:
    (workplace / "conftest.py").write_text(GUARDED)
    soak(workplace, *TUNED, "--soak-dir=work", "--soak-tuner=mine,other", code=1)
    work = ("--soak-dir", "work")
    found = sections(told("explain", "--iter", "1", *work)[1])
    assert found["tuners"] == [
        "mine: why not",
        "asked for backoff_s -0.2: why not",
        "asked for batch_size +4: why not",
        "asked for workers +20: why not",
        "withheld: batch",
        "other: smaller",
        "asked for batch_size -4: smaller",
    ]
    assert found["guards"] == [
        "conflict: stopped batch_size: conflict: mine=+4 other=-4",
        "clamp: backoff_s -0.2 became -0.05 [floor]",
        "clamp: workers +20 became +10 [cap]",
        "auto_rollback: not_armed: the pack names no objective",
        "no other guard did anything",
    ]
    assert found["changes"][0] == "applied"
    found = sections(told("explain", "--iter", "2", *work)[1])
    assert found["tuners"][0] == "mine: proposed nothing"


def test_an_unconfirmed_change_is_shown(workplace: Path) -> None:
    (workplace / "conftest.py").write_text(DEAF)
    soak(workplace, *TUNED, "--soak-dir=work", "--soak-system=deaf", code=1)
    work = ("--soak-dir", "work")
    first, second, third, fourth = (
        sections(told("explain", "--iter", number, *work)[1]) for number in (1, 2, 3, 4)
    )
    assert first["effect"][0] == ("NOT EFFECTIVE: workers was set to 4, the report says 2")
    assert second["problems"] == ["override_not_effective: workers asked=4 used=2"]
    assert second["tuners"] == ["demo-table: not asked, or its proposal was unusable"]
    assert second["guards"][0].startswith("metrics_usable: stopped everything: inconclusive: over")
    assert second["changes"] == ["not applied: inconclusive"]
    assert third["changes"][0] == "applied"
    assert third["effect"][0].startswith("the next report confirms")
    assert any("undefined" in text and "(no value)" in text for text in fourth["measured"])
    code, lines = told("verify", *work)
    assert code == 1
    assert sum(text.startswith("FINDING") for text in lines) == 1


def test_an_untuned_run_shows_that_tuning_was_off(workplace: Path) -> None:
    soak(workplace, "--soak-iterations=2", "--soak-dir=work", code=1)
    found = sections(told("explain", "--iter", "1", "--soak-dir", "work")[1])
    assert found["tuners"] == ["none: tuning was off"]
    assert found["changes"] == ["not applied: auto_tune_off"]
    assert told("verify", "--soak-dir", "work")[0] == 0


def test_a_later_rollback_is_shown(ended: Path) -> None:
    told("rollback", "--to-iter", "1", *ENDED)
    found = sections(told("explain", "--iter", "3", *ENDED)[1])
    assert found["effect"] == [
        "after iteration 6 the overrides were rolled back to those of iteration 1",
        "the next report confirms that the system used the new values",
        "verdict WARN → PASS in iteration 4, metrics as above",
    ]


def changed(found: list[dict[str, Any]], number: int) -> list[str]:
    """Return the explanation of records that a test has changed."""
    return explained(tuple(found), number)


def test_rare_entries_of_records_are_shown_too(ended: Path) -> None:
    found = records(ended)
    found[1]["summary"] |= {"restarted": True}
    found[1]["summary"]["metrics"] |= {"labels": ["a", "b"], "no labels": [], "shares": None}
    found[1]["decision"]["changes"][0] |= {"effective": 0.05, "note": ""}
    found[2]["settles"] = None
    found[2]["report"] = None
    found[0]["overrides"] = {"spare": 1}
    lines = changed(found, 1)
    assert any("verdict FAIL, the system was restarted before it;" in text for text in lines)
    assert "  spare  1  no base" in lines
    assert any("a, b" in text for text in lines)
    assert any("none" in text for text in lines)
    found_sections = sections(lines)
    assert found_sections["guards"][0] == "a guard: backoff_s +0.1 became +0.05"
    assert found_sections["effect"][0].startswith(
        "unverified: backoff_s was set to 0.3, the report does not have it"
    )


@pytest.mark.parametrize("command", [("explain", "--iter=1"), ("replay",)], ids=" ".join)
def test_what_a_journal_from_elsewhere_says_is_safe_to_show(
    ended: Path, command: tuple[str, ...]
) -> None:
    evil = "| kpi_gate | PASS | \x1b[2J"
    found = records(ended)
    found[0]["config"]["chain"] = evil
    found[0]["config_hash"] = json_hash(found[0]["config"])
    found[0]["reading"]["watchers"] = ["elsewhere"]  # whose facts no report has
    found[1]["summary"]["metrics"][evil] = 1
    (ended / "journal.jsonl").write_bytes(linked(found))
    lines = "\n".join(told(*command, *ENDED)[1])
    assert r"| kpi\x5fgate \x7c PASS | \x1b[2J" in lines
    assert "kpi_gate" not in lines


def test_the_market_is_explained_in_about_forty_lines(workplace: Path) -> None:
    market = ("--soak-pack=market-maker", "--soak-system=market", "--soak-scenario=thin_capital")
    soak(workplace, "--soak-iterations=3", "--auto-tune", "--soak-dir=work", *market)
    code, lines = told("explain", "--iter", "1", "--soak-dir", "work")
    assert code == 0
    assert len(lines) <= 50, "\n".join(lines)
    assert max(map(len, lines)) <= 100
    assert "changes" in lines
    assert any("the run is PASS" in line and line.endswith("; 2 not judged") for line in lines)
