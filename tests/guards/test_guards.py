"""The core's guards: each stops what it should, and leaves the rest unchanged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.guards.clamp import Clamp
from pytest_soak.guards.conflict import Conflict
from pytest_soak.guards.metrics_usable import MetricsUsable
from pytest_soak.guards.observation_window import ObservationWindow
from pytest_soak.guards.protocol import NoSettings
from pytest_soak.model.decision import Decision, Request, change_for
from pytest_soak.model.history import Entry, History
from pytest_soak.model.parameters import Bounds, Corridor, Note, Parameter
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Verdict
from tests.guards.simulated import demo

PARAMETERS = {
    "batch": Parameter("batch", "1", Bounds(1, 100), Bounds(5, 50), "down", 1),
    "workers": Parameter("workers", "1", Bounds(1, 16), Bounds(2, 12), "up", 1),
}
PACK = replace(demo(), parameters=PARAMETERS)


def a_request(
    tuner: str, parameter: str, delta: float, corridor: Corridor = Corridor.APPLY
) -> Request:
    return Request(tuner, parameter, delta, corridor, f"{tuner} wants it")


def asked(*requests: Request, workers: float = 4, batch: float = 40) -> Decision:
    return Decision(3, {"batch": batch, "workers": workers}, requests)


def a_problem(text: str) -> Problem:
    return Problem(Kind.SYSTEM, data={"text": text})


def after(verdict: Verdict, *texts: str, in_window: bool = False) -> History:
    problems = tuple(map(a_problem, texts))
    earlier = Summary(
        2, {}, {}, verdict=Verdict.INCONCLUSIVE, problems=(a_problem("old"),), in_window=True
    )
    latest = Summary(3, {}, {}, verdict=verdict, problems=problems, in_window=in_window)
    return History([Entry(earlier), Entry(latest)])


def decided() -> Decision:
    request = a_request("table", "workers", 2)
    return replace(asked(request), changes=(change_for(request, PARAMETERS["workers"], 4),))


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.WARN, Verdict.FAIL])
def test_an_iteration_with_a_verdict_is_tuned_on(verdict: Verdict) -> None:
    assert MetricsUsable(PACK).review(after(verdict), decided(), NoSettings()) == decided()


def test_an_inconclusive_iteration_is_not_tuned_on() -> None:
    history = after(Verdict.INCONCLUSIVE, "latency is missing", "rate is null")
    decision = MetricsUsable(PACK).review(history, decided(), NoSettings())
    assert decision.moves == ()
    assert decision.skip_reason == "inconclusive"
    assert decision.vetoes[-1].guard == "metrics_usable"
    assert decision.vetoes[-1].detail == "latency is missing; rate is null"


def test_an_iteration_with_a_problem_is_not_tuned_on_even_if_it_passes() -> None:
    history = after(Verdict.PASS, "stale report")
    decision = MetricsUsable(PACK).review(history, decided(), NoSettings())
    assert decision.moves == ()


def test_in_the_window_nothing_is_changed() -> None:
    history = after(Verdict.FAIL, in_window=True)
    decision = ObservationWindow(PACK).review(history, decided(), NoSettings())
    assert decision.moves == ()
    assert decision.skip_reason == "observation_window"
    assert decision.vetoes[-1].reason == "observation_window"


def test_before_the_window_changes_are_left_unchanged() -> None:
    history = after(Verdict.FAIL)
    assert ObservationWindow(PACK).review(history, decided(), NoSettings()) == decided()


def resolved(decision: Decision) -> Decision:
    return Conflict(PACK).review(after(Verdict.FAIL), decision, Conflict.Settings())


def test_one_request_becomes_one_change() -> None:
    decision = resolved(asked(a_request("a", "workers", 2), a_request("a", "batch", -5)))
    assert {change.parameter: change.new for change in decision.moves} == {
        "batch": 35,
        "workers": 6,
    }
    assert decision.vetoes == ()


def test_without_requests_the_decision_is_unchanged() -> None:
    assert resolved(asked()) == asked()


def test_opposite_signs_on_one_field_stop_both_with_a_veto() -> None:
    decision = resolved(
        asked(
            a_request("a", "workers", 2), a_request("b", "workers", -1), a_request("b", "batch", -5)
        )
    )
    assert [change.parameter for change in decision.changes] == ["batch"]
    (veto,) = decision.vetoes
    assert (veto.guard, veto.reason, veto.parameter) == ("conflict", "conflict", "workers")
    assert veto.detail == "a=+2 b=-1"


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_of_equal_signs_the_larger_step_is_taken_and_not_the_sum(
    order: tuple[int, ...], sign: int
) -> None:
    decision = resolved(asked(*(a_request(f"t{n}", "workers", sign * n) for n in order), workers=8))
    (change,) = decision.changes
    assert (change.tuner, change.effective, change.new) == ("t3", 3 * sign, 8 + 3 * sign)


def test_requests_are_compared_after_the_clamp_to_their_own_corridor() -> None:
    decision = resolved(
        asked(
            a_request("a", "workers", 9),
            a_request("b", "workers", 3, Corridor.LIMITS),
            workers=11,
        )
    )
    (change,) = decision.changes
    assert (change.tuner, change.new, change.corridor) == ("b", 14, Corridor.LIMITS)


STEPS = st.integers(-20, 20).filter(bool)


@given(st.lists(STEPS, min_size=1, max_size=5), st.integers(-5, 30))
def test_no_change_is_larger_than_the_largest_request(steps: list[int], workers: int) -> None:
    requests = [a_request(f"t{n}", "workers", size) for n, size in enumerate(steps)]
    decision = resolved(asked(*requests, workers=workers))
    if len({size > 0 for size in steps}) > 1:
        assert decision.changes == ()
        assert len(decision.vetoes) == 1
    else:
        (change,) = decision.changes
        assert change.requested in steps
        assert abs(change.effective) <= max(map(abs, steps))


def clamped(decision: Decision) -> Decision:
    return Clamp(PACK).review(after(Verdict.FAIL), decision, NoSettings())


def test_the_clamp_leaves_a_clamped_change_unchanged() -> None:
    decision = resolved(asked(a_request("a", "workers", 20), a_request("a", "batch", -5)))
    assert clamped(decision) == decision


def test_the_clamp_puts_a_step_that_a_guard_cut_on_the_grid() -> None:
    change = replace(decided().changes[0], effective=1.7)
    (made,) = clamped(replace(decided(), changes=(change,))).changes
    assert (made.effective, made.new) == (1, 5)


def test_the_clamp_holds_a_guard_to_the_corridor() -> None:
    change = replace(decided().changes[0], effective=20)
    (made,) = clamped(replace(decided(), changes=(change,))).changes
    assert (made.effective, made.new, made.note) == (8, 12, Note.CAP)


@pytest.mark.parametrize("left", [0, 0.4])
def test_a_change_cut_to_zero_stays_listed_as_held(left: float) -> None:
    change = replace(decided().changes[0], effective=left)
    decision = clamped(replace(decided(), changes=(change,)))
    assert decision.moves == ()
    (held,) = decision.changes
    assert (held.effective, held.new, held.note) == (0, 4, Note.HOLD)


def test_the_mark_of_the_first_cut_is_kept_by_the_second() -> None:
    (capped,) = resolved(asked(a_request("a", "workers", 20))).changes
    (made,) = clamped(replace(decided(), changes=(replace(capped, effective=3),))).changes
    assert (made.new, made.note) == (7, Note.CAP)
