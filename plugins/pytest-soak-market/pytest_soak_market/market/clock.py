"""The maker's clock: virtual time, or the machine's."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Gives the maker the time, and makes its work take time."""

    def now(self) -> float:
        """Return the time, in seconds."""

    def work(self, seconds: float) -> None:
        """Spend *seconds* of the maker's CPU time."""


class VirtualClock:
    """Virtual time: it is set from outside, and the maker's work advances it."""

    def __init__(self) -> None:
        """Start at 0; the caller that drives the maker sets ``now_s``."""
        self.now_s = 0.0

    def now(self) -> float:
        """Return the time, in seconds."""
        return self.now_s

    def work(self, seconds: float) -> None:
        """Advance by *seconds*."""
        self.now_s += seconds


class WallClock:
    """The machine's monotonic time, which its processes share; work burns CPU time.

    On a loaded machine the same work takes more of the wall clock's time, as it does in life.
    ``worked_s`` is the CPU time it has burnt, ``took_s`` the wall-clock time that went by.
    """

    def __init__(self) -> None:
        """Start with no work done."""
        self.worked_s = 0.0
        self.took_s = 0.0

    def now(self) -> float:
        """Return the time, in seconds."""
        return time.monotonic()

    def work(self, seconds: float) -> None:
        """Burn *seconds* of CPU time."""
        if not seconds:
            return
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        while time.process_time() - began_cpu_s < seconds:
            pass
        self.worked_s += seconds
        self.took_s += time.monotonic() - began_s
