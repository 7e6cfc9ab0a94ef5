"""What is believed of one metric's answer to the parameters: a straight line, and what it misses.

A Gaussian process with an explicit linear trend (Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, sections 2.2 and 2.7). Over points ``x``, each parameter as a share of its
limits' range, counted from the first iteration::

    y(x) = level + sum_j slope_j x_j + rest(x) + noise
    level ~ N(0, wide), slope_j ~ N(effect_j, spread_j^2), noise ~ N(0, sigma^2)
    rest ~ GP(0, bend^2 exp(-|x - x'|^2 / (2 REACH^2)))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REACH = 0.5
"""How far apart, as a share of the range, two points are until they tell little of each other."""
WIDE = 100.0
"""Standard deviation of the level before anything was seen, in units of the metric's scale."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of one metric before the run, per range of each parameter.

    Args:
        effects: The expected slopes, in the metric's unit.
        spreads: Their standard deviations.
        bend: The standard deviation of what a straight line misses.
        noise: The standard deviation between iterations with unchanged parameters.
        scale: A change of the metric that matters; sets how wide the level is.
    """

    effects: tuple[float, ...]
    spreads: tuple[float, ...]
    bend: float
    noise: float
    scale: float


class Response:
    """One metric's answer, given what was seen so far."""

    def __init__(
        self, belief: Belief, points: Sequence[Sequence[float]], values: Sequence[float]
    ) -> None:
        """Learn from *values*, seen at *points*."""
        self._belief = belief
        self._points = points
        self._variances = tuple(spread**2 for spread in belief.spreads)
        self._level = (WIDE * belief.scale) ** 2
        rows = [[self._covariance(a, b) for b in points[: i + 1]] for i, a in enumerate(points)]
        for i, row in enumerate(rows):
            row[i] += belief.noise**2 + 1e-9 * self._level
        self._factor = cholesky(rows)
        missed = [value - self._line(x) for x, value in zip(points, values, strict=True)]
        self._weights = backward(self._factor, forward(self._factor, missed))

    def predict(self, point: Sequence[float]) -> tuple[float, float]:
        """Return the mean and the standard deviation of one more measurement at *point*."""
        near = [self._covariance(point, seen) for seen in self._points]
        mean = self._line(point) + sum(map(mul, near, self._weights))
        told = forward(self._factor, near)
        variance = self._covariance(point, point) - sum(map(mul, told, told))
        return mean, math.sqrt(max(variance, 0.0) + self._belief.noise**2)

    def _line(self, point: Sequence[float]) -> float:
        return sum(map(mul, self._belief.effects, point))

    def _covariance(self, a: Sequence[float], b: Sequence[float]) -> float:
        line = sum(map(mul, self._variances, map(mul, a, b)))
        apart = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return self._level + line + self._belief.bend**2 * math.exp(-apart / (2 * REACH**2))


def cholesky(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the lower triangle L with L L^T = A, of which *rows* are the lower triangle."""
    factor: list[list[float]] = []
    for i, row in enumerate(rows):
        new: list[float] = []
        for j in range(i):
            new.append((row[j] - sum(map(mul, new, factor[j]))) / factor[j][j])
        new.append(math.sqrt(row[i] - sum(map(mul, new, new))))
        factor.append(new)
    return factor


def forward(factor: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solve ``L x = right``."""
    found: list[float] = []
    for row, value in zip(factor, right, strict=True):
        found.append((value - sum(map(mul, row, found))) / row[-1])
    return found


def backward(factor: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solve ``L^T x = right``."""
    found = list(right)
    for i in reversed(range(len(found))):
        found[i] /= factor[i][i]
        for j in range(i):
            found[j] -= factor[i][j] * found[i]
    return found
