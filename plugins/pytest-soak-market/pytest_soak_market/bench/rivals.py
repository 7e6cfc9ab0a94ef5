"""Random search, with the same steps, corridor and guards as the tuners."""

from __future__ import annotations

import hashlib
from random import Random
from typing import TYPE_CHECKING

from pytest_soak import Corridor, Proposal

from .limits import Limits, passes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import History, Pack, Tuner


class RandomSearch:
    """Steps at random from the best iteration so far, until none of its KPIs is at WARN.

    Each parameter moves evenly within its largest step. Random numbers derive from the latest
    metrics, so the tuner is a pure function of the history.
    """

    corridor = Corridor.LIMITS

    def __init__(self, pack: Pack) -> None:
        """Take the pack's parameters, KPIs and noise."""
        self._pack = pack
        self._limits = Limits(pack, "warn", pack.noise)

    @property
    def requires(self) -> tuple[str, ...]:
        """Every KPI's metric."""
        return tuple(kpi.metric for kpi in self._pack.required_kpis)

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        """Propose a random neighbour of the best iteration, within the largest steps."""
        latest = history.latest
        if passes(self._pack, latest.metrics, "warn"):
            return Proposal()
        known = [entry.summary for entry in history if not entry.summary.problems]
        best = max(known, key=lambda summary: self._limits.merit(summary.metrics))
        text = repr((latest.iteration, sorted((k, str(v)) for k, v in latest.metrics.items())))
        rng = Random(hashlib.sha256(text.encode()).digest())  # noqa: S311 - reproducible
        deltas = {}
        for name, parameter in self._pack.parameters.items():
            most = parameter.largest_step
            target = best.parameters[name] + rng.uniform(-most, most)
            target = parameter.limits.clamp(target)
            deltas[name] = max(-most, min(most, target - parameters[name]))
        return Proposal(deltas, ("chance",))


class RivalsPlugin:
    """Offers the tuners that exist only for comparison."""

    def pytest_soak_tuners(self) -> Mapping[str, Callable[[Pack], Tuner]]:
        """Offer random search."""
        return {"random": RandomSearch}
