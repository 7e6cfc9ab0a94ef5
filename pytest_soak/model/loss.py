"""Losses: when the objective is below its last good baseline by more than noise allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_soak.model.noise import Noise, measure_noise

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Objective

BLOCK = 24
"""How many iterations are forgotten at once, so that a run of 10,000 costs no more each. The last
24 to 47 are looked at: a start that moved with every iteration would give noise one more chance
each time."""
ALLOWANCE = 0.9
"""How many sigma below the baseline an iteration may be without being held against the change."""
LIMIT, SCARCE, LEAST = 1.8, 4.5, 2.7
"""What the shortfalls must sum up to, in sigma: ``LIMIT + SCARCE / n`` for a baseline of n, and
never less than LEAST. Chosen by what `tests/bench/guard_rates.py` then printed."""
GAIN = 2
"""How many times that limit a gain must exceed to start a new baseline, so that luck does not."""
TWICE = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One iteration that told the objective.

    Args:
        iteration: Its number.
        value: The objective, turned so that more is better.
        key: The parameters it ran with, equal for equal ones.
    """

    iteration: int
    value: float
    key: Hashable


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss that followed changes.

    Args:
        good: The last iteration of the good baseline; its parameters are the good ones.
        baseline: The mean of the baseline, turned so that more is better.
        n: How many iterations it is the mean of.
        since: The mean of the iterations since, turned likewise.
        count: How many these are.
        sum: Their shortfalls summed up, in sigma, less the allowance.
        limit: What the sum has exceeded.
    """

    good: int
    baseline: float
    n: int
    since: float
    count: int
    sum: float
    limit: float


def points(history: History, objective: Objective) -> list[Point]:
    """Return what the latest iterations told of the *objective*, oldest first.

    Iterations that nobody can judge tell nothing. What a rollback undid is left out: what follows
    goes on from the parameters that it restored.
    """
    way = 1 if objective.better == "up" else -1
    told: list[Point] = []
    first = max(0, (len(history) // BLOCK - 1) * BLOCK)
    for entry in history[first:]:
        summary, decision = entry.summary, entry.decision
        value = summary.metrics.get(objective.metric)
        if isinstance(value, int | float) and not summary.problems and not summary.restarted:
            key = tuple(sorted(summary.parameters.items()))
            told.append(Point(summary.iteration, way * value, key))
        if entry.applied and decision is not None and decision.rollback is not None:
            told = [one for one in told if one.iteration <= decision.rollback.to_iteration]
    return told


def run_noise(told: Sequence[Point]) -> Noise | None:
    """Return the noise of the run itself, None where too few iterations tell it."""
    return measure_noise((one.key, one.value) for one in told)


def find_loss(told: Sequence[Point], sigma: float) -> Loss | None:
    """Return the loss that the last iteration completes, if it does.

    A cumulative sum (CUSUM, Page 1954) with a baseline that is learned on the way. The baseline is
    the mean of the iterations so far. One that is below it by more than the allowance is held
    back, with those that follow, until their shortfalls are made up for; then they all join the
    baseline. Where the sum of the shortfalls exceeds a limit that is the higher, the fewer
    iterations the baseline is of, with the last two in a row below it, that is a loss. A gain of
    twice that starts the baseline anew; so does a loss that no change of parameters came before,
    the world's doing.

    Args:
        told: The iterations, oldest first.
        sigma: The noise of one iteration, in the objective's unit; above 0.
    """
    if not told:
        return None
    values = [one.value for one in told]
    start = 0  # of the baseline
    low = high = 1  # where what is held back as shortfall, or as gain, begins
    for end in range(2, len(told) + 1):
        below = _summed([-value for value in values[:end]], start, low, sigma)
        above = _summed(values[:end], start, high, sigma)
        low = low if below > 0 else end
        high = high if above > 0 else end
        n, count = low - start, end - low
        mean = math.fsum(values[start:low]) / n
        limit = _limit(n)
        if count >= TWICE and below > limit and max(values[end - TWICE : end]) < mean:
            changed = {one.key != told[low - 1].key for one in told[end - TWICE : end]}
            if changed == {False}:
                start, low, high = low, end, end
            elif end == len(told) and changed == {True}:
                since = math.fsum(values[low:]) / count
                return Loss(told[low - 1].iteration, mean, n, since, count, below, limit)
        elif end - high >= TWICE and above > GAIN * _limit(high - start):
            start, low, high = high, end, end
    return None


def _limit(n: int) -> float:
    return max(LEAST, LIMIT + SCARCE / n)


def _summed(values: Sequence[float], start: int, first: int, sigma: float) -> float:
    """Return by how much the values from *first* on are above the mean of those before, summed up.

    In sigma of the difference between one value and the mean, each less the allowance.
    """
    n = first - start
    mean = math.fsum(values[start:first]) / n
    gains = math.fsum(value - mean for value in values[first:])
    return gains / (sigma * math.sqrt(1 + 1 / n)) - ALLOWANCE * (len(values) - first)
