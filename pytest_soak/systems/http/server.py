"""The server that is measured: started by us, or external."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_soak.errors import SystemFailure
from pytest_soak.packs.http import PORT
from pytest_soak.systems.command.managed_process import ManagedProcess, command_line, exit_text
from pytest_soak.systems.command.system import CommandSystem
from pytest_soak.systems.http.fetch import OK, NoAnswer, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_soak.systems.command.program import Program
    from pytest_soak.systems.http.endpoint import Endpoint

POLL_INTERVAL = 0.05
"""Seconds between two checks whether the program still runs."""
MAX_SAMPLE_INTERVAL = 1.0
"""The longest time in seconds between two samples of the resource use."""
COMMAND_ONLY = ("PYTEST_SOAK_REPORT", "PYTEST_SOAK_STATE")
"""Variables of the system ``command`` that a server does not get."""
PER_ITERATION = ("PYTEST_SOAK_ITERATION", "PYTEST_SOAK_SEED")
"""Variables that a server for the whole chain does not get: they would soon be out of date."""


class ExternalServer:
    """A server that was not started by pytest-soak: only its answers are known."""

    port = 0

    def set_environ(self, variables: Mapping[str, str]) -> None:
        """Do nothing."""

    def open(self, folder: Path, slot: float) -> None:
        """Do nothing."""

    @contextmanager
    def serving(self, parameters: Mapping[str, float], iteration: int, seed: int) -> Iterator[None]:
        """Do nothing: the server reads its parameters by itself."""
        del parameters, iteration, seed
        yield

    def wait_until(self, until: float) -> None:
        """Wait *until* then, in seconds of the monotonic clock."""
        time.sleep(max(0.0, until - time.monotonic()))

    def complete_report(self, report: dict[str, object], problem: str, iteration: int) -> object:
        """Return the *report* with its *problem*."""
        del iteration
        return {**report, "problem": problem} if problem else report

    def close(self) -> None:
        """Do nothing."""


class Server(CommandSystem):
    """A server that pytest-soak starts, reloads with new parameters, watches and ends.

    It has no stdin and writes no report. If it ends while it should serve, the iteration fails.
    """

    def __init__(self, program: Program, endpoint: Endpoint) -> None:
        """Take the *program*; its arguments may contain ``{port}``."""
        super().__init__(program)
        self._template = program
        self._endpoint = endpoint
        self._kill_problem = ""
        self.port = 0

    def open(self, folder: Path, slot: float | None) -> None:
        """Begin, but start nothing yet: the parameters are not known."""
        super().open(folder, slot)
        self._usage = self._new_usage()

    @contextmanager
    def serving(self, parameters: Mapping[str, float], iteration: int, seed: int) -> Iterator[None]:
        """Run the server with *parameters* for the body of one iteration.

        Raises:
            SystemFailure: It cannot be started, another program answers at its URL, it has ended,
                or it wrote too much.
        """
        if self._process is None:
            self._check_urls_are_free()
        try:
            self._update_mask()
            self._write("parameters.json", parameters)
            self._start_or_reload(iteration, seed)
            yield
            self._check_running()
            self._sample_usage()
            if not self._endpoint.for_chain and (killed := self._terminate()):
                self._kill_problem = f"it had to be killed, as SIGTERM did not end it: {killed}"
        except BaseException as error:
            failure = self._failure(error)
            if failure is None:
                raise
            raise failure from None

    def wait_until(self, until: float) -> None:
        """Wait *until* a time in seconds of the monotonic clock, or until the server fails.

        Raises:
            SystemFailure: The server has ended, or wrote too much.
        """
        while True:
            self._check_running()
            now = time.monotonic()
            if now >= self._next_sample:
                self._sample_usage()
            if now >= until:
                return
            time.sleep(min(POLL_INTERVAL, until - now))

    def complete_report(self, report: dict[str, object], problem: str, iteration: int) -> object:
        """Return the *report* with its *problem* and with what the server used."""
        problems = "; ".join(filter(None, (problem, self._kill_problem)))
        return self._with_usage(report, problems, iteration, self._usage)

    def _check_urls_are_free(self) -> None:
        """Check that no other program answers at our URLs: it would be measured instead of ours.

        Only status 200 counts, as a proxy that runs already answers with an error until then.

        Raises:
            SystemFailure: Another program answers.
        """
        for url in filter(None, (self._endpoint.scrape, self._endpoint.ready)):
            if PORT in url:
                continue
            with suppress(NoAnswer):
                if fetch(url, self._endpoint.timeout).status == OK:
                    msg = (
                        f"{url}: another program answers there, as this one is not started yet; "
                        f"allowed: a port that is free, or {PORT}"
                    )
                    raise SystemFailure(msg)

    def _start_or_reload(self, iteration: int, seed: int) -> None:
        """Start the server, or signal a running one to reload its parameters."""
        self._kill_problem, self._usage = "", self._new_usage()
        self._begun = time.monotonic()
        self._next_sample, self._sample_interval = self._begun, 0.1
        process = self._process
        if process is None:
            self.port = free_port()
            arguments = tuple(
                word.replace(PORT, str(self.port)) for word in self._template.arguments
            )
            self._program = replace(self._program, arguments=arguments)
            environ = self._environ(self._work_folder / "none", iteration, seed)
            self._process = ManagedProcess(self._program, environ, self._mark)
            self._written_before = 0
            return
        if process.exit_code is not None:
            command = command_line(self._program)
            msg = f"{command} {exit_text(process.exit_code)} between two iterations"
            raise SystemFailure(msg)
        self._usage.begin(process.find_processes())
        self._written_before = process.output.written
        if self._endpoint.signal:
            os.kill(process.pid, signal.Signals[self._endpoint.signal])

    def _check_running(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101 - it serves
        if process.exit_code is not None:
            passed = time.monotonic() - self._begun
            ending = exit_text(process.exit_code)
            msg = f"{command_line(self._program)} {ending}, {passed:.1f} s into an iteration"
            raise SystemFailure(msg)
        if process.output.written - self._written_before > self._program.output:
            allowed = self._program.output / 1e6
            msg = f"{command_line(self._program)} wrote more than {allowed:g} MB of output"
            raise SystemFailure(msg)

    def _sample_usage(self) -> None:
        """Sample the resource use; the interval doubles up to `MAX_SAMPLE_INTERVAL`."""
        assert self._process is not None  # noqa: S101 - as above
        self._usage.sample(self._process.find_processes())
        self._next_sample, self._sample_interval = (
            time.monotonic() + self._sample_interval,
            min(2 * self._sample_interval, MAX_SAMPLE_INTERVAL),
        )

    def _environ(self, report: Path, iteration: int, seed: int) -> dict[str, str]:
        environ = super()._environ(report, iteration, seed)
        gone = (*COMMAND_ONLY, *(PER_ITERATION if self._endpoint.for_chain else ()))
        environ = {name: value for name, value in environ.items() if name not in gone}
        return {**environ, "PYTEST_SOAK_PORT": str(self.port)}

    def _stop(self) -> str:
        """End the server; return the problem (it had ended, or had to be killed) or ''."""
        process = self._process
        crash = process.exit_code if process is not None else None
        killed, command = self._terminate(), command_line(self._program)
        if crash is not None:
            return f"{command} {exit_text(crash)} after its last slot"
        if killed:
            return (
                f"{command} did not end with SIGTERM in {self._program.grace:g} s; killed: {killed}"
            )
        return ""


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
