"""An hours run keeps an absolute schedule, and stops applying while a whole window is left."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_soak.model.pace import Pace, Schedule, WallClock, slots_in

SLOTS = st.floats(0.001, 1e6)
STARTS = st.floats(0, 1e7)
COUNTS = st.integers(1, 10_000)
WINDOWS = st.integers(1, 20)
SHARES = st.lists(st.floats(0, 3), min_size=1, max_size=30)
"""How long iterations take, in slots."""


@dataclass
class Turned:
    """A clock that moves only if a test moves it or waits for it."""

    time: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)
        self.time += seconds


@dataclass
class Soaked:
    """The slots of one chain: when each began, and where nothing may be applied."""

    kept: Pace
    clock: Turned
    planned: int
    window: int = 2
    began: dict[int, float] = field(default_factory=dict)
    closed: list[bool] = field(default_factory=list)

    def run(self, iteration: int, seconds: float) -> None:
        self.kept.reach(iteration)
        if not self.kept.drops(iteration):
            self.began[iteration] = self.clock.time
            self.clock.time += seconds
            self.kept.ran(iteration, virtual=False)
            self.closed.append(self.kept.closes(iteration, self.window))


def soaked(planned: int, slot: float = 10, window: int = 2, start: float = 1000.0) -> Soaked:
    clock = Turned(start)
    return Soaked(Pace(clock, slot, planned, 0), clock, planned, window)


@pytest.mark.parametrize(
    ("hours", "slot", "count"),
    [
        (24, 300, 288),
        (0.3, 1, 1080),
        (0.1, 0.1, 3600),
        (1, 0.36, 10_000),
        (0.7, 0.7, 3600),
        (1, 3600.1, 0),
        (1e-12, 3.6e-9, 1),
        (72, 7200, 36),
        (1, 7, 514),
    ],
)
def test_hours_are_whole_slots_of_the_numbers_as_written(
    hours: float, slot: float, count: int
) -> None:
    assert slots_in(hours, slot) == count


@given(STARTS, SLOTS, COUNTS, st.integers(0, 9_999), st.floats(0, 1), st.data())
def test_without_an_overrun_applying_stops_exactly_where_it_does_in_a_run_by_count(
    start: float, slot: float, planned: int, done: int, share: float, data: st.DataObject
) -> None:
    window = data.draw(st.integers(1, planned))
    near = st.integers(max(1, planned - window - 2), planned)
    iteration = data.draw(st.one_of(st.integers(1, planned), near))
    schedule = Schedule(start, slot, min(done, iteration - 1) + 1, planned)
    now = min(schedule.end(iteration), start + share * slot * planned)
    assert schedule.closes(iteration, now, slot * share, window) == (planned - iteration < window)
    assert schedule.left(iteration, now) == planned - iteration


@given(st.integers(3, 300), SLOTS, STARTS)
def test_a_system_that_just_fills_its_slots_is_no_overrun(
    planned: int, slot: float, start: float
) -> None:
    run = soaked(planned, slot, 2, start)
    for iteration in range(1, planned + 1):
        run.run(iteration, slot * (1 + 1e-6))
    assert run.closed == [planned - number < 2 for number in range(1, planned + 1)]


def test_an_overrun_of_a_hundredth_of_a_slot_is_ignored_and_more_is_not() -> None:
    schedule = Schedule(-2.0, 1.0, 1, 4)  # the slot of iteration 2 ends at 0
    assert [schedule.closes(2, late, 1.0, 2) for late in (0, 0.01, 0.011)] == [False, False, True]


def test_what_is_left_counts_from_the_start_and_an_overrun_takes_its_part() -> None:
    run = soaked(5)
    assert run.kept.left(0) == 50
    run.run(1, 25)
    assert run.kept.left(1) == 25


@given(SHARES)
def test_an_overrun_shifts_nothing(shares: list[float]) -> None:
    run = soaked(len(shares))
    for iteration, share in enumerate(shares, 1):
        run.run(iteration, share * 10)
    ended = 0.0
    for iteration, began in run.began.items():
        assert began == pytest.approx(max(1000 + (iteration - 1) * 10, ended))
        ended = began + shares[iteration - 1] * 10
    run.kept.reach(0)
    assert run.clock.time == pytest.approx(max(ended, 1000 + len(run.began) * 10))


@given(SHARES)
def test_slots_are_dropped_from_the_end_and_none_begins_at_the_deadline(
    shares: list[float],
) -> None:
    run = soaked(len(shares))
    for iteration, share in enumerate(shares, 1):
        run.run(iteration, share * 10)
    assert list(run.began) == list(range(1, len(shares) - run.kept.dropped + 1))
    assert all(began < 1000 + len(shares) * 10 for began in run.began.values())
    if run.kept.dropped:
        assert run.clock.time >= 1000 + len(shares) * 10


@given(SHARES, WINDOWS)
def test_applying_never_starts_again_once_it_has_stopped(shares: list[float], window: int) -> None:
    run = soaked(len(shares), window=min(window, len(shares)))
    for iteration, share in enumerate(shares, 1):
        run.run(iteration, share * 10)
    assert run.closed == sorted(run.closed)


@given(
    SHARES,
    st.lists(st.floats(0, 1), min_size=20, max_size=20),
    st.integers(0, 40),
    WINDOWS,
)
@example([1.0], [1.0] * 20, 2, 2)
@example([1.004], [1.0] * 20, 2, 2)
def test_after_an_apply_a_whole_window_runs_unless_slots_get_longer_still(
    shares: list[float], later: list[float], more: int, window: int
) -> None:
    planned = len(shares) + more
    run = soaked(planned, window=window)
    for iteration, share in enumerate(shares, 1):
        run.run(iteration, share * 10)
    open_at_the_end = len(run.began) == len(shares) and not run.closed[-1]
    if not open_at_the_end:
        return
    longest = 10 * max(1, *shares)
    for iteration, share in enumerate(later[:more], len(shares) + 1):
        run.run(iteration, share * longest)
    assert len(run.began) >= len(shares) + window


def test_time_counts_from_the_first_iteration_that_runs_here() -> None:
    clock = Turned()
    kept = Pace(clock, 10, 6, 3)
    clock.time += 100  # until all that was settled before has been reported
    for iteration in (4, 5):
        kept.reach(iteration)
        kept.ran(iteration, virtual=False)
    assert clock.time == 1110
    assert kept.left(5) == 10
    assert [kept.closes(number, 2) for number in (4, 5)] == [False, True]


def test_what_comes_after_the_report_belongs_to_the_slot() -> None:
    run = soaked(10)
    run.run(1, 5)
    run.clock.time += 25  # a fixture that takes long to be torn down
    run.run(2, 0)
    assert [run.kept.closes(number, 2) for number in range(2, 8)] == [False] * 3 + [True] * 3


def test_a_first_slot_that_took_all_the_time_leaves_one_iteration() -> None:
    run = soaked(3)
    for iteration in (1, 2, 3):
        run.run(iteration, 30)
    assert run.closed == [True]
    assert run.kept.dropped == 2
    assert [run.kept.drops(number) for number in (0, 1, 2, 3)] == [False, False, True, True]


def test_slots_too_short_for_the_clock_still_leave_one_iteration() -> None:
    clock = Turned(1e9)
    kept = Pace(clock, 1e-12, 3, 0)
    kept.reach(1)
    assert not kept.drops(1)


def test_a_clock_that_lets_a_part_of_the_time_pass_is_asked_again() -> None:
    class Slow(Turned):
        def wait(self, seconds: float) -> None:
            super().wait(min(seconds, 4))

    clock = Slow()
    kept = Pace(clock, 10, 2, 0)
    kept.reach(1)
    kept.ran(1, virtual=False)
    kept.reach(2)
    assert clock.waits == [4, 4, 2]
    assert clock.time == 1010


@pytest.mark.parametrize("slot", [10, 0.1])
def test_virtual_time_is_neither_waited_for_nor_run_out_of(slot: float) -> None:
    clock = Turned()
    kept = Pace(clock, slot, 5, 0)
    closed = []
    for iteration in range(1, 6):
        kept.reach(iteration)
        clock.time += 1000
        kept.ran(iteration, virtual=True)
        closed.append(kept.closes(iteration, 2))
        assert kept.left(iteration) == (5 - iteration) * slot
    assert closed == [False, False, False, True, True]
    assert not clock.waits
    assert not kept.dropped


def test_the_wall_clock_moves_and_waits_and_never_sleeps_for_centuries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = WallClock()
    before = clock.now()
    clock.wait(0.01)
    assert clock.now() >= before + 0.009
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    clock.wait(1e12)
    assert slept == [3600]
