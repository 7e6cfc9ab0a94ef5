"""The gate that compares KPIs with their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.model.metrics import is_number
from pytest_soak.model.verdict import Judgement, Kpi, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.metrics import Value


class KpiGate:
    """Judges each KPI by its WARN and FAIL limits; without a value it is INCONCLUSIVE."""

    def __init__(self, kpis: Sequence[Kpi]) -> None:
        """Take the *kpis* with their limits."""
        self._kpis = tuple(kpis)

    @property
    def requires(self) -> tuple[str, ...]:
        """Every KPI's metric."""
        return tuple(kpi.metric for kpi in self._kpis)

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        """Return one judgement for each KPI, in the pack's order."""
        return tuple(_judge(kpi, metrics.get(kpi.metric), n.get(kpi.metric)) for kpi in self._kpis)


def _judge(kpi: Kpi, value: Value, n: int | None) -> Judgement:
    if not is_number(value):
        return Judgement(kpi.metric, Verdict.INCONCLUSIVE, n=n, problem="no value")
    for verdict, threshold in ((Verdict.FAIL, kpi.fail), (Verdict.WARN, kpi.warn)):
        if threshold is not None and threshold.broken_by(value):
            return Judgement(kpi.metric, verdict, value, n, str(threshold))
    return Judgement(kpi.metric, Verdict.PASS, value, n)
