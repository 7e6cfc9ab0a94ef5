"""Problems and cuts as records: they are told once, counted whoever makes them, never parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import chain_folder, problems, read_json, records, told

if TYPE_CHECKING:
    import pytest

WORDS = """
import pytest

class Odd:
    def run(self, parameters, iteration, seed, state):
        totals = {"latency_p95_ms": 100, "error_rate": 0.01, "throughput": 100}
        report = {"iteration": iteration, "parameters": dict(parameters), "totals": totals}
        if iteration in WORDS:
            report["problem"] = WORDS[iteration]
        return report, None

WORDS = {
    3: "its test did not pass",
    4: "iteration 1: its test did not pass",
    5: "closing: nothing",
    6: "did not run",
}

@pytest.fixture
def soak_system():
    return Odd()

def test_demo(soak):
    soak.run()
"""


def test_what_a_system_says_is_its_own_word_even_in_words_of_ours(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=WORDS)
    pytester.runpytest("--soak-iterations=6")
    folder = chain_folder(pytester)
    end = records(folder)[-1]
    assert problems(end) == [
        "iteration 3: its test did not pass",
        "iteration 4: iteration 1: its test did not pass",
        "iteration 5: closing: nothing",
        "iteration 6: did not run",
    ]
    assert {problem["kind"] for problem in end["problems"]} == {"system"}
    assert end["not_passed"] == []
    code, lines = told("verify", "--soak-dir", folder.parent)
    assert code == 0, lines


STUCK = """
from pytest_soak import SystemFailure
from pytest_soak.systems.mock import MockSystem

class Stuck(MockSystem):
    def close(self):
        raise SystemFailure("the port is still open")

def pytest_soak_systems():
    return {"stuck": Stuck}
"""
TWO = """
from pathlib import Path

def test_ended(soak):
    soak.run()

def test_stopped(soak):
    if soak.iteration == 3 and not Path("go on").exists():
        raise KeyboardInterrupt
    soak.run()
"""


def test_a_chain_that_is_told_again_twice_has_each_problem_once(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(STUCK)
    pytester.makepyfile(TWO)
    options = ("--soak-iterations=4", "--auto-tune", "--soak-system=stuck", "-p", "no:randomly")
    pytester.runpytest_subprocess(*options)
    gate = chain_folder(pytester, "test_ended") / "KPI_GATE.json"
    for go_on in (False, True):
        assert problems(read_json(gate)) == ["closing: system stuck: the port is still open"]
        if go_on:
            (pytester.path / "go on").touch()
        pytester.runpytest_subprocess(*options, "--soak-resume")
    kinds = [record["kind"] for record in records(gate.parent)]
    assert [kind for kind in kinds if kind != "iteration"] == [
        "run_started",
        "run_ended",
    ]
    assert problems(read_json(gate)) == ["closing: system stuck: the port is still open"]
    code, lines = told("verify", "--all-runs", "--soak-dir", gate.parent.parent)
    assert code == 0, lines


def test_a_problem_of_a_chain_outlives_a_resume_that_was_broken_off(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(STUCK)
    pytester.makepyfile(TWO)
    options = ("--soak-iterations=4", "--auto-tune", "--soak-system=stuck", "-p", "no:randomly")
    pytester.runpytest_subprocess(*options)
    ended = chain_folder(pytester, "test_ended")
    kill = "import os\ndef pytest_soak_started(plan):\n    os._exit(9)\n"
    pytester.makeconftest(STUCK + kill)
    forced = (*options, "--soak-observe=1", "--soak-resume=force")
    pytester.runpytest_subprocess(*forced)
    assert records(ended)[-1]["kind"] == "run_resumed"
    pytester.makeconftest(STUCK)
    (pytester.path / "go on").touch()
    pytester.runpytest_subprocess(*forced)
    gate = read_json(ended / "KPI_GATE.json")
    assert problems(gate) == ["closing: system stuck: the port is still open"]
    assert gate["verdict"] == "INCONCLUSIVE"


HALVES = """
class Half:
    def __init__(self, pack):
        self.parameters = pack.parameters

    def review(self, history, decision, settings):
        for change in decision.moves:
            if change.parameter == "workers":
                parameter = self.parameters["workers"]
                decision = decision.cut("half", parameter, change.effective / 2, "half of it")
        return decision

def pytest_soak_guards():
    return {"half": Half}
"""


def test_a_cut_by_a_guard_of_a_plugin_is_counted_and_told_once(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(HALVES)
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    pytester.runpytest("--soak-iterations=4", "--auto-tune")
    folder = chain_folder(pytester)
    notices = records(folder)[1]["decision"]["notices"]
    assert [(one["guard"], one["cut"]) for one in notices if one["parameter"] == "workers"] == [
        ("half", True)
    ]
    report = read_json(folder / "TUNING_REPORT.json")
    assert report["stopped"]["workers"] == {"half": report["notices"]["half"]}
    _, lines = told("explain", "--iter=1", "--soak-dir", folder.parent)
    words = [text for text in lines if "+2 cut to" in text or "+2 became" in text]
    assert words == ["  half: workers half: +2 cut to +1: half of it"]
