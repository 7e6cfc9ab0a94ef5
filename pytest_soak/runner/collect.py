"""Collection: tests become chains, which are selected whole and planned."""

from __future__ import annotations

import inspect
import warnings
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.config.baseline import with_baseline
from pytest_soak.config.options import SKIPPABLE
from pytest_soak.config.plan import MOCK_SYSTEM, OWN_SYSTEM, plan_chain
from pytest_soak.config.request import SoakRequest, read_marker
from pytest_soak.engine.strategies import Strategies
from pytest_soak.errors import SoakUsageError, gathered, refuse_all, unknown
from pytest_soak.model.safe_repr import did_you_mean, safe_repr
from pytest_soak.runner.chain import (
    GATE,
    PLACE,
    Chain,
    GateItem,
    Place,
    chain_name,
    chains_of,
    member_ids,
    place_of,
    select,
)
from pytest_soak.runner.exit_code import EXPECTED
from pytest_soak.runner.resume import resume_chains
from pytest_soak.store.folder import refuse_busy

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from types import CodeType

    from pytest_soak.config.registry import Registry
    from pytest_soak.config.request import SourcedValue


SLOT_FIXTURE = "soak_slot"
"""The fixture that all others of a soak request, and that is parametrized into iterations."""


class SoakCollection:
    """Makes chains out of tests, keeps them whole and in order, and plans them."""

    def __init__(
        self,
        config: pytest.Config,
        request: SoakRequest,
        registry: Registry,
        judge: Callable[[Chain], str],
    ) -> None:
        """Start without chains.

        Args:
            config: pytest's.
            request: What the run was asked for.
            registry: What is installed.
            judge: Gives the verdict of a chain: why it does not pass, or an empty string.
        """
        self._config = config
        self._request = request
        self._registry = registry
        self._judge = judge
        self._expected = config.stash[EXPECTED]
        self.chains: dict[str, Chain] = {}
        self._deselected: set[pytest.Item] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give each soak test its iterations and its gate, after all its other parameters."""
        soaks = SLOT_FIXTURE in metafunc.fixturenames
        if not soaks and not list(metafunc.definition.iter_markers("soak")):
            return
        if not soaks:
            metafunc.fixturenames.append(SLOT_FIXTURE)
        count = self._request.iterations
        metafunc.parametrize(
            SLOT_FIXTURE,
            [*range(1, count + 1), GATE],
            ids=member_ids(count),
            indirect=True,
            scope="function",  # with a wider one pytest would reorder the items
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self) -> Generator[None, Any, Any]:
        """Record the place of each item in its chain, and replace the last one by the gate item."""
        made = yield
        if isinstance(made, list):
            return [self._placed(item) for item in made]
        return made

    def _placed(self, item: object) -> object:
        callspec = getattr(item, "callspec", None)
        if not isinstance(item, pytest.Function) or callspec is None:
            return item
        number = callspec.params.get(SLOT_FIXTURE)
        if number is None:
            return item
        chain = self._chain_of(item)
        placed: pytest.Item = item
        if number == GATE:
            assert item.parent is not None
            placed = GateItem.from_parent(
                item.parent,
                name=item.name,
                nodeid=item.nodeid,  # else pytest 9.2 does not match its reports with it
                function=item,
                judge=self._judge,
            )
        chain.members[number] = placed
        placed.stash[PLACE] = Place(chain, number)
        return placed

    def _chain_of(self, item: pytest.Function) -> Chain:
        name = chain_name(item.nodeid)
        if name not in self.chains:
            given = item.callspec.params.items()
            own = {parameter: value for parameter, value in given if parameter != SLOT_FIXTURE}
            self.chains[name] = Chain(name, fixed_system(item), own)
        return self.chains[name]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, Any, Any]:
        """Deselect other items, restore whole chains in their order, and plan each chain.

        The outermost wrapper: after the yield all other plugins have selected and sorted.
        """
        others = [item for item in items if place_of(item) is None]
        if others:
            self._config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if place_of(item) is not None]
        collected = chains_of(items)
        self._expected.chains.update(dict.fromkeys(collected, ("", "")))
        named = named_nodes(session)
        # --lf and node ids drop members during collection; other plugins must see whole chains.
        items[:] = select(items, (), named, ())
        yield
        deselect = tuple(self._config.getoption("deselect") or ())
        left = set(items)
        items[:] = select(items, collected.values(), named, deselect)
        self._report_selection(left, set(items))
        try:
            wrong: list[str] = []
            marked: list[tuple[Chain, Mapping[str, SourcedValue]]] = []
            with gathered(wrong):
                refuse_unfit(others)
            for _, members in groupby(items, lambda item: item.stash[PLACE].chain.name):
                item = next(members)
                chain = item.stash[PLACE].chain
                with gathered(wrong):
                    marked.append((chain, self._plan(chain, item)))
            refuse_all(wrong)
            packs = [chain.plan.pack for chain in self.chains.values() if chain.plan]
            used = {name for pack in packs for name in (pack.name, *pack.bases)}
            check_pack_tables(self._request.packs, used | self._registry.offers("packs").keys())
            resume_chains(chains_of(items).values(), self._request)
            self._compare(marked)
        except SoakUsageError as error:
            if not self._request.worker:
                raise pytest.UsageError(str(error)) from None
            from pytest_soak.runner import distribute  # noqa: PLC0415 - only in a worker

            distribute.send(self._config, "usage_error", str(error))
            items.clear()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Record what was deselected: a chain that disappears otherwise still needs a verdict."""
        self._deselected.update(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Determine which chains need a verdict at the end of the run."""
        expected = self._expected.chains
        for name in expected.keys() - chains_of(session.items).keys():
            if not self._deselected.isdisjoint(self.chains[name].members.values()):
                del expected[name]
        for name in expected:
            plan = self.chains[name].plan
            if plan:
                expected[name] = plan.slug, plan.run_id
        self._expected.collected = True

    def _report_selection(self, left: set[pytest.Item], chosen: set[pytest.Item]) -> None:
        """Correct pytest's list of deselected items by those that follow their chain."""
        if left - chosen:
            self._config.hook.pytest_deselected(items=list(left - chosen))
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        deselected = terminal.stats.get("deselected") if terminal else None
        if deselected:
            deselected[:] = [item for item in deselected if item not in chosen]

    def _compare(self, marked: Iterable[tuple[Chain, Mapping[str, SourcedValue]]]) -> None:
        """Look for what each chain is compared with; after a resume, which knows it already."""
        wrong: list[str] = []
        for chain, settings in marked:
            if chain.plan:
                with gathered(wrong):
                    chain.plan = with_baseline(chain.plan, self._request, settings)
        refuse_all(wrong)

    def _plan(self, chain: Chain, item: pytest.Item) -> Mapping[str, SourcedValue]:
        """Plan a *chain*; return the settings on the marker of its test."""
        settings: dict[str, Any] = {}
        wrong: list[str] = []
        marks = list(item.iter_markers_with_node("soak"))
        for _, mark in reversed(marks):
            with gathered(wrong):
                settings |= read_marker(mark.kwargs, mark.args, self._config.rootpath)
            chain.skippable = mark.kwargs.get(SKIPPABLE, chain.skippable)
        if not wrong:
            wrong = clashes(chain.name, [mark.kwargs for node, mark in marks if node is item])
        refuse_all(wrong)
        plan = plan_chain(
            chain.name,
            self._request,
            settings,
            self._registry,
            system=chain.system,
            parameters=chain.parameters,
        )
        Strategies(plan, self._registry)  # here only to find usage errors; the loop makes its own
        if not self._request.late:  # else another worker of this run may hold the lock
            refuse_busy(self._request.folder / plan.slug)
        chain.plan = plan
        return settings


def clashes(name: str, marks: Iterable[Mapping[str, object]]) -> list[str]:
    """Return a message for each argument to which *marks* of one function give several values.

    Args:
        name: The name of the chain, for the messages.
        marks: The arguments of each mark.
    """
    values: dict[str, list[object]] = {}
    for mark in marks:
        for argument, value in mark.items():
            values.setdefault(argument, []).append(value)
    return [
        f"{name}: @pytest.mark.soak({argument}=): {' and '.join(map(safe_repr, given))} given by "
        "marks of one function; allowed: one of them"
        for argument, given in values.items()
        if any(value != given[0] for value in given)
    ]


def check_pack_tables(tables: Iterable[str], known: Collection[str]) -> None:
    """Check the names of ``[tool.pytest-soak.packs.NAME]`` against the *known* packs.

    A name that is close to a known one is an error. Any other unknown name is only a warning,
    because a test that is not selected may load that pack from a file.

    Raises:
        SoakUsageError: A name is misspelt, or there is a warning and warnings are errors.
    """
    for name in sorted({*tables} - {*known}):
        message = unknown("pack", name, "pyproject.toml: [tool.pytest-soak.packs]", known)
        if did_you_mean(name, known):
            raise SoakUsageError(message)
        try:
            warnings.warn(message, pytest.PytestConfigWarning, stacklevel=1)
        except pytest.PytestConfigWarning:
            raise SoakUsageError(message) from None


def refuse_unfit(items: Iterable[pytest.Item]) -> None:
    """Refuse soak tests that cannot be parametrized.

    Raises:
        SoakUsageError: One was found: a method of a `unittest.TestCase`, or a test that requests
            `soak` by `getfixturevalue` while it runs.
    """
    faults = []
    for item in items:
        why = ""
        if item.get_closest_marker("soak"):
            why = "marked soak"
        elif SLOT_FIXTURE in getattr(item, "fixturenames", ()):
            why = "requests the fixture soak"
        if why:
            faults.append(
                f"{item.nodeid}: {why}, but cannot be parametrized into iterations; allowed: test "
                "functions, and methods of classes that are no unittest.TestCase"
            )
        elif isinstance(item, pytest.Function) and _fetches_soak(item):
            faults.append(
                f"{item.nodeid}: asks for the fixture soak by request.getfixturevalue(), too late "
                "for iterations; allowed: soak as an argument, or @pytest.mark.soak"
            )
    refuse_all(faults)


def _fetches_soak(item: pytest.Function) -> bool:
    """Tell whether *item*, or a fixture of it, requests a soak's fixture by `getfixturevalue`.

    The name is searched among the string constants of the functions that call it, and among the
    test's parameters.
    """
    definitions = item._fixtureinfo.name2fixturedefs.values()  # noqa: SLF001 - no public API
    functions = [item.function, *(found.func for several in definitions for found in several)]
    codes = [code for function in functions for code in _codes(function)]
    callers = [code for code in codes if "getfixturevalue" in code.co_names]
    named = {const for code in callers for const in code.co_consts if isinstance(const, str)}
    if callers and hasattr(item, "callspec"):
        named.update(value for value in item.callspec.params.values() if isinstance(value, str))
    return any(_leads_to_soak(item, name) for name in named)


def _codes(function: object) -> Iterator[CodeType]:
    """Yield the code of *function* and of the functions defined in it."""
    found = [getattr(function, "__code__", None)]
    while found:
        code = found.pop()
        if code is not None:
            yield code
            found += [const for const in code.co_consts if inspect.iscode(const)]


def _leads_to_soak(item: pytest.Function, name: str) -> bool:
    """Tell whether the fixture *name*, as *item* sees it, requests an iteration."""
    seen: set[str] = set()
    names = [name]
    while names:
        name = names.pop()
        if name == SLOT_FIXTURE:
            return True
        if name not in seen:
            seen.add(name)
            definitions = item.session._fixturemanager.getfixturedefs(name, item)  # noqa: SLF001 - no public API
            names += [argument for found in definitions or () for argument in found.argnames]
    return False


def fixed_system(item: pytest.Function) -> str:
    """Return the system that a fixture of *item* sets: ``mock``, ``fixture``, or an empty string.

    ``mock_soak`` sets the mock. A ``soak_system`` fixture that overrides ours provides a system of
    the test's own.
    """
    if "mock_soak" in item.fixturenames:
        return MOCK_SYSTEM
    definitions = item._fixtureinfo.name2fixturedefs.get("soak_system", ())  # noqa: SLF001 - no public API
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
