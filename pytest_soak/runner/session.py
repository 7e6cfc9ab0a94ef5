"""The plugin of a soak run, with its hooks in the order in which pytest calls them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.registry import Registry
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.errors import SoakUsageError, file_fault, what_raised
from pytest_soak.model.chain import with_problem
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.runner.chain import GATE, PLACE, Chain, Place, place_of
from pytest_soak.runner.collect import SoakCollection
from pytest_soak.runner.exit_code import EXPECTED, Expected
from pytest_soak.runner.hours import CLOCK, Hours
from pytest_soak.runner.interruption import Interruption
from pytest_soak.runner.resume import runs_to_resume
from pytest_soak.runner.secrecy import Secrecy, clean, mask_of
from pytest_soak.store.files import StoreError
from pytest_soak.views.rows import explanation
from pytest_soak.views.screen import write_errors
from pytest_soak.views.views import Views, show_ending

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_soak.config.request import SoakRequest
    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.systems.protocol import System

SESSION: pytest.StashKey[SoakSession] = pytest.StashKey()
NEEDED = tuple(
    f"soak-{part}"
    for part in (
        "core",
        "session",
        "collection",
        "secrecy",
        "interruption",
        "hours",
        "distribution",
    )
)
"""The parts of the plugin that ``-p no:`` must not switch off."""


def start_session(config: pytest.Config, request: SoakRequest) -> None:
    """Register what a soak run needs.

    Raises:
        SoakUsageError: ``--dist each`` was given, or ``-p no:`` switches off a part of the plugin.
    """
    for name in NEEDED:
        if config.pluginmanager.is_blocked(name):
            msg = f"-p no:{name}: a soak cannot run without it"
            raise SoakUsageError(msg)
    if request.resume and not request.worker:
        unfinished, ended = runs_to_resume(request.folder)
        request = replace(request, unfinished=unfinished, ended=ended)
    config.stash[EXPECTED] = Expected(request.folder)
    if config.pluginmanager.hasplugin("xdist"):
        from pytest_soak.runner import distribute  # noqa: PLC0415 - it imports xdist

        request = distribute.shared_request(config, request)
        if not request.worker:
            distribute.join(config, request)
    config.pluginmanager.register(
        CorePlugin(request.replay, request.command, request.root), "soak-core"
    )
    session = SoakSession(config, request)
    config.stash[SESSION] = session
    config.pluginmanager.register(session, "soak-session")
    config.pluginmanager.register(Interruption(worker=request.worker), "soak-interruption")
    if request.slot is not None:
        config.pluginmanager.register(Hours(), "soak-hours")
    if not request.worker:
        session.views.register(config.pluginmanager)


class SoakSession:
    """Runs the iterations of chains, and gives their verdicts."""

    def __init__(self, config: pytest.Config, request: SoakRequest) -> None:
        """Register collection and masking for the run that *request* describes."""
        self._config = config
        self._request = request
        self._registry = Registry(config.pluginmanager)
        self.views = Views()
        self._observer_fault = ""
        self._running: pytest.Item | None = None
        self._faults: dict[str, None] = {}
        self._gated: set[str] = set()
        self._expected = config.stash[EXPECTED]
        self._collection = SoakCollection(config, request, self._registry, self.judge)
        config.pluginmanager.register(self._collection, "soak-collection")
        config.pluginmanager.register(Secrecy(self._collection.chains), "soak-secrecy")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Report an iteration that was settled before a resume, without running its test.

        An iteration whose slot was dropped at the deadline is not reported at all.
        """
        place = place_of(item)
        if place is not None and place.chain.drops(place.number):
            return True
        if place is None or not 0 < place.number <= place.chain.resumed:
            return None
        item.user_properties.append(("soak_resumed", True))
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for when in ("setup", "call", "teardown"):
            phase = partial(self._settled_phase, place, when)
            call = pytest.CallInfo.from_call(phase, when=when)
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            item.ihook.pytest_runtest_logreport(report=report)
            if not report.passed:
                break
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Open the chain's loop before its first iteration; skip the iterations after a failure.

        Not ``tryfirst``: skip marks act first, so a skipped chain leaves nothing in its folder.
        """
        place = place_of(item)
        if place is None:
            return
        chain, number = place.chain, place.number
        skip_after_failure(place)
        self._open(chain, number)
        if number == GATE:
            return
        skip_after_stop(place)
        chain.passed.discard(number)
        chain.broken = 0

    def _settled_phase(self, place: Place, when: str) -> None:
        """Open the chain's loop; fail if the iteration's test had not passed."""
        if place.chain.loop is None:  # it could not be opened for an earlier item
            skip_after_failure(place)
        self._open(place.chain, place.number)
        if when == "call" and place.number in loop_of(place.chain).failed:
            pytest.fail("its test did not pass before the run was resumed", pytrace=False)

    def _open(self, chain: Chain, number: int) -> None:
        """Open the chain's loop, unless it is open, for the item *number*."""
        if chain.loop is not None:
            return
        assert chain.plan is not None
        fault = ""  # fails outside of the handlers, or pytest would show the cause too
        try:
            clock = self._config.stash.get(CLOCK, None)
            chain.loop = SoakLoop(chain.plan, self._registry, self._request.folder, clock, number)
        except (StoreError, OSError) as error:
            fault = file_fault(error)
        if chain.loop is None:
            pytest.fail(fault, pytrace=False)
        loop = chain.loop
        chain.passed.update(set(range(1, loop.done + 1)) - loop.failed - loop.untold)
        loop.passed = chain.passed
        self.views.collect(lambda view: view.opened(loop, chain.notes))
        self._notify("started", loop)
        if self._observer_fault:
            pytest.fail(self._pop_observer_fault(), pytrace=False)

    def _notify(self, event: str, loop: SoakLoop, **what: object) -> None:
        """Call the observers of *event*. One that raises fails the item, after it was recorded."""
        hook = f"pytest_soak_{event}"
        try:
            getattr(self._config.hook, hook)(plan=loop.plan, **what)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            what_happened = what_raised(error, loop.see_secrets().text)
            self._observer_fault = f"an observer, hook {hook}, {what_happened}"

    def _pop_observer_fault(self) -> str:
        fault, self._observer_fault = self._observer_fault, ""
        return fault

    def run(self, chain: Chain, number: int, system: System | None) -> IterationResult:
        """Run one iteration of *chain*, or return its result if it was the last to run."""
        loop = loop_of(chain)
        repeated = loop.latest is not None and loop.latest.iteration == number
        result = loop.run(number, system)
        if repeated:
            self.views.collect(lambda view: view.repeated(loop, result))
        else:
            self._publish(chain, result)
        if self._observer_fault:
            pytest.fail(self._pop_observer_fault(), pytrace=False)
        return result

    def _publish(self, chain: Chain, result: IterationResult) -> None:
        """Pass a new result to views and observers."""
        loop = loop_of(chain)
        self.views.collect(lambda view: view.ran(loop, result))
        self._notify("iteration", loop, result=result)
        if result.applied:
            self._notify("applied", loop, result=result)

    def judge(self, chain: Chain) -> str:
        """Judge *chain* and record the verdict; return why it does not pass, or an empty string.

        The recorded verdict of a run that had ended is told again, and not given anew.
        """
        loop = loop_of(chain)
        ended = loop.finished
        verdict = loop.conclude()
        if chain.partial and not loop.recorded:
            verdict = with_problem(verdict, Problem(Kind.PARTIAL))
        if not ended:
            try:
                loop.finish(verdict)
            except (StoreError, OSError) as error:
                fault = Problem(Kind.NOT_RECORDED, data={"text": ended_by(error)})
                verdict = with_problem(verdict, fault)
        again = chain.name in self._gated
        self.views.collect(lambda view: view.judged(loop, verdict, again=again))
        if not ended:
            self._notify("verdict", loop, verdict=verdict)
        if verdict.verdict.good:
            return self._pop_observer_fault()
        return explanation(loop, verdict)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record which iterations passed, and attach what the views show."""
        report = yield
        place = place_of(item)
        if place is None or item is self._running:  # a report of a subtest
            return report
        chain, number = place.chain, place.number
        if number != GATE:
            self._follow(chain, number, report)
        elif report.when == "setup" and report.skipped and chain.passed:
            report.outcome = "failed"
            report.longrepr = "KPI gate: skipped, though iterations of its chain ran"
        elif report.when == "setup" and report.skipped and chain.loop is None:
            self._expected.skipped[chain.name] = chain.skippable
        if number == GATE and (call.when == "call" or not report.passed):
            self._gated.add(chain.name)
        loop = chain.loop
        if call.when == "call" and number != GATE and loop is not None and loop.has_run(number):
            self.views.collect(lambda view: view.reported(loop, number))
        mask = mask_of(chain)
        if call.when == "call" or not report.passed:
            self.views.attach(item, report, mask)
        clean(report, mask)  # again: views and other plugins have added to it
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Record which test runs, and whether it raised.

        The innermost wrapper: no other hook can hide an exception from it. Reports that are made
        while a test runs are those of its subtests.
        """
        self._running = item
        place = place_of(item)
        raised = place.chain.raised if place else set()
        number = place.number if place else GATE
        raised.discard(number)
        try:
            return (yield)
        except BaseException:
            raised.add(number)
            raise
        finally:
            self._running = None

    def _follow(self, chain: Chain, number: int, report: pytest.TestReport) -> None:
        if chain.loop is not None:
            chain.loop.untold.discard(number)
        if report.failed:
            chain.broken = number
            chain.passed.discard(number)
            return
        fault = ""
        try:
            if report.when == "call" and report.passed and number not in chain.raised:
                chain.passed.add(number)
                fault = self._miss(chain, number)
            elif report.when == "teardown" and number in chain.passed:
                self._hand_over(chain, number)
        except StoreError as error:
            fault = ended_by(error)
        if fault:
            report.outcome, report.longrepr = "failed", fault
            self._follow(chain, number, report)

    def _miss(self, chain: Chain, number: int) -> str:
        """Record an iteration whose test never ran it; return an observer's fault, or nothing."""
        loop = loop_of(chain)
        if loop.has_run(number):
            return ""
        self._publish(chain, loop.miss(number, Kind.NEVER_CALLED))
        return self._pop_observer_fault()

    def _hand_over(self, chain: Chain, number: int) -> None:
        """In a worker, record that a test passed: if it crashes, another one takes up the chain.

        Elsewhere the next record says it.
        """
        if self._request.worker and number > chain.resumed:
            loop_of(chain).store.journal.append("test_passed", number, {})

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the open chains; in a worker, send the controller what was collected."""
        expected = self._expected
        if self._request.worker and expected.collected:
            self._send("expected", (expected.chains, expected.skipped))
        for chain in self._collection.chains.values():
            if chain.loop is None:
                continue
            fault = ""
            try:
                chain.loop.close()
            except (StoreError, OSError) as error:
                fault = ended_by(error)
            fault = "; ".join(filter(None, (fault, chain.loop.lifecycle.fault)))
            if fault:
                self._note_fault(session, f"{chain.name}: {fault}")
            if chain.name not in self._gated:
                self._show_ending(chain)

    def _show_ending(self, chain: Chain) -> None:
        """Show how *chain* ended without its gate, and what no report has carried to the views."""
        loop = loop_of(chain)
        self.views.collect(lambda view: view.broken_off(loop))
        mask = mask_of(chain)
        nodeid = mask.text(chain.members[loop.done or 1].nodeid)
        ending = {"nodeid": nodeid, "parts": self.views.drain(mask)}
        if self._request.worker:
            self._send("ending", ending)
        else:
            show_ending(self._config, ending)

    def _note_fault(self, session: pytest.Session, fault: str) -> None:
        """Fail the run because a chain had a *fault* at its end."""
        if self._request.worker:
            self._send("fault", fault)
            return
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._faults[fault] = None

    def _send(self, kind: str, value: object) -> None:
        """Send *value* from this worker to the controller."""
        from pytest_soak.runner import distribute  # noqa: PLC0415 - it imports xdist

        distribute.send(self._config, kind, value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the faults that chains had at their end, each once."""
        write_errors(terminalreporter, self._faults)


class Soak:
    """One iteration of a chain, as its test sees it."""

    def __init__(
        self, session: SoakSession, chain: Chain, iteration: int, system: System | None
    ) -> None:
        """Stand for one *iteration* of *chain*; *system* is the test's own, if it has one."""
        self._session = session
        self._system = system
        self._result: IterationResult | None = None
        self.chain = chain
        self.iteration = iteration

    def run(self) -> IterationResult:
        """Run this iteration and return its result; a second call returns the same.

        Fails the test if a strategy raised or returned something that cannot be used. The iteration
        is recorded all the same, and nothing is applied.
        """
        fault = ""  # the test fails outside of the handlers, or pytest would show the cause too
        if self._result is None:
            try:
                self._result = self._session.run(self.chain, self.iteration, self._system)
            except StrategyFault as error:
                fault = str(error)
            except StoreError as error:
                fault = ended_by(error)
        if self._result is None:
            pytest.fail(fault, pytrace=False)
        if self._result.fault:
            pytest.fail(self._result.fault, pytrace=False)
        return self._result


def open_soak(item: pytest.Item, system: System | None) -> Soak:
    """Return the soak of *item*; *system* is what the fixture ``soak_system`` gave."""
    place = item.stash[PLACE]
    chain = place.chain
    own = system if chain.plan is not None and chain.plan.system is None else None
    return Soak(item.config.stash[SESSION], chain, place.number, own)


def skip_after_failure(place: Place) -> None:
    """Skip an iteration of a chain that an earlier one has ended by its failure."""
    broken = place.chain.broken
    if 0 < broken < place.number:
        pytest.skip(f"not run: the chain ended when iteration {broken} failed")


def skip_after_stop(place: Place) -> None:
    """Skip an iteration of a chain that has ended early."""
    stopped = loop_of(place.chain).stopped
    if stopped is not None:
        pytest.skip(f"not run: {stopped}")


def ended_by(error: Exception) -> str:
    """Return the message for a chain that can no longer be recorded."""
    return (
        f"{file_fault(error)}; the chain ends here; fix the cause, then continue with --soak-resume"
    )


def loop_of(chain: Chain) -> SoakLoop:
    """Return the loop of a chain whose first iteration was set up."""
    assert chain.loop is not None
    return chain.loop
