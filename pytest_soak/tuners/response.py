"""The dependence of one metric on the parameters: a straight line and its residual.

A Gaussian process with an explicit linear trend (Rasmussen and Williams, *Gaussian Processes for
Machine Learning*, MIT Press 2006, sections 2.2 and 2.7). Over points ``x``, each parameter as a
share of its limits' range and counted from the first point::

    y(x)  = level + sum_j slope_j x_j + rest(x) + noise
    level ~ N(0, (WIDE scale)^2),  slope_j ~ N(effect_j, spread_j^2),  noise ~ N(0, sigma^2)
    rest  ~ GP(0, bend^2 exp(-|x - x'|^2 / (2 REACH^2)))

So the pack's effects are a prior, which a few iterations correct where it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REACH = 0.5
"""The length scale of the residual, as a share of the range."""
WIDE = 100.0
"""The prior standard deviation of the level, in units of the metric's scale."""


@dataclass(frozen=True, slots=True)
class Belief:
    """The prior belief about one metric.

    Args:
        effects: The expected slopes, the metric's change over the whole range of each parameter.
        spreads: Their standard deviations.
        bend: The standard deviation of the residual of the straight line.
        noise: The standard deviation between iterations with unchanged parameters, above 0.
        scale: The size of the metric, which scales the prior of its level.
    """

    effects: tuple[float, ...]
    spreads: tuple[float, ...]
    bend: float
    noise: float
    scale: float


class Response:
    """The posterior of one metric."""

    def __init__(
        self, belief: Belief, points: Sequence[Sequence[float]], values: Sequence[float]
    ) -> None:
        """Learn from *values* at *points*, oldest first."""
        self._belief = belief
        self._points = points
        self._variances = tuple(spread**2 for spread in belief.spreads)
        self._level = (WIDE * belief.scale) ** 2
        rows = [[self._covariance(a, b) for b in points[: i + 1]] for i, a in enumerate(points)]
        for row in rows:
            row[-1] += belief.noise**2
        self._factor = cholesky(rows)
        missed = [value - self._line(x) for x, value in zip(points, values, strict=True)]
        self.surprises = forward(self._factor, missed)
        """The residual of each value, given those before it, in standard deviations."""
        self._weights = backward(self._factor, self.surprises)

    def predict(self, point: Sequence[float]) -> tuple[float, float]:
        """Return the mean and the standard deviation of one more measurement, at *point*."""
        alike = [self._covariance(point, seen) for seen in self._points]
        mean = self._line(point) + sum(map(mul, alike, self._weights))
        told = forward(self._factor, alike)
        variance = self._covariance(point, point) - sum(map(mul, told, told))
        return mean, math.sqrt(max(variance, 0.0) + self._belief.noise**2)

    def _line(self, point: Sequence[float]) -> float:
        line: float = sum(map(mul, self._belief.effects, point))
        return line

    def _covariance(self, a: Sequence[float], b: Sequence[float]) -> float:
        slopes: float = sum(map(mul, self._variances, map(mul, a, b)))
        apart = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return self._level + slopes + self._belief.bend**2 * math.exp(-apart / (2 * REACH**2))


def cholesky(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the lower triangle L with ``L L^T = A``, of which *rows* are the lower triangle."""
    factor: list[list[float]] = []
    for row in rows:
        new: list[float] = []
        for value, above in zip(row, factor, strict=False):  # the last value has no row above it
            new.append((value - sum(map(mul, new, above))) / above[-1])
        new.append(math.sqrt(row[-1] - sum(map(mul, new, new))))
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
        found[i] /= factor[i][-1]
        for j in range(i):
            found[j] -= factor[i][j] * found[i]
    return found
