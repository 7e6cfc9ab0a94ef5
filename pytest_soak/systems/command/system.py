"""The system ``command``: runs a program, which reads its parameters and writes a report."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SystemFailure
from pytest_soak.store.artifacts import OVERRIDES
from pytest_soak.store.files import StoreError, make_folder, unwritten, write_text
from pytest_soak.systems.command import processes
from pytest_soak.systems.command.managed_process import ManagedProcess, command_line, exit_text
from pytest_soak.systems.command.output import last_lines
from pytest_soak.systems.command.process_reaper import ProcessReaper
from pytest_soak.systems.command.report_poller import ReportPoller, UnreadableFile, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.systems.command.processes import Usage
    from pytest_soak.systems.command.program import Program

DEFAULT_TIMEOUT = 300.0
"""Default timeout of an iteration in seconds, in a run by count."""
SLOT_MARGIN = 60.0
"""Default timeout in a run by the hour: the slot and this many seconds."""
LEFTOVER_GRACE = 1.0
"""Seconds that child processes may outlive the program before they count as left behind."""
FIRST_INTERVAL, MAX_INTERVAL = processes.POLL_INTERVAL, 1.0
"""Seconds between two samples of the resource use: the first interval, and the longest."""
DRY = "PYTEST_SOAK_DRY"
"""The environment variable that tells a program to touch nothing real. Only safe mode sets it."""
OUTPUT_LOG = "command_output.log"
LOGS = "logs"
"""The folder for the program's own logs, in that of the chain."""


class CommandSystem:
    """Runs a program, once for each iteration or once for the chain.

    Anything that the program does wrong fails the iteration, or makes it INCONCLUSIVE, with a line
    that says what happened. No process of it is left afterwards.
    """

    virtual_time = False

    def __init__(self, program: Program) -> None:
        """Take the *program*; nothing is started yet."""
        self._program = program
        self.secrets = program.secrets
        self.keeps_state = program.keeps_state
        self.program = list(program.arguments)
        self._reaper: ProcessReaper | None = None
        self._process: ManagedProcess | None = None
        self._log = ""
        self._told: Mapping[str, str] = {}

    def set_environ(self, variables: Mapping[str, str]) -> None:
        """Take the environment *variables* that tell the program what it is run for."""
        self._told = variables

    def open(self, folder: Path, slot: float | None) -> None:
        """Create the program's working files and start the watchdog of its processes.

        Raises:
            SystemFailure: There can be no folder for its logs.
        """
        self._folder = folder
        try:
            make_folder(folder / LOGS)
        except OSError as error:
            raise SystemFailure(str(unwritten(folder / LOGS, error))) from None
        self._slot = slot or 0.0
        self._timeout = self._program.limit or (slot + SLOT_MARGIN if slot else DEFAULT_TIMEOUT)
        self._reaper = ProcessReaper()
        self._mark, self._work_folder = self._reaper.mark, self._reaper.folder

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Run one iteration of the program; return its report and state.

        Raises:
            SystemFailure: The program could not be started, failed, timed out, or wrote too much.
        """
        self._update_mask()
        report = self._work_folder / f"report_{iteration}.json"
        usage = self._new_usage()
        try:
            self._prepare_files(report, parameters, state)
            problem = self._run_iteration(report, iteration, seed, usage)
            raw, problem = self._read_report(report, problem)
            after = self._read_state()
        except BaseException as error:
            failure = self._failure(error)
            if failure is None:
                raise
            raise failure from None
        return self._with_usage(raw, problem, iteration, usage), after

    def close(self) -> None:
        """End all processes that were started.

        Raises:
            SystemFailure: A program that served the chain did not end by itself, ended with an
                error, or left processes behind.
        """
        try:
            problem = self._stop()
        finally:
            self._terminate()
            reaper, self._reaper = self._reaper, None
            if reaper is not None:
                reaper.close()
        if problem:
            msg = f"{problem}{self._last_lines() if self._log.strip() else ''}"
            raise SystemFailure(msg)

    def _failure(self, error: BaseException) -> SystemFailure | None:
        """End all processes; return *error* as a failure of the iteration, None if it is a bug."""
        killed = self._terminate()
        text = str(error)
        if isinstance(error, OSError):
            text = f"{command_line(self._program)}: its files cannot be written or read: {error}"
        elif not isinstance(error, SystemFailure):
            return None
        kills = f"; killed, as SIGTERM did not end it: {killed}" if killed else ""
        return SystemFailure(f"{text}{kills}{self._last_lines()}")

    def _new_usage(self) -> Usage:
        return processes.Usage(self._program.named, self._program.mask)

    def _prepare_files(self, report: Path, parameters: Mapping[str, float], state: object) -> None:
        """Write the files that the program reads; remove an old report."""
        with suppress(OSError):
            report.unlink()
        self._write("parameters.json", parameters)
        if self._process is None:
            self._write_state(state)

    def _update_mask(self) -> None:
        """Mask the current values of the secrets too: a test may have changed them."""
        program = self._program
        self._program = replace(program, mask=program.mask.seeing(os.environ))

    def _run_iteration(self, report: Path, iteration: int, seed: int, usage: Usage) -> str:
        """Run the program for one iteration; return why its report cannot be used, or ''."""
        program = self._program
        process = self._process
        if process is not None and process.exit_code is not None:
            msg = f"{command_line(program)} {exit_text(process.exit_code)} between two iterations"
            raise SystemFailure(msg)
        if process is None:
            process = self._process = ManagedProcess(
                program, self._environ(report, iteration, seed), self._mark
            )
        written, begun = process.output.written, time.monotonic()
        if program.for_chain:
            usage.begin(process.find_processes())
            problem = process.write_line(f"{iteration} {self._slot:g} {seed} {report}\n")
            if problem:
                msg = f"{command_line(program)} cannot be asked for a report: {problem}"
                raise SystemFailure(msg)
        problem = self._wait(process, report, written, usage)
        if program.for_chain:
            usage.sample(process.find_processes())
            return problem
        assert process.rusage is not None  # noqa: S101 - it has ended, and its exit code is known
        usage.add_rusage(process.rusage, time.monotonic() - begun)
        left = process.leftovers(LEFTOVER_GRACE)
        self._terminate()
        if left:
            return f"the program ended and left {processes.describe(left)} behind; ended as well"
        return problem

    def _wait(self, process: ManagedProcess, report: Path, written: int, usage: Usage) -> str:
        """Wait until the program ends, or, where it serves the chain, until its report is there."""
        program = self._program
        begun = now = time.monotonic()
        pause, poller = FIRST_INTERVAL, ReportPoller(report)
        next_sample = begun + pause  # the first moments of a process say nothing
        while True:
            code = process.exit_code
            if process.output.written - written > program.output:
                msg = (
                    f"{command_line(program)} wrote more than {program.output / 1e6:g} MB of output"
                )
                raise SystemFailure(msg)
            if program.for_chain and (problem := poller.poll(now)) is not None:
                return problem
            if code == 0 and not program.for_chain:
                return ""
            if code is not None:
                when = " before it left a report" if program.for_chain else ""
                msg = f"{command_line(program)} {exit_text(code)}{when}, after {now - begun:.1f} s"
                raise SystemFailure(msg)
            if now - begun > self._timeout:
                hung = "left no report in" if program.for_chain else "did not end in"
                msg = (
                    f"{command_line(program)} {hung} {self._timeout:g} s, the limit of an iteration"
                )
                raise SystemFailure(msg)
            if now >= next_sample:
                usage.sample(process.find_processes())
                next_sample, pause = now + pause, min(2 * pause, MAX_INTERVAL)
            time.sleep(processes.POLL_INTERVAL)
            now = time.monotonic()

    def _environ(self, report: Path, iteration: int, seed: int) -> dict[str, str]:
        """Return the environment of the program: ours, what the pack adds, and our variables."""
        program = self._program
        hidden = {DRY, *(program.secrets if program.safe else ())}
        environ = {k: v for k, v in {**os.environ, **program.env}.items() if k not in hidden}
        environ |= {
            **self._told,
            "PYTEST_SOAK_LOGS": str(self._folder / LOGS),
            "PYTEST_SOAK_OVERRIDES": str(self._folder / OVERRIDES),
            "PYTEST_SOAK_PARAMETERS": str(self._work_folder / "parameters.json"),
            "PYTEST_SOAK_STATE": str(self._state_file),
            "PYTEST_SOAK_SLOT": f"{self._slot:g}",
        }
        if not program.for_chain:
            environ |= {
                "PYTEST_SOAK_ITERATION": str(iteration),
                "PYTEST_SOAK_SEED": str(seed),
                "PYTEST_SOAK_REPORT": str(report),
            }
        return environ | ({DRY: "1"} if program.safe else {})

    @property
    def _state_file(self) -> Path:
        return self._work_folder / "state.json"

    def _write(self, name: str, data: Mapping[str, object]) -> None:
        draft = self._work_folder / f"{name}.tmp"
        draft.write_text(json.dumps(data), encoding="utf-8")
        draft.replace(self._work_folder / name)

    def _write_state(self, state: object) -> None:
        """Write the *state* to the state file; remove the file where there is no state."""
        self._state_file.unlink(missing_ok=True)
        if state is not None:
            self._state_file.write_text(json.dumps(state), encoding="utf-8")

    def _read_state(self) -> object:
        """Return the state that the program wrote, or None.

        Raises:
            SystemFailure: The state file cannot be read.
        """
        if not self._program.keeps_state or not self._state_file.exists():
            return None
        try:
            return read_json(self._state_file)
        except UnreadableFile as error:
            msg = f"{command_line(self._program)} left a state that {error}"
            raise SystemFailure(msg) from None

    def _read_report(self, report: Path, problem: str) -> tuple[Any, str]:
        """Return the report, and why it cannot be used, or ''."""
        try:
            return read_json(report), problem
        except UnreadableFile as error:
            return None, problem or f"the report of the program {error}"
        finally:
            with suppress(OSError):
                report.unlink()

    def _with_usage(self, raw: Any, problem: str, iteration: int, usage: Usage) -> object:  # noqa: ANN401 - JSON
        """Return the report *raw* with its *problem* and with what the program used."""
        if problem:
            self._save_log()
            shown = raw if isinstance(raw, dict) else {"totals": {}}
            raw = {**shown, "iteration": iteration, "problem": problem}
        if not isinstance(raw, dict):
            return raw
        given = raw.get("runtime")
        runtime = given if isinstance(given, dict) else {}
        report = {**raw, "runtime": {**runtime, "process": usage.to_json()}}
        totals, counts = raw.get("totals"), raw.get("n")
        own = {k: v for k, v in usage.metrics().items() if k in self._program.metrics}
        if own and isinstance(totals, dict):
            n = counts if isinstance(counts, dict) else {}
            report["totals"] = {**totals, **{k: value for k, (value, _) in own.items()}}
            report["n"] = {**n, **{k: samples for k, (_, samples) in own.items()}}
        return report

    def _stop(self) -> str:
        """Let a program that serves the chain end by itself; return its problem, or ''."""
        process = self._process
        if process is None:
            return ""
        if not process.close_and_wait(self._program.grace):
            return f"{command_line(self._program)} did not end when its input did; ended as well"
        left = process.leftovers(LEFTOVER_GRACE)
        behind = f"left {processes.describe(left)} behind; ended as well" if left else ""
        crash = f"{exit_text(process.exit_code)} after its last report" if process.exit_code else ""
        problem = "; ".join(filter(None, (crash, behind)))
        return f"{command_line(self._program)} {problem}" if problem else ""

    def _terminate(self) -> str:
        """End all processes; return the names of those that had to be killed, or ''."""
        process, self._process = self._process, None
        if process is None:
            return ""
        try:
            return process.terminate(self._program.grace)
        finally:
            self._read_log(process)
            process.output.close()
            self._save_log()

    def _read_log(self, process: ManagedProcess) -> None:
        """Read the end of the output of *process*."""
        self._log = process.output.text(self._program.mask)

    def _save_log(self) -> None:
        if self._process is not None:
            self._read_log(self._process)
        with suppress(StoreError):
            write_text(str(self._folder / OUTPUT_LOG), self._log)

    def _last_lines(self) -> str:
        lines = last_lines(self._log)
        return f"\n  the last lines of its output:\n{lines}" if lines else "; it wrote no output"
