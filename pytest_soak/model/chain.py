"""How a chain is judged: by its settled stretch, its criteria, and the run as a whole. Pure.

The way: `span_of` finds the settled stretch, `stretches_of` collects what each metric was in it,
the criteria judge that, and `judge_chain` takes their worst word.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Literal

from pytest_soak.model.kpi import ROUNDING, SHOWN
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.settings import Number, Setting
from pytest_soak.model.stretch import Baseline, Reading, Stretch
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import IterationVerdict, Judgement, RunJudgement, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


STRICT = 2
"""How many iterations at the end must be conclusive, whatever `max_inconclusive` allows."""
NO_BASELINE = Baseline()
WHOLE_RUN = "whole_run"
"""The criterion that no KPI carries: the share of bad iterations."""
PROVES_NOTHING = (WHOLE_RUN, Verdict.PASS)
"""Where no KPI was judged, no iteration can be FAIL."""


@dataclass(frozen=True, slots=True)
class WholeRun:
    """The share of all iterations that may be FAIL: the key ``run`` of ``[verdict]``."""

    share: Annotated[Number, Setting("the share of the iterations", least=0, most=1)]
    after: Annotated[
        Literal["warm_up", "first_pass"],
        Setting("count after the warm-up, or after the first iteration that is PASS or WARN"),
    ] = "first_pass"

    def __str__(self) -> str:
        """Return it as people say it."""
        return f"at most {100 * self.share:g} % FAIL after {self.after.replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a verdict is based on.

    Args:
        window: The length of the observation window, in iterations.
        planned: How many iterations were planned.
        warm_up: How many iterations at the start are not judged.
        max_inconclusive: How many iterations before the last two may be INCONCLUSIVE.
        whole_run: The share of bad iterations that all of them may have; None without that rule.
        tuned: Whether parameters may change, so that only the window is sure to be settled.
        window_alone: Whether only the window counts, as in journals of 0.1.0.
    """

    window: int
    planned: int = 0
    warm_up: int = 0
    max_inconclusive: int = 0
    whole_run: WholeRun | None = None
    tuned: bool = False
    window_alone: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One iteration as its chain's verdict sees it.

    Args:
        summary: Its summary.
        judged: The verdict on it; at least INCONCLUSIVE if its test did not pass.
        changed: Whether parameters were changed after it.
        hours: The time from the first iteration's end to its end; None if unknown.
    """

    summary: Summary
    judged: IterationVerdict
    changed: bool = False
    hours: float | None = None

    @property
    def unclear(self) -> bool:
        """Whether the iteration, or one of its KPIs, is INCONCLUSIVE."""
        verdicts = (judgement.verdict for judgement in self.judged.judgements)
        return Verdict.INCONCLUSIVE in (self.judged.verdict, *verdicts)


@dataclass(frozen=True, slots=True)
class Span:
    """The settled stretch of a run.

    Args:
        first: Its first iteration.
        last: The last iteration of the run.
        settled: For how many iterations after the warm-up the parameters were settled at the end;
            fewer than the stretch has if they were changed in the observation window.
    """

    first: int
    last: int
    settled: int


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The verdict on a whole chain.

    Args:
        verdict: PASS, WARN, INCONCLUSIVE or FAIL.
        window: The iterations of the observation window.
        reasons: The metrics of the KPIs that caused it.
        problems: What else caused it; problems of the chain as a whole come first.
        unverified: The iterations whose changes no report confirms.
        stretch: The first and the last iteration of the settled stretch, and for how many
            iterations parameters were settled.
        criteria: The judgement of each criterion, also of those that were not judged.
        counts: ``{verdict: how many iterations after the warm-up have it}``.
    """

    verdict: Verdict
    window: tuple[int, ...]
    reasons: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    unverified: tuple[int, ...] = ()
    stretch: Span = Span(0, 0, 0)
    criteria: tuple[RunJudgement, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def last_iterations(ran: int, window: int) -> range:
    """Return the numbers of the last *window* of *ran* iterations; all, if there are fewer."""
    return range(max(1, ran - window + 1), ran + 1)


def span_of(outcomes: Sequence[Outcome], last: int, rules: Rules) -> Span:
    """Return the settled stretch: the iterations at the end that ran with the same parameters.

    It holds at least the observation window, and nothing of the warm-up.

    Args:
        outcomes: The iterations that ran, in order.
        last: The last iteration that counts, which may not have run.
        rules: The rules.
    """
    final = outcomes[-1].summary.parameters if outcomes else {}
    same = takewhile(lambda one: one.summary.parameters == final, reversed(outcomes))
    settled = 0 if outcomes and outcomes[-1].changed else sum(1 for _ in same)
    settled = min(settled + last - len(outcomes), max(0, last - rules.warm_up))
    window = last_iterations(last, rules.window)[0] if last else 1
    first = window if rules.window_alone else min(window, last - settled + 1)
    return Span(max(first, rules.warm_up + 1), last, settled)


def stretches_of(
    metrics: Iterable[str],
    outcomes: Sequence[Outcome],
    span: Span,
    rules: Rules,
    baseline: Baseline = NO_BASELINE,
) -> dict[str, Stretch]:
    """Return for each of the *metrics* of KPIs what it was in the iterations that count.

    An iteration with problems, or in which the metric could not be judged, gives no reading.

    Args:
        metrics: The metrics.
        outcomes: The iterations that ran, in order.
        span: The settled stretch.
        rules: The rules.
        baseline: The runs to compare with.
    """
    final = outcomes[-1].summary.parameters if outcomes and not outcomes[-1].changed else None
    visits: dict[str, list[Reading]] = {metric: [] for metric in metrics}
    told: Counter[str] = Counter()
    seen = {judged.metric for one in outcomes for judged in one.judged.judgements}
    for one in outcomes[rules.warm_up :]:
        number, same = one.summary.iteration, one.summary.parameters == final
        counts = number >= span.first or (same and not rules.window_alone)
        if one.summary.problems or not counts:
            continue
        for judged in one.judged.judgements:
            if judged.gate or judged.metric not in visits:
                continue
            told[judged.metric] += number >= span.first
            if judged.value is not None and judged.verdict is not Verdict.INCONCLUSIVE:
                reading = Reading(number, judged.value, judged.n, one.hours)
                visits[judged.metric].append(reading)
    settled = {
        metric: tuple(one for one in readings if one.iteration >= span.first)
        for metric, readings in visits.items()
    }
    sound = sum(not one.summary.problems for one in outcomes[span.first - 1 :])
    empty = Stretch(
        span.first,
        span.last,
        due=rules.window if rules.tuned else rules.planned - rules.warm_up,
        ran=sound,
        cuts=frozenset(one.summary.iteration for one in outcomes if one.summary.restarted),
        no_baseline="" if baseline.runs else baseline.why,
        required=baseline.required,
    )
    return {
        metric: replace(
            empty,
            metric=metric,
            settled=settled[metric],
            visits=tuple(readings),
            absent=sound - told[metric],
            seen=metric in seen,
            earlier=baseline.of(metric),
            level=None if baseline.level is None else baseline.level.get(metric),
            others=tuple(baseline.of(each) for each in baseline.compared if each != metric),
        )
        for metric, readings in visits.items()
    }


def judge_gates(outcomes: Sequence[Outcome], span: Span) -> tuple[RunJudgement, ...]:
    """Judge a run by what the gates of plugins said of its stretch: for each metric the worst.

    Args:
        outcomes: The iterations that ran, in order.
        span: The settled stretch.
    """
    given: dict[tuple[str, str], list[tuple[int, Judgement]]] = {}
    for one in outcomes[span.first - 1 :]:
        for judgement in one.judged.judgements if not one.summary.problems else ():
            if judgement.gate and judgement.verdict is not Verdict.INCONCLUSIVE:
                said = given.setdefault((judgement.gate, judgement.metric), [])
                said.append((one.summary.iteration, judgement))
    told = []
    for (gate, metric), said in given.items():
        verdict = worst(judgement.verdict for _, judgement in said)
        bad = [one for one in said if one[1].verdict is verdict is not Verdict.PASS]
        first = bad[0][1] if bad else Judgement(metric, verdict)
        numbers = tuple(number for number, _ in bad[:SHOWN])
        told.append(
            RunJudgement(
                gate,
                metric,
                verdict,
                first.value,
                n=len(said),
                rule=first.rule,
                detail=f"{len(bad)} of {len(said)} iterations" if bad else "",
                iterations=numbers,
            )
        )
    return tuple(told)


def judge_whole_run(outcomes: Sequence[Outcome], rules: Rules) -> RunJudgement | None:
    """Judge all iterations that count by the share of those that are FAIL.

    So a tuner that cures every failure an iteration late is seen.
    """
    rule = rules.whole_run
    if rule is None:
        return None
    counted = [one for one in outcomes if one.summary.iteration > rules.warm_up]
    if rule.after == "first_pass":
        good = (index for index, one in enumerate(counted) if one.judged.verdict.good)
        first = next(good, None)
        if first is None:
            return RunJudgement(
                WHOLE_RUN, "", None, rule=str(rule), problem="no iteration was PASS or WARN"
            )
        counted = counted[first + 1 :]
    n = len(counted)
    bad = [one.summary.iteration for one in counted if one.judged.verdict is Verdict.FAIL]
    return RunJudgement(
        WHOLE_RUN,
        "",
        Verdict.FAIL if len(bad) > rule.share * n * (1 + ROUNDING) else Verdict.PASS,
        value=len(bad) / n if n else None,
        n=n,
        rule=str(rule),
        detail=f"{len(bad)} of {n} iterations FAIL" if bad else "",
        iterations=tuple(bad[:SHOWN]),
    )


def judge_outcomes(
    outcomes: Sequence[Outcome],
    last: int,
    rules: Rules,
    judge: Callable[[Mapping[str, Stretch]], Iterable[RunJudgement]],
    metrics: Iterable[str],
    baseline: Baseline = NO_BASELINE,
) -> ChainVerdict:
    """Judge a chain by its outcomes, without regard to whether its parameters were settled.

    Args:
        outcomes: The iterations that ran, in order.
        last: The last iteration that counts, which may not have run.
        rules: The rules.
        judge: Gives the judgements of the criteria of all KPIs.
        metrics: The metrics of these KPIs.
        baseline: The runs to compare with.
    """
    span = span_of(outcomes, last, rules)
    stretches = stretches_of(metrics, outcomes, span, rules, baseline)
    whole = judge_whole_run(outcomes, rules)
    criteria = (*judge(stretches), *judge_gates(outcomes, span), *([whole] if whole else []))
    return judge_chain(outcomes, span, rules, criteria)


def is_lost(
    outcomes: Sequence[Outcome],
    rules: Rules,
    judge: Callable[[Mapping[str, Stretch]], Iterable[RunJudgement]],
    metrics: Sequence[str],
    *,
    moves: bool,
) -> bool:
    """Tell whether the verdict is FAIL even if every iteration that is left holds all limits.

    Only what counts iterations is asked: a trend may still turn.

    Args:
        outcomes: The iterations that ran, in order.
        rules: The rules.
        judge: As for `judge_outcomes`.
        metrics: The metrics of the KPIs.
        moves: Whether parameters may still change.
    """
    newest = outcomes[-1].summary
    good = tuple(Judgement(metric, Verdict.PASS, math.nan) for metric in metrics)
    rest = []
    for number in range(len(outcomes) + 1, rules.planned + 1):
        parameters = {} if moves else newest.parameters
        summary = Summary(number, parameters, {}, verdict=Verdict.PASS)
        rest.append(Outcome(summary, IterationVerdict(number, Verdict.PASS, good)))

    def ask(stretches: Mapping[str, Stretch]) -> Iterable[RunJudgement]:
        return judge({metric: _measured(stretch) for metric, stretch in stretches.items()})

    verdict = judge_outcomes((*outcomes, *rest), rules.planned, rules, ask, metrics)
    return any(
        judged.verdict is Verdict.FAIL and judged.criterion in COUNTING
        for judged in verdict.criteria
    )


def _measured(stretch: Stretch) -> Stretch:
    """Return *stretch* without assumed values where criteria calculate with them."""
    return replace(
        stretch, settled=tuple(one for one in stretch.settled if not math.isnan(one.value))
    )


COUNTING = ("limits", WHOLE_RUN)
"""The criteria that only count iterations."""


def hours_of(ends: Sequence[float | None], slot: float | None) -> list[float | None]:
    """Return the time of each iteration in hours.

    In an hours run it follows from the slots, otherwise from the times that reports give. The time
    of an iteration that did not end after all before it is unknown: a clock was set.

    Args:
        ends: The end of each iteration in seconds; None for a report that does not tell it.
        slot: The length of a slot in seconds; None in a run by count.
    """
    if slot is not None:
        return [number * slot / HOUR for number in range(1, len(ends) + 1)]
    first = next((end for end in ends if end is not None), 0)
    hours: list[float | None] = []
    newest = -math.inf
    for end in ends:
        later = end is not None and end > newest
        newest = newest if end is None else max(newest, end)
        hours.append((newest - first) / HOUR if later else None)
    return hours


HOUR = 3600


def judge_chain(
    outcomes: Sequence[Outcome], span: Span, rules: Rules, criteria: Iterable[RunJudgement]
) -> ChainVerdict:
    """Judge a chain: the worst word of its criteria counts.

    It is at least INCONCLUSIVE if one of the last two iterations is, or did not run, or if that
    holds for more of the other iterations than allowed. A chain that ran no iteration after its
    warm-up cannot pass.

    Args:
        outcomes: The iterations that ran, in order.
        span: The settled stretch.
        rules: The rules.
        criteria: The judgement of each criterion.
    """
    criteria = tuple(criteria)
    ran = {one.summary.iteration: one for one in outcomes}
    window = last_iterations(span.last, rules.window)
    strict = window if rules.window_alone else last_iterations(span.last, STRICT)
    strict = range(max(strict.start, rules.warm_up + 1), strict.stop)
    unclear = {
        number
        for number in range(rules.warm_up + 1, span.last + 1)
        if number not in ran or ran[number].unclear
    }
    others = unclear - set(strict)
    told = unclear if len(others) > rules.max_inconclusive else unclear & set(strict)
    verdict = worst(
        judged.verdict
        for judged in criteria
        if judged.verdict is not None and (judged.criterion, judged.verdict) != PROVES_NOTHING
    )
    if told or not any(number > rules.warm_up for number in ran):
        verdict = max(verdict, Verdict.INCONCLUSIVE)
    reasons = [
        judged.metric or judged.criterion
        for judged in criteria
        if judged.verdict is verdict is not Verdict.PASS
    ]
    if rules.window_alone:
        reasons = [
            judgement.metric
            for number in window
            for judgement in (ran[number].judged.judgements if number in ran else ())
            if judgement.verdict is verdict is not Verdict.PASS
        ]
    elif verdict is Verdict.INCONCLUSIVE:
        reasons += (
            judgement.metric
            for number in sorted(told & ran.keys())
            for judgement in ran[number].judged.judgements
            if judgement.verdict is Verdict.INCONCLUSIVE
            and (number in strict or not ran[number].summary.problems)
        )
    problems = (
        problem.of(number)
        for number in sorted(told | (set(strict) & ran.keys()))
        for problem in _problems(ran.get(number))
    )
    words = Counter(
        one.judged.verdict.name for one in outcomes if one.summary.iteration > rules.warm_up
    )
    return ChainVerdict(
        verdict,
        tuple(window),
        tuple(dict.fromkeys(reasons)),
        tuple(problems),
        stretch=span,
        criteria=criteria,
        counts={word.name: words[word.name] for word in Verdict if words[word.name]},
    )


def _problems(one: Outcome | None) -> tuple[Problem, ...]:
    return (Problem(Kind.NOT_RUN),) if one is None else one.judged.problems


def on_settled(verdict: ChainVerdict, window: int) -> ChainVerdict:
    """Return *verdict*; INCONCLUSIVE if parameters were changed within the observation window.

    This happens if a deadline dropped the last slots, or a run was resumed with another length.

    Args:
        verdict: The verdict on the iterations that ran.
        window: The length of the observation window.
    """
    settled = verdict.stretch.settled
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
    measured. It also remains if it ended the chain early. With any other problem the chain was not
    measured as a whole, so the verdict is INCONCLUSIVE even if it was FAIL.
    """
    problems = verdict.problems
    if problem not in problems:
        problems = (problem, *problems)
    after = problem.kind in (Kind.CLOSING, Kind.OVERRIDES_EDITED, Kind.ABORTED)
    if after and verdict.verdict is Verdict.FAIL:
        return replace(verdict, problems=problems)
    return replace(verdict, verdict=Verdict.INCONCLUSIVE, reasons=(), problems=problems)
