"""Strategies of strangers: chosen by name, kept in the corridor, and named when they fail."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.runner.test_interruption import PATIENCE, wait_for
from tests.support import DEMO, chain_folder, read_json, records, unlike_journal

MINE = """
from pytest_soak import Proposal

class Mine:
    requires = ("latency_p95_ms",)
    def __init__(self, pack): ...
    def propose(self, history, parameters):
        return Proposal({deltas}, ("because",))

def pytest_soak_tuners():
    return {{"mine": Mine}}
"""

ARGS = ("--soak-iterations=6", "--auto-tune", "--soak-tuner=mine")


def test_eight_lines_in_a_conftest_are_a_tuner(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(MINE.format(deltas="{'workers': 2, 'backoff_s': 0.1}"))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*ARGS)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        ["| runtime_adjust | OK | FIELD=workers FROM=2 TO=4 REASON=because |", "*tuner mine*"]
    )
    assert pytester.runpytest(*ARGS, "-n2").ret == 0


@pytest.mark.parametrize(
    ("corridor", "highest"), [("", 12), ("corridor = 'apply'", 12), ("corridor = 'limits'", 16)]
)
def test_a_tuner_cannot_leave_its_corridor(
    pytester: pytest.Pytester, corridor: str, highest: int
) -> None:
    greedy = MINE.format(deltas="{'workers': 1e9, 'backoff_s': -1e9}")
    pytester.makeconftest(greedy.replace("requires =", f"{corridor}\n    requires ="))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*ARGS)
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides["workers"] == highest
    assert overrides["backoff_s"] == (0.1 if highest == 12 else 0)
    result.stdout.fnmatch_lines(
        [f"  workers: 2 → {highest} (Δ=+{highest - 2} requested=*) [[]cap]"]
    )
    result.stdout.fnmatch_lines(["  workers: * (Δ=+0 requested=*) [[]hold]"])


def test_a_tuner_in_a_folder_of_its_own_is_found(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("deep")
    (folder / "conftest.py").write_text(MINE.format(deltas="{'workers': 1}"))
    (folder / "test_demo.py").write_text(DEMO)
    for distribution in ((), ("-n2",)):
        result = pytester.runpytest(*ARGS, "--soak-scenario=calm", *distribution)
        assert result.ret == 0


def test_two_tuners_that_disagree_change_nothing(pytester: pytest.Pytester) -> None:
    other = MINE.replace("Mine", "Other").replace('"mine"', '"other"')
    both = MINE.format(deltas="{'workers': 1, 'batch_size': -5}") + other.format(
        deltas="{'workers': -1, 'batch_size': -2}"
    ).replace("def pytest_soak_tuners", "def unused")
    both = both.replace('return {"mine": Mine}', 'return {"mine": Mine, "other": Other}', 1)
    pytester.makeconftest(both)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune", "--soak-tuner=mine,other")
    result.stdout.fnmatch_lines(
        ["| soak_guard | CONFLICT | iter=1 FIELD=workers mine=+1 other=-1 |"]
    )
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides == {"batch_size": 35}


FAULTY = {
    "raises": ("1 / 0", "*propose() raised ZeroDivisionError: division by zero (*conftest.py:7)"),
    "returns nothing": ("None", "*propose() returned None, not a Proposal"),
    "unknown parameter": ("Proposal({'speed': 1})", "*propose() wants to change 'speed'; tunable*"),
    "NaN": ("Proposal({'workers': float('nan')})", "*nan as the delta of workers, not a finite*"),
    "a target as text": ("Proposal({'workers': '4'})", "*'4' as the delta of workers, not*"),
    "a boolean": ("Proposal({'workers': True})", "*True as the delta of workers, not*"),
    "reasons as text": ("Proposal({'workers': 1}, 'why')", "*'why' as its reasons, not a tuple*"),
    "deltas as a list": ("Proposal([1])", "*[[]1] as its deltas, not {parameter: increment}"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_tuner_is_named_and_applies_nothing(pytester: pytest.Pytester, fault: str) -> None:
    body, line = FAULTY[fault]
    pytester.makeconftest(MINE.format(deltas="None").replace('Proposal(None, ("because",))', body))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*ARGS)
    result.assert_outcomes(failed=2, skipped=5)
    result.stdout.fnmatch_lines([f"*plugin *conftest.py, hook pytest_soak_tuners, 'mine': {line}"])
    assert "Traceback" not in str(result.stdout)
    assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}
    (_, iteration, end) = records(chain_folder(pytester))
    assert iteration["decision"]["skip_reason"] == "strategy_fault"
    assert end["verdict"] == "INCONCLUSIVE"


GUARD = """
from dataclasses import replace

class Mine:
    def review(self, history, decision, settings):
        {body}

def pytest_soak_guards():
    return {{"mine": lambda pack: Mine()}}
"""


def test_a_guard_of_a_stranger_acts(pytester: pytest.Pytester) -> None:
    body = "return decision.veto('mine', 'workers', 'no_more_workers', 'budget=0')"
    pytester.makeconftest(GUARD.format(body=body))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    result.stdout.fnmatch_lines(
        ["| soak_guard | NO_MORE_WORKERS | iter=1 FIELD=workers budget=0 |"]
    )
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides == {"backoff_s": 0.3, "batch_size": 35}
    report = read_json(chain_folder(pytester) / "TUNING_REPORT.json")
    assert report["skip_reasons"]["no_more_workers"] == 3


CHEATS = {
    "enlarges": "made the delta of backoff_s 1 out of 0.1",
    "adds": "added a change of other",
    "rewrites": "rewrote requested of the change of backoff_s",
    "forgets": "returned None, not a Decision",
}
BODIES = {
    "enlarges": "return replace(decision, changes=tuple(replace(c, effective=1, new=9) "
    "for c in decision.changes))",
    "adds": "return replace(decision, changes=(*decision.changes, "
    "replace(decision.changes[0], parameter='other')))",
    "rewrites": "return replace(decision, changes=tuple(replace(c, requested=99) "
    "for c in decision.changes))",
    "forgets": "pass",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_guard_cannot_give_more_than_it_was_given(pytester: pytest.Pytester, cheat: str) -> None:
    pytester.makeconftest(GUARD.format(body=BODIES[cheat]))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*hook pytest_soak_guards, 'mine': review() {CHEATS[cheat]}"])
    assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}


def test_watchers_gates_and_observers_of_a_stranger_are_used(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pathlib import Path

        from pytest_soak import Judgement, Verdict

        class Slack:
            def observe(self, report, history):
                return {"slack_ms": 300 - report.measured.values["latency_p95_ms"]}

        class Budget:
            requires = ()
            def judge(self, metrics, n):
                word = Verdict.WARN if metrics["slack_ms"] < 999 else Verdict.PASS
                return (Judgement("slack_ms", word, metrics["slack_ms"], rule="< 999"),)

        def pytest_soak_watchers():
            return {"slack": lambda pack: Slack()}

        def pytest_soak_gates():
            return {"budget": lambda pack: Budget()}

        def note(line):
            with Path("seen").open("a") as file:
                file.write(line + "\\n")

        def pytest_soak_started(plan):
            note(f"started {plan.name}")

        def pytest_soak_iteration(plan, result):
            note(f"iteration {result.iteration}")

        def pytest_soak_applied(plan, result):
            note(f"applied {len(result.patch)}")

        def pytest_soak_verdict(plan, verdict):
            note(f"verdict {verdict.verdict.name}")
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        ["| kpi_gate | WARN | REASONS=slack_ms |", "*verdict WARN: slack_ms*"]
    )
    seen = (pytester.path / "seen").read_text().splitlines()
    assert seen == [
        "started test_demo.py::test_demo",
        "iteration 1",
        "applied 3",
        "iteration 2",
        "applied 3",
        "iteration 3",
        "applied 3",
        "iteration 4",
        "iteration 5",
        "iteration 6",
        "verdict WARN",
    ]


@pytest.mark.parametrize(
    ("hook", "method", "kind"),
    [
        ("watchers", "observe(self, report, history): return 3", "observe() returned 3"),
        ("watchers", "observe(self, report, history): 1 / 0", "observe() raised ZeroDivisionErr*"),
        (
            "watchers",
            "observe(self, report, history): return {'error_rate': 0.0}",
            "observe() gave a value for 'error_rate', a metric that only the report may give",
        ),
        (
            "watchers",
            "observe(self, report, history): return {'slack': float('nan')}",
            "observe() gave nan for 'slack'; allowed*",
        ),
        ("gates", "judge(self, metrics, n): return []", "judge() returned [[]]"),
        ("gates", "judge(self, metrics, n): 1 / 0", "judge() raised ZeroDivisionError"),
    ],
)
def test_a_faulty_watcher_or_gate_is_named(
    pytester: pytest.Pytester, hook: str, method: str, kind: str
) -> None:
    pytester.makeconftest(
        f"""
        class Mine:
            requires = ()
            def {method}

        def pytest_soak_{hook}():
            return {{"mine": lambda pack: Mine()}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*hook pytest_soak_{hook}, 'mine': {kind}*"])


def test_a_test_may_bring_a_system_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="""
        import pytest

        class Steady:
            def run(self, parameters, iteration, seed, state):
                count = (state or 0) + 1
                totals = {"latency_p95_ms": 100, "error_rate": 0, "throughput": 100 + count}
                report = {"iteration": iteration, "parameters": parameters, "totals": totals}
                return report, count

        @pytest.fixture
        def soak_system():
            return Steady()

        def test_demo(soak):
            assert soak.run().summary.number("throughput") == 100 + soak.iteration
        """
    )
    result = pytester.runpytest("--soak-iterations=3")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*system fixture/busy*"])


@pytest.mark.parametrize("state", ["{1: (2, 3)}", "10**5000", "float('nan')", "Unwilling()"])
def test_a_state_that_is_no_plain_json_is_refused(pytester: pytest.Pytester, state: str) -> None:
    pytester.makeconftest(
        f"""
        from pytest_soak.systems.mock import MockSystem

        class Unwilling:
            def __eq__(self, other): 1 / 0
            __hash__ = __str__ = __repr__ = __eq__

        class Untidy(MockSystem):
            def run(self, parameters, iteration, seed, state):
                report, _ = super().run(parameters, iteration, seed, state)
                return report, {state}

        def pytest_soak_systems():
            return {{"untidy": Untidy}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--soak-system=untidy")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*system untidy: run() returned a state that is no plain JSON"])


def test_a_system_cannot_change_a_state_that_it_has_handed_over(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_soak.systems.mock import MockSystem

        class Sly(MockSystem):
            mine = {"b": 0, "a": 0}
            def run(self, parameters, iteration, seed, state):
                if iteration == 2:
                    assert list(state.items()) == [("a", 0), ("b", 0)]  # as a resume would give it
                report, _ = super().run(parameters, iteration, seed, state)
                handed, Sly.mine = self.mine, {"b": 1, "a": 1}
                return report, handed

        def pytest_soak_systems():
            return {"sly": Sly}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-system=sly", "--soak-scenario=calm")
    result.assert_outcomes(passed=3)


def test_a_reason_of_several_lines_is_told_on_one(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_soak import Proposal

        class Mine:
            requires = ()
            def propose(self, history, parameters):
                return Proposal({"workers": 1}, ("first\\nsecond",))

        def pytest_soak_tuners():
            return {"mine": lambda pack: Mine()}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*ARGS)
    result.stdout.fnmatch_lines(["| runtime_adjust | OK | * REASON=first second |"])


def test_a_tuner_that_cannot_say_what_it_requires_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        class Mine:
            requires = 3
            def propose(self, history, parameters): ...

        def pytest_soak_tuners():
            return {"mine": lambda pack: Mine()}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*ARGS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*pytest_soak_tuners, 'mine': requires: 3; allowed: a tuple of metrics by name"]
    )


HANGING = """
import pathlib
import time

from pytest_soak import Proposal

class Mine:
    requires = ()
    def propose(self, history, parameters):
        if len(history) == 2 and not pathlib.Path("mended").exists():
            pathlib.Path("reached").touch()
            time.sleep(600)
        return Proposal({"workers": 2}, ("because",))

def pytest_soak_tuners():
    return {"mine": lambda pack: Mine()}
"""


def test_a_tuner_that_hangs_is_ended_by_sigterm_and_the_run_goes_on_as_if_it_had_not(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(HANGING)
    pytester.makepyfile(test_demo=DEMO)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *ARGS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        wait_for((pytester.path / "reached").exists)
        run.terminate()
        shown, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "no verdict: the run was broken off before the gate" in shown
    folder = chain_folder(pytester)
    kinds = [record["kind"] for record in records(folder)]
    assert kinds == ["run_started", "iteration", "run_interrupted"]
    assert read_json(folder / "runtime_overrides.json") == {"workers": 4}
    assert unlike_journal(folder) == []
    (pytester.path / "mended").touch()
    assert pytester.runpytest(*ARGS, "--soak-resume").ret == pytest.ExitCode.TESTS_FAILED
    applied = [r["decision"]["changes"] for r in records(folder) if r["kind"] == "iteration"]
    assert [change["new"] for (change,) in applied[:4]] == [4, 6, 8, 10]
