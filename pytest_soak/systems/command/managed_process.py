"""A started program: write to its stdin, wait for it, and end it with all its child processes."""

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


UNKNOWN_EXIT_CODE = 256
"""Stands for an exit code that is unknown; real ones are at most 255."""


class ManagedProcess:
    """A running program and all its child processes."""

    def __init__(self, program: Program, environ: Mapping[str, str], mark: str) -> None:
        """Start *program* in a session of its own.

        Args:
            program: What is run.
            environ: Its environment, without the mark.
            mark: The value of ``PYTEST_SOAK_MARK``, by which its processes are found.

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
            msg = f"{command_line(program)} cannot be started in {program.cwd}: {error}"
            raise SystemFailure(msg) from None
        self.pid = self._process.pid
        self.rusage: resource.struct_rusage | None = None
        """What it used in all, once its exit code is known."""

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        # Not Popen.poll(): that gives no rusage.
        if self._process.returncode is None:
            try:
                pid, status, rusage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:  # SIGCHLD is ignored: the kernel reaped it. Popen would say 0
                self._process.returncode = UNKNOWN_EXIT_CODE
            else:
                if pid:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
                    self.rusage = rusage
        return self._process.returncode

    def write_line(self, line: str) -> str:
        """Write a *line* to its stdin; return the problem, or ''."""
        assert self._process.stdin is not None  # noqa: S101 - a program for the chain has one
        try:
            os.write(
                self._process.stdin.fileno(), line.encode()
            )  # one line per report: the pipe is never full
        except BrokenPipeError:
            return "it has closed its input"
        return ""

    def find_processes(self) -> list[Any]:
        """Return its living processes."""
        return processes.find_all(self.pid, self._mark, alive=self.exit_code is None)

    def leftovers(self, within: float) -> list[Any]:
        """Return the processes that still live *within* seconds after the program has ended."""
        until = time.monotonic() + within
        while (found := self.find_processes()) and time.monotonic() < until:
            time.sleep(processes.POLL_INTERVAL)
        return found

    def close_and_wait(self, grace: float) -> bool:
        """Close its stdin and wait; return whether it ended within *grace* seconds."""
        self._close_input()
        until = time.monotonic() + grace
        while self.exit_code is None and time.monotonic() < until:
            time.sleep(processes.POLL_INTERVAL)
        return self.exit_code is not None

    def terminate(self, grace: float) -> str:
        """End all its processes; return the names of those that had to be killed, or ''."""
        killed = processes.terminate(self.find_processes, grace)
        self.close_and_wait(processes.KILL_TIMEOUT)
        return killed

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def command_line(program: Program) -> str:
    """Return the command line of *program* to show, without secrets."""
    # Masked before it is shortened: a part of a secret is not recognised.
    return safe_text(shlex.join(map(program.mask.text, program.arguments)))


def exit_text(code: int) -> str:
    """Return the exit *code* as text that follows the name of a program."""
    if code == UNKNOWN_EXIT_CODE:
        return "ended with an unknown exit code, as where SIGCHLD is ignored"
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
