"""The pace of an hours run: slots of wall-clock time on a schedule that does not drift."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Protocol

SLACK = 0.01
"""The overrun that is ignored, as a share of a slot.

A system that fills its slot always ends a little late. `Schedule.closes` keeps one slot more than
the window needs, so this takes nothing from the verdict.
"""
LONGEST_SLEEP = 3600.0
"""Seconds. `time.sleep` refuses very large numbers."""


def slots_in(hours: float, slot: float) -> int:
    """Return how many whole slots of *slot* seconds *hours* have.

    The numbers are read as decimals: 0.3 hours have 1080 slots of a second. Their binary values
    would give 1079.
    """
    from fractions import Fraction  # noqa: PLC0415 - a run that soaks nothing must not pay for it

    return Fraction(str(hours)) * 3600 // Fraction(str(slot))


class Clock(Protocol):
    """A source of time; tests bring one that they control."""

    def now(self) -> float:
        """Return a monotonic time in seconds."""

    def wait(self, seconds: float) -> None:
        """Sleep for *seconds* at most."""


class WallClock:
    """The monotonic clock of the machine. It stops while the machine is suspended."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep for *seconds*, an hour at most."""
        time.sleep(min(seconds, LONGEST_SLEEP))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each slot of a chain ends, counted from the start: an overrun does not shift the rest.

    Args:
        start: When the first slot began, in seconds of some clock.
        slot: The length of a slot, in seconds.
        first: The iteration of the first slot; more than 1 in a resumed run.
        planned: How many iterations the chain has.
    """

    start: float
    slot: float
    first: int
    planned: int

    def end(self, iteration: int) -> float:
        """Return when the slot of *iteration* ends."""
        return self.start + (iteration - self.first + 1) * self.slot

    @property
    def deadline(self) -> float:
        """When the last slot ends. No slot starts then or later."""
        return self.end(self.planned)

    def left(self, iteration: int, now: float) -> float:
        """Return how many slots of time are left after the slot of *iteration*.

        Without an overrun this is exactly the number of slots that remain.
        """
        late = max(0.0, now - self.end(iteration))
        return self.planned - iteration - late / self.slot

    def closes(self, iteration: int, now: float, longest: float, window: int) -> bool:
        """Tell whether nothing may be applied from *iteration* on, which ended *now*.

        True if the time that is left is less than *window* slots of the *longest* duration so
        far, in seconds. A later change could not be judged by a whole window.
        """
        needed = window * max(1.0, longest / self.slot)
        return self.left(iteration, now) < needed - SLACK


class Pace:
    """Keeps one chain to its schedule, from the first iteration that this process runs."""

    def __init__(self, clock: Clock, slot: float, planned: int, done: int) -> None:
        """Start the schedule now.

        Args:
            clock: Tells the time, in seconds.
            slot: The length of a slot, in seconds.
            planned: How many iterations the chain has.
            done: How many of them are already recorded.
        """
        self._clock = clock
        self._begun = clock.now()
        self._schedule = Schedule(self._begun, slot, done + 1, planned)
        self._longest = slot
        self._ran = 0
        self._virtual = False
        self.dropped = 0

    def reach(self, iteration: int) -> None:
        """Wait for the end of the slot before *iteration*; drop the iteration after the deadline.

        Args:
            iteration: Its number; 0 for the gate, which has no slot and is never dropped.
        """
        if self.dropped or self._virtual:
            return
        now = self._clock.now()
        if self._ran:
            self._longest = max(self._longest, now - self._begun)
            while (left := self._schedule.end(self._ran) - now) > 0:
                self._clock.wait(left)
                now = self._clock.now()
        else:  # nothing has run in this process yet: the schedule starts now
            self._schedule = replace(self._schedule, start=now)
        self._begun = now
        if iteration and self._ran and now >= self._schedule.deadline:
            self.dropped = self._schedule.planned - iteration + 1

    def drops(self, iteration: int) -> bool:
        """Tell whether the slot of *iteration* was dropped."""
        return iteration > self._schedule.planned - self.dropped

    def ran(self, iteration: int, *, virtual: bool) -> None:
        """Note that the system ran for *iteration*; if its time is *virtual*, nothing waits."""
        self._ran = iteration
        self._virtual = virtual
        self._longest = max(self._longest, self._clock.now() - self._begun)

    def closes(self, iteration: int, window: int) -> bool:
        """Tell whether nothing may be applied from *iteration* on, which ends now."""
        longest = 0.0 if self._virtual else self._longest
        return self._schedule.closes(iteration, self._now(iteration), longest, window)

    def left(self, iteration: int) -> float:
        """Return how many seconds are left after the slot of *iteration*."""
        slots = self._schedule.left(iteration, self._now(iteration))
        return max(0.0, slots) * self._schedule.slot

    def _now(self, iteration: int) -> float:
        """Return the time; virtual time is that of an *iteration* that ends on schedule."""
        return self._schedule.end(iteration) if self._virtual else self._clock.now()
