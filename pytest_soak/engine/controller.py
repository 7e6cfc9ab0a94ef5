"""The controller of one chain: its iterations so far, and the next decision. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.engine.strategies import Proposed, Strategies, StrategyFault
from pytest_soak.model.chain import (
    STRICT,
    ChainVerdict,
    Outcome,
    hours_of,
    is_lost,
    judge_outcomes,
    not_passed,
    on_settled,
    with_problem,
)
from pytest_soak.model.decision import Decision, Veto
from pytest_soak.model.history import Entry, History
from pytest_soak.model.mode import Mode
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.report import contradictions, end_of, ineffective, unusable
from pytest_soak.model.summary import Summary, Verified
from pytest_soak.model.verdict import IterationVerdict, Judgement, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.model.patch import Operation
    from pytest_soak.model.report import Report

AUTO_TUNE_OFF = "auto_tune_off"
RECOMMEND_ONLY = "recommend_only"
STRATEGY_FAULT = "strategy_fault"
WARM_UP = "warm_up"
ASKED = 50
"""How often it is asked at most whether a chain is lost: it ends up to 2 % of a long run later."""
MISSED = 3
"""In how many first reports a metric must be missing for its chain to end."""


@dataclass(frozen=True, slots=True)
class IterationResult:
    """The result of one iteration.

    Args:
        iteration: Its number, from 1.
        parameters: The effective parameters it ran with.
        report: What the system measured.
        summary: What the watchers made of it, with the iteration's verdict.
        decision: What was decided after it.
        patch: The RFC 6902 operations that were applied to the overrides; empty if none were.
        applied: Whether the decision's moves were applied.
        judged: The KPIs one by one.
        proposed: What each tuner answered.
        fault: Which strategy failed and how, or an empty string.
    """

    iteration: int
    parameters: Mapping[str, float]
    report: Report
    summary: Summary
    decision: Decision
    patch: tuple[Operation, ...]
    applied: bool
    judged: IterationVerdict
    proposed: tuple[Proposed, ...] = ()
    fault: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict on this iteration alone."""
        return self.summary.verdict


class Controller:
    """The state of one chain, and how it makes decisions.

    The same reports give the same decisions, so a recorded soak can be replayed through other
    strategies.
    """

    def __init__(self, plan: ChainPlan, strategies: Strategies) -> None:
        """Begin before the first iteration."""
        self.plan = plan
        self.strategies = strategies
        self.entries: list[Entry] = []
        self.judged: list[IterationVerdict] = []
        self.settlements: list[Mapping[str, Any]] = []
        self.rollbacks: list[Entry] = []
        """The iterations after which a guard rolled the parameters back."""
        self._ran_with: list[Mapping[str, float]] = []
        self._ends: list[float | None] = []
        """The end of each iteration by its report, in seconds."""
        self._asked = 0
        """After which iteration it was asked last whether the chain is lost."""
        self._lost = False
        self.rolled_back_at = 0
        """The last iteration after which a person rolled back: no report shows its changes."""

    @property
    def done(self) -> int:
        """The number of the last iteration, 0 before the first."""
        return len(self.entries)

    def restore(
        self,
        entry: Entry,
        judged: IterationVerdict,
        settles: Mapping[str, Any] | None,
        overrides: Mapping[str, float],
        report: object,
    ) -> None:
        """Add an iteration that was decided earlier; it ran with *overrides* and gave *report*."""
        self._add(entry, judged, overrides, report)
        self._note(settles)

    def _add(
        self,
        entry: Entry,
        judged: IterationVerdict,
        overrides: Mapping[str, float],
        report: object,
    ) -> None:
        self.entries.append(entry)
        self.judged.append(judged)
        self._ran_with.append(overrides)
        self._ends.append(end_of(report))

    def _note(self, settles: Mapping[str, Any] | None) -> None:
        """Record whether the newest iteration saw the changes before it, and a rollback after it.

        Kept in lists of their own, so that an iteration costs the same however many ran before.
        """
        if settles:
            self.settlements.append(settles)
        if self.entries[-1].rolled_back:
            self.rollbacks.append(self.entries[-1])

    def drop(self, iteration: int) -> None:
        """Remove *iteration* and all after it, because it could not be recorded."""
        del self.entries[iteration - 1 :], self.judged[iteration - 1 :]
        del self._ran_with[iteration - 1 :], self._ends[iteration - 1 :]
        self.rollbacks = [e for e in self.rollbacks if e.summary.iteration < iteration]
        self.settlements = [s for s in self.settlements if s["iteration"] < iteration - 1]

    def decide(
        self,
        iteration: int,
        parameters: Mapping[str, float],
        report: Report,
        overrides: Mapping[str, float],
        *,
        in_window: bool,
        restarted: bool = False,
        edited: str = "",
    ) -> tuple[IterationResult, dict[str, Any] | None]:
        """Pass one report through watchers, gates, tuners and guards.

        Args:
            iteration: Its number, the next one.
            parameters: The effective parameters it was to run with.
            report: What the system measured.
            overrides: Those that were in force, from which *parameters* come.
            in_window: Whether nothing may be applied after it.
            restarted: Whether the system lost its state before it.
            edited: What the overrides file held if somebody had edited it, or an empty string. It
                is then unknown which parameters the system used.

        Returns:
            The result, whose ``applied`` says whether its changes will be applied; and whether the
            report shows the changes before it: ``{"iteration", "verified"}``, or None if there
            were none.
        """
        problems = [report.problem] if report.problem else []
        if edited:
            problems.append(Problem(Kind.OVERRIDES_EDITED, iteration, {"found": edited}))
        summary, judged, fault = self._watch(
            iteration, parameters, report, problems, in_window=in_window, restarted=restarted
        )
        self._add(Entry(summary), judged, overrides, report.raw)
        proposed, decision, fault = self._decide(summary, parameters, fault)
        if fault and (found := _fault(iteration, fault)) not in summary.problems:
            all_problems = (*summary.problems, found)
            summary = replace(summary, problems=all_problems, verdict=Verdict.INCONCLUSIVE)
            judged = replace(judged, problems=all_problems, verdict=Verdict.INCONCLUSIVE)
        applies = self.plan.mode is Mode.APPLY and bool(decision.touched)
        settles = self._settlement(summary)
        self.entries[-1], self.judged[-1] = Entry(summary, decision, applies), judged
        self._note(settles)
        result = IterationResult(
            iteration=iteration,
            parameters=parameters,
            report=report,
            summary=summary,
            decision=decision,
            patch=(),
            applied=applies,
            judged=judged,
            proposed=proposed,
            fault=fault,
        )
        return result, settles

    def overrides_after(
        self, result: IterationResult, before: Mapping[str, float]
    ) -> Mapping[str, float]:
        """Return the overrides after *result*, given those *before* it.

        After a rollback they are exactly those that its target ran with.
        """
        if not result.applied:
            return before
        if result.decision.rollback is not None:
            return self._ran_with[result.decision.rollback.to_iteration - 1]
        return result.decision.overrides(before)

    @property
    def _history(self) -> History:
        return History(self.entries, self.rollbacks, self.plan.rules.warm_up)

    def _watch(
        self,
        iteration: int,
        parameters: Mapping[str, float],
        report: Report,
        problems: list[Problem],
        *,
        in_window: bool,
        restarted: bool,
    ) -> tuple[Summary, IterationVerdict, str]:
        """Sum up the report: its facts, contradicted parameters, and the verdicts on KPIs.

        A report that already has *problems* is not read further. New ones are added to the list.
        """
        facts: Mapping[str, Any] = report.measured.values
        fault = ""
        wrong = contradictions(parameters, report.parameters, self.plan.pack.precision)
        if not problems:
            problems += ineffective(parameters, report, iteration, self.plan.pack.precision)
            try:
                facts = self.strategies.observe(report, self._history)
            except StrategyFault as caught:
                fault = str(caught)
                problems.append(_fault(iteration, fault))
            problems += unusable(self.strategies.required, facts, report, iteration)
        judgements: tuple[Judgement, ...] = ()
        try:
            judgements = self.strategies.judge(facts, report.n)
        except StrategyFault as caught:
            fault = str(caught)
            problems.append(_fault(iteration, fault))
        verdict = worst(judgement.verdict for judgement in judgements)
        if problems:
            verdict = Verdict.INCONCLUSIVE
        summary = Summary(
            iteration,
            parameters,
            facts,
            report.n,
            verdict,
            tuple(problems),
            {n: Verified.UNKNOWN if u is None else Verified.FALSE for n, u in wrong.items()},
            in_window,
            restarted,
        )
        return summary, IterationVerdict(iteration, verdict, judgements, tuple(problems)), fault

    def _decide(
        self, summary: Summary, parameters: Mapping[str, float], fault: str
    ) -> tuple[tuple[Proposed, ...], Decision, str]:
        """Ask the tuners, then the guards."""
        iteration = summary.iteration
        if self.plan.mode is Mode.OFF:
            return (), Decision(iteration, parameters).skip("mode", AUTO_TUNE_OFF), fault
        if iteration <= self.plan.rules.warm_up:
            return (), Decision(iteration, parameters).skip("mode", WARM_UP), fault
        history = self._history
        proposed: tuple[Proposed, ...] = ()
        try:
            if not summary.problems:
                proposed = self.strategies.propose(history, parameters)
            requests = tuple(request for answer in proposed for request in answer.requests)
            decision = self.strategies.review(history, Decision(iteration, parameters, requests))
        except StrategyFault as caught:
            nothing = Decision(iteration, parameters)
            return proposed, nothing.skip("mode", STRATEGY_FAULT, str(caught)), str(caught)
        if self.plan.mode is Mode.RECOMMEND and decision.moves:
            veto = Veto("mode", RECOMMEND_ONLY)
            decision = replace(
                decision, skip_reason=RECOMMEND_ONLY, vetoes=(*decision.vetoes, veto)
            )
        return proposed, decision, fault

    def _settlement(self, summary: Summary) -> dict[str, Any] | None:
        """Return whether *summary* shows the changes made before it; None if there were none."""
        if len(self.entries) == 1:
            return None
        before = self.entries[-2]
        iteration = before.summary.iteration
        if not before.applied or before.decision is None or iteration == self.rolled_back_at:
            return None
        seen = summary.saw(before.decision.touched)
        return {"iteration": iteration, "verified": str(seen)}

    @property
    def standing(self) -> Verdict:
        """How the chain stands: the worst of its last two iterations."""
        return worst(judged.verdict for judged in self.judged[-STRICT:])

    def verdict(
        self, ran: set[int] | None = None, dropped: int = 0, untold: Collection[int] = ()
    ) -> ChainVerdict:
        """Judge the chain.

        Args:
            ran: The iterations whose tests passed, or None for all. The others are at least
                INCONCLUSIVE.
            dropped: How many slots at the end were dropped at the deadline of an hours run.
            untold: The iterations of which it is unknown whether their tests passed.
        """
        outcomes = self._outcomes(ran, untold)
        stop = self.stop
        last = self.done if stop else self.plan.planned - dropped
        verdict = judge_outcomes(
            outcomes,
            last,
            self.plan.rules,
            self.strategies.judge_run,
            self.strategies.kpis,
            self.plan.baseline,
        )
        verdict = with_problem(verdict, stop) if stop else on_settled(verdict, self.plan.window)
        unverified = (s["iteration"] for s in self.settlements if s["verified"] == "unknown")
        return replace(verdict, unverified=tuple(unverified))

    def _outcomes(self, ran: set[int] | None = None, untold: Collection[int] = ()) -> list[Outcome]:
        hours = hours_of(self._ends, self.plan.slot)
        return [
            Outcome(
                entry.summary,
                judged if ran is None or judged.iteration in ran else not_passed(judged, untold),
                entry.applied,
                hour,
            )
            for entry, judged, hour in zip(self.entries, self.judged, hours, strict=True)
        ]

    @property
    def stop(self) -> Problem | None:
        """Why the chain ends here, before all planned iterations ran; None if it goes on.

        It ends if a metric was in none of the first reports after the warm-up, and, where that was
        asked for, as soon as its verdict cannot be better than FAIL.
        """
        rules, done = self.plan.rules, self.done
        if not rules.warm_up < done < self.plan.planned:
            return None
        first = self.entries[rules.warm_up : rules.warm_up + MISSED]
        missing = set.intersection(*(one.summary.missing for one in first))
        if missing and len(first) == MISSED:
            return Problem(Kind.NEVER_THERE, data={"after": done, "metric": min(missing)})
        if self.plan.abort and self._is_lost():
            return Problem(Kind.ABORTED, data={"after": done})
        return None

    def _is_lost(self) -> bool:
        """Tell whether the verdict cannot be better than FAIL.

        To tell takes as long as to judge the chain. So in a long run, in which failures may be
        tolerated, it is not asked after each of them.
        """
        done, due = self.done, self._asked + self.plan.planned // ASKED
        if self.judged[-1].verdict is Verdict.FAIL and (not self._asked or done >= due):
            self._asked = done
            moves = self.plan.rules.tuned and not self.entries[-1].summary.in_window
            judge, kpis = self.strategies.judge_run, self.strategies.kpis
            self._lost = is_lost(self._outcomes(), self.plan.rules, judge, kpis, moves=moves)
        return self._lost


def _fault(iteration: int, text: str) -> Problem:
    """Return the problem of an iteration in which a strategy failed."""
    return Problem(Kind.STRATEGY_FAULT, iteration, {"text": text})
