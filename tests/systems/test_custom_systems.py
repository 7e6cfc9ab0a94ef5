"""Systems of a user's conftest or fixture, and what is checked of their answers."""

from __future__ import annotations

import pytest

from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, read_json

TUNED = ("--soak-iterations=6", "--auto-tune")


def test_a_fixture_may_provide_the_system(pytester: pytest.Pytester) -> None:
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


def test_a_fixture_that_provides_no_system_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def soak_system():
            return 3

        def test_demo(soak):
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    result.stdout.fnmatch_lines(["the fixture soak_system gave 3, which has no run()"])


def test_a_system_by_option_wins_over_a_fixture_and_must_exist(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def soak_system():
            raise_if_used = object()
            return raise_if_used

        def test_demo(soak):
            soak.run()
        """
    )
    assert pytester.runpytest(*TUNED, "--soak-system=mock").ret == 0
    refused = pytester.runpytest(*TUNED, "--soak-system=nope")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR


RETURNS = {
    "report": "run() returned dict, not the pair (report, state)",
    "None": "run() returned NoneType, not the pair (report, state)",
    "report, state, 3": "run() returned tuple, not the pair (report, state)",
}


@pytest.mark.parametrize("returns", RETURNS)
def test_what_a_system_returns_is_checked(pytester: pytest.Pytester, returns: str) -> None:
    pytester.makeconftest(mock_system(returns=returns))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "--soak-system=odd")
    result.assert_outcomes(failed=2, skipped=5)
    result.stdout.fnmatch_lines([f"system odd: {RETURNS[returns]}"])


@pytest.mark.parametrize("state", ["{1: (2, 3)}", "10**5000", "float('nan')", "Unwilling()"])
def test_a_state_that_is_not_plain_json_is_refused(pytester: pytest.Pytester, state: str) -> None:
    unwilling = """
class Unwilling:
    def __eq__(self, other): 1 / 0
    __hash__ = __str__ = __repr__ = __eq__
"""
    pytester.makeconftest(mock_system(returns=f"report, {state}") + unwilling)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--soak-system=odd")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*system odd: run() returned a state that is no plain JSON"])


def test_a_system_cannot_change_a_state_that_it_has_returned(pytester: pytest.Pytester) -> None:
    as_a_resume_would_give_it = "[('a', 0), ('b', 0)]"
    pytester.makeconftest(
        mock_system(
            members="mine = {'b': 0, 'a': 0}",
            before=f"assert iteration == 1 or list(state.items()) == {as_a_resume_would_give_it}",
            after="returned, Odd.mine = self.mine, {'b': 1, 'a': 1}",
            returns="report, returned",
        )
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-system=odd", "--soak-scenario=calm")
    result.assert_outcomes(passed=3)


COUNTING = """
import pytest

class Counting:
    keeps_state = True

    def run(self, parameters, iteration, seed, state):
        state = state if state is not None else {"ran": []}
        state["ran"].append(iteration)
        if iteration == 3 and pytest.hiccups:
            pytest.hiccups.pop()
            raise RuntimeError("a hiccup")
        totals = {"latency_p95_ms": 100, "error_rate": 0.01, "throughput": len(state["ran"]) + 100}
        report = {"iteration": iteration, "parameters": dict(parameters), "totals": totals}
        return report, state

@pytest.fixture
def soak_system():
    return Counting()

def test_demo(soak):
    soak.run()
"""


@pytest.mark.parametrize("again", [("--reruns=2",), ("--soak-resume", "-x")])
def test_an_iteration_that_runs_again_begins_with_the_recorded_state(
    pytester: pytest.Pytester, again: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytest, "hiccups", [1, 1], raising=False)
    pytester.makepyfile(test_demo=COUNTING)
    args = ("--soak-iterations=5", "-p", "no:randomly", *again)
    runs = (pytester.runpytest(*args) for _ in range(3 if "--soak-resume" in again else 1))
    assert 0 in [run.ret for run in runs]
    folder = chain_folder(pytester)
    assert read_json(folder / "system_state_5.json") == {"ran": [1, 2, 3, 4, 5]}
    assert read_json(folder / "EDGE_REPORT_5.json")["totals"]["throughput"] == 105
