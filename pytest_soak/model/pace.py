"""The pace of an hours run: slots of wall-clock time on a schedule that does not drift."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Protocol

SLACK = 0.01
"""How much of a slot an overrun may come to and count for nothing.

A system that fills its slot always ends a little after it. The rule for the end of applying asks
for a slot more than the window needs, so this takes nothing from the verdict.
"""
LONGEST_SLEEP = 3600.0
"""Seconds; a clock may refuse to sleep for centuries."""


def slots_in(hours: float, slot: float) -> int:
    """Return how many whole slots of *slot* seconds *hours* have.

    The numbers count as they are written, in decimals: 0.3 hours have 1080 slots of a second, not
    the 1079 that their binary values come to.
    """
    from fractions import Fraction  # noqa: PLC0415 - a run that soaks nothing must not pay for it

    return Fraction(str(hours)) * 3600 // Fraction(str(slot))


class Clock(Protocol):
    """What tells the time and lets it pass; tests bring one that they turn."""

    def now(self) -> float:
        """Return seconds since some moment; never less than the last time."""

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass, or a part of them."""


class WallClock:
    """The machine's own clock. It stands still while the machine is suspended."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep for *seconds*, but for an hour at most."""
        time.sleep(min(seconds, LONGEST_SLEEP))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each slot of a chain ends: counted from the start, whatever became of those before it.

    Args:
        start: When the first slot began, in seconds of some clock.
        slot: The length of a slot, in seconds.
        first: The iteration that the first slot is for; more than 1 where a run goes on.
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
        """When the last slot ends. No slot begins then or later."""
        return self.end(self.planned)

    def left(self, iteration: int, now: float) -> float:
        """Return how many slots of time are left once that of *iteration* is over.

        Without an overrun a whole number, free of rounding: the slots that are still to come.
        """
        late = max(0.0, now - self.end(iteration))
        return self.planned - iteration - late / self.slot

    def closes(self, iteration: int, now: float, longest: float, window: int) -> bool:
        """Tell whether nothing may be applied any more after *iteration*, which ended *now*.

        So it is when less time is left than *window* slots take that are as long as the *longest*
        so far, in seconds: what is applied later could not be judged by a whole window.
        """
        needed = window * max(1.0, longest / self.slot)
        return self.left(iteration, now) < needed - SLACK


class Pace:
    """The time of one chain in this process, from the first iteration that it runs here."""

    def __init__(self, clock: Clock, slot: float, planned: int, done: int) -> None:
        """Begin the schedule now.

        Args:
            clock: Tells the time, in seconds.
            slot: The length of a slot, in seconds.
            planned: How many iterations the chain has.
            done: How many of them were recorded before.
        """
        self._clock = clock
        self._begun = clock.now()
        self._schedule = Schedule(self._begun, slot, done + 1, planned)
        self._longest = slot
        self._ran = 0
        self._virtual = False
        self.dropped = 0

    def reach(self, iteration: int) -> None:
        """Wait out the slot before *iteration*, if one was run; drop it where none is left.

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
        else:  # so far only what was settled before, or skipped
            self._schedule = replace(self._schedule, start=now)
        self._begun = now
        if iteration and self._ran and now >= self._schedule.deadline:
            self.dropped = self._schedule.planned - iteration + 1

    def drops(self, iteration: int) -> bool:
        """Tell whether the slot of *iteration* was dropped: the first that was, or a later one."""
        return iteration > self._schedule.planned - self.dropped

    def ran(self, iteration: int, *, virtual: bool) -> None:
        """Note that the system ran for *iteration*; time that is *virtual* is not kept to."""
        self._ran = iteration
        self._virtual = virtual
        self._longest = max(self._longest, self._clock.now() - self._begun)

    def closes(self, iteration: int, window: int) -> bool:
        """Tell whether nothing may be applied any more after *iteration*, which ends now."""
        longest = 0.0 if self._virtual else self._longest
        return self._schedule.closes(iteration, self._now(iteration), longest, window)

    def left(self, iteration: int) -> float:
        """Return how many seconds the slots after that of *iteration* have."""
        slots = self._schedule.left(iteration, self._now(iteration))
        return max(0.0, slots) * self._schedule.slot

    def _now(self, iteration: int) -> float:
        """Return the time; where it is virtual, that of an *iteration* that ends on time."""
        return self._schedule.end(iteration) if self._virtual else self._clock.now()
