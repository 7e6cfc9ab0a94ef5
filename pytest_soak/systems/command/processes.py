"""The processes of a started program: found by a mark, measured, and ended, all of them.

Every process that a program starts inherits its environment, and in it the mark of its run. So it
is found wherever it went: in another process group, in a session of its own, or adopted by init.
One that overwrote its environment, as setproctitle does, is found below the program, or by the
session that the program began.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MARK = "PYTEST_SOAK_MARK"
"""The environment variable that every process of a program carries."""
STEP = 0.02
"""Seconds between two looks at whether processes have ended."""
KILLED_WITHIN = 5.0
"""Seconds in which a process that was killed is gone, or is not going to be."""
MIB = 1024 * 1024
ENOUGH = 0.5
"""Seconds that a program must have lived for what was seen of it to be told."""
MAXRSS = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `ru_maxrss`."""


def marked(mark: str) -> list[psutil.Process]:
    """Return every living process that carries *mark*."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # of somebody else, or gone by now
            if process.environ().get(MARK) == mark and _lives(process):
                found.append(process)
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """Return the living processes below *pid*, whatever they did to their environment."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        found = psutil.Process(pid).children(recursive=True)
    return [process for process in found if _lives(process)]


def family(pid: int, mark: str, *, lives: bool) -> list[psutil.Process]:
    """Return every living process of the program *pid*: by *mark*, below it, or of its session.

    Args:
        pid: The program, which began a session of its own.
        mark: What it was marked with.
        lives: Whether it is known to live. If not, its number may be somebody else's by now.
    """
    found = {process.pid: process for process in marked(mark)}
    if lives or not psutil.pid_exists(pid):
        for process in psutil.process_iter():
            with suppress(OSError):
                if os.getsid(process.pid) == pid and _lives(process):
                    found[process.pid] = process
    if lives:
        found |= {process.pid: process for process in descendants(pid)}
    return list(found.values())


def end(find: Callable[[], Iterable[psutil.Process]], grace: float) -> str:
    """End the processes that *find* finds: SIGTERM, *grace* seconds, then SIGKILL.

    Returns:
        Those that had to be killed, for people.
    """
    first = list(find())
    _signal(first, signal.SIGTERM)
    until = time.monotonic() + grace
    while first and any(map(_lives, first)) and time.monotonic() < until:
        time.sleep(STEP)
    killed = [process for process in first if _lives(process)]
    names = told(killed)  # afterwards nobody knows them
    until = time.monotonic() + KILLED_WITHIN
    while (left := [*find(), *filter(_lives, killed)]) and time.monotonic() < until:
        _signal(left, signal.SIGKILL)  # again and again: they may start others meanwhile
        time.sleep(STEP)
    return names


def told(processes: Iterable[psutil.Process]) -> str:
    """Return *processes* for people: ``sleep (pid 12)``."""
    names = []
    for process in processes:
        name = "a process"
        with suppress(psutil.Error):
            name = process.name()
        names.append(f"{name} (pid {process.pid})")
    return ", ".join(names)


def _lives(process: psutil.Process) -> bool:
    alive = False
    with suppress(psutil.Error):
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return alive


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error):  # it is gone, or not ours
            process.send_signal(number)


@dataclass(slots=True)
class Usage:
    """What the processes of a program use during one iteration, summed over all of them.

    Memory counts pages that processes share once for each of them. The largest sums that were seen
    are kept; CPU seconds are those from the start of the iteration.
    """

    samples: int = 0
    cpu_s: float | None = None
    rss_mb: float | None = None
    open_files: int | None = None
    threads: int | None = None
    processes: int | None = None

    def take(self, family: Iterable[psutil.Process], cpu_before: float) -> None:
        """Look once at all processes of a program; *cpu_before* was used earlier."""
        cpu, rss, files, threads, count = 0.0, 0, 0, 0, 0
        for process in family:
            with suppress(psutil.Error), process.oneshot():
                cpu += sum(process.cpu_times()[:4])
                rss += process.memory_info().rss
                files += process.num_fds()
                threads += process.num_threads()
                count += 1
        if count:
            self.samples += 1
            self.cpu_s = max(self.cpu_s or 0.0, cpu - cpu_before)
            self.rss_mb = max(self.rss_mb or 0.0, rss / MIB)
            self.open_files = max(self.open_files or 0, files)
            self.threads = max(self.threads or 0, threads)
            self.processes = max(self.processes or 0, count)

    def ended(self, used: resource.struct_rusage, lived: float) -> None:
        """Take what the system tells of a program that has *used* it, and *lived* so many seconds.

        Its largest process is told by its peak, where that is above our own: a process inherits
        the peak of the one that started it. What was seen of a short life is its beginning alone.
        """
        if lived < ENOUGH:
            self.rss_mb = self.open_files = self.threads = self.processes = None
        self.cpu_s = max(self.cpu_s or 0.0, used.ru_utime + used.ru_stime)
        if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self.rss_mb = max(self.rss_mb or 0.0, used.ru_maxrss * MAXRSS / MIB)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON, null where nothing was seen."""
        figures = asdict(self).items()
        return {name: round(v, 3) if isinstance(v, float) else v for name, v in figures}


def cpu_of(family: Iterable[psutil.Process]) -> float:
    """Return the CPU seconds that all processes of a program have used so far."""
    usage = Usage()
    usage.take(family, 0.0)
    return usage.cpu_s or 0.0
