"""SIGTERM ends a run as Ctrl-C does: with a summary, consistent artifacts and exit code 2."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import FrameType


class Interruption:
    """Turns the first SIGTERM into a `KeyboardInterrupt`; a second one ends the process.

    While the run is being closed there is nothing to interrupt any more: the first is passed over.

    A worker of pytest-xdist may be sent one by whoever stops the whole process group, and one by
    its controller: it takes the first and ends in peace.
    """

    def __init__(self, *, worker: bool) -> None:
        """Tell whether this process is a *worker*."""
        self._signals = (signal.SIGTERM, signal.SIGINT) if worker else (signal.SIGTERM,)
        self._next = signal.SIG_IGN if worker else signal.SIG_DFL
        self._before: dict[int, Any] = {}
        self._closing = False

    def pytest_sessionstart(self) -> None:
        """Take over, unless somebody else has or signals cannot be had (not the main thread)."""
        usual = (signal.SIG_DFL, signal.default_int_handler)
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                if signal.getsignal(number) in usual:
                    self._before[number] = signal.signal(number, self._interrupt)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Note that the run is being closed."""
        self._closing = True

    def pytest_unconfigure(self) -> None:
        """Let go."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        for taken in self._before:
            signal.signal(taken, self._next)
        if self._closing:
            return
        raise KeyboardInterrupt(signal.Signals(number).name)
