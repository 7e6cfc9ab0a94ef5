"""Any program as a system: it gets its overrides' path in its environment, and leaves a report."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SystemFailure
from pytest_soak.store.artifacts import OVERRIDES
from pytest_soak.systems.command import processes
from pytest_soak.systems.command.managed_process import ManagedProcess, called, ended
from pytest_soak.systems.command.output import last_lines
from pytest_soak.systems.command.process_reaper import ProcessReaper
from pytest_soak.systems.command.processes import Usage, cpu_of
from pytest_soak.systems.command.report_poller import ReportPoller, Unread, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.systems.command.program import Program

LIMIT = 300.0
"""Seconds that an iteration may take unless the pack says otherwise, in a run by count."""
SPARE = 60.0
"""Seconds that it may take beyond its slot, in a run by the hour."""
BEHIND = 1.0
"""Seconds that what a program started has to end after it."""
FIRST_SAMPLE, LAST_SAMPLE = processes.STEP, 1.0
"""Seconds between two samples of what a program uses: at first, and as it goes on."""
DRY = "PYTEST_SOAK_DRY"
"""The environment variable that tells a program to touch nothing real; nobody else sets it."""
OUTPUT_LOG = "command_output.log"


class CommandSystem:
    """Runs a program, once for each iteration or once for the chain.

    Whatever the program does is an outcome: it ends the iteration with a line that names what
    happened, or makes it INCONCLUSIVE; and nothing of it is left.
    """

    virtual_time = False

    def __init__(self, program: Program) -> None:
        """Take the *program*; nothing is started yet."""
        self._program = program
        self.secrets = program.secrets
        self.keeps_state = program.keeps_state
        self.program = list(program.arguments)
        self._kept: ProcessReaper | None = None
        self._running: ManagedProcess | None = None
        self._log = ""

    def open(self, folder: Path, slot: float | None) -> None:
        """Make the folder for what the program writes, and start the watchdog of its processes."""
        self._folder = folder
        self._slot = slot or 0.0
        self._limit = self._program.limit or (slot + SPARE if slot else LIMIT)
        self._kept = ProcessReaper()
        self._mark, self._own = self._kept.mark, self._kept.folder

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Run one iteration of the program, and return what it reports.

        Raises:
            SystemFailure: It could not be started, failed, hung, or wrote without end.
        """
        self._see_secrets()
        report = self._own / f"report_{iteration}.json"
        usage = Usage()
        try:
            self._prepare(report, parameters, state)
            problem = self._iterate(report, iteration, seed, usage)
            raw, problem = self._read_report(report, problem)
            after = self._take_state()
        except BaseException as error:
            failure = self._failure(error)
            if failure is None:
                raise
            raise failure from None
        return self._with_usage(raw, problem, iteration, usage), after

    def close(self) -> None:
        """End everything that was started.

        Raises:
            SystemFailure: A program that served the chain did not end by itself, did not end well,
                or left processes.
        """
        try:
            told = self._dismiss()
        finally:
            self._end()
            kept, self._kept = self._kept, None
            if kept is not None:
                kept.close()
        if told:
            msg = f"{told}{self._last_lines() if self._log.strip() else ''}"
            raise SystemFailure(msg)

    def _failure(self, error: BaseException) -> SystemFailure | None:
        """End everything; return the failure of the iteration that *error* is, if it is one."""
        killed = self._end()
        words = str(error)
        if isinstance(error, OSError):
            words = f"{called(self._program)}: its files cannot be written or read: {error}"
        elif not isinstance(error, SystemFailure):
            return None
        told = f"; killed, as SIGTERM did not end it: {killed}" if killed else ""
        return SystemFailure(f"{words}{told}{self._last_lines()}")

    def _prepare(self, report: Path, parameters: Mapping[str, float], state: object) -> None:
        """Put in place what the program reads, and away what it left."""
        with suppress(OSError):
            report.unlink()
        self._write("parameters.json", parameters)
        if self._running is None:
            self._give_state(state)

    def _see_secrets(self) -> None:
        """Hide the values that secrets have now, too: they are what the program will get."""
        program = self._program
        self._program = replace(program, mask=program.mask.seeing(os.environ))

    def _iterate(self, report: Path, iteration: int, seed: int, usage: Usage) -> str:
        """Let the program run for one iteration; return what makes its report unusable, if so."""
        program = self._program
        started = self._running
        if started is not None and started.code is not None:
            msg = f"{called(program)} {ended(started.code)} between two iterations"
            raise SystemFailure(msg)
        if started is None:
            started = self._running = ManagedProcess(
                program, self._environ(report, iteration, seed), self._mark
            )
        written, cpu_before, begun = started.output.written, 0.0, time.monotonic()
        if program.for_chain:
            cpu_before = cpu_of(started.left())
            refused = started.ask(f"{iteration} {self._slot:g} {seed} {report}\n")
            if refused:
                msg = f"{called(program)} cannot be asked for a report: {refused}"
                raise SystemFailure(msg)
        problem = self._wait(started, report, written, cpu_before, usage)
        if program.for_chain:
            usage.take(started.left(), cpu_before)
            return problem
        assert started.used is not None  # noqa: S101 - it has ended, and its exit code is known
        usage.ended(started.used, time.monotonic() - begun)
        left = started.others(BEHIND)
        self._end()
        if left:
            return f"the program ended and left {processes.told(left)} behind; ended as well"
        return problem

    def _wait(
        self, started: ManagedProcess, report: Path, written: int, cpu_before: float, usage: Usage
    ) -> str:
        """Wait until the program has ended, or has left its report where it serves a chain."""
        program = self._program
        begun = now = time.monotonic()
        pause, still = FIRST_SAMPLE, ReportPoller(report)
        look = begun + pause  # nothing is told by how a program begins
        while True:
            code = started.code
            if started.output.written - written > program.output:
                msg = f"{called(program)} wrote more than {program.output / 1e6:g} MB of output"
                raise SystemFailure(msg)
            if program.for_chain and (problem := still.poll(now)) is not None:
                return problem
            if code == 0 and not program.for_chain:
                return ""
            if code is not None:
                when = " before it left a report" if program.for_chain else ""
                msg = f"{called(program)} {ended(code)}{when}, after {now - begun:.1f} s"
                raise SystemFailure(msg)
            if now - begun > self._limit:
                hung = "left no report in" if program.for_chain else "did not end in"
                msg = f"{called(program)} {hung} {self._limit:g} s, the limit of an iteration"
                raise SystemFailure(msg)
            if now >= look:
                usage.take(started.left(), cpu_before)
                look, pause = now + pause, min(2 * pause, LAST_SAMPLE)
            time.sleep(processes.STEP)
            now = time.monotonic()

    def _environ(self, report: Path, iteration: int, seed: int) -> dict[str, str]:
        """Return the environment of the program."""
        program = self._program
        held = {DRY, *(program.secrets if program.safe else ())}
        environ = {k: v for k, v in {**os.environ, **program.env}.items() if k not in held}
        environ |= {
            "PYTEST_SOAK_OVERRIDES": str(self._folder / OVERRIDES),
            "PYTEST_SOAK_PARAMETERS": str(self._own / "parameters.json"),
            "PYTEST_SOAK_STATE": str(self._state),
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
    def _state(self) -> Path:
        return self._own / "state.json"

    def _write(self, name: str, data: Mapping[str, object]) -> None:
        draft = self._own / f"{name}.tmp"
        draft.write_text(json.dumps(data), encoding="utf-8")
        draft.replace(self._own / name)

    def _give_state(self, state: object) -> None:
        """Put the *state* where a program that is started finds it; none where there is none."""
        self._state.unlink(missing_ok=True)
        if state is not None:
            self._state.write_text(json.dumps(state), encoding="utf-8")

    def _take_state(self) -> object:
        """Return the state that the program left, where it keeps one.

        Raises:
            SystemFailure: It cannot be read.
        """
        if not self._program.keeps_state or not self._state.exists():
            return None
        try:
            return read_json(self._state)
        except Unread as unread:
            msg = f"{called(self._program)} left a state that {unread}"
            raise SystemFailure(msg) from None

    def _read_report(self, report: Path, problem: str) -> tuple[Any, str]:
        """Return the report, and what is wrong where it cannot be used."""
        try:
            return read_json(report), problem
        except Unread as unread:
            return (
                None,
                problem or f"the report of the program {unread}",
            )
        finally:
            with suppress(OSError):
                report.unlink()

    def _with_usage(self, raw: Any, problem: str, iteration: int, usage: Usage) -> object:  # noqa: ANN401 - JSON
        """Return the report *raw* with what the program used, and what is wrong with it."""
        used = usage.to_json()
        if problem:
            self._save_log()
            shown = raw if isinstance(raw, dict) else {"totals": {}}
            raw = {**shown, "iteration": iteration, "problem": problem}
        if not isinstance(raw, dict):
            return raw
        given = raw.get("runtime")
        runtime = given if isinstance(given, dict) else {}
        report = {**raw, "runtime": {**runtime, "process": used}}
        totals, counts = raw.get("totals"), raw.get("n")
        own = {f"process_{name}": value for name, value in used.items() if name != "samples"}
        own = {name: value for name, value in own.items() if name in self._program.metrics}
        if own and isinstance(totals, dict):
            n = counts if isinstance(counts, dict) else {}
            report["totals"] = {**totals, **own}
            looks = max(usage.samples, 1)  # what the system tells at the end counts as one
            report["n"] = {**n, **{k: 0 if v is None else looks for k, v in own.items()}}
        return report

    def _dismiss(self) -> str:
        """Let a program that serves the chain end by itself; return what is to be told of it."""
        started = self._running
        if started is None:
            return ""
        if not started.dismiss(self._program.grace):
            return f"{called(self._program)} did not end when its input did; ended as well"
        left = started.others(BEHIND)
        behind = f"left {processes.told(left)} behind; ended as well" if left else ""
        crash = f"{ended(started.code)} after its last report" if started.code else ""
        told = "; ".join(filter(None, (crash, behind)))
        return f"{called(self._program)} {told}" if told else ""

    def _end(self) -> str:
        """End everything of the program; return what had to be killed, for people."""
        started, self._running = self._running, None
        if started is None:
            return ""
        try:
            return started.end(self._program.grace)
        finally:
            self._take_log(started)
            started.output.close()
            self._save_log()

    def _take_log(self, started: ManagedProcess) -> None:
        """Take what the program wrote."""
        self._log = started.output.text(self._program.mask)

    def _save_log(self) -> None:
        if self._running is not None:
            self._take_log(self._running)
        with suppress(OSError):
            (self._folder / OUTPUT_LOG).write_text(self._log, encoding="utf-8")

    def _last_lines(self) -> str:
        lines = last_lines(self._log)
        return f"\n  the last lines of its output:\n{lines}" if lines else "; it wrote no output"
