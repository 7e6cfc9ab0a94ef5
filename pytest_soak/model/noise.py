"""Noise: the standard deviation of a metric between iterations with unchanged parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

LEAST_FREEDOM = 4
"""The fewest degrees of freedom for an estimate: those of five iterations with one mean."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A standard deviation, estimated from iterations with unchanged parameters.

    Args:
        sigma: The estimate, in the metric's unit.
        n: How many iterations it is computed from.
        freedom: Its degrees of freedom: *n* less one mean for each set of parameters.
    """

    sigma: float
    n: int
    freedom: int

    @property
    def safe(self) -> float:
        """The sigma to test with: larger where few iterations were measured.

        The factor ``1 + 3 / freedom`` approximates the ratio of the quantiles of Student's t and
        of the normal distribution at 0.995: 1.75 for 4 degrees of freedom (exact: 1.79), 1.16 for
        19 (exact: 1.11).
        """
        return self.sigma * (1 + 3 / self.freedom)


def measure_noise(samples: Iterable[tuple[Hashable, float]]) -> Noise | None:
    """Return the pooled standard deviation within groups of *samples*.

    Args:
        samples: ``(parameters, value)`` for each iteration; the value in the metric's unit.

    Returns:
        None if fewer than five iterations share their parameters (more are needed if there are
        several sets of parameters), or if nothing varied.
    """
    groups: dict[Hashable, list[float]] = {}
    for key, value in samples:
        groups.setdefault(key, []).append(value)
    several = [group for group in groups.values() if len(group) > 1]
    n = sum(map(len, several))
    freedom = n - len(several)
    if freedom < LEAST_FREEDOM:
        return None
    squares = math.fsum(
        (value - mean) ** 2
        for group in several
        for mean in [math.fsum(group) / len(group)]
        for value in group
    )
    return Noise(math.sqrt(squares / freedom), n, freedom) if squares else None


def noise_by_metric(
    iterations: Sequence[tuple[Hashable, Mapping[str, object]]],
) -> dict[str, Noise | None]:
    """Return the noise of every metric that is a number; None if it cannot be estimated.

    Args:
        iterations: ``(parameters, {metric: value})`` for each iteration without a problem.
    """
    samples: dict[str, list[tuple[Hashable, float]]] = {}
    for key, metrics in iterations:
        for name, value in metrics.items():
            if isinstance(value, int | float):
                samples.setdefault(name, []).append((key, value))
    return {name: measure_noise(samples[name]) for name in sorted(samples)}
