"""The market's effects: how each KPI answers to each parameter, measured on development regimes.

In each regime the corridor is sampled evenly (a Latin hypercube) and a straight line fitted by
least squares. Over the regimes, the mean of the slopes is the pack's ``mean``, their standard
deviation its ``spread``, and the root mean square of what the lines miss, beyond noise, its ``bend``.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from pytest_soak.tuners.response import backward, cholesky, forward

from .regimes import simulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak import Pack

    from .regimes import Regime

POINTS = 64
"""Sampled points of a regime."""
REPEATS = 6
"""Further runs with unchanged parameters, for the noise."""


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line: its slopes per unit of each parameter, and what it misses."""

    slopes: Mapping[str, float]
    missed: float


def sample(pack: Pack, regime: Regime) -> list[tuple[dict[str, float], Mapping[str, Any]]]:
    """Run *regime* at points spread over the corridor, then untuned; return points and metrics."""
    rng = Random(f"measure:{regime.seed}")  # noqa: S311 - reproducible points
    base = dict(pack.profiles[pack.profile].fields)
    columns = {}
    for name, parameter in pack.parameters.items():
        low, high = parameter.limits.lo, parameter.limits.hi
        cells = [(cell + rng.random()) / POINTS for cell in range(POINTS)]
        rng.shuffle(cells)
        columns[name] = [parameter.quantize(low + cell * (high - low)) for cell in cells]
    points = [base | {name: column[i] for name, column in columns.items()} for i in range(POINTS)]
    points += [base] * REPEATS
    return [
        (point, simulate(regime.settings, point, 5_000 + number))
        for number, point in enumerate(points)
    ]


def fit(pack: Pack, metric: str, rows: Sequence[tuple[Mapping[str, float], Mapping[str, Any]]]) -> Line:
    """Fit one metric's line to all *rows* where it has a value."""
    ranges = {n: p.limits.hi - p.limits.lo for n, p in pack.parameters.items()}
    low = {n: p.limits.lo for n, p in pack.parameters.items()}
    seen = [(point, totals[metric]) for point, totals in rows if totals[metric] is not None]
    design = [[1.0, *((p[n] - low[n]) / ranges[n] for n in ranges)] for p, _ in seen]
    values = [value for _, value in seen]
    size = len(ranges) + 1
    normal = [
        [math.fsum(row[i] * row[j] for row in design) + (1e-6 if i == j else 0.0) for j in range(i + 1)]
        for i in range(size)
    ]
    right = [math.fsum(row[i] * v for row, v in zip(design, values, strict=True)) for i in range(size)]
    factor = cholesky(normal)
    solution = backward(factor, forward(factor, right))
    missed = [
        value - math.fsum(a * b for a, b in zip(row, solution, strict=True))
        for row, value in zip(design, values, strict=True)
    ]
    slopes = {name: slope / ranges[name] for name, slope in zip(ranges, solution[1:], strict=True)}
    return Line(slopes, math.sqrt(math.fsum(m * m for m in missed) / max(1, len(missed) - size)))
