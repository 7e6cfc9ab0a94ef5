"""What a pack asks for, in numbers that Optuna can use: space, value and constraints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_soak import Pack, Summary, Threshold

SHARED = "optuna_shared"
"""The fact that holds the measurements taken over from a storage, one JSON text each."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one iteration ran with and what it measured.

    Args:
        parameters: ``{parameter: value}``, the tunable ones.
        metrics: ``{metric: value}``, those that the KPIs and the objective look at.
        origin: The run and iteration it was taken over from; empty for the chain's own.
    """

    parameters: Mapping[str, float]
    metrics: Mapping[str, float]
    origin: str = ""

    def dumps(self, origin: str = "") -> str:
        """Return it as one line of JSON, the same for the same measurement, with its *origin*."""
        parts = {"parameters": self.parameters, "metrics": self.metrics, "origin": origin}
        return json.dumps(parts, sort_keys=True)


class Aim:
    """Tells how good a measurement is by the pack's KPIs and objective."""

    def __init__(self, pack: Pack) -> None:
        """Take the *pack*; its KPIs hold what gate settings made of them."""
        self._pack = pack
        self._objective = pack.objective
        kpis = [kpi.metric for kpi in pack.kpis]
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
        """Return how far each limit is exceeded, as a share of it; negative where it is kept.

        A KPI that breaks its FAIL limit mostly breaks its WARN limit too, and so counts twice.
        """
        return {
            f"{kpi.metric} {verdict.name}": _excess(limit, metrics[kpi.metric])
            for kpi in self._pack.kpis
            for verdict, limit in reversed(kpi.limits)
        }

    def reached(self, metrics: Mapping[str, float]) -> bool:
        """Tell whether every KPI keeps its limits, WARN and FAIL."""
        return all(
            not limit.broken_by(metrics[kpi.metric])
            for kpi in self._pack.kpis
            for _, limit in kpi.limits
        )

    def measured(self, summary: Summary) -> Measurement | None:
        """Return what *summary* measured, or None where it says nothing about its parameters.

        These are an iteration with problems, the first one after the system lost its state, and
        one that lacks a metric.
        """
        if summary.problems or summary.restarted:
            return None
        return self._checked(summary.parameters, summary.metrics)

    def loads(self, words: Iterable[str]) -> list[Measurement]:
        """Return the measurements that were written as JSON, without those that do not fit.

        One does not fit where a parameter or a metric is missing or no number, or a parameter lies
        outside the limits: it was measured under another pack.
        """
        found = []
        for word in words:
            raw = json.loads(word)
            fits = self._checked(raw["parameters"], raw["metrics"], raw["origin"])
            if fits is not None:
                found.append(fits)
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
    """Return the numbers called *names* as floats, or None where one of them is none."""
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
