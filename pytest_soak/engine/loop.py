"""The loop: one iteration, step by step."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_soak.config.plan import read_secrets
from pytest_soak.engine.controller import Controller, IterationResult
from pytest_soak.engine.lifecycle import Lifecycle
from pytest_soak.engine.strategies import Strategies, StrategyFault
from pytest_soak.errors import SoakUsageError, SystemFailure, failure_text
from pytest_soak.model.chain import ChainVerdict, closing_problem, with_problem
from pytest_soak.model.history import Entry
from pytest_soak.model.metrics import Measured
from pytest_soak.model.pace import Pace, WallClock
from pytest_soak.model.patch import apply
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.report import Report, read_report
from pytest_soak.model.safe_repr import safe_repr, safe_text
from pytest_soak.store.files import LARGEST_JSON, StoreError, jsonable, line, too_large
from pytest_soak.store.journal import ending_of, untold_test
from pytest_soak.store.records import (
    decision_from_json,
    decision_to_json,
    judged_from_json,
    judgements_to_json,
    own_problems,
    proposals_to_json,
    summary_from_json,
    summary_to_json,
    verdict_from_json,
    verdict_to_json,
)
from pytest_soak.store.store import open_chain
from pytest_soak.verify.load import check_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.registry import Registry
    from pytest_soak.model.mask import Mask
    from pytest_soak.model.pace import Clock
    from pytest_soak.systems.protocol import System

EDITED = 500
"""How many characters are kept of what somebody else has written into the overrides."""


class SoakLoop:
    """The iterations of one chain, each run at most once."""

    def __init__(
        self,
        plan: ChainPlan,
        registry: Registry,
        soak_dir: Path,
        clock: Clock | None = None,
        first: int = 0,
    ) -> None:
        """Open the chain's store, and restore what it already holds of this run.

        Args:
            plan: The chain's plan.
            registry: What is installed.
            soak_dir: The folder of the soaks.
            clock: What an hours run follows; the machine's clock, unless another one is given.
            first: The iteration that is due; 0 for the gate.

        Raises:
            StoreError: The store cannot be opened, or another process has gone on with the run.
        """
        records = check_run(soak_dir / plan.slug, plan.run_id)
        if records and plan.compared:  # what was found when the run began stays
            recorded = records[0]["config"].get("baseline")
            plan = replace(plan, compared=recorded or plan.compared)
        self.plan = plan
        self.mask = plan.mask
        """Hides the secrets of the chain's system, with every value that they have had."""
        # First, because a strategy that is refused must not leave a folder behind.
        self.controller = Controller(plan, Strategies(plan, registry, self.see_secrets))
        self.store = open_chain(soak_dir, plan.slug, plan.run_id)
        self.lifecycle = Lifecycle(plan, self.store.folder, self.see_secrets)
        self.latest: IterationResult | None = None
        self.finished = False
        self.recorded: ChainVerdict | None = None
        """The verdict of a run that had ended before."""
        self._reports_due = False
        self.failed: set[int] = set()
        """The iterations whose tests did not pass before the run was resumed."""
        self.stopped: Problem | None = None
        """Why the chain has ended before all its iterations ran; None if it has not."""
        self.untold: set[int] = set()
        """The iterations of which it is unknown whether their tests passed."""
        self.passed: set[int] | None = None
        """The iterations whose tests passed; None where there are no tests."""
        self._chain_problems: tuple[Problem, ...] = ()
        self._state: object = None
        try:
            reading = self.controller.strategies.describe()
            self.store.start(plan.describe(), plan.initial.overrides, plan.initial.source, reading)
            self._restore()
            self._refuse_overtaken(first)
            if plan.resumed and (plan.differences or not self.finished):
                self.store.record_resume(plan.describe(), plan.differences, reading)
                self.finished, self.recorded = False, None
        except BaseException:
            self.store.close()
            raise
        self._restored = self.done
        self.pace: Pace | None = None
        if plan.slot is not None:
            self.pace = Pace(clock or WallClock(), plan.slot, plan.planned, self.done)

    def _refuse_overtaken(self, first: int) -> None:
        """Refuse to go on with a run if another process went on with it since the plan was made.

        Args:
            first: The iteration that is due. A worker that takes over a chain begins where another
                worker crashed, which is at or after the last recorded iteration.
        """
        if self.plan.resumed and self.plan.settled < self.done and 0 < first < self.done:
            msg = (
                f"{self.store.journal.path}: another process has gone on with this run to "
                f"iteration {self.done}; nothing was added to it"
            )
            raise StoreError(msg)

    @property
    def done(self) -> int:
        """The number of the last iteration that was recorded, 0 before the first."""
        return self.controller.done

    def has_run(self, iteration: int) -> bool:
        """Tell whether *iteration* has run: whether it is in the journal, with or without a report.

        It does not run again then. Artifacts of it that were lost are written again from the
        journal.
        """
        return self.store.has_recorded(iteration)

    def run(self, iteration: int, system: System | None = None) -> IterationResult:
        """Run *iteration*, or return its result if it was the last to run.

        Iterations that were left out before it are recorded as INCONCLUSIVE.

        Raises:
            ValueError: It ran earlier. A chain's iterations run in order, and once.
            StrategyFault: The system failed, or returned something that is no answer.
        """
        if self.latest is not None and self.latest.iteration == iteration:
            return self.latest
        if self.has_run(iteration):
            msg = f"iteration {iteration} cannot run again: {self.done} is already recorded"
            raise ValueError(msg)
        self._fill_gap(iteration)
        parameters = self.plan.effective(self.store.overrides)
        runs = self.plan.system or system
        if runs is None or not hasattr(runs, "run"):
            given = safe_repr(runs)
            msg = f"the fixture soak_system gave {given}, which has no run()"
            raise StrategyFault(msg)
        raw, state = self._answer(runs, iteration, parameters)
        if self.pace is not None:
            self.pace.ran(iteration, virtual=bool(getattr(runs, "virtual_time", False)))
        # As the journal has it, so that everything can be computed from the journal again.
        report = read_report(jsonable(raw), iteration, self.plan.pack.metrics)
        edited = safe_text(self.mask.text(self.store.edited()), EDITED)
        lost = 0 < self._restored == iteration - 1 and not getattr(runs, "keeps_state", False)
        return self._record(iteration, parameters, report, state, restarted=lost, edited=edited)

    def _answer(
        self, system: System, iteration: int, parameters: Mapping[str, float]
    ) -> tuple[Any, Any]:
        """Return the report and the state that *system* gives, with its secrets masked."""
        if self.plan.system is None:  # the fixture's system is known only now
            try:
                mask, _ = read_secrets(system, self.plan.pack, self.plan.system_name, os.environ)
            except SoakUsageError as error:
                raise StrategyFault(str(error)) from None
            self.mask = self.mask.and_of(mask)
        self.lifecycle.enter(system)
        seed = self.plan.iteration_seed(iteration)
        state = copy.deepcopy(self._state)  # if it raises, the iteration may run again
        try:
            returned: object = system.run(dict(parameters), iteration, seed, state)
        except SystemFailure as failure:
            words = failure_text(failure, self.see_secrets().text)
            msg = f"system {self.plan.system_name}: {words}"
            raise StrategyFault(msg) from failure
        who = f"system {self.plan.system_name}: run() returned"
        if not isinstance(returned, tuple) or len(returned) != 2:  # noqa: PLR2004 - a pair
            msg = f"{who} {type(returned).__name__}, not the pair (report, state)"
            raise StrategyFault(msg)
        raw, given = returned
        state = _plain_state(given)
        if (state is None) != (given is None):
            msg = f"{who} a state that is no plain JSON"
            raise StrategyFault(msg)
        if too_large(raw):
            raw = {"iteration": iteration, "problem": f"the report is too large: {LARGEST_JSON}"}
        if self.see_secrets():
            raw, state = self.mask.data(jsonable(raw)), self.mask.data(state)
        return raw, state

    def see_secrets(self) -> Mask:
        """Also hide the values that secrets have now: a fixture may have fetched them."""
        self.mask = self.mask.seeing(os.environ)
        return self.mask

    def miss(self, iteration: int, why: Kind) -> IterationResult:
        """Record that *iteration* yielded no report, and why."""
        self._fill_gap(iteration)
        parameters = self.plan.effective(self.store.overrides)
        report = Report(Measured({}, {}), problem=Problem(why, iteration))
        return self._record(iteration, parameters, report, self._state)

    def _fill_gap(self, iteration: int) -> None:
        """Record the iterations before *iteration* that were left out."""
        while self.done + 1 < iteration:
            self.miss(self.done + 1, Kind.NOT_RUN)

    def _record(
        self,
        iteration: int,
        parameters: Mapping[str, float],
        report: Report,
        state: object,
        *,
        restarted: bool = False,
        edited: str = "",
    ) -> IterationResult:
        """Decide on one report, and commit the decision to the store.

        Raises:
            StoreError: The iteration could not be recorded, and does not count.
        """
        before = self.store.overrides
        try:
            result, settles = self.controller.decide(
                iteration,
                parameters,
                report,
                before,
                in_window=self.in_window(iteration),
                restarted=restarted,
                edited=edited,
            )
            body = {
                "report": report.raw,
                "settles": settles,
                "summary": summary_to_json(result.summary),
                "judgements": judgements_to_json(result.judged),
                "proposals": proposals_to_json((p.tuner, p.proposal) for p in result.proposed),
                "decision": decision_to_json(result.decision),
                "applied": result.applied,
                "system_state": self.store.save_state(iteration, state),
                "not_passed": self._not_passed(range(max(1, iteration - 1), iteration)),
            }
            patch = self.store.commit(
                iteration, body, self.controller.overrides_after(result, before)
            )
        except BaseException:
            if not self.has_run(iteration):
                self.controller.drop(iteration)
            raise
        self._state = state
        self.stopped = self.controller.stop
        self.latest = replace(result, patch=patch)
        return self.latest

    def in_window(self, iteration: int) -> bool:
        """Tell whether nothing may be applied after *iteration*: as recorded, or as planned."""
        if self.has_run(iteration):
            return self.controller.entries[iteration - 1].summary.in_window
        if self.pace is not None:
            return self.pace.closes(iteration, self.plan.window)
        return self.plan.in_window(iteration)

    def verdict(self) -> ChainVerdict:
        """Judge the chain. One that ended before a resume keeps the problems of that verdict.

        An iteration whose test did not pass is at least INCONCLUSIVE.
        """
        dropped = self.pace.dropped if self.pace else 0
        verdict = self.controller.verdict(self.passed, dropped, self.untold)
        for problem in reversed(self._chain_problems):
            verdict = with_problem(verdict, problem)
        return verdict

    def conclude(self) -> ChainVerdict:
        """Close the system, and judge the chain as far as it ran, if it has no recorded verdict.

        The system is closed first: a fault in closing is part of the verdict, and the systems of
        two chains must not run at the same time. So are overrides that were edited after the last
        iteration.
        """
        self.lifecycle.leave()
        verdict = self.recorded or self.verdict()
        if self.lifecycle.fault:
            verdict = with_problem(verdict, closing_problem(self.lifecycle.fault))
        try:
            edited = "" if self.finished else self.store.edited()
        except StoreError as error:  # they cannot be put back
            edited = str(error)
        if edited:
            verdict = with_problem(verdict, Problem(Kind.OVERRIDES_EDITED, data={"found": edited}))
        return verdict

    def finish(self, verdict: ChainVerdict) -> None:
        """Record the chain's *verdict* and write the reports that sum up the run.

        Raises:
            StoreError: It could not be written.
        """
        self._reports_due = True
        self._end("run_ended", verdict)
        self._reports_due = False

    def close(self) -> None:
        """Close the system and the store; first write the reports of a run that was broken off.

        Raises:
            StoreError: It could not be written.
        """
        try:
            verdict = self.conclude()
            if not self.finished:
                self._end("run_interrupted", with_problem(verdict, Problem(Kind.BROKEN_OFF)))
            elif self._reports_due:
                self.store.restore()
        finally:
            self.store.close()

    def _end(self, kind: str, verdict: ChainVerdict) -> None:
        """Record an end of this *kind*, then write the reports that sum up the run."""
        failed = self._not_passed(range(1, self.done + 1))
        untold = [number for number in failed if number in self.untold]
        body = {**verdict_to_json(verdict), "not_passed": failed, "untold": untold}
        self.store.journal.append(kind, self.done, body)
        self.finished = kind == "run_ended"
        self.store.sum_up()

    def _not_passed(self, iterations: range) -> list[int]:
        """Return those of *iterations* whose tests did not pass."""
        return [n for n in iterations if self.passed is not None and n not in self.passed]

    def _restore(self) -> None:
        """Rebuild the chain's state from the records of settled iterations."""
        ran_with = self._overrides_of_iterations()
        for record in self.store.iterations:
            number = record["iteration"]
            summary = summary_from_json(record["summary"], number)
            decision = decision_from_json(record["decision"], number, summary.parameters)
            judged = judged_from_json(record)
            entry = Entry(summary, decision, record["applied"])
            settles, report = record["settles"], record["report"]
            self.controller.restore(entry, judged, settles, ran_with[number], report)
            self.latest = IterationResult(
                number,
                summary.parameters,
                read_report(record["report"], number, self.plan.pack.metrics),
                summary,
                decision,
                tuple(op for op in record["patch"] if op["op"] != "test"),
                record["applied"],
                judged,
                fault="; ".join(
                    str(one) for one in summary.problems if one.kind is Kind.STRATEGY_FAULT
                ),
            )
        for record in self.store.journal.records:
            if record["kind"] == "rolled_back":
                self.controller.rolled_back_at = record["iteration"]
            elif record["kind"] == "run_ended":  # a resume does not remove earlier problems
                self._chain_problems = own_problems(record)
            self.failed.update(record.get("not_passed", ()))
        self.stopped = self.controller.stop
        ending = ending_of(self.store.journal.records)
        if ending and ending["kind"] == "run_ended":
            self.finished, self.recorded = True, verdict_from_json(ending)
        self.untold = {untold_test(self.store.journal.records)} - {0}
        if self.store.iterations:
            digest = self.store.iterations[-1]["system_state"]
            self._state = self.store.load_state(self.done, digest)

    def _overrides_of_iterations(self) -> dict[int, dict[str, float]]:
        """Return the overrides that each recorded iteration ran with."""
        overrides: dict[str, float] = {}
        ran_with = {}
        for record in self.store.journal.records:
            if record["kind"] == "iteration":
                ran_with[record["iteration"]] = overrides
            overrides = record.get("overrides", overrides)
            overrides = apply(overrides, record["patch"]) if record.get("patch") else overrides
        return ran_with


def _plain_state(state: object) -> object:
    """Return *state* as it is read from its file, or None if that changes it."""
    if state is None:
        return None
    try:
        read: object = json.loads(line(state))
        same = bool(read == state)
    except Exception:  # noqa: BLE001 - an object of a foreign class may raise anything
        same = False
    return read if same else None
