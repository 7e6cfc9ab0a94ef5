"""A program that serves while somebody else measures it; or one that runs elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_soak.errors import SystemFailure
from pytest_soak.systems.command.managed_process import ManagedProcess, called, ended
from pytest_soak.systems.command.processes import Usage, cpu_of
from pytest_soak.systems.command.system import CommandSystem
from pytest_soak.systems.http.endpoint import PORT
from pytest_soak.systems.http.fetch import WELL, NoAnswer, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_soak.systems.command.program import Program
    from pytest_soak.systems.http.endpoint import Endpoint

STEP = 0.05
"""Seconds between two looks at whether the program still runs."""
NOT_GIVEN = ("PYTEST_SOAK_REPORT", "PYTEST_SOAK_STATE")
EACH_TIME = ("PYTEST_SOAK_ITERATION", "PYTEST_SOAK_SEED")


class ExternalServer:
    """A program that somebody else runs: nothing is known of it but what it answers."""

    port = 0

    def open(self, folder: Path, slot: float) -> None:
        """Begin nothing."""

    @contextmanager
    def serving(self, parameters: Mapping[str, float], iteration: int, seed: int) -> Iterator[None]:
        """Let it serve; it reads its parameters by itself."""
        del parameters, iteration, seed
        yield

    def rest(self, until: float) -> None:
        """Wait *until* then, in seconds of the monotonic clock."""
        time.sleep(max(0.0, until - time.monotonic()))

    def finished(self, report: dict[str, object], problem: str, iteration: int) -> object:
        """Return the *report* with its *problem*."""
        del iteration
        return {**report, "problem": problem} if problem else report

    def close(self) -> None:
        """End nothing."""


class Server(CommandSystem):
    """A program of ours that serves: it is started, looked after, told of parameters and ended.

    It has no input and leaves no report. Its end while it should serve is a failure.
    """

    def __init__(self, program: Program, endpoint: Endpoint) -> None:
        """Take the *program*, in whose arguments the port still stands as ``{port}``."""
        super().__init__(program)
        self._template = program
        self._endpoint = endpoint
        self._told = ""
        self.port = 0

    def open(self, folder: Path, slot: float | None) -> None:
        """Begin, but start nothing yet: the parameters are not known."""
        super().open(folder, slot)
        self._usage = Usage()

    @contextmanager
    def serving(self, parameters: Mapping[str, float], iteration: int, seed: int) -> Iterator[None]:
        """Let it serve for one iteration, with *parameters*.

        Raises:
            SystemFailure: It cannot be started, another one answers in its place, it has ended, or
                it wrote without end.
        """
        if self._running is None:
            self._see_nobody()
        try:
            self._see_secrets()
            self._write("parameters.json", parameters)
            self._begin(iteration, seed)
            yield
            self._check()
            self._look()
            if not self._endpoint.for_chain:
                killed = self._end()
                self._told = f"it had to be killed, as SIGTERM did not end it: {killed}"
                self._told = self._told if killed else ""
        except BaseException as error:
            failure = self._failure(error)
            if failure is None:
                raise
            raise failure from None

    def rest(self, until: float) -> None:
        """Wait *until* then, in seconds of the monotonic clock; its end ends the wait.

        Raises:
            SystemFailure: It has ended, or it wrote without end.
        """
        while True:
            self._check()
            now = time.monotonic()
            if now >= self._look_at:
                self._look()
            if now >= until:
                return
            time.sleep(min(STEP, until - now))

    def finished(self, report: dict[str, object], problem: str, iteration: int) -> object:
        """Return the *report* with its *problem*, and with what the program used."""
        problems = "; ".join(filter(None, (problem, self._told)))
        return self._with_usage(report, problems, iteration, self._usage)

    def _see_nobody(self) -> None:
        """See to it that nobody answers where this program will: that would be measured instead.

        A proxy may be there, as long as it is not ready without the program.

        Raises:
            SystemFailure: Somebody does.
        """
        for url in filter(None, (self._endpoint.scrape, self._endpoint.ready)):
            if PORT in url:
                continue
            with suppress(NoAnswer):
                if fetch(url, self._endpoint.timeout).status == WELL:
                    msg = (
                        f"{url}: another program answers there, as this one is not started yet; "
                        f"allowed: a port that nobody listens at, or {PORT}"
                    )
                    raise SystemFailure(msg)

    def _begin(self, iteration: int, seed: int) -> None:
        """Start the program, or tell the one that runs of its new parameters."""
        self._told, self._usage = "", Usage()
        self._since = time.monotonic()
        self._look_at, self._pause = self._since, 0.1
        started = self._running
        if started is None:
            self.port = free_port()
            arguments = tuple(
                word.replace(PORT, str(self.port)) for word in self._template.arguments
            )
            self._program = replace(self._program, arguments=arguments)
            environ = self._environ(self._own / "none", iteration, seed)
            self._running = ManagedProcess(self._program, environ, self._mark)
            self._cpu_before, self._written = 0.0, 0
            return
        if started.code is not None:
            msg = f"{called(self._program)} {ended(started.code)} between two iterations"
            raise SystemFailure(msg)
        self._cpu_before, self._written = cpu_of(started.left()), started.output.written
        if self._endpoint.signal:
            os.kill(started.pid, signal.Signals[self._endpoint.signal])

    def _check(self) -> None:
        started = self._running
        assert started is not None  # noqa: S101 - it serves
        if started.code is not None:
            passed = time.monotonic() - self._since
            msg = f"{called(self._program)} {ended(started.code)}, {passed:.1f} s into an iteration"
            raise SystemFailure(msg)
        if started.output.written - self._written > self._program.output:
            allowed = self._program.output / 1e6
            msg = f"{called(self._program)} wrote more than {allowed:g} MB of output"
            raise SystemFailure(msg)

    def _look(self) -> None:
        """Look at what it uses; ever more seldom, up to once a second."""
        assert self._running is not None  # noqa: S101 - as above
        self._usage.take(self._running.left(), self._cpu_before)
        self._look_at, self._pause = time.monotonic() + self._pause, min(2 * self._pause, 1.0)

    def _environ(self, report: Path, iteration: int, seed: int) -> dict[str, str]:
        environ = super()._environ(report, iteration, seed)
        gone = (*NOT_GIVEN, *(EACH_TIME if self._endpoint.for_chain else ()))
        environ = {name: value for name, value in environ.items() if name not in gone}
        return {**environ, "PYTEST_SOAK_PORT": str(self.port)}

    def _dismiss(self) -> str:
        """End it; return what is to be told of it: that it had ended, or had to be killed."""
        started = self._running
        crash = started.code if started is not None else None
        killed, who = self._end(), called(self._program)
        if crash is not None:
            return f"{who} {ended(crash)} after its last slot"
        if killed:
            return f"{who} did not end with SIGTERM in {self._program.grace:g} s; killed: {killed}"
        return ""


def free_port() -> int:
    """Return a port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
