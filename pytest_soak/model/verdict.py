"""Verdicts, thresholds, and the judgements of iterations and of runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_soak.model.metrics import Op, in_full

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_soak.model.problem import Problem


class Verdict(IntEnum):
    """The verdicts of a gate; a larger one is worse."""

    PASS = 0
    WARN = 1
    INCONCLUSIVE = 2
    FAIL = 3

    @property
    def good(self) -> bool:
        """Whether a chain with this verdict passes."""
        return self <= Verdict.WARN


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit that says what is bad, such as ``throughput < 80``; strict or not as written."""

    op: Op
    value: float

    def broken_by(self, value: float) -> bool:
        """Tell whether *value* is on the bad side."""
        return self.op.holds(value, self.value)

    def worst(self, values: Iterable[float]) -> float:
        """Return the one of *values* that is farthest on the bad side."""
        return max(values) if self.op in (Op.GT, Op.GE) else min(values)

    def __str__(self) -> str:
        """Return the limit as people write it, ``< 2.5``."""
        return f"{self.op} {in_full(self.value)}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of one KPI in one iteration.

    Args:
        metric: Its metric.
        verdict: PASS, WARN, INCONCLUSIVE or FAIL.
        value: What was judged, in the metric's unit; None if there was no value.
        n: The number of observations behind the value; None if unknown.
        rule: The rule that it breaks, as people write it; empty if it breaks none.
        problem: Why it could not be judged; empty if it could.
        gate: The gate of a plugin that gave it; empty for the KPI's own criteria.
    """

    metric: str
    verdict: Verdict
    value: float | None = None
    n: int | None = None
    rule: str = ""
    problem: str = ""
    gate: str = ""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of *verdicts*; INCONCLUSIVE if there are none: unjudged is not passed."""
    return max(verdicts, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class IterationVerdict:
    """The verdict on one iteration of a chain.

    Args:
        iteration: Its number, from 1.
        verdict: The worst of its judgements; INCONCLUSIVE if it has a problem.
        judgements: One for each KPI.
        problems: Why it is INCONCLUSIVE.
    """

    iteration: int
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class RunJudgement:
    """The judgement of one criterion over a run.

    Args:
        criterion: The name of the criterion.
        metric: Its metric; empty if it judges the run as a whole.
        verdict: PASS, WARN, INCONCLUSIVE or FAIL; None if it was not judged, by plan.
        value: What was judged, such as a slope; None if there is no such number.
        low: The lower end of the interval in which *value* is expected; None without an interval.
        high: The upper end of that interval.
        n: The number of iterations that it is based on.
        rule: What is allowed or not allowed, as people write it.
        detail: What else a reader should know, as text.
        problem: Why it was not judged, or is INCONCLUSIVE; empty if it was judged.
        iterations: The iterations that broke the rule one by one, the first ones if they are many.
    """

    criterion: str
    metric: str
    verdict: Verdict | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    rule: str = ""
    detail: str = ""
    problem: str = ""
    iterations: tuple[int, ...] = ()
