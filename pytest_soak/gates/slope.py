"""How fast a series rises or falls, with an interval. It needs numpy and scipy.

A line by least squares through the medians of 8 blocks. Medians are robust against outliers, and
the longer the blocks are, the less they depend on each other. (Batch means: Law, Simulation
Modeling and Analysis, 5th edition, 2015, chapter 9.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import lfilter
from scipy.stats import t

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = 8
"""Fewer find less, more alarm more often falsely where iterations depend on each other."""
LEVEL = 0.99
"""How sure the interval is: it lies wholly beyond the true slope in 0.5 % of white series."""
SIZE = 5
"""The growth over the run that is simulated, in standard deviations of the noise."""
SERIES = 1000
"""How many series are simulated."""
LONGEST = 1000
"""The most iterations of a simulated series; the rates of longer ones are better."""
STRONGEST = 0.95
"""The largest autocorrelation that is simulated."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through a series, in the series' units.

    Args:
        value: Its slope.
        low: The lower end of the interval of the slope.
        high: The upper end.
        middle: Where the line passes `level`, whatever its slope in the interval.
        level: The value there.
        start: Where the series starts.
        end: Where it ends.
        dependence: The autocorrelation of the noise from one iteration to the next, 0 to .95.
    """

    value: float
    low: float
    high: float
    middle: float
    level: float
    start: float
    end: float
    dependence: float

    def at(self, place: float, slope: float) -> float:
        """Return the value at *place* of the line with another *slope*."""
        return self.level + slope * (place - self.middle)


def slope_of(x: Sequence[float], y: Sequence[float]) -> Slope | None:
    """Return the slope of *y* over *x*, `BLOCKS` numbers or more; None if *x* does not advance.

    The ends of the interval have 6 digits, because further ones differ between machines.
    """
    places, values = np.array(x, float), np.array(y, float)
    middles = _medians(places)
    middle, span = float(middles.mean()), float(np.ptp(middles))
    if not span:
        return None
    # Scaled, so that no square overflows.
    zero = float(np.median(values))
    size = float(np.abs(values - zero).max()) or 1.0
    u, v = (places - middle) / span, (values - zero) / size
    slope, level, half = _line(u, v)
    value, low, high = (
        float(f"{float(each) * size / span:.6g}") for each in (slope, slope - half, slope + half)
    )
    level_in_full = zero + size * float(level)
    dependence = _dependence(v - level - slope * u)
    return Slope(value, low, high, middle, level_in_full, x[0], x[-1], dependence)


def _medians(numbers: Any) -> Any:  # noqa: ANN401 - an array of any shape
    """Return the medians of `BLOCKS` blocks along the last axis, which becomes the first."""
    return np.array([np.median(one, -1) for one in np.array_split(numbers, BLOCKS, -1)])


def _line(u: Any, v: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 - arrays
    """Return slope, level at 0 and half the interval of the slope, for each series in *v*."""
    line, covariance = np.polyfit(_medians(u), _medians(v), 1, cov=True)
    half = t.ppf((1 + LEVEL) / 2, BLOCKS - 2) * np.sqrt(covariance[0, 0])
    return line[0], line[1], half


def _dependence(noise: Any) -> float:  # noqa: ANN401 - an array
    """Return the autocorrelation at lag 1, corrected for the line that was subtracted.

    The correction is that of Shaman and Stine, The bias of autoregressive coefficient estimators,
    1988, for a series around a line.
    """
    squares = float(noise @ noise)
    if squares < len(noise) * ROUNDING**2:
        return 0.0
    found = float(noise[1:] @ noise[:-1]) / squares
    return min(max(found + (2 + 4 * found) / len(noise), 0.0), STRONGEST)


ROUNDING = 1e-12
"""What is no noise, as a share of the largest distance from the median."""


def rates(n: int, dependence: float) -> tuple[float, float]:
    """Return how often slopes are above 0: without growth, and with a growth of 5 sigma.

    Simulated for a series of *n* iterations, with normal noise of this *dependence*. The same
    arguments give the same rates.
    """
    return _rates(min(n, LONGEST), round(dependence * 20) / 20)


@cache
def _rates(n: int, dependence: float) -> tuple[float, float]:
    numbers = np.random.default_rng(n)
    shocks = numbers.standard_normal((SERIES, n)) * np.sqrt(1 - dependence**2)
    before = dependence * numbers.standard_normal((SERIES, 1))
    noise, _ = lfilter([1], [1, -dependence], shocks, zi=before)
    u = np.linspace(-0.5, 0.5, n)
    shares = []
    for growth in (0, SIZE):
        slope, _, half = _line(u, noise + growth * u)
        shares.append(float(np.mean(slope - half > 0)))
    return shares[0], shares[1]
