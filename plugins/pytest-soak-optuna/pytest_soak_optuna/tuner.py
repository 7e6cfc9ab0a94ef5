"""The tuner ``optuna``. It has no state: each answer rebuilds the study from the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak import Corridor, Proposal
from pytest_soak_optuna.aim import SHARED, Aim, Measurement
from pytest_soak_optuna.trials import next_point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak import History, Pack

NEWEST = 200
"""The largest number of own measurements in the study; it bounds the cost of an answer."""

DIGITS = 12
"""Decimals of a delta: 1.61 - 0.2 is 1.41, not 1.4100000000000001."""


class OptunaTuner:
    """Proposes the point that Optuna asks for, until every KPI is within its limits."""

    corridor = Corridor.LIMITS

    def __init__(self, pack: Pack) -> None:
        """Take the *pack*: its parameters, KPIs and objective."""
        self._pack = pack
        self._aim = Aim(pack)

    @property
    def requires(self) -> tuple[str, ...]:
        """The metrics of the KPIs and of the objective."""
        return self._aim.metrics

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        """Propose the deltas to the next point; nothing while every KPI is within its limits.

        A tuner does not know how many iterations are left, and each step to a new point may be the
        last one. So it stays at a good point instead of searching for a better one.
        """
        own = [
            found
            for entry in history[-NEWEST:]
            if (found := self._aim.measured(entry.summary)) is not None
        ]
        if not own:
            return Proposal()
        if self._aim.reached(own[-1].metrics):
            return Proposal(reasons=("every KPI keeps its limits",))
        shared = self._taken_over(history)
        tried = [measurement.parameters for measurement in own]
        good = [
            one for one in shared if self._aim.reached(one.metrics) and one.parameters not in tried
        ]
        if good:
            sign = 1 if self._aim.direction == "maximize" else -1
            best = max(good, key=lambda one: sign * self._aim.value(one.metrics))
            return self._way(parameters, best.parameters, f"optuna: as good in {best.origin}")
        measured = [*shared, *own]
        target = next_point(measured, self._aim, self._pack)
        return self._way(parameters, target, f"optuna: trial {len(measured)}")

    def _taken_over(self, history: History) -> list[Measurement]:
        """Return the measurements that the watcher recorded in the history, if any."""
        for entry in history:
            texts = entry.summary.metrics.get(SHARED)
            if isinstance(texts, tuple):
                return self._aim.loads(texts)
        return []

    def _way(self, now: Mapping[str, float], target: Mapping[str, float], reason: str) -> Proposal:
        """Return the deltas from *now* to *target*, on the grids and within the limits."""
        deltas = {
            name: round(
                parameter.limits.clamp(parameter.quantize(target[name])) - now[name], DIGITS
            )
            for name, parameter in self._pack.parameters.items()
        }
        return Proposal({name: delta for name, delta in deltas.items() if delta}, (reason,))
