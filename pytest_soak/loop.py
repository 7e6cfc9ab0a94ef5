"""The loop: one iteration, step by step."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.model.decision import Decision, Veto
from pytest_soak.model.history import Entry, History, Summary, Verified
from pytest_soak.model.metrics import Measured
from pytest_soak.model.patch import apply
from pytest_soak.model.report import Report, contradictions, read_report
from pytest_soak.model.verdict import (
    ChainVerdict,
    IterationVerdict,
    Judgement,
    Verdict,
    judge_chain,
    not_passed,
    unfit_verdict,
    worst,
)
from pytest_soak.options import Mode
from pytest_soak.store.files import line
from pytest_soak.store.records import (
    decision_from_json,
    decision_to_json,
    judged_from_json,
    judgements_to_json,
    summary_from_json,
    summary_to_json,
    verdict_to_json,
)
from pytest_soak.store.store import open_chain
from pytest_soak.strategies import Proposed, Strategies, StrategyFault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.model.patch import Operation
    from pytest_soak.plan import ChainPlan
    from pytest_soak.registry import Registry
    from pytest_soak.systems.protocol import System

AUTO_TUNE_OFF = "auto_tune_off"
RECOMMEND_ONLY = "recommend_only"
STRATEGY_FAULT = "strategy_fault"


@dataclass(frozen=True, slots=True)
class IterationResult:
    """What one iteration came to.

    Args:
        iteration: Its number, from 1.
        parameters: The effective parameters it ran with.
        report: What the system measured.
        summary: What the watchers made of it, with the iteration's verdict.
        decision: What was decided after it.
        patch: The RFC 6902 operations that were applied to the overrides; empty where none were.
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
        """The gate's word for this iteration alone."""
        return self.summary.verdict


class SoakLoop:
    """The iterations of one chain, each run at most once."""

    def __init__(self, plan: ChainPlan, registry: Registry, soak_dir: Path) -> None:
        """Open the chain's store and take up what it already holds of this run."""
        self.plan = plan
        self.store = open_chain(soak_dir, plan.slug, plan.run_id)
        self.strategies = Strategies(plan, registry)
        self.latest: IterationResult | None = None
        self.finished = False
        self.entries: list[Entry] = []
        self.judged: list[IterationVerdict] = []
        self._unverified: list[int] = []
        self._state: object = None
        self._undone = 0
        self._ran_with: list[Mapping[str, float]] = []
        self._rollbacks: list[Entry] = []
        try:
            self.store.start(plan.describe(), plan.seeding.overrides, plan.seeding.source)
            self._take_up()
            if plan.resumed:
                self.store.go_on(plan.describe(), plan.differences)
        except BaseException:
            self.store.close()
            raise
        self._taken_up = self.done

    @property
    def done(self) -> int:
        """The number of the last iteration that was recorded, 0 before the first."""
        return len(self.entries)

    def run(self, iteration: int, system: System | None = None) -> IterationResult:
        """Run *iteration*, or return its result where it was just run.

        Iterations that were left out before it are recorded as INCONCLUSIVE.

        Raises:
            ValueError: It was run earlier: a chain's iterations run in order, and once.
        """
        if self.latest is not None and self.latest.iteration == iteration:
            return self.latest
        if iteration <= self.done:
            msg = f"iteration {iteration} cannot run again: {self.done} is already recorded"
            raise ValueError(msg)
        self._fill_gap(iteration)
        parameters = self.plan.effective(self.store.overrides)
        runs = self.plan.system or system
        if runs is None or not hasattr(runs, "run"):
            msg = f"the fixture soak_system gave {runs!r}, which has no run()"
            raise StrategyFault(msg)
        seed = self.plan.iteration_seed(iteration)
        returned: object = runs.run(dict(parameters), iteration, seed, self._state)
        who = f"system {self.plan.system_name}: run() returned"
        if not isinstance(returned, tuple) or len(returned) != 2:  # noqa: PLR2004 - a pair
            msg = f"{who} {type(returned).__name__}, not the pair (report, state)"
            raise StrategyFault(msg)
        raw, state = returned
        if state is not None and json.loads(line(state)) != state:
            msg = f"{who} a state that is no plain JSON"
            raise StrategyFault(msg)
        report = read_report(raw, iteration, self.plan.pack.metrics)
        found = self.store.edited()
        if found:  # nobody knows which parameters the system used
            edited = f"overrides_edited by hand, put back: {found}"
            report = replace(report, problem="; ".join(filter(None, (report.problem, edited))))
        lost = 0 < self._taken_up == iteration - 1 and not getattr(runs, "keeps_state", False)
        return self._record(iteration, parameters, report, state, restarted=lost)

    def miss(self, iteration: int, problem: str) -> IterationResult:
        """Record that *iteration* yielded no report, and why."""
        self._fill_gap(iteration)
        parameters = self.plan.effective(self.store.overrides)
        report = Report(Measured({}, {}), problem=problem)
        return self._record(iteration, parameters, report, self._state)

    def _fill_gap(self, iteration: int) -> None:
        """Record the iterations before *iteration* that were left out."""
        while self.done + 1 < iteration:
            self.miss(self.done + 1, "did not run")

    def _record(
        self,
        iteration: int,
        parameters: Mapping[str, float],
        report: Report,
        state: object,
        *,
        restarted: bool = False,
    ) -> IterationResult:
        """Take one report through watchers, tuners and guards to the store.

        Raises:
            StoreError: The iteration could not be recorded, and does not count.
        """
        try:
            return self._decided(iteration, parameters, report, state, restarted=restarted)
        except BaseException:
            if not self.store.knows(iteration):
                del self.entries[iteration - 1 :], self.judged[iteration - 1 :]
                del self._ran_with[iteration - 1 :]
            raise

    def _decided(
        self,
        iteration: int,
        parameters: Mapping[str, float],
        report: Report,
        state: object,
        *,
        restarted: bool,
    ) -> IterationResult:
        """Watch, decide and settle."""
        summary, judged, fault = self._watch(iteration, parameters, report)
        summary = replace(summary, restarted=restarted)
        self.entries.append(Entry(summary))
        self._ran_with.append(self.store.overrides)
        self.judged.append(judged)
        proposed, decision, fault = self._decide(summary, parameters, fault)
        if fault and fault not in summary.problems:
            problems = (*summary.problems, fault)
            summary = replace(summary, problems=problems, verdict=Verdict.INCONCLUSIVE)
            judged = replace(judged, problems=problems, verdict=Verdict.INCONCLUSIVE)
            self.entries[-1], self.judged[-1] = Entry(summary), judged
        undecided = IterationResult(
            iteration=iteration,
            parameters=parameters,
            report=report,
            summary=summary,
            decision=decision,
            patch=(),
            applied=False,
            judged=judged,
            proposed=proposed,
            fault=fault,
        )
        self.latest = self._settle(undecided, state)
        return self.latest

    def _watch(
        self, iteration: int, parameters: Mapping[str, float], report: Report
    ) -> tuple[Summary, IterationVerdict, str]:
        """Sum up the report: facts, whether it used what was asked for, the KPIs' words."""
        problems = [report.problem] if report.problem else []
        facts: Mapping[str, Any] = report.measured.values
        fault = ""
        wrong = contradictions(parameters, report.parameters)
        if not report.problem:
            problems += [
                f"override_not_effective: {name} asked={parameters[name]:g} used={used:g}"
                for name, used in wrong.items()
                if used is not None
            ]
            try:
                past = History(self.entries, self._rollbacks)
                facts = self.strategies.observe(report, past)
            except StrategyFault as caught:
                fault = str(caught)
                problems.append(fault)
            lacking = report.measured.lacking(self.strategies.required)
            problems += [phrase for phrase in lacking if facts.get(phrase.split()[0]) is None]
        judgements: tuple[Judgement, ...] = ()
        try:
            judgements = self.strategies.judge(facts, report.n)
        except StrategyFault as caught:
            fault = str(caught)
            problems.append(fault)
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
            self.plan.in_window(iteration),
        )
        return summary, IterationVerdict(iteration, verdict, judgements, tuple(problems)), fault

    def _decide(
        self, summary: Summary, parameters: Mapping[str, float], fault: str
    ) -> tuple[tuple[Proposed, ...], Decision, str]:
        """Ask the tuners, then the guards. Pure: nothing is changed here."""
        decision = Decision(summary.iteration, parameters)
        if self.plan.mode is Mode.OFF:
            return (), decision.skip("mode", AUTO_TUNE_OFF), fault
        history = History(self.entries, self._rollbacks)
        proposed: tuple[Proposed, ...] = ()
        try:
            if not summary.problems:
                proposed = self.strategies.propose(history, parameters)
            requests = tuple(wish for answer in proposed for wish in answer.requests)
            wished = Decision(summary.iteration, parameters, requests)
            decision = self.strategies.review(history, wished)
        except StrategyFault as caught:
            return proposed, decision.skip("mode", STRATEGY_FAULT, str(caught)), str(caught)
        if self.plan.mode is Mode.RECOMMEND and decision.moves:
            veto = Veto("mode", RECOMMEND_ONLY)
            decision = replace(
                decision, skip_reason=RECOMMEND_ONLY, vetoes=(*decision.vetoes, veto)
            )
        return proposed, decision, fault

    def _settle(self, result: IterationResult, state: object) -> IterationResult:
        """Commit the decision: journal, overrides, artifacts, in this order."""
        iteration, decision = result.iteration, result.decision
        before = self.store.overrides
        applies = self.plan.mode is Mode.APPLY and bool(decision.touched)
        settles = self._settlement(result.summary)
        body = {
            "report": result.report.raw,
            "settles": settles,
            "summary": summary_to_json(result.summary),
            "judgements": judgements_to_json(result.judged),
            "decision": decision_to_json(decision),
            "applied": applies,
            "system_state": self.store.save_state(iteration, state),
        }
        after = self._overrides_after(decision, before) if applies else before
        patch = self.store.commit(iteration, body, after)
        self._state = state
        self.entries[-1] = Entry(result.summary, decision, applies)
        self._note_rollback(self.entries[-1])
        self._note_settled(settles)
        return replace(result, patch=patch, applied=applies)

    def _overrides_after(
        self, decision: Decision, before: Mapping[str, float]
    ) -> Mapping[str, float]:
        """Return the overrides to come; after a rollback exactly those in effect at its target."""
        if decision.rollback is not None:
            return self._ran_with[decision.rollback.to_iteration - 1]
        return decision.overrides(before)

    def _note_rollback(self, entry: Entry) -> None:
        if entry.rolled_back:
            self._rollbacks.append(entry)

    def _settlement(self, summary: Summary) -> dict[str, Any] | None:
        """Return whether the changes made before *summary* were seen in it, if there were any."""
        if len(self.entries) < 2:  # noqa: PLR2004 - this one, and the one before it
            return None
        before = self.entries[-2]
        iteration = before.summary.iteration
        if not before.applied or before.decision is None or iteration == self._undone:
            return None
        seen = summary.saw(before.decision.touched)
        return {"iteration": iteration, "verified": str(seen)}

    def _note_settled(self, settles: dict[str, Any] | None) -> None:
        if settles and settles["verified"] == Verified.UNKNOWN:
            self._unverified.append(settles["iteration"])

    def verdict(self, ran: set[int] | None = None) -> ChainVerdict:
        """Judge the chain.

        Args:
            ran: The iterations whose tests passed; the others are at least INCONCLUSIVE. All,
                unless given.
        """
        counted = [
            entry if ran is None or entry.iteration in ran else not_passed(entry)
            for entry in self.judged
        ]
        first = self.plan.planned - self.plan.window + 1
        verdict = judge_chain(
            counted,
            self.plan.planned,
            range(first, self.plan.planned + 1),
            self.plan.pack.max_inconclusive,
        )
        return replace(verdict, unverified=tuple(self._unverified))

    def finish(self, verdict: ChainVerdict) -> None:
        """Record the verdict and write what sums up the run.

        Raises:
            StoreError: It could not be written.
        """
        word = verdict_to_json(verdict)
        self.store.journal.append("run_ended", self.done, word)
        self.store.sum_up(word)
        self.finished = True

    def close(self, ran: set[int]) -> None:
        """Close the store; what sums up a run that was broken off is written first.

        Args:
            ran: The iterations whose tests passed.

        Raises:
            StoreError: It could not be written.
        """
        try:
            if not self.finished:
                problem = "broken off: the gate did not run"
                word = verdict_to_json(unfit_verdict(self.verdict(ran), problem))
                self.store.journal.append("run_interrupted", self.done, word)
                self.store.sum_up(word)
        finally:
            self.store.close()

    def _take_up(self) -> None:
        """Rebuild the chain's state from the records of iterations that are already settled."""
        for record in self.store.iterations:
            number = record["iteration"]
            summary = summary_from_json(record["summary"], number)
            decision = decision_from_json(record["decision"], number, summary.parameters)
            judged = judged_from_json(record)
            self.entries.append(Entry(summary, decision, record["applied"]))
            self._note_rollback(self.entries[-1])
            self.judged.append(judged)
            self._note_settled(record["settles"])
            self.latest = IterationResult(
                number,
                summary.parameters,
                read_report(record["report"], number, self.plan.pack.metrics),
                summary,
                decision,
                tuple(op for op in record["patch"] if op["op"] != "test"),
                record["applied"],
                judged,
            )
        overrides: dict[str, float] = {}
        for record in self.store.journal.records:
            if record["kind"] == "run_started":
                overrides = dict(record["overrides"])
            elif record["kind"] == "iteration":
                self._ran_with.append(overrides)
            elif record["kind"] == "rolled_back":
                self._undone = record["iteration"]
            overrides = apply(overrides, record["patch"]) if record.get("patch") else overrides
        if self.store.iterations:
            digest = self.store.iterations[-1]["system_state"]
            self._state = self.store.load_state(self.done, digest)
