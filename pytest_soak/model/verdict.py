"""Verdicts, thresholds, and the judgements of iterations and of runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_soak.model.metrics import Op, in_full
from pytest_soak.model.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


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
    """

    metric: str
    verdict: Verdict
    value: float | None = None
    n: int | None = None
    rule: str = ""
    problem: str = ""


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


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The verdict on a whole chain.

    Args:
        verdict: PASS, WARN, INCONCLUSIVE or FAIL.
        window: The iterations it is based on.
        reasons: The metrics of the KPIs that caused it.
        problems: What else caused it; problems of the chain as a whole come first.
        unverified: The iterations whose changes no report confirms.
    """

    verdict: Verdict
    window: tuple[int, ...]
    reasons: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    unverified: tuple[int, ...] = ()


def judge_chain(
    iterations: Sequence[IterationVerdict],
    planned: int,
    window: Sequence[int],
    max_inconclusive: int = 0,
) -> ChainVerdict:
    """Judge a chain by its observation window.

    The verdict is that of the worst KPI in the window. It is at least INCONCLUSIVE if an iteration
    of the window is INCONCLUSIVE or did not run, or if that holds for more than *max_inconclusive*
    of the other iterations. A chain that ran no iteration cannot pass.

    Args:
        iterations: The iterations that ran, in any order.
        planned: How many iterations were planned.
        window: The numbers of the iterations that the verdict is based on.
        max_inconclusive: How many iterations before the window may be INCONCLUSIVE.
    """
    ran = {entry.iteration: entry for entry in iterations}
    missing = IterationVerdict(0, Verdict.INCONCLUSIVE, problems=(Problem(Kind.NOT_RUN),))
    verdict = worst(ran.get(number, missing).verdict for number in window)
    unclear = [
        number
        for number in range(1, planned + 1)
        if number not in window and ran.get(number, missing).verdict is Verdict.INCONCLUSIVE
    ]
    shown = set(window)
    if len(unclear) > max_inconclusive:
        verdict = max(verdict, Verdict.INCONCLUSIVE)
        shown.update(unclear)
    reasons = {
        judgement.metric: None
        for number in window
        for judgement in ran.get(number, missing).judgements
        if judgement.verdict is verdict is not Verdict.PASS
    }
    problems = (
        problem.of(number)
        for number in sorted(shown)
        for problem in ran.get(number, missing).problems
    )
    return ChainVerdict(verdict, tuple(window), tuple(reasons), tuple(problems))


def last_iterations(ran: int, window: int) -> range:
    """Return the numbers of the last *window* of *ran* iterations; all, if there are fewer."""
    return range(max(1, ran - window + 1), ran + 1)


def on_settled(verdict: ChainVerdict, window: int, changed: int) -> ChainVerdict:
    """Return *verdict*; INCONCLUSIVE if parameters were changed within its window.

    This happens if a deadline dropped the last slots, or a run was resumed with another length.

    Args:
        verdict: The verdict on the iterations that ran.
        window: How many iterations a verdict is based on.
        changed: The last iteration after which parameters were changed, or 0.
    """
    settled = verdict.window[-1] - changed
    if settled >= window:
        return verdict
    problem = Problem(Kind.UNSETTLED, data={"settled": settled, "window": window})
    return with_problem(verdict, problem)


def not_passed(judged: IterationVerdict, untold: Collection[int] = ()) -> IterationVerdict:
    """Return *judged* for an iteration whose test did not pass: at least INCONCLUSIVE.

    Args:
        judged: The verdict on the iteration.
        untold: The iterations of which it is unknown whether their tests passed.
    """
    kind = Kind.TEST_UNKNOWN if judged.iteration in untold else Kind.TEST_NOT_PASSED
    return replace(
        judged,
        verdict=max(judged.verdict, Verdict.INCONCLUSIVE),
        problems=(*judged.problems, Problem(kind, judged.iteration)),
    )


def closing_problem(fault: str) -> Problem:
    """Return the problem of a chain whose system could not be closed.

    Args:
        fault: What went wrong; its first line is kept.
    """
    return Problem(Kind.CLOSING, data={"text": fault.partition("\n")[0]})


def with_problem(verdict: ChainVerdict, problem: Problem) -> ChainVerdict:
    """Return *verdict* with a *problem* of the chain as a whole: at least INCONCLUSIVE.

    A problem that it already has is not added again. A FAIL remains if only the closing of the
    system failed, or overrides were edited after the last iteration, because all iterations were
    measured. With any other problem the chain was not measured as a whole, so the verdict is
    INCONCLUSIVE even if it was FAIL.
    """
    problems = verdict.problems
    if problem not in problems:
        problems = (problem, *problems)
    after = problem.kind in (Kind.CLOSING, Kind.OVERRIDES_EDITED)
    if after and verdict.verdict is Verdict.FAIL:
        return replace(verdict, problems=problems)
    return replace(verdict, verdict=Verdict.INCONCLUSIVE, reasons=(), problems=problems)
