"""How each KPI answers to each parameter, measured in the development regimes: the pack's effects.

A run starts untuned and should end near the oracle's parameters. So each regime is sampled along
that way, up to a quarter of the range to all sides of it, and a straight line is fitted by least
squares to each KPI. The median of its slopes over the regimes is the pack's ``mean``; half the
distance between the 16th and the 84th percentile, one standard deviation of a normal distribution,
its ``spread``; and the median of what the lines miss its ``bend``. Runs in which the maker is
overloaded only inform about lag; they are left out for all other KPIs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from pytest_soak.tuners.response import backward, cholesky, forward

from .regimes import simulate

if TYPE_CHECKING:
    from pytest_soak import Pack

    from .regimes import Regime

Rows = Sequence[tuple[Mapping[str, float], Mapping[str, Any]]]
"""Parameters, and the metrics of a run with them."""

POINTS = 48
"""Runs in each regime."""
AROUND = 0.25
"""How far from the way they lie, as a share of each range."""
TELLING = 30
"""How many runs of a regime must inform about a KPI, or the regime is left out for it."""
LAG = "ws_lag_p95_ms"
OVERLOAD_MS = 1_000.0
LOG = (LAG, "order_age_p95_ms")
"""KPIs whose answers are ratios and not differences: seen on a log scale."""


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line: its slope per unit of each parameter, and what it misses."""

    slopes: Mapping[str, float]
    missed: float


def sample(pack: Pack, regime: Regime) -> Rows:
    """Run *regime* at points along the way from the profile to the oracle's parameters."""
    rng = Random(f"t{regime.seed}")  # noqa: S311 - reproducible points
    base = pack.profiles[pack.profile].fields
    ends = [best.parameters for best in regime.oracle.values()]
    rows = []
    for number in range(POINTS):
        done = rng.random()
        point = dict(base)
        for name, parameter in pack.parameters.items():
            bounds = parameter.limits
            on_way = base[name] + done * (ends[number % len(ends)][name] - base[name])
            beside = rng.uniform(-AROUND, AROUND) * (bounds.hi - bounds.lo)
            point[name] = parameter.quantize(bounds.clamp(on_way + beside))
        rows.append((point, simulate(regime.settings, point, 5_000 + number)))
    return rows


def fit(names: Sequence[str], rows: Sequence[tuple[Mapping[str, float], float]]) -> Line:
    """Fit a straight line through *rows* of parameters and values, by least squares."""
    low = {name: min(point[name] for point, _ in rows) for name in names}
    reach = {name: max(point[name] for point, _ in rows) - low[name] or 1.0 for name in names}
    design = [[1.0, *((x[name] - low[name]) / reach[name] for name in names)] for x, _ in rows]
    size = range(len(names) + 1)
    normal = [[math.fsum(row[i] * row[j] for row in design) for j in range(i + 1)] for i in size]
    for i in size:
        normal[i][i] += 1e-9 * len(rows)  # a column that never moved has slope 0
    values = [value for _, value in rows]
    right = [math.fsum(row[i] * y for row, y in zip(design, values, strict=True)) for i in size]
    factor = cholesky(normal)
    solved = backward(factor, forward(factor, right))
    missed = [
        value - math.fsum(a * b for a, b in zip(row, solved, strict=True))
        for row, value in zip(design, values, strict=True)
    ]
    slopes = {name: solved[i] / reach[name] for i, name in enumerate(names, 1)}
    return Line(slopes, math.sqrt(math.fsum(m * m for m in missed) / (len(rows) - len(size))))


def effects(pack: Pack, regimes: Sequence[Regime]) -> Iterator[str]:
    """Sample *regimes* and yield the lines of the pack's ``[effects]``."""
    samples = [sample(pack, regime) for regime in regimes]
    for kpi in pack.required_kpis:
        limit = kpi.limits[0][1].value
        log = kpi.metric in LOG
        lines = []
        for rows in samples:
            seen = [
                (point, totals[kpi.metric]) for point, totals in rows if _tells(kpi.metric, totals)
            ]
            if log:
                seen = [(point, math.log(max(value, 1e-3 * limit))) for point, value in seen]
            if len(seen) >= TELLING:
                lines.append(fit(tuple(pack.parameters), seen))
        yield f"[effects.{kpi.metric}]"
        if log:
            yield "log = true"
        slopes = {name: [line.slopes[name] for line in lines] for name in pack.parameters}
        means = {name: statistics.median(each) for name, each in slopes.items()}
        spreads = {name: _deviation(each) for name, each in slopes.items()}
        for word, table in (("mean", means), ("spread", spreads)):
            inside = ", ".join(f"{name} = {value:.3g}" for name, value in table.items())
            yield f"{word} = {{ {inside} }}"
        yield f"bend = {statistics.median(line.missed for line in lines):.3g}"
        yield ""


def _tells(metric: str, totals: Mapping[str, Any]) -> bool:
    overloaded = totals[LAG] is not None and totals[LAG] > OVERLOAD_MS
    return totals[metric] is not None and (metric == LAG or not overloaded)


def _deviation(values: Sequence[float]) -> float:
    """Return half of what lies between the 16th and the 84th percentile."""
    ordered, last = sorted(values), len(values) - 1
    return (ordered[round(0.84 * last)] - ordered[round(0.16 * last)]) / 2
