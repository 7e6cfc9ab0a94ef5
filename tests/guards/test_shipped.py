"""The guards of the core in simulated runs: what they stop, what they allow, and no livelock."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_soak.model.parameters import Corridor
from tests.guards.simulated import BAD, demo, soak, steps, stopped, told, values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_soak.model.history import Entry
    from pytest_soak.model.metrics import Value
    from tests.guards.simulated import Requests

UNARMED = "guards.auto_rollback.enabled = false\n"
LOOSE = UNARMED + "guards.drift.enabled = false\n"
"""Switches off the guards that would speak in every run."""


def run(changed: str, deltas: Sequence[float], iterations: int = 0, **more: object) -> list[Entry]:
    """Return a run of the demo pack with *changed* merged over it."""
    pack = demo(LOOSE + changed)
    return soak(pack, iterations or len(deltas) + 1, steps(*deltas), **more)  # type: ignore[arg-type] # passed on


# ---- cooldown


def test_cooldown_skips_as_many_iterations_as_set_after_each_apply() -> None:
    entries = run("guards.cooldown.iterations = 2", [1], 8)
    assert values(entries) == [2, 3, 3, 3, 4, 4, 4, 5]
    assert stopped(entries, "cooldown") == [2, 3, 5, 6, 8]
    assert told(entries)[0] == (2, "cooldown", "applied after iteration 1, pause 2")


def test_cooldown_lets_an_iteration_without_requests_be_one_without_deltas() -> None:
    entries = run("guards.cooldown.iterations = 2", [1, 0, 0, 0, 1, 0])
    assert stopped(entries, "cooldown") == []
    assert values(entries)[-1] == 4


# ---- confirmation


def test_confirmation_counts_what_was_asked_for_and_stopped() -> None:
    entries = run("guards.confirmation.iterations = 3", [1, 1, 1, -1, 1, 1, 1])
    assert stopped(entries, "confirmation") == [1, 2, 4, 5, 6]
    assert values(entries) == [2, 2, 2, 3, 3, 3, 3, 4]
    assert told(entries)[1] == (2, "confirmation", "asked for 2 of 3 times in a row")


@pytest.mark.parametrize("gap", ["quiet", "no report"])
def test_confirmation_starts_again_after_an_iteration_without_the_request(gap: str) -> None:
    def metrics(number: int, _: object) -> Mapping[str, Value]:
        return {} if number == 2 and gap == "no report" else BAD

    entries = run("guards.confirmation.iterations = 2", [1, 0, 1, 1], metrics=metrics)
    assert values(entries) == [2, 2, 2, 2, 3]


def test_confirmation_is_for_each_parameter_alone() -> None:
    pack = demo("guards.confirmation.iterations = 2")
    entries = soak(
        pack, 3, lambda n: {"one": {"workers": 1, **({"backoff_s": 0.1} if n == 1 else {})}}
    )
    assert values(entries) == [2, 2, 3]
    assert values(entries, "backoff_s") == [0.2, 0.2, 0.2]


# ---- oscillation


@pytest.mark.parametrize("way", [1, -1])
def test_oscillation_holds_an_alternating_parameter_until_it_is_asked_for_twice(way: int) -> None:
    asked = [way * delta for delta in (1, -1, 1, -1, 1, -1, -1, -1)]
    pack = demo(LOOSE + "profiles.default.workers = 6")
    entries = soak(pack, 9, steps(*asked))
    assert stopped(entries, "oscillation") == [4, 5, 6]
    moved = [6 + way * delta for delta in (0, 1, 0, 1, 1, 1, 1, 0, -1)]
    assert values(entries) == moved
    assert told(entries)[0][2] == ("applied + - +" if way > 0 else "applied - + -")


def test_oscillation_lets_two_turns_of_three_steps_pass() -> None:
    entries = run("", [2, -1, -1, 1, 1, -1])
    assert told(entries) == []
    assert values(entries) == [2, 4, 3, 2, 3, 4, 3]


def test_oscillation_can_be_switched_off() -> None:
    entries = run("guards.oscillation.enabled = false", [1, -1] * 4)
    assert told(entries) == []


def test_oscillation_does_not_count_steps_that_other_guards_stopped() -> None:
    """Steps that were not applied moved nothing."""
    entries = run("guards.cooldown.iterations = 1", [1, -1] * 6)
    assert stopped(entries, "oscillation") == []


# ---- consecutive caps


def test_caps_stops_a_parameter_after_three_requests_cut_by_one_bound() -> None:
    entries = run("profiles.default.workers = 11", [2, 2, 2, 2, 2, -1, 2])
    assert values(entries) == [11, 12, 12, 12, 12, 12, 11, 12]  # cap, hold, hold, rest
    assert stopped(entries, "caps") == [4, 5]
    assert told(entries)[0][2] == "cut 3 times in a row"


def test_caps_counts_neither_iterations_without_requests_nor_stopped_steps() -> None:
    entries = run("guards.caps.requests = 2\nprofiles.default.workers = 12", [2, 0, 2, 0, 0, 2])
    assert stopped(entries, "caps") == [6, 7]


def test_caps_ignores_steps_that_are_smaller_than_the_grid() -> None:
    entries = run("profiles.default.workers = 6", [0.4] * 8)
    assert stopped(entries, "caps") == []
    entries = run("profiles.default.workers = 6", [1, 0.4, 0.4, 0.4, 0.4])
    assert stopped(entries, "caps") == []


def test_caps_does_not_count_two_bounds_in_turn() -> None:
    entries = run("profiles.default.workers = 12", [2, -20, 20, -20, 2, 20])
    assert stopped(entries, "caps") == []


def test_caps_starts_again_after_a_request_that_was_not_cut() -> None:
    entries = run("profiles.default.workers = 9", [1, 2, 2, 2, 2])
    assert values(entries) == [9, 10, 12, 12, 12, 12]
    assert stopped(entries, "caps") == [6]


# ---- alarm


def test_alarm_warns_when_a_value_crosses_and_stops_further_steps() -> None:
    levels = "guards.alarm.levels.workers = { warn = 3, pause = 5 }"
    entries = run(levels, [2, 2, 2, -1, -1, 1, 2, 2])
    assert values(entries) == [2, 4, 6, 6, 5, 4, 5, 7, 7]
    assert stopped(entries, "alarm") == [3, 8, 9]
    assert told(entries)[:2] == [(2, "alarm_warn", "4 beyond 3"), (3, "alarm", "6 beyond 5")]
    assert stopped(entries, "alarm_warn") == [2]


def test_alarm_of_low_values_stops_decreases() -> None:
    levels = "profiles.default.workers = 8\nguards.alarm.levels.workers = { warn = 7, pause = 5 }"
    entries = run(levels, [-2, -2, -2, 1, 1, -2])
    assert values(entries) == [8, 6, 4, 4, 5, 6, 4]
    assert stopped(entries, "alarm") == [3, 7]


def test_alarm_warns_of_a_start_beyond_the_level_once() -> None:
    levels = "guards.alarm.levels.workers = { warn = 1.5, pause = 50 }"
    assert stopped(run(levels, [1], 6), "alarm_warn") == [1]


# ---- freeze

FREEZE = """
guards.freeze = { parameters = ["workers"], when = [
    { metric = "throughput", op = ">=", value = 90 },
    { metric = "error_rate", op = "<=", value = 0.05 },
] }
"""


def good(*iterations: int) -> Callable[[int, object], Mapping[str, Value]]:
    """Return metrics that are good in some iterations."""
    fine = {**BAD, "throughput": 95.0, "error_rate": 0.05}
    return lambda number, _: fine if number in iterations else BAD


def test_freeze_holds_tightening_for_four_iterations_and_then_arms_again() -> None:
    entries = run(FREEZE, [1], 13, metrics=good(2, 3, 4, 9, 10))
    assert stopped(entries, "freeze_started") == [3, 10]
    assert stopped(entries, "freeze") == [3, 4, 5, 6, 10, 11, 12, 13]
    assert told(entries)[:2] == [
        (3, "freeze", "until iteration 6"),
        (3, "freeze_started", "iterations 3 to 6"),
    ]


def test_freeze_allows_relaxing_and_other_parameters() -> None:
    pack = demo(LOOSE + FREEZE + "profiles.default.workers = 9")
    entries = soak(
        pack, 5, lambda _: {"one": {"workers": -1, "backoff_s": 0.1}}, good(*range(1, 9))
    )
    assert stopped(entries, "freeze_started") == [2]
    assert stopped(entries, "freeze") == []
    assert values(entries) == [9, 8, 7, 6, 5]
    assert values(entries, "backoff_s") == [0.2, 0.3, 0.4, 0.5, 0.6]


def test_freeze_needs_all_its_conditions_twice_in_a_row() -> None:
    half = {**BAD, "throughput": 95.0}
    entries = run(
        FREEZE, [1], 9, metrics=lambda number, _: half if number > 4 else good(1, 3)(number, _)
    )
    assert told(entries) == []


# ---- smoothing


def test_smoothing_approaches_the_requested_step() -> None:
    pack = demo(LOOSE + "guards.smoothing.alpha = 0.5\nprofiles.default.batch_size = 50")
    entries = soak(pack, 7, lambda _: {"one": {"batch_size": -8}})
    assert values(entries, "batch_size") == [50, 46, 40, 33, 25, 17, 9]
    assert told(entries)[0] == (1, "smoothing", "-8 cut to -4: average -4")


def test_smoothing_stops_a_step_against_the_average() -> None:
    pack = demo(LOOSE + "guards.smoothing.alpha = 0.5\nprofiles.default.workers = 6")
    entries = soak(pack, 4, steps(4, 4, -1, -1))
    assert values(entries) == [6, 8, 11, 11]
    assert told(entries)[2] == (3, "smoothing", "average 1")


@settings(deadline=None)
@given(
    st.sampled_from([0.1, 0.2, 0.5, 0.9]),
    st.integers(1, 20).flatmap(lambda size: st.sampled_from([size, -size])),
)
def test_smoothing_reaches_a_constant_request(alpha: float, size: int) -> None:
    pack = demo(LOOSE + f"guards.smoothing.alpha = {alpha}\nprofiles.default.batch_size = 50")
    entries = soak(pack, 60, lambda _: {"one": {"batch_size": size}}, corridor=Corridor.LIMITS)
    assert values(entries, "batch_size")[-1] == (100 if size > 0 else 1)


# ---- budget


def test_budget_cuts_a_step_to_what_is_left_and_stops_the_next() -> None:
    entries = run("guards.budget = { window = 3, largest = { workers = 3 } }", [2], 9)
    assert values(entries) == [2, 4, 5, 5, 7, 8, 8, 10, 11]
    assert told(entries)[:2] == [
        (2, "budget", "+2 cut to +1: 2 of 3 used in 3 iterations"),
        (3, "budget", "3 of 3 used in 3 iterations"),
    ]


def test_budget_counts_steps_in_both_directions() -> None:
    changed = "guards.budget.largest.workers = 4\nprofiles.default.workers = 6"
    entries = run(changed, [2, -2, -2])
    assert stopped(entries, "budget") == [3, 4]


def test_budget_in_decimals_has_no_rounding_errors() -> None:
    pack = demo("guards.budget = { window = 5, largest = { backoff_s = 0.3 } }")
    entries = soak(pack, 6, lambda _: {"one": {"backoff_s": 0.1}})
    assert values(entries, "backoff_s") == [0.2, 0.3, 0.4, 0.5, 0.5, 0.5]


@settings(deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=20), st.integers(1, 6), st.integers(1, 9))
def test_no_window_ever_holds_more_than_the_budget(
    deltas: list[int], window: int, largest: int
) -> None:
    changed = f"guards.budget = {{ window = {window}, largest = {{ workers = {largest} }} }}\n"
    ran = values(run(changed + "profiles.default.workers = 6", deltas))
    moved = [abs(after - before) for before, after in pairwise(ran)]
    assert all(sum(moved[i : i + window]) <= largest for i in range(len(moved)))


# ---- drift


def test_drift_warns_once_when_a_step_goes_beyond_its_share_of_the_corridor() -> None:
    pack = demo(UNARMED)
    entries = soak(pack, 8, steps(1, 1, 1, 1, -2, 2, 0))
    assert values(entries) == [2, 3, 4, 5, 6, 4, 6, 6]
    assert told(entries) == [(4, "drift", "5, started at 2"), (7, "drift", "6, started at 2")]


def test_drift_uses_the_corridor_of_the_tuner_that_moved() -> None:
    assert stopped(soak(demo(), 6, steps(1), corridor=Corridor.LIMITS), "drift") == [5]
    assert stopped(soak(demo("guards.drift.share = 0.6"), 12, steps(1)), "drift") == [8]


# ---- binding

BINDING = """
parameters.workers.binding = { metric = "throughput", op = "<", value = 90 }
"""


def test_binding_stops_only_what_was_not_exercised() -> None:
    entries = run(BINDING, [1], 5, metrics=good(2, 3))
    assert stopped(entries, "binding") == [2, 3]
    assert values(entries) == [2, 3, 3, 3, 4]
    assert told(entries)[0][2] == "throughput=95"


def test_binding_allows_steps_while_its_metric_is_undefined() -> None:
    unknown = {**BAD, "throughput": None}
    assert told(run(BINDING, [1], 4, metrics=lambda *_: unknown)) == []


def test_a_system_can_name_what_was_binding_in_a_metric_of_labels() -> None:
    changed = (
        'metrics.binding = { kind = "labels" }\n'
        'parameters.workers.binding = { metric = "binding", op = "has", value = "workers" }'
    )

    def metrics(number: int, _: object) -> Mapping[str, Value]:
        return {**BAD, "binding": ("workers", "batch_size") if number < 3 else ("batch_size",)}

    entries = run(changed, [1], 4, metrics=metrics)
    assert values(entries) == [2, 3, 4, 4]
    assert told(entries)[0] == (3, "binding", "binding=batch_size")


# ---- conflict policies


@pytest.mark.parametrize(
    ("policy", "asked", "moved"),
    [
        ('policy = "veto"', {"a": 3, "b": -1}, 0),
        ('policy = "smaller"', {"a": 3, "b": -1}, -1),
        ('policy = "smaller"', {"a": 1, "b": -1}, 0),
        ('policy = "mean"', {"a": 3, "b": -1}, 1),
        ('policy = "mean"', {"a": 2, "b": -2}, 0),
        ('policy = "mean"', {"a": 5, "b": -1, "c": -1}, 1),
        ('policy = "priority", priority = ["b"]', {"a": 3, "b": -1}, -1),
        ('policy = "priority", priority = ["c", "a"]', {"b": -1, "a": 3}, 3),
        ('policy = "priority", priority = ["c"]', {"b": -1, "a": 3}, -1),
        ('policy = "mean"', {"a": 3, "b": 1}, 3),
        ('policy = "smaller"', {"a": 3, "b": 1}, 3),
        ('policy = "priority", priority = ["b"]', {"a": 3, "b": 1}, 3),
    ],
)
def test_a_conflict_is_settled_as_the_policy_says(
    policy: str, asked: dict[str, int], moved: int
) -> None:
    pack = demo(f"guards.conflict = {{ {policy} }}\nprofiles.default.workers = 6")
    entries = soak(pack, 2, lambda _: {name: {"workers": delta} for name, delta in asked.items()})
    assert values(entries) == [6, 6 + moved]
    opposed = len({delta > 0 for delta in asked.values()}) > 1
    assert stopped(entries, "conflict") == ([1, 2] if opposed else [])


def test_the_mean_of_two_corridors_stays_in_the_narrower_one() -> None:
    """No single tuner asked for the mean, so the wider corridor of one of them does not count."""
    pack = demo('guards.conflict.policy = "mean"')
    (first, *_) = soak(pack, 2, lambda _: {"a": {"workers": 30}, "b": {"workers": -2}})
    assert first.decision is not None
    (change,) = first.decision.changes
    assert (change.tuner, change.requested, change.new, change.corridor) == ("a+b", 14, 12, "apply")
    wide = soak(
        pack, 2, lambda _: {"a": {"workers": 30}, "b": {"workers": -2}}, corridor=Corridor.LIMITS
    )
    assert values(wide) == [2, 16]


# ---- no livelock

SETTINGS = (
    "guards.cooldown.iterations = 3",
    "guards.confirmation.iterations = 4",
    "guards.smoothing.alpha = 0.1",
    "guards.budget = { window = 4, largest = { workers = 1, batch_size = 3 } }",
    "guards.caps.requests = 1",
    "guards.alarm.levels.workers = { warn = 5, pause = 7 }",
    FREEZE.replace("\n", ""),  # under a report that is bad it never starts
    BINDING.replace("\n", ""),
    'guards.conflict.policy = "smaller"',
)


@settings(deadline=None)
@given(st.sets(st.sampled_from(SETTINGS), max_size=9), st.integers(1, 4))
def test_under_a_constant_bad_report_parameters_move_until_a_bound_or_an_alarm_stops_them(
    chosen: set[str], size: int
) -> None:
    pack = demo("\n".join((LOOSE, *sorted(chosen))))
    entries = soak(pack, 150, lambda _: {"one": {"workers": size, "batch_size": -size}})
    alarmed = any("alarm" in one for one in chosen)
    last = entries[-1].summary.parameters
    assert last["batch_size"] == 5
    assert last["workers"] == 12 if not alarmed else 7 < last["workers"] <= 7 + size
    decision = entries[-1].decision
    assert decision is not None
    why = {veto.parameter: veto.reason for veto in decision.vetoes}
    why |= {change.parameter: str(change.note) for change in decision.changes}
    if decision.skip_reason != "cooldown":
        assert why["batch_size"] in {"hold", "caps"}
        assert why["workers"] in {"hold", "caps", "alarm"}


@settings(deadline=None)
@given(
    st.sets(st.sampled_from(SETTINGS), max_size=9),
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.dictionaries(
                st.sampled_from(["workers", "batch_size", "backoff_s"]), st.integers(-9, 9)
            ),
        ),
        min_size=2,
        max_size=15,
    ),
)
def test_same_requests_same_answers_and_never_more_than_was_asked_for(
    chosen: set[str], asked: list[Requests]
) -> None:
    pack = demo("\n".join(sorted(chosen)))
    first, again = (soak(pack, len(asked), lambda n: asked[n - 1], window=2) for _ in range(2))
    assert first == again
    for entry in first:
        decision = entry.decision
        assert decision is not None
        assert not (entry.summary.in_window and decision.moves)
        for change in decision.moves:
            sizes = [r.delta for r in decision.requests if r.parameter == change.parameter]
            assert min(0, *sizes) <= change.effective <= max(0, *sizes)
