"""Chains: the ordered iterations of one test, selected whole or not at all, and their gate."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.model.pace import Pace

GATE_ID = "kpi-gate"
GATE = 0
"""The number of a chain's gate item; iterations count from 1."""

# `--dist loadgroup` adds the name of a group with older releases of pytest: `[iter-00001]@db`.
_MEMBER_ID = re.compile(rf"-?(?:iter-\d+|{GATE_ID})\](?:@.*)?$")


def member_ids(iterations: int) -> list[str]:
    """Return the ids of a chain's items: of fixed width and without the total, the gate last."""
    return [*(f"iter-{number:05}" for number in range(1, iterations + 1)), GATE_ID]


def chain_name(nodeid: str) -> str:
    """Return the node id of the chain that the item *nodeid* belongs to.

    ``test_x[iter-00001]`` belongs to ``test_x``, ``test_x[a-kpi-gate]`` to ``test_x[a]``.
    """
    bare, cut = _MEMBER_ID.subn("", nodeid)
    if not cut:
        return nodeid
    return bare[:-1] if bare.endswith("[") else f"{bare}]"


@dataclass(slots=True)
class Chain:
    """One chain during a pytest run.

    Args:
        name: The node id of its test, without the iteration.
        system: The system that a fixture of the test sets: ``mock``, ``fixture`` for a system of
            the test's own, or an empty string.
        parameters: The other parameters of the test, by name.
        members: ``{number: item}``; the gate's number is 0.
        plan: Its plan, once collection is done.
        loop: Its iterations, once the first one is set up.
        passed: The iterations whose tests passed.
        raised: The iterations whose tests raised; a hook may have hidden that in the report.
        skippable: Whether a mark may skip it: then it needs no verdict.
        broken: The iteration whose test failed and ended the chain, or 0.
        partial: Whether only some of its iterations were asked for by node id.
        resumed: The last iteration that was settled before this run resumed it, or 0.
        told: Whether it had ended before: then its verdict is told again, and nothing runs.
        notes: Marker lines to show at its start.
    """

    name: str
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    members: dict[int, pytest.Item] = field(default_factory=dict)
    plan: ChainPlan | None = None
    loop: SoakLoop | None = None
    passed: set[int] = field(default_factory=set)
    raised: set[int] = field(default_factory=set)
    skippable: bool = False
    broken: int = 0
    partial: bool = False
    resumed: int = 0
    told: bool = False
    notes: list[str] = field(default_factory=list)

    def pace(self, number: int) -> Pace | None:
        """Return the pace that the item *number* keeps, or None if it does not wait for a slot.

        In an hours run every item that is still to run keeps one, the gate included. Iterations
        that were selected by node id do not, and neither do the items after a failure.
        """
        ended = self.told or (self.broken and not 0 < number <= self.broken)
        if (
            self.loop is None
            or self.loop.stopped
            or self.partial
            or ended
            or 0 < number <= self.resumed
        ):
            return None
        return self.loop.pace

    def drops(self, number: int) -> bool:
        """Tell whether iteration *number* is left out: its slot was dropped at the deadline.

        Of a chain that had ended, every iteration that did not run then is left out; but those
        after a failed one are skipped, as they were then.
        """
        if self.told:
            return number > self.resumed and not self.broken
        pace = self.pace(number)
        return pace is not None and pace.drops(number)

    def whole(self) -> list[pytest.Item]:
        """Return every member in order, the gate last."""
        numbers = sorted(self.members.keys() - {GATE})
        return [self.members[number] for number in (*numbers, GATE)]

    def part(self, chosen: Collection[pytest.Item]) -> list[pytest.Item]:
        """Return the members among *chosen* in order, and always the gate."""
        return [item for item in self.whole() if item in chosen or item is self.members[GATE]]


@dataclass(frozen=True, slots=True)
class Place:
    """An item's place: its chain and the number of its iteration, 0 for the gate."""

    chain: Chain
    number: int


PLACE: pytest.StashKey[Place] = pytest.StashKey()


def place_of(item: pytest.Item) -> Place | None:
    """Return the place of *item* in its chain, or None if it is no soak item."""
    return item.stash.get(PLACE, None)


def chains_of(items: Iterable[pytest.Item]) -> dict[str, Chain]:
    """Return the chains that *items* belong to, by name, in the order of their first items."""
    return {place.chain.name: place.chain for place in map(place_of, items) if place}


def select(
    items: Sequence[pytest.Item],
    before: Iterable[Chain],
    named: Collection[str],
    deselect: tuple[str, ...],
) -> list[pytest.Item]:
    """Select whole chains, each in order; the chains stand in the order of their first items.

    Args:
        items: What other plugins left of the collection.
        before: Every chain that was collected.
        named: The node ids given on the command line.
        deselect: The prefixes given by ``--deselect``; one member of a chain drops it all.

    Returns:
        The items to run.
    """
    chosen = set(items)
    dropped = {
        chain.name
        for chain in before
        if deselect and any(item.nodeid.startswith(deselect) for item in chain.members.values())
    }
    kept: list[pytest.Item] = []
    for chain in chains_of(items).values():
        if chain.name in dropped:
            continue
        chain.partial = _is_partial(chain, named)
        kept += chain.part(chosen) if chain.partial else chain.whole()
    return kept


def _is_partial(chain: Chain, named: Collection[str]) -> bool:
    """Tell whether single members of *chain* were asked for, and the chain itself was not."""
    file, _, test = chain.name.partition("::")
    folders = (str(folder) for folder in PurePosixPath(file).parents)
    wider = {file, chain.name, *folders, *_parents(file, test)}
    mentioned = {item.nodeid for item in chain.members.values()} & set(named)
    return bool(mentioned) and not wider & set(named)


def _parents(file: str, test: str) -> Iterable[str]:
    parts = test.partition("[")[0].split("::")
    for count in range(1, len(parts) + 1):
        yield "::".join((file, *parts[:count]))


class GateFailure(Exception):
    """The verdict that fails a gate; its text is the table that explains it."""


class GateItem(pytest.Item):
    """The last item of a chain: gives the verdict, and never runs the test's body."""

    def __init__(
        self,
        *,
        function: pytest.Function,
        judge: Callable[[Chain], str],
        **kwargs: Any,  # noqa: ANN401 - handed on to pytest
    ) -> None:
        """Stand in for *function*, with its markers.

        Args:
            function: The last item of the parametrized test.
            judge: Gives the chain's verdict: why it does not pass, or an empty string.
            kwargs: For `pytest.Item`.
        """
        super().__init__(**kwargs)
        self._judge = judge
        # Other plugins read markers and keywords; pytest evaluates the conditions of marks, given
        # as text, in the globals of `obj`.
        self.own_markers.extend(function.own_markers)
        self.keywords.update({mark.name: mark for mark in function.own_markers})
        self.obj = function.obj
        self.function = function.function
        self.originalname = function.originalname
        # A plugin that skips tests by their fixtures (--benchmark-only) must treat the gate alike.
        self.fixturenames = list(function.fixturenames)
        self.funcargs: dict[str, object] = {}
        self._reportinfo = function.reportinfo()

    def iter_markers_with_node(
        self, name: str | None = None
    ) -> Iterator[tuple[pytest.Item | pytest.Collector, pytest.Mark]]:
        """Yield the marks of the test, its class and its module, except ``xfail``."""
        for node, mark in super().iter_markers_with_node(name):
            if mark.name != "xfail":
                yield node, mark  # type: ignore[misc] # a node of the tree is one of the two

    def runtest(self) -> None:
        """Give the verdict.

        Raises:
            GateFailure: It is FAIL or INCONCLUSIVE.
        """
        explanation = self._judge(self.stash[PLACE].chain)
        if explanation:
            raise GateFailure(explanation)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401 - as pytest declares it
        """Show the table instead of a traceback."""
        if isinstance(excinfo.value, GateFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> Any:  # noqa: ANN401 - as pytest declares it
        """Point to the test."""
        path, line, _ = self._reportinfo
        return path, line, self.name
