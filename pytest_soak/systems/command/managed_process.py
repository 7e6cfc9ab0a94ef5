"""A program that was started: asked, looked after, and ended with everything that it started."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SystemFailure
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.systems.command import processes
from pytest_soak.systems.command.output import Output
from pytest_soak.systems.command.processes import MARK

if TYPE_CHECKING:
    import resource
    from collections.abc import Mapping

    from pytest_soak.systems.command.program import Program


TAKEN = 256
"""Stands for an exit code that nobody knows; it is above all that there are."""


class ManagedProcess:
    """A program that was started, until everything of it has ended."""

    def __init__(self, program: Program, environ: Mapping[str, str], mark: str) -> None:
        """Start *program*.

        Raises:
            SystemFailure: It cannot be started.
        """
        self._mark = mark
        self.output = Output()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own, and no shell
                program.arguments,
                cwd=program.cwd,
                env={**environ, MARK: mark},
                stdin=subprocess.PIPE if program.for_chain else subprocess.DEVNULL,
                stdout=self.output.file,
                stderr=self.output.file,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self.output.close()
            msg = f"{called(program)} cannot be started in {program.cwd}: {error}"
            raise SystemFailure(msg) from None
        self.pid = self._process.pid
        self.used: resource.struct_rusage | None = None
        """What it used in all, once it has ended by itself."""

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._process.returncode is None:
            try:
                pid, status, used = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:  # Popen would take it for a 0
                self._process.returncode = TAKEN
            else:
                if pid:
                    self._process.returncode, self.used = os.waitstatus_to_exitcode(status), used
        return self._process.returncode

    def ask(self, line: str) -> str:
        """Write a *line* to its input; return why that cannot be done, if so."""
        assert self._process.stdin is not None  # noqa: S101 - it has one, where it is asked
        try:
            os.write(self._process.stdin.fileno(), line.encode())  # one at a time: never full
        except BrokenPipeError:
            return "it has closed its input"
        return ""

    def left(self) -> list[Any]:
        """Return every process of it that lives."""
        return processes.family(self.pid, self._mark, lives=self.code is None)

    def others(self, within: float) -> list[Any]:
        """Return what it left behind, where that does not end *within* some seconds."""
        until = time.monotonic() + within
        while (found := self.left()) and time.monotonic() < until:
            time.sleep(processes.STEP)
        return found

    def dismiss(self, grace: float) -> bool:
        """Tell it that no more is asked of it; return whether it ended in *grace* seconds.

        How it ended is told by `code`.
        """
        self._close_input()
        until = time.monotonic() + grace
        while self.code is None and time.monotonic() < until:
            time.sleep(processes.STEP)
        return self.code is not None

    def end(self, grace: float) -> str:
        """End everything of it; return what had to be killed."""
        killed = processes.end(self.left, grace)
        self.dismiss(processes.KILLED_WITHIN)
        return killed

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def called(program: Program) -> str:
    """Return *program* for people; masked first, as a part of a secret is not found any more."""
    return safe_text(shlex.join(map(program.mask.text, program.arguments)))


def ended(code: int) -> str:
    """Return what the exit *code* of a program says, for people."""
    if code == TAKEN:
        return "ended, and somebody else took its exit code, as where SIGCHLD is ignored"
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
