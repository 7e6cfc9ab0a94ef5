"""The distance of metrics from the pack's limits, in units of their noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_soak import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_soak import Kpi, Pack, Threshold

WORST = -400.0
"""The distance, in sigmas, of a metric that has no value."""
FAR = -7.0


def thresholds(kpi: Kpi, level: str) -> list[Threshold]:
    """Return the limits of *kpi* that count at *level*: ``fail``, or ``warn`` with both."""
    return [limit for verdict, limit in kpi.limits if level == "warn" or verdict is Verdict.FAIL]


def broken(pack: Pack, totals: Mapping[str, Any], level: str) -> Iterator[str]:
    """Yield the KPIs beyond a limit of *level*; one without a value is."""
    for kpi in pack.required_kpis:
        value = totals[kpi.metric]
        if value is None or any(limit.broken_by(value) for limit in thresholds(kpi, level)):
            yield kpi.metric


def passes(pack: Pack, totals: Mapping[str, Any], level: str) -> bool:
    """Return whether no KPI is beyond a limit of *level*."""
    return not any(broken(pack, totals, level))


class Limits:
    """The limits of one level, and the merit of a run under them."""

    def __init__(self, pack: Pack, level: str, noise: Mapping[str, float]) -> None:
        """Take the limits of *level* and, as the unit of distance, each metric's noise."""
        self._limits = [
            (kpi.metric, limit.value, 1.0 if limit.op.holds(1, 0) else -1.0, noise[kpi.metric])
            for kpi in pack.required_kpis
            for limit in thresholds(kpi, level)
        ]

    def merit(self, totals: Mapping[str, Any]) -> float:
        """Return the log of the probability that a run like this one passes; 0 is certainty."""
        merit = 0.0
        for metric, limit, bad, sigma in self._limits:
            value = totals[metric]
            room = WORST if value is None else max(WORST, bad * (limit - value) / sigma)
            merit += math.log(0.5 * math.erfc(-max(room, FAR) / math.sqrt(2)))
            merit += min(0.0, room - FAR)  # linear far out, where log would reach -inf
        return merit
