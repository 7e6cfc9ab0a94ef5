"""Decisions: requests become changes, and forbidden changes by guards are detected."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.decision import (
    Change,
    Decision,
    Notice,
    Request,
    Rollback,
    Veto,
    change_for,
    requests_of,
)
from pytest_soak.model.parameters import Bounds, Corridor, Note, Parameter
from pytest_soak.model.promises import breach, loosened, malformed
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.summary import Summary

WORKERS = Parameter("workers", "1", Bounds(1, 16), Bounds(2, 12), "up", 1)
VALUES = st.integers(-20, 40)


def a_request(delta: float = 2, corridor: Corridor = Corridor.APPLY) -> Request:
    return Request("table", "workers", delta, corridor, "slow")


def a_decision(delta: float = 2, old: float = 4) -> Decision:
    request = a_request(delta)
    return Decision(
        3,
        {"workers": old},
        (request,),
        (change_for(request, WORKERS, old),),
        (Veto("g", "cold", "batch"),),
    )


def test_a_request_passes_the_corridor_that_its_tuner_declared() -> None:
    assert change_for(a_request(9, Corridor.LIMITS), WORKERS, 4).new == 13
    change = change_for(a_request(9, Corridor.APPLY), WORKERS, 4)
    assert (change.new, change.effective, change.requested) == (12, 8, 9)
    assert change.note is Note.CAP


def test_a_change_remembers_who_asked_for_what() -> None:
    change = change_for(a_request(), WORKERS, 4)
    assert (change.tuner, change.reason, change.old) == ("table", "slow", 4)
    assert change.corridor is Corridor.APPLY


def test_requests_are_sorted_by_name_and_a_delta_of_zero_is_none() -> None:
    proposal = Proposal(
        {"workers": 1, "batch": -5, "backoff": 0},
        reasons=("slow", "errors"),
        reason_of={"workers": "slow"},
    )
    made = requests_of("table", proposal, Corridor.LIMITS)
    assert [(request.parameter, request.delta, request.reason) for request in made] == [
        ("batch", -5, "errors"),
        ("workers", 1, "slow"),
    ]
    assert {request.corridor for request in made} == {Corridor.LIMITS}


def test_a_cut_is_distinct_from_other_notices() -> None:
    told = a_decision(3).notice("drift", "drift", "workers").cut("mine", WORKERS, 1, "enough")
    assert [(notice.reason, notice.cut) for notice in told.notices] == [
        ("drift", False),
        ("mine", True),
    ]
    (change,) = told.moves
    assert (change.effective, change.new) == (1, 5)


def test_a_cut_that_leaves_nothing_is_a_veto() -> None:
    told = a_decision(3).cut("mine", WORKERS, 0.4, "enough")
    assert (told.moves, told.notices) == ((), ())
    assert told.vetoes[-1] == Veto("mine", "mine", "workers", "enough")


def test_a_cut_step_stays_in_the_corridor_of_the_tuner_that_asked() -> None:
    change = change_for(a_request(4, Corridor.LIMITS), WORKERS, 12)
    (cut,) = Decision(3, changes=(change,)).cut("mine", WORKERS, 2, "enough").changes
    assert (cut.new, cut.effective) == (14, 2)


def test_a_notice_without_parameter_and_detail_has_none() -> None:
    assert Decision(3).notice("mine", "odd").notices == (Notice("mine", "odd", "", ""),)


def test_a_rollback_says_who_made_it_where_it_leads_and_why() -> None:
    rolled = a_decision().roll_back("mine", Summary(1, {"workers": 2}, {}), "why")
    assert rolled.rollback == Rollback("mine", 1, {"workers": 2}, "why")
    assert rolled.vetoes[-1] == Veto("mine", "mine", "", "why")
    assert (rolled.changes, rolled.skip_reason) == ((), "mine")


def test_a_held_change_stays_listed_but_moves_nothing() -> None:
    decision = a_decision(2, old=12)
    assert [change.note for change in decision.changes] == [Note.HOLD]
    assert decision.moves == ()
    assert decision.overrides({"workers": 12}) == {"workers": 12}


def test_a_skip_stops_every_change_and_says_why() -> None:
    skipped = a_decision().skip("window", "observation_window", "iteration 3")
    assert (skipped.changes, skipped.moves) == ((), ())
    assert skipped.skip_reason == "observation_window"
    assert skipped.vetoes[-1] == Veto("window", "observation_window", "", "iteration 3")
    assert skipped.requests == a_decision().requests


def test_a_skip_without_a_detail_has_none() -> None:
    assert a_decision().skip("mine", "too_soon").vetoes[-1] == Veto("mine", "too_soon", "", "")


def test_a_veto_stops_one_parameter_and_leaves_the_others() -> None:
    decision = a_decision()
    other = replace(decision.changes[0], parameter="batch")
    decision = replace(decision, changes=(*decision.changes, other))
    vetoed = decision.veto("mine", "workers", "too_soon")
    assert [change.parameter for change in vetoed.changes] == ["batch"]
    assert vetoed.vetoes[-1] == Veto("mine", "too_soon", "workers")
    assert vetoed.skip_reason == ""


def test_overrides_are_laid_over_those_before() -> None:
    assert a_decision().overrides({"batch": 40}) == {"batch": 40, "workers": 6}


@given(VALUES, VALUES, st.sampled_from(Corridor))
def test_what_the_clamp_lets_through_breaks_no_promise(
    old: int, delta: int, corridor: Corridor
) -> None:
    assert breach(change_for(a_request(delta, corridor), WORKERS, old), WORKERS, old) == ""


@pytest.mark.parametrize(
    ("forged", "phrase"),
    [
        ({"new": 13, "effective": 9, "requested": 9}, "outside 2 to 12"),
        ({"new": 1, "effective": -3, "requested": -3}, "outside 2 to 12"),
        ({"new": 3, "effective": -1}, "would turn 2 into -1"),
        ({"new": 7, "effective": 3}, "would move 3, asked 2"),
        ({"new": 5, "effective": 2}, "not old + delta"),
        ({"new": float("nan"), "effective": float("nan")}, "workers"),
        ({"effective": float("nan")}, "workers"),
    ],
    ids=["above", "below", "turned", "enlarged", "inconsistent", "nan", "nan delta"],
)
def test_a_forged_change_is_a_breach(forged: dict[str, Any], phrase: str) -> None:
    change = replace(change_for(a_request(), WORKERS, 4), **forged)
    assert phrase in breach(change, WORKERS, change.old)


def test_outside_the_corridor_a_change_must_not_lead_farther_away() -> None:
    change = Change("workers", 14, 1, 1, 15, Note.NONE, "slow", "table", Corridor.APPLY)
    assert "outside 2 to 14" in breach(change, WORKERS, change.old)
    assert breach(replace(change, requested=-1, effective=-1, new=13), WORKERS, change.old) == ""


def test_a_difference_of_a_millionth_of_the_grid_is_no_breach() -> None:
    change = Change("workers", 0, 0, 1e-6, 0, Note.NONE, "slow", "table", Corridor.APPLY)
    assert breach(change, WORKERS, 0) == ""


def test_a_sum_of_floats_is_no_breach_on_a_grid_finer_than_floats_are() -> None:
    fine = Parameter("backoff", "s", Bounds(0, 2), Bounds(0, 2), "up", 5e-324)
    change = change_for(Request("table", "backoff", 0.1, Corridor.APPLY, "slow"), fine, 0.2)
    assert (change.old, change.effective, change.new) == (0.2, 0.1, 0.3)  # 0.2 + 0.1 is not 0.3
    assert breach(change, fine, 0.2) == ""
    assert "not old + delta" in breach(replace(change, new=0.3000001), fine, 0.2)


@pytest.mark.parametrize(("digits", "phrase"), [(1, ""), (2, ""), (3, "not old + delta")])
def test_a_sum_of_floats_is_off_by_two_last_digits_at_most(digits: int, phrase: str) -> None:
    fine = Parameter("backoff", "s", Bounds(0, 2), Bounds(0, 2), "up", 5e-324)
    delta = 0.5 + digits * math.ulp(1.0)  # exactly
    change = Change("backoff", 0.5, delta, delta, 1.0, Note.NONE, "slow", "table", Corridor.APPLY)
    assert phrase in breach(change, fine, 0.5)
    assert bool(breach(change, fine, 0.5)) is bool(phrase)


def test_a_decision_of_the_right_types_is_not_malformed() -> None:
    assert malformed(a_decision().notice("mine", "odd").cut("mine", WORKERS, 1, "enough")) == ""


@pytest.mark.parametrize("word", [Veto("", "cold"), Veto("mine", "")])
def test_a_veto_without_guard_or_reason_is_told_as_it_is(word: Veto) -> None:
    fault = malformed(replace(a_decision(), vetoes=(word,)))
    assert fault == f"gave {word!r}, without guard or reason"


@pytest.mark.parametrize("effective", [2, 1, 0])
def test_a_guard_may_make_a_delta_smaller(effective: float) -> None:
    before = a_decision()
    cut = replace(before.changes[0], effective=effective, new=4 + effective, note=Note.CAP)
    assert loosened(before, replace(before, changes=(cut,))) == ""


def test_a_guard_may_leave_a_held_change_as_it_is() -> None:
    held = a_decision(2, old=12)
    assert loosened(held, held) == ""


def test_a_guard_may_stop_a_change_or_everything() -> None:
    before = a_decision()
    assert loosened(before, before.veto("mine", "workers", "too_soon")) == ""
    assert loosened(before, before.skip("mine", "too_soon")) == ""


@pytest.mark.parametrize(
    ("forged", "phrase"),
    [
        ({"effective": 3, "new": 7}, "made the delta of workers 3 out of 2"),
        ({"effective": -1, "new": 3}, "made the delta of workers -1 out of 2"),
        ({"effective": float("nan")}, "made the delta of workers NaN"),
        ({"requested": 9}, "rewrote requested of the change of workers"),
        ({"old": 6}, "rewrote old of the change of workers"),
        ({"tuner": "other"}, "rewrote tuner of the change of workers"),
        ({"corridor": Corridor.LIMITS}, "rewrote corridor of the change of workers"),
        ({"reason": "because"}, "rewrote reason of the change of workers"),
        ({"parameter": "batch"}, "added a change of batch"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_a_guard_that_rewrites_a_change_is_detected(forged: dict[str, Any], phrase: str) -> None:
    before = a_decision()
    after = replace(before, changes=(replace(before.changes[0], **forged),))
    assert phrase in loosened(before, after)


def test_a_guard_that_restores_a_dropped_change_is_detected() -> None:
    before = a_decision()
    dropped = before.veto("mine", "workers", "too_soon")
    assert loosened(dropped, before) == "added a change of workers"


def test_a_guard_that_doubles_a_change_is_detected() -> None:
    before = a_decision()
    assert loosened(before, replace(before, changes=before.changes * 2))


@pytest.mark.parametrize(
    ("forged", "phrase"),
    [
        ({"iteration": 4}, "rewrote what was asked for: iteration"),
        ({"requests": ()}, "rewrote what was asked for: requests"),
        ({"parameters": {"workers": 5}}, "rewrote what was asked for: parameters"),
        ({"vetoes": ()}, "took back a veto"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_a_guard_that_rewrites_earlier_entries_is_detected(
    forged: dict[str, Any], phrase: str
) -> None:
    before = a_decision()
    assert loosened(before, replace(before, **forged)) == phrase


def test_a_guard_that_skips_but_leaves_changes_is_detected() -> None:
    before = a_decision()
    after = replace(before, skip_reason="too\nsoon")
    assert loosened(before, after) == "skipped for too soon, but left changes"


def test_a_guard_that_removes_a_skip_is_detected() -> None:
    before = a_decision().skip("window", "observation_window")
    assert loosened(before, replace(before, skip_reason=""))


def test_a_change_that_starts_from_a_value_the_parameter_does_not_have_is_a_breach() -> None:
    change = change_for(a_request(), WORKERS, 4)
    assert breach(change, WORKERS, 5) == "workers would start from 4, it is 5"
    assert breach(change, WORKERS, 4) == ""
