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

    While the run is being closed the first one is ignored: nothing is left to interrupt.

    A worker of pytest-xdist may get two, one sent to the process group and one from its controller.
    It acts on the first and ignores the rest, so that it ends normally.
    """

    def __init__(self, *, worker: bool) -> None:
        """Choose the signals; a *worker* also handles Ctrl-C."""
        self._signals = (signal.SIGTERM, signal.SIGINT) if worker else (signal.SIGTERM,)
        self._next = signal.SIG_IGN if worker else signal.SIG_DFL
        self._before: dict[int, Any] = {}
        self._closing = False

    def pytest_sessionstart(self) -> None:
        """Install the handler in the main thread, where no other handler is installed."""
        usual = (signal.SIG_DFL, signal.default_int_handler)
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                if signal.getsignal(number) in usual:
                    self._before[number] = signal.signal(number, self._interrupt)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Record that the run is being closed."""
        self._closing = True

    def pytest_unconfigure(self) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        for handled in self._before:
            signal.signal(handled, self._next)
        if self._closing:
            return
        raise KeyboardInterrupt(signal.Signals(number).name)
