"""Finds, measures and ends all processes of a program.

A child process inherits the environment of the program, and with it the mark of the run. So it is
found in another process group, in another session, and after init adopted it. A process that
overwrote its environment, as setproctitle does, is found as a descendant of the program or in the
program's session.
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
"""The environment variable that marks every process of a program."""
POLL_INTERVAL = 0.02
"""Seconds between two checks whether processes have ended."""
KILL_TIMEOUT = 5.0
"""Seconds to wait for processes to disappear after SIGKILL."""
MIB = 1024 * 1024
MIN_LIFETIME = 0.5
"""A program that lived for less than this many seconds was sampled too little to report it."""
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of ``ru_maxrss``: Linux counts in KiB, macOS in bytes."""


def marked(mark: str) -> list[psutil.Process]:
    """Return every living process that carries *mark*."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's process, or one that ended meanwhile
            if process.environ().get(MARK) == mark and _is_alive(process):
                found.append(process)
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """Return the living descendants of *pid*, with or without the mark."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        found = psutil.Process(pid).children(recursive=True)
    return [process for process in found if _is_alive(process)]


def find_all(pid: int, mark: str, *, alive: bool) -> list[psutil.Process]:
    """Return every living process of a program: by mark, by session and by descent.

    Args:
        pid: The process id of the program, which is also the id of its session.
        mark: The value of its mark.
        alive: Whether the program is known to run. If not, its pid may have been reused.
    """
    found = {process.pid: process for process in marked(mark)}
    # The kernel does not reuse a pid while a session of that id exists. So a foreign process with
    # this pid means that the session is empty, and what is in it now is not ours.
    if alive or not psutil.pid_exists(pid):
        for process in psutil.process_iter():
            with suppress(OSError):
                if os.getsid(process.pid) == pid and _is_alive(process):
                    found[process.pid] = process
    if alive:
        found |= {process.pid: process for process in descendants(pid)}
    return list(found.values())


def terminate(find: Callable[[], Iterable[psutil.Process]], grace: float) -> str:
    """End processes: SIGTERM, *grace* seconds, then SIGKILL.

    Args:
        find: Returns the processes that live now.
        grace: Seconds between SIGTERM and SIGKILL.

    Returns:
        The names of those that had to be killed, or ''.
    """
    first = list(find())
    _signal(first, signal.SIGTERM)
    until = time.monotonic() + grace
    while first and any(map(_is_alive, first)) and time.monotonic() < until:
        time.sleep(POLL_INTERVAL)
    killed = [process for process in first if _is_alive(process)]
    names = describe(killed)  # a dead process has no name
    until = time.monotonic() + KILL_TIMEOUT
    while (left := [*find(), *filter(_is_alive, killed)]) and time.monotonic() < until:
        _signal(left, signal.SIGKILL)  # repeated: they may have started others meanwhile
        time.sleep(POLL_INTERVAL)
    return names


def describe(processes: Iterable[psutil.Process]) -> str:
    """Return *processes* as text: ``sleep (pid 12), sh (pid 13)``."""
    names = []
    for process in processes:
        name = "a process"
        with suppress(psutil.Error):
            name = process.name()
        names.append(f"{name} (pid {process.pid})")
    return ", ".join(names)


def _is_alive(process: psutil.Process) -> bool:
    alive = False
    with suppress(psutil.Error):
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return alive


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error):  # it has ended, or belongs to another user
            process.send_signal(number)


@dataclass(slots=True)
class Usage:
    """What all processes of a program used during one iteration; None where nothing was seen.

    Each field is the largest sum over the processes in any sample. Pages that processes share
    count once for each. CPU seconds count from the start of the iteration.
    """

    samples: int = 0
    cpu_s: float | None = None
    rss_mb: float | None = None
    open_files: int | None = None
    threads: int | None = None
    processes: int | None = None

    def sample(self, processes: Iterable[psutil.Process], cpu_before: float) -> None:
        """Take one sample of *processes*.

        Args:
            processes: All processes of the program.
            cpu_before: CPU seconds that they had used before the iteration.
        """
        cpu, rss, files, threads, count = 0.0, 0, 0, 0, 0
        for process in processes:
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

    def add_rusage(self, used: resource.struct_rusage, lived: float) -> None:
        """Add what the kernel reports about a program that has ended.

        Args:
            used: Its CPU times, and the peak memory of its largest process.
            lived: Seconds that it ran.
        """
        if lived < MIN_LIFETIME:
            self.rss_mb = self.open_files = self.threads = self.processes = None
        self.cpu_s = max(self.cpu_s or 0.0, used.ru_utime + used.ru_stime)
        # A child process starts with the peak of its parent, which is us.
        if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self.rss_mb = max(self.rss_mb or 0.0, used.ru_maxrss * MAXRSS_UNIT / MIB)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON, null where nothing was seen."""
        figures = asdict(self).items()
        return {name: round(v, 3) if isinstance(v, float) else v for name, v in figures}


def cpu_of(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU seconds that all processes of a program have used so far."""
    usage = Usage()
    usage.sample(processes, 0.0)
    return usage.cpu_s or 0.0
