"""Losses: the objective is below its last good baseline by more than noise explains."""

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
"""How many iterations are forgotten at once, so that the cost per iteration stays the same in a run
of 10,000. The last 24 to 47 are used. A start that moved with every iteration would give noise
one more chance each time."""
ALLOWANCE = 0.9
"""How many sigma an iteration may be below the baseline before it counts as a shortfall."""
LIMIT, SCARCE, LEAST = 1.8, 4.5, 2.7
"""The limit for the sum of the shortfalls, in sigma: ``LIMIT + SCARCE / n`` for a baseline of n
iterations, at least LEAST. The values were chosen by the rates of `tests/bench/guard_rates.py`."""
GAIN = 2
"""How many times that limit a gain must exceed to start a new baseline: luck must not."""
TWICE = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One iteration with its value of the objective.

    Args:
        iteration: Its number.
        value: The objective, with its sign turned so that more is better.
        key: The parameters it ran with.
    """

    iteration: int
    value: float
    key: Hashable


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss after a change of parameters.

    Args:
        good: The last iteration of the good baseline; its parameters are to be restored.
        baseline: The mean of the baseline, with its sign turned so that more is better.
        n: How many iterations the baseline has.
        since: The mean of the iterations since, with its sign turned likewise.
        count: How many iterations these are.
        sum: The sum of their shortfalls less the allowance, in sigma.
        limit: The limit that the sum has exceeded, in sigma.
    """

    good: int
    baseline: float
    n: int
    since: float
    count: int
    sum: float
    limit: float


def points(history: History, objective: Objective) -> list[Point]:
    """Return the values of the *objective* in the latest iterations, oldest first.

    Iterations with problems and the first one after a restart are left out. So are those that a
    rollback has undone: the run goes on from the parameters that it restored.
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
    """Return the noise of the run itself; None if it has too few iterations for an estimate."""
    return measure_noise((one.key, one.value) for one in told)


def find_loss(told: Sequence[Point], sigma: float) -> Loss | None:
    """Return the loss that the last iteration completes, or None.

    A cumulative sum (CUSUM, Page 1954) whose baseline is learned on the way. The baseline is the
    mean of the iterations so far. An iteration that is below it by more than the allowance is held
    back, and so are those that follow, until their sum is no longer a shortfall; then they all
    join the baseline. It is a loss if the sum of the shortfalls exceeds a limit and the last two
    iterations are below the baseline; the limit is higher for a baseline of few iterations. A gain
    of twice the limit starts a new baseline. So does a loss without a change of parameters before
    it, because then the environment has changed.

    Args:
        told: The iterations, oldest first.
        sigma: The noise of one iteration, in the objective's unit; above 0.
    """
    if not told:
        return None
    values = [one.value for one in told]
    start = 0  # of the baseline
    low = high = 1  # the first iteration that is held back as a shortfall, or as a gain
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
    """Return the sum of how far the values from *first* on are above the mean of those before.

    In sigma of the difference between one value and the mean; each value less the allowance.
    """
    n = first - start
    mean = math.fsum(values[start:first]) / n
    gains = math.fsum(value - mean for value in values[first:])
    return gains / (sigma * math.sqrt(1 + 1 / n)) - ALLOWANCE * (len(values) - first)
