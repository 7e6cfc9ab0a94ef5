"""Noise: how far a metric moves between iterations with unchanged parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

LEAST_FREEDOM = 4
"""Degrees of freedom below which nothing is said: those of five iterations with one mean."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A standard deviation, estimated from iterations with unchanged parameters.

    Args:
        sigma: The estimate, in the metric's unit.
        n: How many iterations it rests on.
        freedom: Its degrees of freedom: *n* less one mean for each set of parameters.
    """

    sigma: float
    n: int
    freedom: int

    @property
    def safe(self) -> float:
        """The sigma to test with: larger, the fewer iterations the estimate rests on.

        The factor, ``1 + 3 / freedom``, follows the quotient of Student's t and the normal
        quantile at 0.995: 1.75 for 4 degrees of freedom (1.79 by the table), 1.16 for 19 (1.11).
        """
        return self.sigma * (1 + 3 / self.freedom)


def measure_noise(samples: Iterable[tuple[Hashable, float]]) -> Noise | None:
    """Return the pooled standard deviation within groups of *samples*.

    Args:
        samples: ``(what was unchanged, value)`` for each iteration, in the metric's unit.

    Returns:
        None for fewer than five iterations with unchanged parameters (more where they are of
        several sets), and where nothing varied.
    """
    groups: dict[Hashable, list[float]] = {}
    for key, value in samples:
        groups.setdefault(key, []).append(value)
    several = [group for group in groups.values() if len(group) > 1]
    n = sum(map(len, several))
    freedom = n - len(several)
    if freedom < LEAST_FREEDOM:
        return None
    means = [math.fsum(group) / len(group) for group in several]
    squares = math.fsum(
        (value - mean) ** 2 for group, mean in zip(several, means, strict=True) for value in group
    )
    return Noise(math.sqrt(squares / freedom), n, freedom) if squares else None


def noise_by_metric(
    iterations: Sequence[tuple[Hashable, Mapping[str, object]]],
) -> dict[str, Noise | None]:
    """Return the noise of every metric that is a number, None where too little tells it.

    Args:
        iterations: ``(what was unchanged, {metric: value})`` for each that can be judged.
    """
    names = sorted({name for _, metrics in iterations for name in metrics})
    samples = {
        name: [(key, metrics[name]) for key, metrics in iterations if name in metrics]
        for name in names
    }
    found = {}
    for name, told in samples.items():
        numbers = [(key, value) for key, value in told if isinstance(value, int | float)]
        if numbers:
            found[name] = measure_noise(numbers)
    return found
