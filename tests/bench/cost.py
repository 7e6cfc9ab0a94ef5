"""Measure what a soak costs, beside the floor of this disk, and print each figure with its target.

    .venv/bin/python tests/bench/cost.py [--small 1000] [--large 10000] [--best 3]
                                         [--folder DIR] [--keep]

Needs `pip install pytest-repeat`. Every run is a pytest of its own in a folder of its own, with
only the plugins that are compared, its output in a file. The kinds of run take turns, and the
best of each counts, because a machine that is shared only ever makes a run slower. Memory is the
peak of the process. Exits 0 if every target is reached, 1 if one is missed.

Nothing is deleted before the last run is over: ext4 without a journal makes new files many times
slower for some minutes after others were deleted. For the same reason, wait five minutes before
you measure again, or `--keep` the files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TypeAlias

TESTS = {
    "test_soak.py": """
def test_soak(mock_soak):
    mock_soak.run()
""",
    "test_bare.py": """
import os
import pytest

@pytest.mark.parametrize("number", range(int(os.environ["COUNT"])))
def test_bare(number):
    pass
""",
    "test_floor.py": """
import json
import os
import pytest

JOURNAL = open("journal.jsonl", "ab", buffering=0)
VALUES = [number / 7 for number in range(34)]  # with these, as many bytes as the mock chain writes

@pytest.fixture
def slot(request):
    return request.param

@pytest.fixture
def system():
    return None

@pytest.fixture
def soak(slot, system):
    return slot

@pytest.fixture
def floor(soak):
    return soak

def write(name, text):
    draft = name + ".tmp"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(file, text)
    os.close(file)
    os.replace(draft, name)

@pytest.mark.parametrize("slot", range(int(os.environ["COUNT"])), indirect=True)
def test_floor(floor):
    report = {"iteration": floor, "values": VALUES[:14]}
    summary = {"iteration": floor, "values": VALUES}
    record = {"report": report, "summary": summary, "decision": VALUES}
    JOURNAL.write(json.dumps(record).encode() + b"\\n")
    os.fsync(JOURNAL.fileno())
    write(f"report_{floor}.json", json.dumps(report).encode())
    write(f"summary_{floor}.json", json.dumps(summary).encode())
""",
    "test_repeat.py": """
def test_repeat():
    pass
""",
    "imported.py": """
import pytest
pytest.register_assert_rewrite("pytest_soak")
import pytest_soak.plugin
pytest_plugins = ["pytest_soak.plugin"]
""",
    "turned.py": """
from pytest_soak.runner.hours import CLOCK
from pytest_soak.systems.mock import MockSystem

class Turned:
    time = 0.0
    def now(self):
        return self.time
    def wait(self, seconds):
        self.time += seconds

class Paced(MockSystem):
    virtual_time = False

def pytest_configure(config):
    config.stash[CLOCK] = Turned()

def pytest_soak_systems():
    return {"paced": Paced}
""",
    "test_hours.py": """
import pytest

@pytest.fixture
def paced_soak(soak):
    return soak  # a fixture more, as mock_soak is

def test_hours(paced_soak):
    paced_soak.run()
""",
    "test_two.py": """
import time
import pytest

class Busy:
    def run(self, parameters, iteration, seed, state):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        totals = {"latency_p95_ms": 200, "error_rate": 0.01, "throughput": 120}
        return {"iteration": iteration, "parameters": parameters, "totals": totals}, None

@pytest.fixture
def soak_system():
    return Busy()

def test_one(soak):
    soak.run()

def test_other(soak):
    soak.run()
""",
}

SOAK = ("-p", "soak", "-p", "syrupy")
"""Our plugin, and the one that comes with it."""
BARE, OFF, REPEAT, CHAIN = "bare items", "bare, soak off", "pytest-repeat", "mock chain"
FLOOR = "floor of this disk"
"""What an iteration must do at least, without a soak.

As many fixtures; one record of as many bytes appended and forced to disk; a report and a summary,
each written to a draft that is renamed, and not forced to disk.
"""
HOURS = "mock by the hour"
"""The same on a clock that is turned: every slot is kept to, and no time is waited."""
KINDS = (BARE, OFF, REPEAT, FLOOR, CHAIN, HOURS)
FIRST = 10
"""The count at which the first half begins: as few as a chain needs to reach its verdict."""

AT_MOST = 1.15
"""The marginal cost of a chain in those of the floor."""
HOURS_AT_MOST = 1.25
"""The marginal cost of a chain by the hour in those of one by count: a line of progress more."""
GROWTH = 0.1
MEMORY_KB = 10
IMPORT_MS = 5
OFF_MS = 0.02
"""What counts as no cost per ordinary item: 20 µs, as fine as this clock can tell."""
PARALLEL = 0.6
TWO_CHAINS = 400
"""Iterations of each of the two chains, about 20 ms of computing apiece."""
IMPORTS = 7
OURS = re.compile(r"pytest_soak(\.|$)")


@dataclass(frozen=True)
class Run:
    """What one process took: seconds by the clock, seconds of processor, peak memory in kB."""

    wall: float
    cpu: float
    memory: float

    def best(self, other: Run) -> Run:
        """Return the smaller of each figure."""
        return Run(
            min(self.wall, other.wall),
            min(self.cpu, other.cpu),
            min(self.memory, other.memory),
        )


Runs: TypeAlias = dict[tuple[str, int], Run]


class Bench:
    """Runs pytest again and again, each time as a fresh process in a fresh folder."""

    def __init__(self, root: Path) -> None:
        """Take the folder *root* for everything that is written."""
        self._root = root
        self._count = 0

    def pytest(self, kind: str, count: int) -> Run:
        """Run *count* items of one *kind*."""
        if kind == CHAIN:
            soak = (f"--soak-iterations={count}", "--auto-tune", "--soak-dir=artifacts")
            return self.run("test_soak.py", *SOAK, *soak)
        if kind == HOURS:
            hours = (f"--soak-hours={count / 1000}", "--soak-slot=3.6", "--soak-system=paced")
            paced = ("-p", "turned", *hours, "--auto-tune", "--soak-dir=artifacts")
            return self.run("test_hours.py", *SOAK, *paced)
        if kind == REPEAT:
            return self.run("test_repeat.py", "-p", "pytest_repeat", f"--count={count}")
        if kind == FLOOR:
            return self.run("test_floor.py", count=count)
        off = ("-p", "soak") if kind == OFF else ()
        return self.run("test_bare.py", *off, count=count)

    def two(self, *extra: str) -> Run:
        """Run two chains on a system that takes time."""
        soak = (f"--soak-iterations={TWO_CHAINS}", "--soak-dir=artifacts")
        return self.run("test_two.py", *SOAK, *soak, *extra)

    def run(self, test: str, *args: str, count: int = 0) -> Run:
        """Run one *test* file with pytest's *args*; end the bench if it does not pass."""
        folder = self.folder()
        for name in (test, "turned.py"):
            (folder / name).write_text(TESTS[name], encoding="utf-8")
        quiet = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider")
        command = [sys.executable, "-m", "pytest", *quiet, *args, test]
        output = folder / "output.txt"
        with output.open("wb") as file:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(COUNT=str(count)),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{output.read_text(encoding='utf-8')[-4000:]}")
        kilobyte = 1024 if sys.platform == "darwin" else 1
        return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / kilobyte)

    def imports(self, *args: str) -> dict[str, float]:
        """Return the milliseconds that each module takes by itself in a run that soaks nothing.

        The plugin is imported by a module of its own, as Python does not time what
        `importlib.import_module` is called for; its modules are rewritten, as installed ones are.
        """
        folder = self.folder()
        (folder / "imported.py").write_text(TESTS["imported.py"], encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "pytest", *args, "--collect-only", "-qs"],
            cwd=folder,
            env=environment(),
            check=False,
            capture_output=True,
            text=True,
        )
        lines = re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE)
        return {name: int(own) / 1000 for own, name in lines}

    def folder(self) -> Path:
        """Make a folder that pytest takes for a project's root."""
        self._count += 1
        folder = self._root / f"{self._count:03}"
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        return folder


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a run: no plugin but those it asks for, no settings of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SOAK_"))}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}


def marginal(runs: Runs, kind: str, few: int, many: int) -> float:
    """Return milliseconds by the clock per item between two counts."""
    return (runs[kind, many].wall - runs[kind, few].wall) / (many - few) * 1000


def processor(runs: Runs, kind: str, few: int, many: int) -> float:
    """Return milliseconds of processor per item between two counts."""
    return (runs[kind, many].cpu - runs[kind, few].cpu) / (many - few) * 1000


def growth(runs: Runs, kind: str, large: int) -> float:
    """Return what an item of the second half costs in those of the first."""
    half = large // 2
    return marginal(runs, kind, half, large) / marginal(runs, kind, FIRST, half)


def memory(runs: Runs, kind: str, few: int, many: int) -> float:
    """Return kilobytes of peak memory per item between two counts."""
    return (runs[kind, many].memory - runs[kind, few].memory) / (many - few)


class Targets:
    """Prints figures beside their targets, and remembers whether one was missed."""

    def __init__(self) -> None:
        """Start with none missed."""
        self.missed = 0

    def tell(self, figure: str, value: str, target: str, *, reached: bool) -> None:
        """Print one *figure*."""
        self.missed += not reached
        print(f"{figure:44}{value:>12}   {target:26}{'ok' if reached else 'MISSED'}", flush=True)


def per_item(bench: Bench, small: int, large: int, best: int) -> Runs:
    """Run every kind with each count, taking turns; return the best of each."""
    runs: Runs = {}
    for turn in range(best):
        for count in sorted({FIRST, small, large // 2, large}):
            for kind in KINDS:
                run = bench.pytest(kind, count)
                runs[kind, count] = run.best(runs.get((kind, count), run))
        print(f"  turn {turn + 1} of {best} done", file=sys.stderr, flush=True)
    return runs


def tell_items(targets: Targets, runs: Runs, small: int, large: int) -> None:
    """Print the table of what an item costs, and the targets that it must reach."""
    print(f"\nper item, between {small} and {large}; growth: second half of {large} to the first")
    print(f"{'':18}{'ms':>8}{'ms cpu':>9}{'x repeat':>10}{'kB':>8}{'growth':>9}{'start s':>9}")
    repeat = marginal(runs, REPEAT, small, large)
    for kind in KINDS:
        cost = marginal(runs, kind, small, large)
        print(
            f"{kind:18}{cost:8.3f}{processor(runs, kind, small, large):9.3f}{cost / repeat:10.2f}"
            f"{memory(runs, kind, small, large):8.2f}{growth(runs, kind, large):9.2f}"
            f"{runs[kind, FIRST].wall:9.2f}"
        )
    print()
    chain = marginal(runs, CHAIN, small, large)
    ratio, target = chain / marginal(runs, FLOOR, small, large), f"at most {AT_MOST}"
    print("floor: one record appended and forced to disk, two files written and renamed; no soak")
    targets.tell("marginal cost, x floor", f"{ratio:.2f}", target, reached=ratio <= AT_MOST)
    cpu = processor(runs, CHAIN, small, large) / processor(runs, FLOOR, small, large)
    print(f"{'  in processor time':44}{cpu:>12.2f}   for information: no disk waits in it")
    print(f"{'  x pytest-repeat':44}{chain / repeat:>12.2f}   for information")
    ratio = marginal(runs, HOURS, small, large) / marginal(runs, CHAIN, small, large)
    target = f"at most {HOURS_AT_MOST}"
    reached = ratio <= HOURS_AT_MOST
    targets.tell("  by the hour, x by count", f"{ratio:.2f}", target, reached=reached)
    limit = growth(runs, REPEAT, large) + GROWTH
    for kind, figure in ((CHAIN, "growth of the marginal cost"), (HOURS, "  by the hour")):
        grown, target = growth(runs, kind, large), f"at most {limit:.2f}"
        targets.tell(figure, f"{grown:.2f}", target, reached=grown <= limit)
    for kind, figure in ((CHAIN, "peak memory per iteration"), (HOURS, "  by the hour")):
        held, target = memory(runs, kind, small, large), f"at most {MEMORY_KB} kB"
        targets.tell(figure, f"{held:.2f} kB", target, reached=held <= MEMORY_KB)
    off = marginal(runs, OFF, small, large) - marginal(runs, BARE, small, large)
    target = f"none: at most {OFF_MS * 1000:.0f} µs"
    targets.tell(
        "cost per ordinary item when off", f"{off * 1000:.1f} µs", target, reached=off <= OFF_MS
    )


def tell_imports(targets: Targets, bench: Bench) -> None:
    """Print what our plugin adds to the imports of a run that soaks nothing."""
    own, brought = [], []
    without = bench.imports()
    bench.imports("-p", "imported")  # the first one compiles
    for _ in range(IMPORTS):
        found = bench.imports("-p", "imported")
        if "pytest_soak.plugin" not in found:
            sys.exit("the plugin was not imported: is pytest-soak installed here?")
        own.append(sum(ms for name, ms in found.items() if OURS.match(name)))
        added = found.keys() - {*without, "imported"}
        brought.append(sum(found[name] for name in added))
    for figure, times in (
        ("imports of our modules, no soak asked for", own),
        ("  with what they import that pytest does not", brought),
    ):
        best, target = min(times), f"at most {IMPORT_MS} ms"
        targets.tell(figure, f"{best:.1f} ms", target, reached=best <= IMPORT_MS)
    print(f"  (best of {IMPORTS}; medians {median(own):.1f} and {median(brought):.1f} ms)")


def tell_parallel(targets: Targets, bench: Bench, best: int) -> None:
    """Print what two chains take on two workers, in what both take in one process."""
    workers = ("-p", "xdist", "-n", "2")
    one, two = bench.two(), bench.two(*workers)
    for _ in range(best - 1):
        one, two = bench.two().best(one), bench.two(*workers).best(two)
    ratio = two.wall / one.wall
    targets.tell(
        "two chains under -n 2, x both in one process",
        f"{ratio:.2f}",
        f"at most {PARALLEL}",
        reached=ratio <= PARALLEL,
    )
    print(f"  ({two.wall:.2f} s and {one.wall:.2f} s, {TWO_CHAINS} iterations of 20 ms each)")


def main() -> int:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", type=int, default=1000, help="the smaller count of items")
    parser.add_argument("--large", type=int, default=10000, help="the larger count of items")
    parser.add_argument("--best", type=int, default=3, help="how many runs of each")
    parser.add_argument("--folder", type=Path, help="where to write: a disk, not a memory disk")
    parser.add_argument("--keep", action="store_true", help="leave what was written")
    args = parser.parse_args()
    if not FIRST <= args.small < args.large or args.large < 4 * FIRST or args.best < 1:
        parser.error(f"allowed: {FIRST} <= small < large, large >= {4 * FIRST}, best >= 1")
    if find_spec("pytest_repeat") is None:
        parser.error("pytest-repeat is not installed: pip install pytest-repeat")
    root = Path(tempfile.mkdtemp(prefix="soak-cost-", dir=args.folder))
    bench, targets = Bench(root), Targets()
    try:
        runs = per_item(bench, args.small, args.large, args.best)
        tell_items(targets, runs, args.small, args.large)
        tell_imports(targets, bench)
        tell_parallel(targets, bench, args.best)
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"\nload average {load}, {os.cpu_count()} processors; best of {args.best}")
    finally:
        if not args.keep:
            shutil.rmtree(root)
    return 1 if targets.missed else 0


if __name__ == "__main__":
    sys.exit(main())
