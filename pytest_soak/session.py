"""The plugin of a run that soaks: its hooks in the order of a run's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.chain import (
    GATE,
    SLOT,
    Chain,
    GateItem,
    Slot,
    chain_name,
    select,
    slot_ids,
    slot_of,
)
from pytest_soak.core import CorePlugin
from pytest_soak.errors import SoakUsageError
from pytest_soak.loop import SoakLoop
from pytest_soak.model.verdict import partial_verdict
from pytest_soak.options import SoakRequest, read_marker
from pytest_soak.plan import OWN_SYSTEM, plan_chain
from pytest_soak.registry import Registry
from pytest_soak.strategies import StrategyFault
from pytest_soak.views import junit, markers, rows
from pytest_soak.views.terminal import TerminalView

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_soak.loop import IterationResult
    from pytest_soak.systems.protocol import System

SESSION: pytest.StashKey[SoakSession] = pytest.StashKey()


def start_session(config: pytest.Config, request: SoakRequest) -> None:
    """Register what a run that soaks needs.

    Raises:
        SoakUsageError: The kind of distribution cannot keep chains whole.
    """
    worker = hasattr(config, "workerinput")
    if config.pluginmanager.hasplugin("xdist"):
        from pytest_soak import distribute  # noqa: PLC0415 - only where xdist is there

        request = distribute.shared_request(config, request)
        if not worker:
            distribute.join(config, request)
    config.pluginmanager.register(CorePlugin(), "soak-core")
    session = SoakSession(config, request)
    config.stash[SESSION] = session
    config.pluginmanager.register(session, "soak-session")
    if not worker:
        config.pluginmanager.register(TerminalView(), "soak-terminal")


class SoakSession:
    """Makes chains out of tests, runs their iterations, and gives their verdicts."""

    def __init__(self, config: pytest.Config, request: SoakRequest) -> None:
        """Take the run's *config* and what it was asked for."""
        self._config = config
        self._request = request
        self._registry = Registry(config.pluginmanager)
        self._chains: dict[str, Chain] = {}
        self._lines: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give each soak test its iterations and its gate, after all its other parameters."""
        soaks = "soak_slot" in metafunc.fixturenames
        if not soaks and not list(metafunc.definition.iter_markers("soak")):
            return
        if not soaks:
            metafunc.fixturenames.append("soak_slot")
        count = self._request.iterations
        metafunc.parametrize(
            "soak_slot",
            [*range(1, count + 1), GATE],
            ids=slot_ids(count),
            indirect=True,
            scope="function",
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self) -> Generator[None, Any, Any]:
        """Note each iteration's place, and put a gate item where the last one stands."""
        made = yield
        if isinstance(made, list):
            return [self._placed(item) for item in made]
        return made

    def _placed(self, item: object) -> object:
        callspec = getattr(item, "callspec", None)
        if not isinstance(item, pytest.Function) or callspec is None:
            return item
        number = callspec.params.get("soak_slot")
        if number is None:
            return item
        chain = self._chain_of(item)
        placed: pytest.Item = item
        if number == GATE:
            assert item.parent is not None  # noqa: S101 - a function stands in a module or class
            placed = GateItem.from_parent(
                item.parent,
                name=item.name,
                nodeid=item.nodeid,  # or pytest 9.2 takes it for another item than its report's
                function=item,
                judge=self.judge,
            )
        chain.members[number] = placed
        placed.stash[SLOT] = Slot(chain, number)
        return placed

    def _chain_of(self, item: pytest.Function) -> Chain:
        name = chain_name(item.nodeid)
        if name not in self._chains:
            self._chains[name] = Chain(name, fixed_system(item))
        return self._chains[name]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, Any, Any]:
        """Keep soak items only, chains whole and in order, and settle every chain's plan."""
        others = [item for item in items if slot_of(item) is None]
        if others:
            self._config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if slot_of(item) is not None]
        collected = {slot.chain.name: slot.chain for slot in map(slot_of, items) if slot}
        yield
        deselect = tuple(self._config.getoption("deselect") or ())
        left = set(items)
        items[:] = select(items, collected.values(), named_nodes(session), deselect)
        self._tell_selection(left, set(items))
        try:
            for item in items:
                slot = item.stash[SLOT]
                if slot.chain.plan is None:
                    self._plan(slot.chain, item)
        except SoakUsageError as error:
            if not hasattr(self._config, "workerinput"):
                raise pytest.UsageError(str(error)) from None
            from pytest_soak import distribute  # noqa: PLC0415 - only in a worker

            distribute.report_usage_error(self._config, error)
            items.clear()

    def _tell_selection(self, left: set[pytest.Item], chosen: set[pytest.Item]) -> None:
        """Correct what was reported as deselected: the members that go or come with their chain."""
        if left - chosen:
            self._config.hook.pytest_deselected(items=list(left - chosen))
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        deselected = terminal.stats.get("deselected") if terminal else None
        if deselected:
            deselected[:] = [item for item in deselected if item not in chosen]

    def _plan(self, chain: Chain, item: pytest.Item) -> None:
        settings: dict[str, Any] = {}
        for mark in reversed(list(item.iter_markers("soak"))):
            settings |= read_marker(mark.kwargs, mark.args, self._config.rootpath)
        chain.plan = plan_chain(
            chain.name, self._request, settings, self._registry, system=chain.system
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Open the chain's loop before its first iteration; skip what comes after a failure."""
        slot = slot_of(item)
        if slot is None:
            return
        chain, number = slot.chain, slot.number
        if chain.loop is None:
            self._open(chain)
        if number == GATE:
            return
        if chain.broken and chain.broken < number:
            pytest.skip(f"not run: the chain ended when iteration {chain.broken} failed")
        chain.passed.discard(number)
        chain.broken = 0

    def _open(self, chain: Chain) -> None:
        assert chain.plan is not None  # noqa: S101 - settled when collection ended
        chain.loop = SoakLoop(chain.plan, self._registry, self._request.folder)
        # What another worker recorded before it died had passed there, or it would be run again.
        chain.passed.update(range(1, chain.loop.done + 1))
        self._lines += markers.started(chain.plan, chain.loop.store.folder)
        self._config.hook.pytest_soak_started(plan=chain.plan)

    def run(self, chain: Chain, number: int, system: System | None) -> IterationResult:
        """Run one iteration of *chain*, or return its result where it was just run."""
        loop = opened(chain)
        settled = loop.latest is not None and loop.latest.iteration == number
        result = loop.run(number, system)
        if not settled:
            self._tell(chain, result)
        elif result.applied:
            self._lines += markers.again(result)
        return result

    def _tell(self, chain: Chain, result: IterationResult) -> None:
        loop = opened(chain)
        self._lines += markers.iteration(loop.plan, result, loop.store.readback())
        self._config.hook.pytest_soak_iteration(plan=loop.plan, result=result)
        if result.applied:
            self._config.hook.pytest_soak_applied(plan=loop.plan, result=result)

    def judge(self, gate: GateItem, chain: Chain) -> str:
        """Give the verdict of *chain* and record it; return why it does not pass, if so."""
        loop = opened(chain)
        verdict = loop.verdict(chain.passed)
        if chain.partial:
            verdict = partial_verdict(verdict)
        loop.finish(verdict)
        self._lines += markers.gate(loop.plan, verdict)
        self._config.hook.pytest_soak_verdict(plan=loop.plan, verdict=verdict)
        gate.user_properties[:] = junit.gate_properties(loop.plan, loop.judged, verdict)
        gate.stash[rows.VERDICT] = rows.verdict_row(chain.name, loop, verdict)
        if verdict.verdict.good:
            return ""
        return rows.explanation(loop, verdict)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Follow which iterations passed, and attach what the views show."""
        report = yield
        slot = slot_of(item)
        if slot is None:
            return report
        chain, number = slot.chain, slot.number
        if number != GATE:
            self._follow(chain, number, report)
        row: dict[str, Any] = {}
        if call.when == "call" and number == GATE:
            row = item.stash.get(rows.VERDICT, {})
        elif call.when == "call" and chain.loop and chain.loop.done >= number:
            row = rows.iteration_row(chain.name, chain.loop)
        if row or (self._lines and (call.when == "call" or not report.passed)):
            vars(report)["soak"] = {"lines": self._lines, **row}
            self._lines = []
        return report

    def _follow(self, chain: Chain, number: int, report: pytest.TestReport) -> None:
        if report.failed:
            chain.broken = number
            chain.passed.discard(number)
        elif report.when == "call" and report.passed:
            chain.passed.add(number)
            loop = opened(chain)
            if loop.done < number:
                self._tell(chain, loop.miss(number, "its test never called soak.run()"))

    def pytest_sessionfinish(self) -> None:
        """Close what is open."""
        for chain in self._chains.values():
            if chain.loop is not None:
                chain.loop.close()


class Soak:
    """What a test does with its iteration."""

    def __init__(
        self, session: SoakSession, chain: Chain, iteration: int, system: System | None
    ) -> None:
        """Stand for one *iteration* of *chain*; *system* is the test's own, if it has one."""
        self._session = session
        self._chain = chain
        self._system = system
        self._result: IterationResult | None = None
        self.iteration = iteration

    @property
    def chain(self) -> Chain:
        """The chain this iteration belongs to."""
        return self._chain

    def run(self) -> IterationResult:
        """Run this iteration and return its result; a second call returns the same.

        Fails the test where a strategy raised or returned nonsense; the iteration is recorded all
        the same, and nothing is applied.
        """
        if self._result is None:
            try:
                self._result = self._session.run(self._chain, self.iteration, self._system)
            except StrategyFault as fault:
                pytest.fail(str(fault), pytrace=False)
        if self._result.fault:
            pytest.fail(self._result.fault, pytrace=False)
        return self._result


def open_soak(item: pytest.Item, iteration: int, system: System | None) -> Soak:
    """Return the soak of *item*; *system* is used where the test brings its own."""
    chain = item.stash[SLOT].chain
    own = system if chain.system == OWN_SYSTEM else None
    return Soak(item.config.stash[SESSION], chain, iteration, own)


def opened(chain: Chain) -> SoakLoop:
    """Return the loop of a chain whose first iteration was set up."""
    assert chain.loop is not None  # noqa: S101 - opened in the setup of its first item
    return chain.loop


def fixed_system(item: pytest.Function) -> str:
    """Return what a fixture of *item* fixes: ``mock``, ``fixture``, or an empty string.

    ``mock_soak`` fixes the mock; a ``soak_system`` fixture that overrides ours brings a system of
    the test's own.
    """
    if "mock_soak" in item.fixturenames:
        return "mock"
    definitions = item._fixtureinfo.name2fixturedefs.get("soak_system", ())  # noqa: SLF001
    return OWN_SYSTEM if len(definitions) > 1 else ""


def named_nodes(session: pytest.Session) -> set[str]:
    """Return the node ids given on the command line, relative to the root."""
    root = session.config.rootpath
    here = session.config.invocation_params.dir
    named = set()
    for argument in session.config.args:
        path, _, rest = str(argument).partition("::")
        full = (here / path).resolve()
        relative = full.relative_to(root).as_posix() if full.is_relative_to(root) else path
        named.add(f"{relative}::{rest}" if rest else relative)
    return named
