"""Any one word of a verdict, judgement or decision that is changed in a journal is found.

The hashes of the journal are made anew after each change. `UNFOUND` lists what nothing else in a
journal shows, so that no check can find a change of it.
"""

from __future__ import annotations

import copy
import os
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.commands.verify import examine
from pytest_soak.model.parameters import Note
from pytest_soak.model.problem import Kind
from pytest_soak.model.verdict import Verdict
from pytest_soak.store.files import json_hash
from tests.earlier import soaked
from tests.runs import RUNS
from tests.strategies import tuner
from tests.support import DEMO, chain_folder, linked, records, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PARTS = ("summary", "judgements", "proposals", "decision", "applied", "settles")
END = (
    "verdict",
    "window",
    "reasons",
    "problems",
    "unverified",
    "not_passed",
    "stretch",
    "criteria",
    "counts",
)


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each single value in *data*, and of each empty list or object."""
    entries: Any = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in entries:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def others(value: Any) -> list[Any]:
    """Return other values that might stand in the place of *value*."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1]
    if isinstance(value, list | dict):
        return [["later"], [1], {"workers": 1.5}, {"workers": "false"}]
    for words in (list(Verdict.__members__), list(map(str, Kind)), list(map(str, Note))):
        if value in words[1:] or value == words[0] != "":
            return [word for word in words if word != value]
    return ["later", 1]


def forged(found: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield the place of each word, and the journal with another word there."""
    for number, record in enumerate(found):
        parts = PARTS if record["kind"] == "iteration" else END
        for path in leaves({part: record[part] for part in parts if part in record}):
            for other in others(value_at(record, path)):
                changed = [*found]
                changed[number] = copy.deepcopy(record)
                value_at(changed[number], path[:-1])[path[-1]] = other
                place = ".".join("#" if isinstance(step, int) else step for step in path)
                yield place, linked(changed)


def value_at(data: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


UNFOUND = {
    "decision.notices.#.cut",
    "decision.notices.#.detail",
    "decision.notices.#.guard",
    "decision.notices.#.parameter",
    "decision.notices.#.reason",
    "decision.requests.#.reason",
    "decision.vetoes.#.detail",
    "decision.vetoes.#.guard",
    "not_passed",
    "proposals.#.reasons",
    "proposals.#.reasons.#",
    "proposals.#.withheld",
}
"""Words of strategies that stand in one place, and a test that is said to have failed where the
verdict is the same with it. `pytest-soak replay` decides again."""
EVERY = 1 if os.environ.get("SOAK_ALL_FORGED") else 15
"""Which part of all changes is tried."""


@pytest.mark.parametrize("name", ["tuned", "recommend", "no report", "held"])
def test_a_changed_word_is_found_though_the_hashes_are_made_anew(
    pytester: pytest.Pytester, name: str
) -> None:
    pytester.makeconftest(RUNS[name].conftest)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--soak-system=odd", *RUNS[name].args)
    found = records(chain_folder(pytester))
    assert not refused(linked(found))
    tried = list(islice(forged(found), 0, None, EVERY))
    assert len(tried) > 600 / EVERY
    assert {place for place, content in tried if not refused(content)} <= UNFOUND


def test_a_run_that_is_said_to_be_of_0_1_0_is_not_judged_by_its_window_alone(
    tmp_path: Path,
) -> None:
    found = failed_at_night(tmp_path)
    del found[0]["config"]["warm_up"]
    found[0]["config_hash"] = json_hash(found[0]["config"])
    assert not refused(linked(found))
    found[-1] |= {"verdict": "PASS", "reasons": []}
    (told,) = refused(linked(found))
    assert "does not follow from the iterations" in told


@pytest.mark.parametrize("trend", [{}, {"fail": "much"}, {"fail": "> 1 / h", "reaches": "x"}, 5])
def test_settings_that_no_run_has_are_a_finding(tmp_path: Path, trend: object) -> None:
    found = failed_at_night(tmp_path)
    found[0]["config"]["kpis"]["latency_p95_ms"]["trend"] = trend
    assert any("cannot be judged by its settings" in text for text in refused(linked(found)))


@pytest.mark.parametrize(
    ("key", "written", "accepted"),
    [
        ("detail", ("simulated: 0.7 %", "simulated: 0.8 %"), True),
        ("detail", ("simulated: 0.7 %", "simulated: 7.7 %"), False),
        ("detail", ("simulated: 0.7 %", "assumed: 0.7 %"), False),
        ("detail", ("simulated: 0.7 %", ""), False),
        ("detail", ("in 21 iterations", "in 22 iterations"), False),
        ("detail", ("5 sigma", "6 sigma"), False),
        ("value", 4 * (1 + 1e-9), True),
        ("low", 4.00001, True),  # the ends have 6 digits
        ("value", 4.1, False),
        ("high", None, False),
        ("rule", "> 9 / iteration", False),
    ],
)
def test_what_a_library_calculates_may_differ_by_rounding(
    tmp_path: Path, key: str, written: Any, *, accepted: bool
) -> None:
    latencies = [100.0 + 4 * number for number in range(30)]
    loop = soaked(tmp_path, 1, values=latencies, gates=["trend:latency_p95_ms<=1/iteration"])
    found = records(loop.store.folder)
    (trend,) = (one for one in found[-1]["criteria"] if one["criterion"] == "trend")
    assert not refused(linked(found))
    forged = trend[key].replace(*written) if isinstance(written, tuple) else written
    assert forged != trend[key]
    trend[key] = forged
    assert bool(refused(linked(found))) is not accepted


@pytest.mark.parametrize(
    ("old", "new", "accepted"),
    [
        ("-0.662 %", "-0.663 %", True),
        ("-0.662 %", "-0.762 %", False),
        ("-0.662 %", "+0.662 %", False),
        ("-0.662 %", "-0.662", False),
        ("sigma (1.21) in 0 %", "sigma (1.21) in 1 %", True),
        ("sigma (1.21) in 0 %", "sigma (1.21) in 2 %", False),
        ("2 sigma", "3 sigma", False),
        ("3 runs", "4 runs", False),
        ("20260103T", "20260102T", False),
        ("-0123ab-", "-0124ab-", False),
    ],
)
def test_a_text_about_other_runs_may_differ_by_rounding_alone(
    tmp_path: Path, old: str, new: str, *, accepted: bool
) -> None:
    for day in (1, 2, 3, 4):
        loop = soaked(tmp_path, day, day % 2)
    found = records(loop.store.folder)
    (one,) = (one for one in found[-1]["criteria"] if one["criterion"] == "baseline")
    assert old in one["detail"]
    one["detail"] = one["detail"].replace(old, new)
    assert bool(refused(linked(found))) is not accepted


@pytest.mark.parametrize(
    "command", [("verify",), ("explain", "--iter=1"), ("replay",), ("baseline", "accept", "latest")]
)
def test_a_library_that_is_not_installed_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    soaked(tmp_path, 1, values=[100.0] * 30, gates=["trend:latency_p95_ms<=1/iteration"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "pytest_soak.gates.slope")
    monkeypatch.chdir(tmp_path)
    code, (line,) = told(*command, "--soak-dir", tmp_path)
    assert code == 4
    assert line.startswith("ERROR: ")
    assert line.endswith(" needs scipy; install pytest-soak[stats]")


def failed_at_night(folder: Path) -> list[dict[str, Any]]:
    """Return the records of a run that failed; when they are linked, all hashes fit."""
    values = [100.0] * 5 + [400.0] * 8 + [100.0] * 3
    loop = soaked(folder, 1, values=values, gates=["latency_p95_ms<=300"])
    found = records(loop.store.folder)
    assert found[-1]["verdict"] == "FAIL"
    return found


def refused(content: bytes) -> list[str]:
    """Return the findings in a journal, but not those of changes that no report confirms."""
    findings = [str(one) for one in examine(content, "", None, lambda _: None)[0] if not one.note]
    return [text for text in findings if "does not confirm its changes" not in text]


PLUGINS = """
from pytest_soak import Judgement, Verdict

class Weather:
    def observe(self, report, history):
        return {"weather": 7, "words": ("wet", "cold")}

class Dry:
    requires = ()
    def judge(self, metrics, n):
        return (Judgement("weather", Verdict.WARN, metrics["weather"], None, "> 6"),)

def pytest_soak_watchers():
    return {"weather": lambda pack: Weather()}

def pytest_soak_gates():
    return {"dry": lambda pack: Dry()}
"""


def test_what_plugins_saw_and_judged_is_taken_as_recorded(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(PLUGINS)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm")
    found = records(chain_folder(pytester))
    assert not refused(linked(found))
    found[1]["judgements"].pop(0)
    (told, *_) = refused(linked(found))
    assert "does not follow from its report and criteria: " in told


def test_a_summary_shows_no_verdict_that_verify_refuses(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3")
    folder = chain_folder(pytester)
    found = records(folder)
    for record in found[1:4]:
        record["judgements"] = [{**one, "verdict": "PASS"} for one in record["judgements"]]
        record["summary"]["verdict"] = "PASS"
    found[4] |= {"verdict": "PASS", "reasons": []}
    (folder / "journal.jsonl").write_bytes(linked(found))
    for command in ("summary", "verify"):
        code, lines = told(command)
        assert code == (4 if command == "summary" else 1)
        assert "does not follow from its report and criteria: " in "\n".join(lines)
        assert "## PASS" not in "\n".join(lines)


def with_rollback(found: list[dict[str, Any]]) -> None:
    """Make iteration 4 roll back by a guard that has not vetoed."""
    parameters = found[4]["summary"]["parameters"]
    back = {"guard": "undone", "to_iteration": 3, "parameters": parameters, "detail": ""}
    found[4]["decision"]["rollback"] = back


def with_fault(found: list[dict[str, Any]]) -> None:
    veto = {"guard": "mode", "reason": "strategy_fault", "parameter": "", "detail": "it broke"}
    found[5]["decision"] |= {"vetoes": [veto], "skip_reason": "strategy_fault"}


def unasked(found: list[dict[str, Any]]) -> None:
    found[1]["decision"]["requests"].pop()


def farther(found: list[dict[str, Any]]) -> None:
    found[1]["decision"]["changes"][0]["effective"] = 0.2


def judged_worse(found: list[dict[str, Any]]) -> None:
    """Judge by a criterion of a plugin, as which any key counts that the core does not read."""
    found[0]["config"]["kpis"]["error_rate"]["steady"] = 3
    found[0]["config_hash"] = json_hash(found[0]["config"])
    judged = found[4]["judgements"][1]
    judged |= {"verdict": "WARN", "rule": "steady"}
    found[4]["summary"]["verdict"] = "WARN"
    found[7]["counts"] = {"FAIL": 2, "PASS": 2, "WARN": 2}


def better(found: list[dict[str, Any]]) -> None:
    judged_worse(found)
    found[3]["judgements"][0]["verdict"] = "PASS"


def twice(found: list[dict[str, Any]]) -> None:
    found[1]["judgements"].append({**found[1]["judgements"][0], "gate": "mine"})


def problem(kind: str) -> Callable[[list[dict[str, Any]]], object]:
    """Return a function that adds a problem to the end of a run."""
    new = {"kind": kind, "iteration": 0, "data": {}}
    return lambda found: found[7]["problems"].insert(0, new)


def resumed(found: list[dict[str, Any]]) -> None:
    found[6]["summary"]["restarted"] = True


def misnoted(found: list[dict[str, Any]]) -> None:
    found[1]["decision"]["changes"][0]["note"] = "hold"


CONTRADICTIONS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "its reading is null": lambda found: found[0].update(reading=None),
    "its rollback by undone is not among its vetoes": with_rollback,
    "the fault of a strategy in its vetoes is none of its problems": with_fault,
    "changes workers, which nobody asked for": unasked,
    "its change of backoff_s by 0.2 does not lead from 0.2 to 0.3": farther,
    "the note 'hold' of its change of backoff_s does not fit +0.1": misnoted,
    "its judgement of latency_p95_ms does not follow": better,
    "is marked as restarted, but was not resumed": resumed,
    "has a judgement of latency_p95_ms, for which there is no criterion": twice,
    "its problem never_called is none of a chain as a whole": problem("never_called"),
    "has the problem broken_off": problem("broken_off"),
    "lacks broken_off": lambda found: found[7].update(kind="run_interrupted"),
    "its problem closing lacks text": problem("closing"),
}


def test_each_contradiction_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune")
    whole = records(chain_folder(pytester))
    for says, change in CONTRADICTIONS.items():
        found = copy.deepcopy(whole)
        change(found)
        assert any(says in text for text in refused(linked(found))), (says, refused(linked(found)))
    judged_worse(whole)
    assert not refused(linked(whole))


BREAKS = """
class Breaks:
    requires = ()
    def judge(self, metrics, n):
        return 1 / 0

def pytest_soak_gates():
    return {"breaks": lambda pack: Breaks()}
"""


@pytest.mark.parametrize("broken", [tuner("1 / 0", name="breaks"), BREAKS], ids=["tuner", "gate"])
def test_a_strategy_that_failed_is_verified_as_recorded(
    pytester: pytest.Pytester, broken: str
) -> None:
    pytester.makeconftest(broken)
    pytester.makepyfile(test_demo=DEMO)
    tuned = () if broken == BREAKS else ("--soak-tuner=breaks",)
    pytester.runpytest("--soak-iterations=2", "--auto-tune", *tuned)
    found = records(chain_folder(pytester))
    assert found[1]["summary"]["problems"][0]["kind"] == "strategy_fault"
    assert not refused(linked(found))
