"""Converts summaries to measurements, and these to value and constraints for Optuna."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_soak import Pack, Summary, Threshold

SHARED = "optuna_shared"
"""The fact with the measurements taken over from a storage, one JSON text each."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The parameters and metrics of one iteration.

    Args:
        parameters: ``{parameter: value}``, the tunable ones.
        metrics: ``{metric: value}``, those of the KPIs and the objective.
        origin: The run and iteration it was taken over from; empty for the chain's own.
    """

    parameters: Mapping[str, float]
    metrics: Mapping[str, float]
    origin: str = ""

    def dumps(self, origin: str = "") -> str:
        """Return it as one line of JSON with its *origin*; equal measurements give equal text."""
        parts = {"parameters": self.parameters, "metrics": self.metrics, "origin": origin}
        return json.dumps(parts, sort_keys=True)


class Aim:
    """Rates a measurement by the pack's KPIs and objective."""

    def __init__(self, pack: Pack) -> None:
        """Take the *pack*; gate settings are applied to its KPIs already."""
        self._pack = pack
        self._objective = pack.objective
        kpis = [kpi.metric for kpi in pack.required_kpis]
        wanted = [*kpis, pack.objective.metric] if pack.objective else kpis
        self.metrics = tuple(dict.fromkeys(wanted))

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """The direction of Optuna's study: ``maximize`` or ``minimize``."""
        down = self._objective is not None and self._objective.better == "down"
        return "minimize" if down else "maximize"

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the pack's objective; without one, how far the tightest KPI is from its limit."""
        if self._objective is not None:
            return metrics[self._objective.metric]
        return -max(self.constraints(metrics).values())

    def constraints(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return by which share each limit is exceeded; negative where it holds.

        A KPI that breaks its FAIL limit mostly breaks its WARN limit too, and so counts twice.
        """
        return {
            f"{kpi.metric} {verdict.name}": _excess(limit, metrics[kpi.metric])
            for kpi in self._pack.required_kpis
            for verdict, limit in reversed(kpi.limits)
        }

    def reached(self, metrics: Mapping[str, float]) -> bool:
        """Return whether every KPI is within its limits, WARN and FAIL."""
        return all(
            not limit.broken_by(metrics[kpi.metric])
            for kpi in self._pack.required_kpis
            for _, limit in kpi.limits
        )

    def measured(self, summary: Summary) -> Measurement | None:
        """Return the measurement of *summary*, or None if it has no valid one.

        An iteration with problems, one of a restarted system, and one that lacks a metric say
        nothing about their parameters.
        """
        if summary.problems or summary.restarted:
            return None
        return self._checked(summary.parameters, summary.metrics)

    def loads(self, texts: Iterable[str]) -> list[Measurement]:
        """Parse measurements from JSON and return those that fit the pack.

        One that lacks a parameter or metric, or has a parameter outside the limits, was measured
        under another pack.
        """
        found = []
        for text in texts:
            raw = json.loads(text)
            measurement = self._checked(raw["parameters"], raw["metrics"], raw["origin"])
            if measurement is not None:
                found.append(measurement)
        return found

    def _checked(
        self, parameters: Mapping[str, object], metrics: Mapping[str, object], origin: str = ""
    ) -> Measurement | None:
        known = _numbers(parameters, self._pack.parameters)
        values = _numbers(metrics, self.metrics)
        if known is None or values is None:
            return None
        if any(known[name] not in each.limits for name, each in self._pack.parameters.items()):
            return None
        return Measurement(known, values, origin)


def _numbers(given: Mapping[str, object], names: Iterable[str]) -> dict[str, float] | None:
    """Return the values of *names* as floats, or None if one is not a number."""
    found = {}
    for name in names:
        value = given.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        found[name] = float(value)
    return found


def _excess(limit: Threshold, value: float) -> float:
    beyond = value - limit.value if limit.op in (">", ">=") else limit.value - value
    return beyond / (abs(limit.value) or 1.0)
