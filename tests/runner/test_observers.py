"""An observer that raises fails its own item and nothing else."""

from __future__ import annotations

import pytest

from tests.support import DEMO


@pytest.mark.parametrize("event", ["started", "iteration", "applied", "verdict"])
def test_a_raising_observer_fails_its_item_and_nothing_else(
    pytester: pytest.Pytester, event: str
) -> None:
    arguments = "plan" if event == "started" else "plan, result"
    arguments = "plan, verdict" if event == "verdict" else arguments
    pytester.makeconftest(f"def pytest_soak_{event}({arguments}):\n    raise OSError('disk')")
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*an observer, hook pytest_soak_{event}, raised OSError: disk *"])
    assert "INTERNALERROR" not in str(result.stdout)


def test_an_observer_that_raises_for_an_iteration_that_did_not_run_fails_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest("def pytest_soak_iteration(plan, result):\n    raise OSError('disk')")
    pytester.makepyfile("def test_demo(soak):\n    pass")
    result = pytester.runpytest("--soak-iterations=2")
    result.assert_outcomes(failed=2, skipped=1)
    result.stdout.fnmatch_lines(["*an observer, hook pytest_soak_iteration, raised OSError*"])
