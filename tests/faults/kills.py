"""Kill soaks, resume them, and check the result: dozens in the tests, thousands by this command.

    .venv/bin/python -m tests.faults.kills [--kills 1000] [--seed 0] [--jobs 2] [--folder DIR]

Prints how many kills fell into which step, and what was lost, doubled, unreadable or different.
Exits 0 if nothing was and every named step was hit, 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import check
from tests.faults.check import Kind
from tests.faults.killer import Order
from tests.faults.lives import BEFORE_SOAK, ITERATIONS, PATIENCE, WINDOW, Kill, Moment, Story
from tests.faults.steps import STEPS, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.faults.check import Files, Finding
    from tests.faults.lives import Pace
    from tests.faults.steps import Step

MOST_KILLS = 6
"""How often one soak is killed before it may end."""
BY_NAME = {step.name: step for step in STEPS}
ENABLERS = {
    Phase.RESUME: "between two iterations",
    Phase.ASIDE: "the state is saved",
    Phase.HEAL: "half of the record is written",
    Phase.BACK: "an earlier run is put aside",
}
"""Where to kill so that a later process reaches a step of the phase."""


class Schedule:
    """Chooses the next kill: at the least hit step, or on the way to it."""

    def __init__(self, steps: Sequence[Step], seed: object) -> None:
        self._steps = steps
        self._rng = random.Random(f"{seed}")
        self.hits: Counter[str] = Counter()

    @property
    def unhit(self) -> list[str]:
        """The steps without a kill so far."""
        return [step.name for step in self._steps if not self.hits[step.name]]

    def next(self, files: Files) -> tuple[Order, bool] | None:
        """Return where to kill the next process, and whether it is to resume; None to let it end.

        Args:
            files: What the processes before it left in the chain's folder.
        """
        times = passings(files)
        least = min(self.hits[step.name] for step in self._steps)
        step = self._rng.choice([step for step in self._steps if self.hits[step.name] == least])
        while not times.get(step.phase):
            if step.phase not in ENABLERS:
                return None
            step = BY_NAME[ENABLERS[step.phase]]
        hit = self._rng.randint(1, step.up_to if step.up_to > 1 else min(3, times[step.phase]))
        return Order(step.name, hit), step.phase is not Phase.ASIDE


def passings(files: Files) -> dict[Phase, int]:
    """Return how often, at least, the next process will pass the steps of each phase."""
    run = check.to_go_on_with(files)
    if run is None:
        applying = ITERATIONS - WINDOW
        return {Phase.BEGIN: 1, Phase.RUN: ITERATIONS, Phase.APPLY: applying, Phase.END: 1}
    left = ITERATIONS - max(run.journal.iterations, default=0)
    return {
        Phase.RESUME: 1,
        Phase.RUN: left,
        Phase.APPLY: max(0, left - WINDOW),
        Phase.END: 1,
        Phase.HEAL: bool(run.journal.torn),
        Phase.ASIDE: not run.place,
        Phase.BACK: bool(run.place),
    }


def by_steps(story: Story, schedule: Schedule, most: int = MOST_KILLS) -> None:
    """Kill *story*, of one chain, at named steps, and then let it end."""
    while len(story.lives) < most and not story.over:
        chosen = schedule.next(story.chains()["only"])
        if chosen is None:
            break
        where, resume = chosen
        life = story.live(where, resume=resume)
        schedule.hits[life.fell] += life.kill is not None
    story.finish()


def at_random(story: Story, pace: Pace, rng: random.Random, most: int = MOST_KILLS) -> None:
    """Kill *story* at random moments, and then let it end.

    Two in three after the soak has begun, which is the smaller part of a life as short as these.
    """
    for _ in range(most):
        in_soak = rng.random() < 2 / 3
        story.live(Moment(rng.uniform(0, pace.soak if in_soak else pace.whole), in_soak))
        if story.over:
            break
    story.finish()


def under_workers(story: Story, rng: random.Random, most: int = 2) -> None:
    """Kill workers and controllers of *story*, which has two chains, and then let it end."""
    steps = [step.name for step in STEPS if step.phase in (Phase.RUN, Phase.APPLY)]
    for _ in range(most):
        at_step = Order(rng.choice(steps), rng.randint(1, 3), controller=rng.random() < 1 / 3)
        where = rng.choice((at_step, at_step, Moment(rng.uniform(0, 2), in_soak=True)))
        story.live(where, workers=2)
        if story.over:
            break
    story.finish(workers=rng.choice((0, 2)))


def measure_pace(story: Story) -> Pace:
    """Return the duration of a life without a kill, in seconds."""
    return story.live(Moment(PATIENCE, in_soak=True)).pace


class Campaign:
    """Plays stories in parallel until there are enough kills, and counts them."""

    def __init__(self, folder: Path, kills: int, seed: int) -> None:
        self._folder = folder
        self._kills = kills
        self._seed = seed
        self._lock = threading.Lock()
        self._begun = 0
        self.schedule = Schedule(STEPS, seed)
        self.tally: Counter[tuple[str, Kill]] = Counter()
        self.findings: list[tuple[Path, Finding]] = []
        self.stories = 0
        one, two = Story(folder / "undisturbed"), Story(folder / "undisturbed-two", sides=True)
        self._pace = measure_pace(one)
        two.finish()
        self._undisturbed = {**one.chains(), **two.chains()}

    @property
    def done(self) -> int:
        """The number of kills so far."""
        return self.tally.total()

    def run(self, jobs: int) -> None:
        """Play stories, so many in parallel."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for played in [pool.submit(self._work) for _ in range(jobs)]:
                    played.result()
            finally:
                self._kills = 0  # after Ctrl-C, do not wait for the other stories

    def _work(self) -> None:
        while self.done < self._kills:
            with self._lock:
                self._begun += 1
                number = self._begun
            self._play(number)

    def _play(self, number: int) -> None:
        """Play one story: three in five by steps, three in ten at random, one with workers."""
        rng = random.Random(f"{self._seed}:{number}")
        kind = number % 10
        story = Story(self._folder / f"story-{number}", sides=kind == 0)
        most = rng.randint(1, MOST_KILLS)
        if kind == 0:
            under_workers(story, rng)
        elif kind in (3, 6, 9):
            at_random(story, self._pace, rng, most)
        else:
            by_steps(story, self.schedule, most)
        findings = story.judge(self._undisturbed)
        with self._lock:
            self.stories += 1
            self.findings += [(story.folder, finding) for finding in findings]
            self.tally.update((life.fell, life.kill) for life in story.lives if life.kill)
            tell_progress(self.done, self._kills, len(self.findings))
        if not findings:
            shutil.rmtree(story.folder)


def tell_progress(done: int, kills: int, findings: int) -> None:
    """Show the progress in one line of the terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {kills} kills, {findings} findings ")


def table(tally: Counter[tuple[str, Kill]]) -> Iterable[str]:
    """Yield the lines of a table of kills by step and by process."""
    names = [BEFORE_SOAK, *(step.name for step in STEPS)]
    width = max(map(len, names))
    yield "  ".join(("where".ljust(width), *(kill.rjust(14) for kill in Kill), "all".rjust(6)))
    for name in names:
        counts = [tally[name, kill] for kill in Kill]
        cells = (str(count or "-").rjust(14) for count in counts)
        yield "  ".join((name.ljust(width), *cells, str(sum(counts)).rjust(6)))
    sums = [sum(tally[name, kill] for name in names) for kill in Kill]
    cells = (str(count).rjust(14) for count in sums)
    yield "  ".join(("all".ljust(width), *cells, str(sum(sums)).rjust(6)))


def main(given: Sequence[str] | None = None, tell: Callable[[str], object] = print) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed where")
    parser.add_argument("--jobs", type=int, default=2, help="how many stories at once")
    parser.add_argument("--folder", type=Path, help="where to live; kept")
    args = parser.parse_args(given)
    folder = args.folder or Path(tempfile.mkdtemp(prefix="soak-kills-"))
    begun = time.monotonic()
    campaign = Campaign(folder, args.kills, args.seed)
    campaign.run(args.jobs)
    took = time.monotonic() - begun
    for line in table(campaign.tally):
        tell(line)
    tell(
        f"\n{campaign.done} kills in {campaign.stories} soaks, "
        f"{took / 60:.1f} min, seed {args.seed}"
    )
    kinds = Counter(finding.kind for _, finding in campaign.findings)
    tell(", ".join(f"{kind} {kinds[kind]}" for kind in Kind))
    for place, finding in campaign.findings[:40]:
        tell(f"{place}: {finding.kind}: {finding.what}")
    unhit = [name for name in campaign.schedule.unhit if not campaign.findings]
    for name in unhit:
        tell(f"never hit: {name}")
    if not campaign.findings and args.folder is None:
        shutil.rmtree(folder)
    return 1 if campaign.findings or unhit else 0


if __name__ == "__main__":
    sys.exit(main())
