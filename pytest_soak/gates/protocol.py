"""What a gate is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_soak.model.metrics import Value
    from pytest_soak.model.verdict import Judgement


class Gate(Protocol):
    """A strategy that judges one iteration by its metrics. Pure."""

    @property
    def requires(self) -> Collection[str]:
        """The metrics without which an iteration is INCONCLUSIVE."""

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        """Return one judgement for each KPI.

        Args:
            metrics: ``{metric: value}`` of the iteration with the watchers' facts.
            n: ``{metric: count}`` behind the values.
        """
