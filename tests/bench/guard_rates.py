"""Measures how often the guards that judge by noise are right, on simulated runs.

    .venv/bin/python tests/bench/guard_rates.py [--runs 4000] [--seed 1]

The objective of a simulated run is noise of sigma 1. A tuner changes a parameter after every
iteration. This is the hardest case: every baseline consists of iterations with different
parameters. The last two iterations are the observation window. Shares are of runs.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_soak.guards.auto_rollback import AutoRollback
from pytest_soak.guards.freeze import Freeze, When
from pytest_soak.guards.plain_rollback import PlainRollback
from pytest_soak.guards.protocol import NoSettings
from pytest_soak.model.decision import Change, Decision
from pytest_soak.model.effect import effect
from pytest_soak.model.history import Entry, History
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Objective
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Verdict
from pytest_soak.testing import demo_pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_soak.guards.protocol import Guard

WINDOW = 2
PACK = replace(demo_pack(), objective=Objective("score", "up"), kpis=())
KNOWN = {"score": 1.0}


@dataclass(frozen=True)
class Outcome:
    """The result of a run: rolled back after iteration *acted* to *to*, or *reported* in one."""

    acted: int = 0
    to: int = 0
    reported: int = 0


def simulate(
    guard: Guard, scores: list[float], *, moving: Callable[[int], bool] = lambda _: True
) -> Outcome:
    """Return the first action of *guard* in a run that measures *scores*.

    Args:
        guard: The rule.
        scores: The objective of each iteration.
        moving: Whether the tuner changes its parameter after an iteration.
    """
    entries: list[Entry] = []
    value = 0
    for number, score in enumerate(scores, 1):
        in_window = number > len(scores) - WINDOW
        summary = Summary(
            number, {"x": value}, {"score": score}, verdict=Verdict.PASS, in_window=in_window
        )
        entries.append(Entry(summary))
        said = guard.review(History(entries, ()), Decision(number, {"x": value}), NoSettings())
        if said.rollback is not None:
            return Outcome(number, said.rollback.to_iteration)
        if any(notice.reason == "rollback_in_window" for notice in said.notices):
            return Outcome(reported=number)
        moves = moving(number) and not in_window
        changes: tuple[Change, ...] = ()
        if moves:
            step = Change("x", value, 1, 1, value + 1, Note.NONE, "", "", Corridor.APPLY)
            changes = (step,)
            value += 1
        entries[-1] = Entry(summary, Decision(number, {}, (), changes), moves)
    return Outcome()


def auto(noise: dict[str, float] | None = None) -> AutoRollback:
    """Return the shipped default with a known noise, or with none."""
    return AutoRollback(replace(PACK, noise=KNOWN if noise is None else noise))


def plain() -> PlainRollback:
    """Return the rule that knows nothing of noise."""
    return PlainRollback(PACK)


def noise_runs(length: int, runs: int, seed: int, **loss: float) -> Iterator[list[float]]:
    """Yield runs of noise; with a loss of *size* from the iteration after *after* on."""
    numbers = random.Random(seed)
    size, after = loss.get("size", 0), loss.get("after", length)
    for _ in range(runs):
        yield [numbers.gauss(0, 1) - (size if i >= after else 0) for i in range(length)]


def false_alarms(guard: Guard, length: int, runs: int, seed: int) -> tuple[float, float]:
    """Return the share of runs of noise in which *guard* rolls back, and in which it reports."""
    found = [simulate(guard, scores) for scores in noise_runs(length, runs, seed)]
    return sum(bool(o.acted) for o in found) / runs, sum(bool(o.reported) for o in found) / runs


def detections(
    guard: Guard, size: float, after: int, runs: int, seed: int
) -> tuple[float, float, float]:
    """Return the shares of 12-iteration runs with a loss that *guard* rolls back, reports, undoes.

    What it did before the loss does not count as detection. Undone is a loss whose rollback went
    back to parameters of before it.
    """
    found = [simulate(guard, s) for s in noise_runs(12, runs, seed, size=size, after=after)]
    acted = [o for o in found if o.acted > after]
    right = [o for o in acted if o.to <= after]
    return len(acted) / runs, sum(bool(o.reported) for o in found) / runs, len(right) / runs


def unknown_noise(runs: int, seed: int) -> tuple[float, float]:
    """Return false alarms and detections where the run itself must tell the noise.

    Eight iterations without a change, then one after each; of 18. The loss is 3 sigma after 10.
    """
    found = []
    for size in (0, 3):
        runs_of = noise_runs(18, runs, seed, size=size, after=10)
        moving = [simulate(auto({}), s, moving=lambda n: n > 7) for s in runs_of]
        found.append(sum(o.acted > (10 if size else 0) for o in moving) / runs)
    return found[0], found[1]


def freezes(distance: float, runs: int, seed: int) -> float:
    """Return the share of 12-iteration runs that freeze, *distance* sigma above the limit."""
    settings = Freeze.Settings(when=(When("score", Op.GE, 0),), parameters=("x",))
    count = 0
    for scores in noise_runs(12, runs, seed):
        entries: list[Entry] = []
        for number, score in enumerate(scores, 1):
            entries.append(Entry(Summary(number, {}, {"score": score + distance})))
            said = Freeze(PACK).review(History(entries), Decision(number), settings)
            if said.notices:
                count += 1
                break
            entries[-1] = Entry(entries[-1].summary, said)
    return count / runs


def beyond(size: float, n: int, runs: int, seed: int) -> float:
    """Return the share of applies that are called effective, of *size* sigma, with n and n."""
    numbers = random.Random(seed)
    count = 0
    for _ in range(runs):
        before = [numbers.gauss(0, 1) for _ in range(n)]
        after = [numbers.gauss(size, 1) for _ in range(n)]
        count += effect(before, after, 1.0).beyond_noise is True
    return count / runs


def main() -> None:
    """Print every rate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    runs, seed = args.runs, args.seed
    print(f"{runs} runs for each figure, seed {seed}\n")
    print("pure noise             iterations   rolled back   reported in the window")
    for name, guard in (("auto_rollback", auto()), ("plain_rollback", plain())):
        for length in (6, 12, 24):
            acted, reported = false_alarms(guard, length, runs, seed)
            print(f"{name:22} {length:10} {acted:13.1%} {reported:24.1%}", flush=True)
    print("\na loss in 12 iterations          size  after   rolled back   reported   undone")
    for name, guard in (("auto_rollback", auto()), ("plain_rollback", plain())):
        for size in (1, 2, 3):
            for after in (1, 2, 3, 4, 5, 6) if size == 2 else (4,):
                acted, reported, right = detections(guard, size, after, runs, seed)
                row = f"{size:8} {after:6} {acted:13.1%} {reported:10.1%} {right:8.1%}"
                print(f"{name:28} {row}", flush=True)
    alarms, found = unknown_noise(runs, seed)
    print(f"\nauto_rollback, noise from the run itself: noise {alarms:.1%}, 3 sigma {found:.1%}")
    print("\nfreeze, score above its limit by   " + "".join(f"{d:+8} s" for d in range(-3, 3)))
    print(
        f"{'froze within 12 iterations':34}",
        *(f"{freezes(d, runs, seed):9.1%}" for d in range(-3, 3)),
    )
    print("\neffectiveness, called beyond noise   change 0   1 s     2 s     3 s")
    for n in (1, 2, 4):
        shares = "".join(f"{beyond(size, n, runs, seed):8.1%}" for size in range(4))
        print(f"{n} iterations before, {n} after        {shares}")


if __name__ == "__main__":
    main()
