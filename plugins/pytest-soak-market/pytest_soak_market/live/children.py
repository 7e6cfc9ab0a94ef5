"""Child processes that exchange lines of JSON with the system that started them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from pytest_soak import SystemFailure, safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_soak import ProcessReaper

GRACE_S = 2.0
"""Seconds from the end of stdin to SIGTERM, and from SIGTERM to SIGKILL."""
_SHOWN_LINES = 20  # of stderr in an error


class Child:
    """A child process that reads orders from stdin and writes answers to stdout."""

    def __init__(self, name: str, command: Sequence[str], reaper: ProcessReaper) -> None:
        """Start *command* under the *reaper*; *name* is shown in errors."""
        self.name = name
        self._log = reaper.folder / f"{name}.log"
        with self._log.open("wb") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - our own program, or one that is pinned
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                env=reaper.environ,
                start_new_session=True,  # Ctrl-C must reach pytest alone, which ends them
            )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    @classmethod
    def of_module(cls, name: str, module: str, reaper: ProcessReaper) -> Child:
        """Start a module of this package as a child process."""
        return cls(name, (sys.executable, "-P", "-m", f"{__package__}.{module}"), reaper)

    def send(self, order: object) -> None:
        """Send an order.

        Raises:
            SystemFailure: the process has ended.
        """
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self.process.stdin.write(f"{json.dumps(order)}\n")
            self.process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def receive(self, seconds: float) -> Any:  # noqa: ANN401 - what JSON may be
        """Return its next answer.

        Raises:
            SystemFailure: there was none within *seconds*, or the process has ended.
        """
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            msg = f"{self.name} did not answer within {seconds:g} s{self._last_lines()}"
            raise SystemFailure(msg) from None
        if not line:
            raise self._ended()
        return json.loads(line)

    def check(self) -> None:
        """Check that the process runs.

        Raises:
            SystemFailure: it has ended.
        """
        if self.process.poll() is not None:
            raise self._ended()

    def end(self) -> None:
        """End the process: close stdin, SIGTERM, SIGKILL. The reaper ends its child processes."""
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(OSError):  # a pipe with unread data, whose reader has ended
            self.process.stdin.close()
        for step in (self.process.poll, self.process.terminate):
            step()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_S)
                break
        else:
            self.process.kill()
            self.process.wait()
        self._reader.join(GRACE_S)
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        self.process.stdout.close()

    def _read(self, stream: TextIO) -> None:
        for line in stream:
            self._answers.put(line)
        self._answers.put("")

    def _ended(self) -> SystemFailure:
        with suppress(subprocess.TimeoutExpired):  # it has closed stdout and may be about to end
            self.process.wait(GRACE_S)
        return SystemFailure(f"{self.name} ended ({self.process.returncode}){self._last_lines()}")

    def _last_lines(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        return "".join(f"\n  {safe_text(line)}" for line in lines)
