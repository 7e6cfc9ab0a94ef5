"""The summary of one iteration: what the watchers and gates made of its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_soak.model.problem import Kind
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_soak.model.metrics import Value
    from pytest_soak.model.problem import Problem


class Verified(StrEnum):
    """Whether the system was seen to use what had been applied before its iteration."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Summary:
    """What the watchers and gates made of the report of one iteration.

    Args:
        iteration: Its number, from 1.
        parameters: The effective parameters it ran with.
        metrics: ``{metric: value}`` with the watchers' facts; None where undefined.
        n: ``{metric: count}`` behind the values.
        verdict: The gate's word for this iteration alone.
        problems: Why it is INCONCLUSIVE; empty where it is not.
        doubts: ``{field: false or unknown}`` for each parameter that the report contradicts or is
            silent on; the others were seen to be used as asked.
        in_window: Whether it belongs to the observation window.
        restarted: Whether the system lost its state before it, in a run that was resumed.
    """

    iteration: int
    parameters: Mapping[str, float]
    metrics: Mapping[str, Value]
    n: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict = Verdict.INCONCLUSIVE
    problems: tuple[Problem, ...] = ()
    doubts: Mapping[str, Verified] = field(default_factory=dict)
    in_window: bool = False
    restarted: bool = False

    def __post_init__(self) -> None:
        """Make the mappings read-only: a strategy cannot change the history it is shown."""
        for name in ("parameters", "metrics", "n", "doubts"):
            view = MappingProxyType(dict(getattr(self, name)))
            object.__setattr__(self, name, view)

    @property
    def verified(self) -> Verified:
        """Whether the parameters it ran with were the ones asked for."""
        return self.saw(self.doubts)

    @property
    def missing(self) -> set[str]:
        """The metrics that are needed and that the report does not have at all."""
        lacking = (p.data["metric"] for p in self.problems if p.kind is Kind.METRIC_UNUSABLE)
        return {str(metric) for metric in lacking if metric not in self.metrics}

    def saw(self, fields: Iterable[str]) -> Verified:
        """Return whether *fields* were used as asked; unknown if the report does not say."""
        words = {self.doubts.get(name) for name in fields}
        for word in (Verified.FALSE, Verified.UNKNOWN):
            if word in words:
                return word
        return Verified.TRUE

    def number(self, metric: str) -> float:
        """Return the value of *metric*.

        Raises:
            KeyError: The metric is undefined here, or is not a number. A tuner whose ``requires``
                names it is never asked in such an iteration.
        """
        value = self.metrics.get(metric)
        if value is None or isinstance(value, tuple):
            raise KeyError(metric)
        return value
