"""Verdicts, thresholds, and how one chain is judged by its iterations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_soak.model.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_soak.model.metrics import Op


class Verdict(IntEnum):
    """The four words of the gate; the larger is the worse."""

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
    """A limit that states what is bad, such as ``throughput < 80``; strict where written so."""

    op: Op
    value: float

    def broken_by(self, value: float) -> bool:
        """Tell whether *value* is on the bad side."""
        return self.op.holds(value, self.value)

    def __str__(self) -> str:
        """Return the limit as people write it, ``< 2.5``."""
        return f"{self.op} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one KPI comes to.

    Args:
        metric: Its metric.
        verdict: PASS, WARN, INCONCLUSIVE or FAIL.
        value: What was judged, in the metric's unit; None where there was no value.
        n: On how many observations the value rests, None where nothing tells.
        rule: The rule that it breaks, as people write it; empty where it breaks none.
        problem: Why it could not be judged; empty where it could.
    """

    metric: str
    verdict: Verdict
    value: float | None = None
    n: int | None = None
    rule: str = ""
    problem: str = ""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of *verdicts*; of none, INCONCLUSIVE: what was not judged cannot pass."""
    return max(verdicts, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class IterationVerdict:
    """What one iteration of a chain came to.

    Args:
        iteration: Its number, from 1.
        verdict: The worst of its judgements; INCONCLUSIVE where something was missing.
        judgements: One for each KPI.
        problems: Why it is INCONCLUSIVE.
    """

    iteration: int
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The gate's word for a whole chain.

    Args:
        verdict: PASS, WARN, INCONCLUSIVE or FAIL.
        window: The iterations it was taken on.
        reasons: The KPIs behind it.
        problems: What else is behind it; first those of the chain as a whole.
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

    The verdict is the worst KPI of the worst iteration in the window. It is at least
    INCONCLUSIVE if an iteration of the window is, or did not run, or if more than
    *max_inconclusive* of the other iterations are or did not run. A chain that ran no iteration
    cannot pass.

    Args:
        iterations: The iterations that ran, in any order.
        planned: How many iterations the chain was to have.
        window: The numbers of the iterations that the verdict is taken on.
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
    told = set(window)
    if len(unclear) > max_inconclusive:
        verdict = max(verdict, Verdict.INCONCLUSIVE)
        told.update(unclear)
    reasons = {
        judgement.metric: None
        for number in window
        for judgement in ran.get(number, missing).judgements
        if judgement.verdict is verdict is not Verdict.PASS
    }
    problems = (
        problem.of(number)
        for number in sorted(told)
        for problem in ran.get(number, missing).problems
    )
    return ChainVerdict(verdict, tuple(window), tuple(reasons), tuple(problems))


def last_iterations(ran: int, window: int) -> range:
    """Return the numbers of the last *window* iterations of *ran*; of all, where it is longer."""
    return range(max(1, ran - window + 1), ran + 1)


def on_settled(verdict: ChainVerdict, window: int, changed: int) -> ChainVerdict:
    """Return *verdict*, INCONCLUSIVE where parameters were changed within its window.

    That happens where a deadline dropped the last slots, or a run was resumed with another length.

    Args:
        verdict: What the iterations that ran came to.
        window: How many iterations a verdict is taken on.
        changed: The last iteration after which parameters were changed, or 0.
    """
    settled = verdict.window[-1] - changed
    if settled >= window:
        return verdict
    problem = Problem(Kind.UNSETTLED, data={"settled": settled, "window": window})
    return with_problem(verdict, problem)


def not_passed(judged: IterationVerdict) -> IterationVerdict:
    """Return what *judged* comes to where the test of its iteration did not pass."""
    return replace(
        judged,
        verdict=max(judged.verdict, Verdict.INCONCLUSIVE),
        problems=(*judged.problems, Problem(Kind.TEST_NOT_PASSED, judged.iteration)),
    )


def closing_problem(fault: str) -> Problem:
    """Return the problem of a chain whose system could not be closed.

    Args:
        fault: What went wrong, of which the first line is kept.
    """
    return Problem(Kind.CLOSING, data={"text": fault.partition("\n")[0]})


def with_problem(verdict: ChainVerdict, problem: Problem) -> ChainVerdict:
    """Return *verdict* with a *problem* of the chain as a whole: at least INCONCLUSIVE.

    A problem that it already has is not added again. A FAIL stays one where only the closing of
    the system failed, because its iterations were measured; any other problem means that the chain
    was not seen as a whole, so its verdict is INCONCLUSIVE whatever it was.
    """
    problems = verdict.problems
    if problem not in problems:
        problems = (problem, *problems)
    if problem.kind is Kind.CLOSING and verdict.verdict is Verdict.FAIL:
        return replace(verdict, problems=problems)
    return replace(verdict, verdict=Verdict.INCONCLUSIVE, reasons=(), problems=problems)
