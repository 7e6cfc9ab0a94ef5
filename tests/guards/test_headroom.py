"""A step within the headroom passes the guards, and one grid step more does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_soak.model.history import History
from pytest_soak.model.parameters import Corridor
from tests.guards.simulated import BAD, demo, guarded, soak

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Notice, Veto
    from pytest_soak.model.metrics import Value

RULES = """
kpis.latency_p95_ms.fail = "> 900"
kpis.error_rate.fail = "> 0.9"
objective = { metric = "throughput", better = "up" }
noise.throughput = 1.0
parameters.workers.limits = [1, 100]
guards.caps.enabled = false
guards.oscillation.enabled = false
guards.budget.window = 3
guards.budget.largest.workers = 6
guards.alarm.levels = { workers = { warn = 5, pause = 8 }, batch_size = { warn = 38, pause = 35 } }
"""
PACK = demo(RULES)
STEP = st.integers(-3, 4)


def cliff(_: int, parameters: Mapping[str, float]) -> Mapping[str, Value]:
    """Return metrics that fall by ten sigma beyond 6 workers, so that there are rollbacks."""
    return {**BAD, "throughput": 90 if parameters["workers"] > 6 else 100}


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(STEP, STEP), min_size=1, max_size=12),
    st.sampled_from(["workers", "batch_size"]),
    st.sampled_from([-1, 1]),
)
def test_a_step_within_the_headroom_passes_and_one_more_does_not(
    steps: list[tuple[int, int]], name: str, way: int
) -> None:
    def requests(number: int) -> dict[str, dict[str, float]]:
        if number <= len(steps):
            workers, batch = steps[number - 1]
            return {"one": {"workers": workers, "batch_size": batch}}
        return {"one": {name: last}}

    last: float = 0
    entries = soak(PACK, len(steps) + 1, requests, cliff, corridor=Corridor.LIMITS)
    now = entries[-1].summary.parameters
    down, up = guarded(PACK).headroom(History(entries), now)[name]
    left = up if way > 0 else down
    bounds = PACK.parameters[name].limits
    in_limits = bounds.hi - now[name] if way > 0 else now[name] - bounds.lo
    for size, passes in ((left, True), (left + 1, False)):
        assume(0 < size <= in_limits)
        last = way * size
        decision = soak(PACK, len(steps) + 1, requests, cliff, corridor=Corridor.LIMITS)[
            -1
        ].decision
        assert decision is not None
        assume(decision.rollback is None and decision.skip_reason == "")
        words: tuple[Veto | Notice, ...] = (*decision.vetoes, *decision.notices)
        said = {word.guard for word in words if word.reason != "alarm_warn"}
        assert bool(said & {"budget", "alarm", "undone"}) is not passes, (said, left)


@pytest.mark.parametrize(
    ("guard", "steps", "left"), [("budget", [4, 0], 2), ("alarm", [4, 0, 0, 3, 0], 0)]
)
def test_a_guard_that_is_switched_off_does_not_bound_the_headroom(
    guard: str, steps: list[int], left: float
) -> None:
    def requests(number: int) -> dict[str, dict[str, float]]:
        return {"one": {"workers": steps[number - 1]}}

    entries = soak(PACK, len(steps), requests, corridor=Corridor.LIMITS)
    history, now = History(entries), entries[-1].summary.parameters
    other = {"budget": "alarm", "alarm": "budget"}[guard]
    alone = f"{RULES}\nguards.{other}.enabled = false"
    assert guarded(demo(alone)).headroom(history, now)["workers"][1] == left
    off = demo(f"{alone}\nguards.{guard}.enabled = false")
    assert "workers" not in guarded(off).headroom(history, now)
