"""Finds, measures and ends all processes of a program.

A child process inherits the environment of the program, and with it the mark of the run. So it is
found in another process group, in another session, and after init adopted it. A process that
overwrote its environment, as setproctitle does, is found as a descendant of the program or in the
program's session.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_soak.model.mask import Mask

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
NEEDED = ("cpu_times", "create_time", "memory_info", "name", "num_threads", "pid", "status")
MAY_LACK = ("cmdline", "num_fds")
"""What is asked of each process in a sample. One of another user does not tell the latter."""
MAX_NAMES, OTHERS = 8, "others"
"""How many names of programs an iteration tells apart, and what it calls all further ones."""
Identity: TypeAlias = tuple[int, float]
"""The pid of a process, which is used again after its end, and when it was started."""
NOT_IN_NAMES, MAX_LENGTH = re.compile(r"[^a-z0-9]+"), 40
"""What a name of a metric cannot have, and how long a program's name in it may be."""


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
class Figures:
    """What some processes used during one iteration; None where nothing was seen.

    `rss_end_mb` is the sum over the processes in the last sample; each other field is the largest
    sum in any sample. Pages that processes share count once for each.
    """

    samples: int = 0
    cpu_s: float | None = None
    rss_mb: float | None = None
    rss_end_mb: float | None = None
    open_files: int | None = None
    threads: int | None = None
    processes: int | None = None

    def add(self, cpu_s: float, seen: Sequence[Mapping[str, Any]]) -> None:
        """Add one sample.

        Args:
            cpu_s: CPU seconds since the start of the iteration.
            seen: What psutil says of each process, one or more. None is a figure that it keeps
                from us: the sum is unknown then.
        """
        rss = sum(one["memory_info"].rss for one in seen) / MIB
        self.samples += 1
        self.cpu_s = max(self.cpu_s or 0.0, cpu_s)
        self.rss_end_mb = rss
        self.rss_mb = max(self.rss_mb or 0.0, rss)
        self.threads = max(self.threads or 0, sum(one["num_threads"] for one in seen))
        self.processes = max(self.processes or 0, len(seen))
        files = [one["num_fds"] for one in seen]
        if None not in files:
            self.open_files = max(self.open_files or 0, sum(files))

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON, null where nothing was seen."""
        figures = ((each.name, getattr(self, each.name)) for each in fields(Figures))
        return {name: round(v, 3) if isinstance(v, float) else v for name, v in figures}


class Usage(Figures):
    """What all processes of a program used during one iteration, and those of each name.

    CPU seconds count from the start of the iteration.

    Attributes:
        by_name: ``{name: figures}`` of the processes of that name.
    """

    def __init__(self, named: Mapping[str, str], mask: Mask) -> None:
        """Begin an iteration.

        Args:
            named: ``{name: text}``, for a process that has the text in its command line. The others
                are called as their program is.
            mask: Hides secrets in the names of programs.
        """
        super().__init__()
        self.by_name = {name: Figures() for name in named}
        self._named, self._mask = named, mask
        self._before: dict[Identity, float] = {}
        self._all_before = 0.0
        self._own: dict[str, dict[Identity, float]] = {}

    def begin(self, processes: Iterable[psutil.Process]) -> None:
        """Take the CPU seconds that *processes* have used so far as those before the iteration."""
        for told in _look(processes):
            self._before[identity(told)] = own_cpu(told)
            self._all_before += cpu_with_children(told)

    def sample(self, processes: Iterable[psutil.Process]) -> None:
        """Take one sample of *processes*, which are all that the program has."""
        seen: dict[str, list[Mapping[str, Any]]] = {}
        for told in _look(processes):
            name, process = self._name(told), identity(told)
            seen.setdefault(name, []).append(told)
            own = self._own.setdefault(name, {})
            own[process] = own_cpu(told) - self._before.get(process, 0.0)
            self.by_name.setdefault(name, Figures())  # it has its place now
        for name, of_name in seen.items():
            self.by_name[name].add(sum(self._own[name].values()), of_name)
        if every := [told for of_name in seen.values() for told in of_name]:
            self.add(sum(map(cpu_with_children, every)) - self._all_before, every)

    def _name(self, told: Mapping[str, Any]) -> str:
        """Return the name under which a process counts; there are at most `MAX_NAMES` and one."""
        line = " ".join(told["cmdline"] or ())
        for name, text in self._named.items():
            if text in line:
                return name
        shown = self._mask.text(told["name"]).lower()
        name = NOT_IN_NAMES.sub("_", shown).strip("_")[:MAX_LENGTH] or OTHERS
        room = len(self.by_name) < len(self._named) + MAX_NAMES
        return name if room or name in self.by_name else OTHERS

    def add_rusage(self, used: resource.struct_rusage, lived: float) -> None:
        """Add what the kernel reports about a program that has ended.

        Args:
            used: Its CPU times, and the peak memory of its largest process.
            lived: Seconds that it ran.
        """
        if lived < MIN_LIFETIME:
            self.rss_mb = self.rss_end_mb = None
            self.open_files = self.threads = self.processes = None
            self.by_name = {name: Figures() for name in self._named}
        self.cpu_s = max(self.cpu_s or 0.0, used.ru_utime + used.ru_stime)
        # A child process starts with the peak of its parent, which is us.
        if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self.rss_mb = max(self.rss_mb or 0.0, used.ru_maxrss * MAXRSS_UNIT / MIB)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON, those of each name in ``by_name``."""
        by_name = {name: figures.to_json() for name, figures in self.by_name.items()}
        return {**super().to_json(), "by_name": by_name}

    def metrics(self) -> dict[str, tuple[float | None, int]]:
        """Return ``{metric: (value, number of samples)}`` of all figures."""
        groups = {"process": self.to_json()} | {
            f"process_{name}": figures.to_json() for name, figures in self.by_name.items()
        }
        # What the kernel reports at the end counts as a sample.
        return {
            f"{group}_{name}": (value, 0 if value is None else max(figures["samples"], 1))
            for group, figures in groups.items()
            for name, value in figures.items()
            if name not in ("samples", "by_name")
        }


def own_cpu(told: Mapping[str, Any]) -> float:
    """Return the CPU seconds of a process itself, by what psutil says of it."""
    return float(sum(told["cpu_times"][:2]))


def cpu_with_children(told: Mapping[str, Any]) -> float:
    """Return the CPU seconds of a process, and of those that it started and waited for."""
    return float(sum(told["cpu_times"][:4]))


def identity(told: Mapping[str, Any]) -> Identity:
    """Return what no other process has, by what psutil says of one."""
    return told["pid"], told["create_time"]


def _look(processes: Iterable[psutil.Process]) -> Iterator[Mapping[str, Any]]:
    """Yield what psutil says of each of *processes* that still lives."""
    for process in processes:
        with suppress(psutil.Error):
            told = process.as_dict((*NEEDED, *MAY_LACK))
            readable = all(told[each] is not None for each in NEEDED)
            if readable and told["status"] != psutil.STATUS_ZOMBIE:
                yield told
