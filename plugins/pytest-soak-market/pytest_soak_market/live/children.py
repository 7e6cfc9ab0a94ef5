"""The programs that a system starts: asked for things line by line, and always ended."""

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
"""How long a program may take to end by itself, and again after it was told to."""
_TAIL = 20  # lines of its last words in an error


class Child:
    """A program that reads orders from its standard input and answers on its standard output."""

    def __init__(self, name: str, command: Sequence[str], kept: ProcessReaper) -> None:
        """Start *command* as one of the *kept* processes; *name* is for errors."""
        self.name = name
        self._log = kept.folder / f"{name}.log"
        with self._log.open("wb") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - our own program, or one that is pinned
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                env=kept.environ,
                start_new_session=True,  # Ctrl-C is for the run, which ends its programs
            )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    @classmethod
    def of_module(cls, name: str, module: str, kept: ProcessReaper) -> Child:
        """Start a module of this distribution."""
        return cls(name, (sys.executable, "-P", "-m", f"{__package__}.{module}"), kept)

    def tell(self, order: object) -> None:
        """Give an order.

        Raises:
            SystemFailure: the program is gone.
        """
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self.process.stdin.write(f"{json.dumps(order)}\n")
            self.process.stdin.flush()
        except OSError:
            raise self._gone() from None

    def answer(self, seconds: float) -> Any:  # noqa: ANN401 - what JSON may be
        """Return its next answer.

        Raises:
            SystemFailure: it gave none in *seconds*, or is gone.
        """
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            msg = f"{self.name} did not answer within {seconds:g} s{self._last_words()}"
            raise SystemFailure(msg) from None
        if not line:
            raise self._gone()
        return json.loads(line)

    def check(self) -> None:
        """Raise where the program is gone.

        Raises:
            SystemFailure: it is.
        """
        if self.process.poll() is not None:
            raise self._gone()

    def end(self) -> None:
        """End the program: let it end, ask it to, make it. What it started, closing *kept* ends."""
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(OSError):  # what it was told last, nobody was there to read
            self.process.stdin.close()
        for ask in (self.process.poll, self.process.terminate):
            ask()
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

    def _gone(self) -> SystemFailure:
        with suppress(subprocess.TimeoutExpired):  # it may only have closed its output
            self.process.wait(GRACE_S)
        return SystemFailure(f"{self.name} ended ({self.process.returncode}){self._last_words()}")

    def _last_words(self) -> str:
        words = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
        return "".join(f"\n  {safe_text(line)}" for line in words)
