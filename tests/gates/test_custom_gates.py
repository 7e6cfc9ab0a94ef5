"""Watchers, gates and observers of a user's conftest."""

from __future__ import annotations

import pytest

from tests.support import DEMO


def test_custom_watchers_gates_and_observers_are_used(pytester: pytest.Pytester) -> None:
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
            "observe() gave a value for 'error_rate', which the report itself has; allowed: *",
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


GATES = {
    "requires = 'error_rate'": "*'mine': requires: 'error_rate'; allowed: a tuple of metrics*",
    "requires = property(lambda self: 1 / 0)": "*'mine'*ZeroDivisionError*",
    "requires = (3,)": "*'mine': requires: (3,); allowed: a tuple of metrics by name",
}


@pytest.mark.parametrize("requires", GATES)
def test_what_a_gate_requires_is_checked(pytester: pytest.Pytester, requires: str) -> None:
    pytester.makeconftest(
        f"""
        class Mine:
            {requires}
            def judge(self, metrics, n):
                return ()

        def pytest_soak_gates():
            return {{"mine": lambda pack: Mine()}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([GATES[requires]])


def test_a_judgement_with_an_unknown_verdict_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_soak import Judgement

        class Mine:
            requires = ()
            def judge(self, metrics, n):
                return (Judgement("latency_p95_ms", "PASS"),)

        def pytest_soak_gates():
            return {"mine": lambda pack: Mine()}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.stdout.fnmatch_lines(["*'mine': judge() returned*allowed: a metric, a Verdict*"])
