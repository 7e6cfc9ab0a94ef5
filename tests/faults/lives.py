"""Runs the lives of a soak in a folder: each is a pytest process that ends or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pytest_soak.commands import cli, verify
from tests.faults import check
from tests.faults.check import Finding, Kind
from tests.faults.killer import AT_WORK, FELL, ORDER, STEP, TRACE, Order
from tests.faults.planted import PLANT
from tests.faults.subject import COUNTER, PAUSE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.faults.check import Files

ROOT = Path(__file__).parents[2]
ITERATIONS = 8
WINDOW = 2
ONE = """
def test_one(soak):
    soak.run()
"""
TWO = """
import pytest

@pytest.mark.parametrize("side", ["red", "blue"])
def test_two(soak, side):
    soak.run()
"""
SLUGS = {"only": "test_one", "red": "test_two-red", "blue": "test_two-blue"}
"""The first part of the name of each chain's folder."""
CONFTEST = "from tests.faults.subject import pytest_soak_tuners, soak_system\n"
SOAK = (f"--soak-iterations={ITERATIONS}", "--auto-tune", "--soak-tuner=steady")
COMMAND = (
    *(sys.executable, "-m", "pytest", "-p", "soak", "-p", "syrupy", "-p", "no:cacheprovider"),
    *("-p", "tests.faults.killer", "-p", "tests.faults.planted", *SOAK),
)
"""The command that is killed. Without other plugins: loading them takes most of a life."""
PATIENCE = 120
"""Timeout of a process in seconds; long, as the machine may be busy."""
MOST_LIVES = 12
TICK = 0.001
BEFORE_SOAK = "before the soak"
NO_RUN = "| soak_resume | NONE | no unfinished run, a new one starts |"


class Kill(StrEnum):
    """Which process is killed, and how the place is chosen."""

    STEP = "at a step"
    MOMENT = "at random"
    WORKER = "a worker"
    CONTROLLER = "the controller"


@dataclass(frozen=True, slots=True)
class Moment:
    """A kill from outside, some time after the process was started.

    Args:
        seconds: How long after.
        in_soak: Whether to count from the first step of the soak instead.
    """

    seconds: float
    in_soak: bool = False


Where: TypeAlias = Order | Moment | None
"""Where a life ends; None lets it end by itself."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The lifetime of a process in seconds: in all, and from the soak's first step to its last."""

    whole: float
    soak: float


@dataclass(slots=True)
class Life:
    """The result of one process.

    Args:
        code: The exit code; that of the signal where it was killed.
        output: What it printed.
        pace: How long it lived.
        kill: Who was killed, if anybody was.
        fell: The step at which that was, or the last one passed before a moment at random.
        findings: What is wrong with what it did and left.
    """

    code: int
    output: str
    pace: Pace
    kill: Kill | None = None
    fell: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        """Whether the process itself was killed, not one of its workers."""
        return self.code == -signal.SIGKILL


class Story:
    """The lives of a soak in one folder, until the soak has ended."""

    def __init__(self, folder: Path, *, sides: bool = False, plant: str = "") -> None:
        """Prepare the *folder*.

        Args:
            folder: Where it lives; new.
            sides: Whether it has two chains instead of one.
            plant: The fault that is planted in the product, see `planted.FAULTS`.
        """
        self.folder = folder
        self.lives: list[Life] = []
        self._names = ("red", "blue") if sides else ("only",)
        self._plant = plant
        self._torn: dict[str, list[bytes]] = {name: [] for name in self._names}
        folder.mkdir(parents=True)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "test_it.py").write_text(TWO if sides else ONE, encoding="utf-8")

    def chains(self) -> dict[str, Files]:
        """Return ``{chain: its files}``; none for a chain that has not begun."""
        return {name: chain_files(self.folder, name) for name in self._names}

    @property
    def over(self) -> bool:
        """Whether every chain has ended and written its reports."""
        return all(
            check.runs(files) and check.to_go_on_with(files) is None
            for files in self.chains().values()
        )

    def live(self, where: Where = None, *, resume: bool = True, workers: int = 0) -> Life:
        """Run one process, kill it as asked, and check what it did and left.

        Args:
            where: At which step or moment to kill.
            resume: Whether it is to go on with an unfinished run.
            workers: How many workers of pytest-xdist there are.
        """
        before, counted = self.chains(), self.counters()
        for name, files in before.items():
            self._torn[name] += torn_ends(files)
        self._forget()
        life = self._run(where, resume=resume, workers=workers)
        self.lives.append(life)
        going_on = resume and any(check.to_go_on_with(files) for files in before.values())
        for name, files in self.chains().items():
            done = check.settled(before[name]) if going_on else []
            new = self.counters()[name][len(counted[name]) :]
            life.findings += self._recount(life, name, done, counted[name], new)
            if life.killed:
                life.findings += check.left_behind(files)
        good = {0, 1} if workers and life.kill else {0}
        if not life.killed and life.code not in good:
            tail = " / ".join(life.output.splitlines()[-12:])
            life.findings.append(Finding(Kind.LOST, f"exit code {life.code}: {tail}"))
        return life

    def counters(self) -> dict[str, list[int]]:
        """Return ``{chain: the iterations that its system counted}``."""
        return {name: numbers(self.folder / COUNTER.format(name)) for name in self._names}

    def finish(self, workers: int = 0) -> None:
        """Run the soak to its end without further kills."""
        while not self.over and len(self.lives) < MOST_LIVES:
            self.live(workers=workers)

    def judge(self, undisturbed: Mapping[str, Files]) -> list[Finding]:
        """Return all findings, compared with the files of an undisturbed run."""
        findings = [finding for life in self.lives for finding in life.findings]
        for name, files in self.chains().items():
            findings += check.came_back(undisturbed[name], files, self._torn[name])
        return [*findings, *self._verified()] if self.over else findings

    def _verified(self) -> list[Finding]:
        """Run `pytest-soak verify` too: it must find nothing."""
        soak_dir = self.folder / "artifacts" / "soak"
        findings = []
        for name in self._names:
            (chain,) = soak_dir.glob(f"{SLUGS[name]}-*")
            given = ("verify", "--soak-dir", str(soak_dir), "--chain", chain.name)
            code, lines = verify.run(cli.parser().parse_args(given))
            if code:
                findings.append(Finding(Kind.DIFFERENT, f"verify: {lines}"))
        return findings

    def _run(self, where: Where, *, resume: bool, workers: int) -> Life:
        command = [*COMMAND]
        if workers:
            command += ["-p", "xdist", f"-n{workers}"]
        if resume:
            command.append("--soak-resume")
        begun = time.time()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environ(where, self._plant, workers),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        findings = []
        soaking, fell = begun, BEFORE_SOAK
        try:
            if isinstance(where, Moment):
                soaking = self._await(where, process)
                fell = (self._passed() or [BEFORE_SOAK])[-1]
                process.kill()
            # Workers inherit the pipe from their controller, so this waits for all of them.
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            end_all(process)
            output, _ = process.communicate()
            findings.append(Finding(Kind.LOST, f"still running after {PATIENCE} s: {output}"))
        except BaseException:
            end_all(process)
            raise
        ended, trace = time.time(), self.folder / TRACE
        closed = trace.stat().st_mtime if trace.exists() else soaking
        life = Life(process.returncode, output, Pace(ended - begun, closed - soaking))
        life.findings += findings
        if isinstance(where, Moment) and life.killed:
            life.kill = Kill.CONTROLLER if workers else Kill.MOMENT
            life.fell = fell
        elif life.killed or self._noted(STEP):
            life.kill = Kill.CONTROLLER if workers else Kill.STEP
            if not life.killed:
                life.kill = Kill.WORKER
            life.fell = self._noted(STEP)
        return life

    def _await(self, moment: Moment, process: subprocess.Popen[str]) -> float:
        """Wait for the moment or the end; return when the soak began, if that was asked for."""
        while moment.in_soak and not self._passed() and process.poll() is None:
            time.sleep(TICK)
        begun = time.time()
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment.seconds)
        return begun

    def _passed(self) -> list[str]:
        """Return the steps that were passed so far."""
        return text_of(self.folder / TRACE).splitlines()

    def _recount(
        self, life: Life, name: str, done: list[int], earlier: list[int], new: list[int]
    ) -> list[Finding]:
        """Check the counter; if a worker was killed, before and after count as two lives."""
        if life.kill is not Kill.WORKER:
            return check.recount(done, new)
        journal = check.Journal()
        for copy in (self.folder / FELL).glob(f"{SLUGS[name]}-*.jsonl"):
            journal = check.read_journal(copy.read_bytes())
        if journal.torn and self._noted(AT_WORK) == name:
            self._torn[name].append(journal.torn)
        then = len(numbers(self.folder / FELL / COUNTER.format(name))) - len(earlier)
        return [
            *check.recount(done, new[:then]),
            *check.recount({*done, *journal.iterations}, new[then:]),
        ]

    def _noted(self, name: str) -> str:
        """Return the note of the killed process, if there is one."""
        return text_of(self.folder / FELL / name)

    def _forget(self) -> None:
        """Remove the notes of the life before."""
        (self.folder / TRACE).unlink(missing_ok=True)
        fell = self.folder / FELL
        if fell.exists():
            fell.rename(self.folder / f"{FELL}-{len(self.lives)}")


def environ(where: Where, plant: str, workers: int) -> dict[str, str]:
    """Return the environment of a life: ours without the variables of our own pytest.

    Nor is coverage measured: a process that is killed leaves no data, or half of it.

    An iteration lasts long enough to be hit by a moment at random, and under workers long enough
    that the other chain is at work while a dead worker is replaced.
    """
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "SOAK_", "COVERAGE_")) and name != "CI"
    }
    pause = 0.2 if workers else 0.03 if isinstance(where, Moment) else 0
    return {
        **own,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        ORDER: (where if isinstance(where, Order) else Order()).to_environ(),
        PLANT: plant,
        PAUSE: str(pause),
    }


def end_all(process: subprocess.Popen[str]) -> None:
    """End *process* and the workers that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def chain_files(folder: Path, name: str) -> dict[str, bytes]:
    """Return every file of a chain of the soak in *folder*; none where it has not begun."""
    return {
        str(path.relative_to(chain)): path.read_bytes()
        for chain in (folder / "artifacts" / "soak").glob(f"{SLUGS[name]}-*")
        for path in chain.rglob("*")
        if path.is_file()
    }


def torn_ends(files: Files) -> Iterable[bytes]:
    """Return the torn end of the run to go on with, if it has one."""
    run = check.to_go_on_with(files)
    return [run.journal.torn] if run and run.journal.torn else []


def numbers(path: Path) -> list[int]:
    """Return the numbers in a counter."""
    return [int(line) for line in text_of(path).split()]


def text_of(path: Path) -> str:
    """Return the text in a file; none where there is no file."""
    return path.read_text(encoding="utf-8") if path.exists() else ""
