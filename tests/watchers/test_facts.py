"""A fact that the pack lists under [metrics] is judged, tuned by and verified as a metric."""

from __future__ import annotations

import copy

import pytest

from pytest_soak.commands.verify import examine
from tests.support import DEMO, chain_folder, linked, read_json, records, told

PACK = """
pack.extends = "demo"

[metrics]
rate_per_worker = { label = "per worker", unit = "1/s", least = 0 }

[kpis]
rate_per_worker = { fail = "< 70" }

[[rule]]
tuner = "demo-table"
id = "crowded"
when.all = [{ metric = "rate_per_worker", op = "<", value = 1000 }]
step = { workers = -1 }
reason = "crowded"
"""
WATCHER = """
class PerWorker:
    def observe(self, report, history):
        rate, workers = report.measured.values["throughput"], report.parameters["workers"]
        return {"rate_per_worker": rate / workers}

def pytest_soak_watchers():
    return {"per-worker": lambda pack: PerWorker()}
"""
RUN = ("--soak-iterations=3", "--soak-scenario=calm", "--soak-pack=mine.toml")


def a_run(pytester: pytest.Pytester, *args: str, conftest: str = WATCHER) -> pytest.RunResult:
    pytester.makeconftest(conftest)
    pytester.makefile(".toml", mine=PACK)
    pytester.makepyfile(test_demo=DEMO)
    return pytester.runpytest(*RUN, *args)


@pytest.mark.parametrize(
    ("args", "word", "rule"),
    [
        ((), "FAIL", "< 70"),
        (("--soak-gate=rate_per_worker>=50", "-n1"), "PASS", ""),
        (("--soak-gate=rate_per_worker>=50", "--soak-gate=warn:rate_per_worker>=65"), "WARN", None),
    ],
    ids=["pack", "gate", "warn"],
)
def test_a_fact_is_judged_by_its_kpi_and_by_gate_settings(
    pytester: pytest.Pytester, args: tuple[str, ...], word: str, rule: str | None
) -> None:
    result = a_run(pytester, *args)
    assert result.ret == (word == "FAIL")
    result.stdout.re_match_lines([rf".*\| kpi_gate \| {word} \|.*", ".*per worker.*"])
    folder = chain_folder(pytester)
    value = read_json(folder / "ITER_SUMMARY_1.json")["summary"]["metrics"]["rate_per_worker"]
    assert 55 < value < 65
    (judged,) = (
        one for one in records(folder)[1]["judgements"] if one["metric"] == "rate_per_worker"
    )
    assert judged["value"] == value
    assert judged["n"] is None
    assert judged["rule"] == ("< 65" if rule is None else rule)
    assert "rate_per_worker" in (folder / "KPI_GATE.json").read_text()
    assert told("verify")[0] == 0


def test_a_rule_reads_a_fact_that_the_pack_lists(pytester: pytest.Pytester) -> None:
    a_run(pytester, "--auto-tune")
    first = records(chain_folder(pytester))[1]
    assert "crowded" in str(first["decision"]["requests"])
    assert told("verify")[0] == 0


SILENT = """
class Silent:
    def observe(self, report, history):
        return SAYS

def pytest_soak_watchers():
    return {"silent": lambda pack: Silent()}
"""


@pytest.mark.parametrize(
    ("says", "told_of_it"),
    [
        ("{}", "rate_per_worker is missing"),
        ("{'rate_per_worker': None}", "rate_per_worker is undefined: a watcher gave None"),
        (
            "{'rate_per_worker': -3}",
            "'silent': observe() gave a value for 'rate_per_worker', which is -3, below 0, *",
        ),
    ],
)
def test_a_fact_without_a_usable_value_is_a_problem(
    pytester: pytest.Pytester, says: str, told_of_it: str
) -> None:
    result = a_run(pytester, conftest=SILENT.replace("SAYS", says))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*iteration 1: *{told_of_it}*"])
    assert told("verify")[0] == 0


def test_a_forged_fact_is_found_where_no_watcher_can_have_given_it(
    pytester: pytest.Pytester,
) -> None:
    a_run(pytester, "--soak-gate=rate_per_worker>=50")
    whole = records(chain_folder(pytester))
    kept = whole[1]["summary"]["metrics"]["rate_per_worker"]

    def found(metrics: dict[str, object], **changed: object) -> bool:
        journal = copy.deepcopy(whole)
        journal[0]["reading"] |= {key: changed.pop(key) for key in ("watchers",) if key in changed}
        journal[1] |= copy.deepcopy(changed)
        journal[1]["summary"]["metrics"] |= metrics
        findings, *_ = examine(linked(journal), "", None, lambda _: None)
        return "its metrics do not follow from its report" in "".join(map(str, findings))

    assert not found({"rate_per_worker": kept})
    assert not found({"mood": 1, "throughput.max": 130})
    assert found({"rate_per_worker": kept}, watchers=[])
    assert found({"rate_per_worker": -1})
    assert found({"rate_per_worker": ["many"]})
    assert found({"throughput": 130.0})
    summary = whole[1]["summary"]
    edited = {"kind": "overrides_edited", "iteration": 1, "data": {"found": "{}"}}
    reported = {
        name: value for name, value in summary["metrics"].items() if name != "rate_per_worker"
    }
    unread = {**summary, "problems": [edited], "metrics": reported}
    assert not found({}, summary=unread)
    assert found({"mood": 1}, summary=unread)
    assert found({"rate_per_worker": kept}, summary=unread)
    nothing = {**summary, "metrics": {}, "n": {}}
    assert not found({}, summary=nothing, report=None)
    assert found({"mood": 1}, summary=nothing, report=None)
