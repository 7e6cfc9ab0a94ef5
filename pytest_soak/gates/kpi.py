"""The gate that judges KPIs by their criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.kpi import Ask, Kpi
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.verdict import Judgement


class KpiGate:
    """Judges each KPI by its criteria; one without a value is INCONCLUSIVE, unless optional."""

    def __init__(self, kpis: Sequence[Kpi], *ask: Ask) -> None:
        """Judge by *kpis*, whose criteria *ask* calls."""
        self._kpis, self._ask = tuple(kpis), ask

    @property
    def requires(self) -> tuple[str, ...]:
        """Every KPI's metric, without optional ones."""
        return tuple(kpi.metric for kpi in self._kpis if not kpi.optional)

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        """Return one judgement for each KPI, in the pack's order, without absent optional ones."""
        return tuple(
            kpi.judge(metrics.get(kpi.metric), n.get(kpi.metric), *self._ask)
            for kpi in self._kpis
            if kpi.expects(metrics)
        )
