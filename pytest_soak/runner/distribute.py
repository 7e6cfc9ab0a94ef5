"""The one file that knows pytest-xdist: it keeps a chain whole, on one worker, in order."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.report import report_collection_diff

from pytest_soak.config.request import OverridesText, SoakRequest
from pytest_soak.errors import SoakUsageError
from pytest_soak.runner.chain import chain_name
from pytest_soak.runner.exit_code import EXPECTED
from pytest_soak.views.screen import write_errors
from pytest_soak.views.views import show_ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xdist.workermanage import WorkerController

    from pytest_soak.runner.exit_code import Expected

KEY = "soak"
"""The key of what controller and workers send each other."""
ENOUGH = 2
"""How many items a worker must have to run one: see `ChainScheduling`."""
MOST_CRASHES = 3
"""How many workers may crash at one item; after that only the gate of its chain is run."""


class ChainScheduling:
    """Hands out whole chains, one at a time to each worker. Implements xdist's `Scheduling`.

    None of xdist's own schedulers can be used. `--dist loadgroup` scatters the members of a group
    on this pytest, and `LoadScopeScheduling` may hang after a worker has crashed (pytest-xdist
    issues 1323, 1327, 1362, 1378).

    A worker holds back its last item until it is sent more or is shut down: the item needs to know
    its `nextitem`. So every worker with fewer than two items is sent a chain, or is shut down.
    """

    def __init__(self, config: pytest.Config, expected: int) -> None:
        """Start without workers; *expected* is how many must report before any work is sent."""
        self.config = config
        """Read by pytest-rerunfailures."""
        self._expected = expected
        self._collections: dict[WorkerController, list[str]] = {}
        self._pending: dict[WorkerController, deque[int]] = {}
        self._items: list[str] = []
        self._queue: deque[list[int]] = deque()
        self._crashes: Counter[int] = Counter()
        self._begun = False

    @property
    def nodes(self) -> list[WorkerController]:
        """The workers that have joined and have not ended."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Whether every worker that was expected at the start has reported its collection."""
        return self._begun or len(self._collections) >= self._expected

    @property
    def tests_finished(self) -> bool:
        """Whether all that is left to do is to shut the workers down."""
        working = any(len(pending) > 1 for pending in self._pending.values())
        return self._begun and not self._queue and not working

    @property
    def has_pending(self) -> bool:
        """Whether any item is still to be run."""
        return bool(self._queue) or any(self._pending.values())

    def add_node(self, node: WorkerController) -> None:
        """Let the worker *node* join; it gets work after it has reported its collection."""
        self._pending[node] = deque()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Record the collection of *node*: the node ids of its items, in order."""
        if node not in self._pending:  # it was shut down before it had joined
            return
        if self._begun and not self._same(node, collection):
            self._give_up()
            node.shutdown()
            return
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        """Send work to every worker that has too little."""
        if not self._begun:
            self._begin()
        for node in self._collections:
            self._feed(node)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Record that *node* has run an item, and send it more if it has too little."""
        del duration
        self._pending[node].remove(item_index)
        self._feed(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Queue the work of a worker that has ended again; return the item at which it crashed.

        Raises:
            KeyError: It had not joined; xdist expects that.
        """
        rest = self._pending.pop(node)
        self._collections.pop(node, None)
        if hasattr(node, "workeroutput"):  # it ended without a crash
            if rest or not self._begun:  # `pytest.exit` was called, which ends the run
                self._give_up()
            return None
        if not rest:
            return None
        crashed = rest[0]
        broken, *others = self._chains(rest)
        self._crashes[crashed] += 1
        if self._crashes[crashed] == MOST_CRASHES:  # the gate is a chain's last item
            broken = [gate for gate in broken[-1:] if gate != crashed]
        self._queue.extendleft(chain for chain in (*reversed(others), broken) if chain)
        self.schedule()
        return self._items[crashed]

    def mark_test_pending(self, item: str) -> None:
        """Do nothing: the item that pytest-rerunfailures asks for is already in the queue."""

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        """Do nothing: work is never taken away from a worker."""

    def _begin(self) -> None:
        self._begun = True
        self._items = next(iter(self._collections.values()))
        if all(self._same(node, found) for node, found in self._collections.items()):
            self._queue.extend(self._chains(range(len(self._items))))

    def _chains(self, indices: Iterable[int]) -> list[list[int]]:
        """Return the items *indices* by chain, in order."""
        chains: dict[str, list[int]] = {}
        for index in indices:
            chains.setdefault(chain_name(self._items[index]), []).append(index)
        return list(chains.values())

    def _same(self, node: WorkerController, collection: Sequence[str]) -> bool:
        """Tell whether *node* has collected what the first worker has; report a difference."""
        difference = report_collection_diff(
            self._items, collection, "the first worker", node.gateway.id
        )
        if difference:
            report = pytest.CollectReport(node.gateway.id, "failed", difference, [])
            self.config.hook.pytest_collectreport(report=report)
        return not difference

    def _feed(self, node: WorkerController) -> None:
        pending = self._pending[node]
        while len(pending) < ENOUGH and not node.shutting_down:
            if not self._queue:
                node.shutdown()
                return
            chain = self._queue.popleft()
            try:
                node.send_runtest_some(chain)
            except OSError:  # the worker has just died; xdist will call `remove_node`
                self._queue.appendleft(chain)
                return
            pending.extend(chain)

    def _give_up(self) -> None:
        """Send no more work. Chains that did not run have no verdict, so the exit code is not 0."""
        self._begun = True
        self._queue.clear()


class Distribution:
    """The controller's side: sends the request to workers, and collects what they report."""

    def __init__(self, request: SoakRequest, expected: Expected) -> None:
        """Share *request* with every worker; record in *expected* what they collect."""
        self._request = request
        self._nodes: list[WorkerController] = []
        self._errors: dict[str, None] = {}
        self._faults: dict[str, None] = {}
        self._expected = expected
        self._reported = False
        self._collected = False

    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> ChainScheduling:
        """Schedule by chain."""
        return ChainScheduling(config, len(self._nodes))

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Send a worker what is read only once: run id, folder, overrides, the runs to resume."""
        self._nodes.append(node)
        node.workerinput[KEY] = {
            "session": self._request.session,
            "folder": str(self._request.folder),
            "overrides": [asdict(text) for text in self._request.overrides],
            "replay": self._request.replay and str(self._request.replay),
            "unfinished": dict(self._request.unfinished),
            "ended": dict(self._request.ended),
            "late": self._collected,
        }

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Record that chains may run from now on; a worker that joins later may find them locked.

        The node ids name the chains until the first worker ends normally and reports its own.
        """
        self._collected = self._expected.collected = True
        if not self._reported:
            self._expected.chains.update(dict.fromkeys(map(chain_name, ids), ("", "")))

    def pytest_keyboard_interrupt(self) -> None:
        """Terminate the workers too; otherwise xdist waits 10 seconds and then kills them."""
        for node in self._nodes:
            process = getattr(node.gateway._io, "popen", None)  # noqa: SLF001 - none if remote
            if process is not None:
                process.terminate()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        """Collect a worker's usage errors, the faults of its chains, and what it expected."""
        self._errors.update(dict.fromkeys(sent(node, "usage_error")))
        self._faults.update(dict.fromkeys(sent(node, "fault")))
        for chains, skipped in sent(node, "expected"):
            if not self._reported:
                self._expected.chains.clear()
            self._expected.chains.update({name: tuple(run) for name, run in chains.items()})
            self._expected.skipped.update(skipped)
            self._reported = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Show how chains ended; turn workers' usage errors into exit code 4, faults into 1.

        The endings are read here because after an interruption xdist does not call
        `pytest_testnodedown`, but has the output of the workers.
        """
        for node in self._nodes:
            for ending in sent(node, "ending"):
                show_ending(session.config, ending)
        if self._errors:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self._faults and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the usage errors of workers and the faults of their chains, each once."""
        write_errors(terminalreporter, filter(None, (*self._errors, *self._faults)))


def shared_request(config: pytest.Config, request: SoakRequest) -> SoakRequest:
    """Return *request*; in a worker, with what the controller has read."""
    given: dict[str, Any] | None = getattr(config, "workerinput", {}).get(KEY)
    if given is None:
        return request
    overrides = tuple(OverridesText(**text) for text in given["overrides"])
    return replace(
        request,
        session=given["session"],
        folder=Path(given["folder"]),
        overrides=overrides,
        replay=given["replay"] and Path(given["replay"]),
        unfinished=given["unfinished"],
        ended=given["ended"],
        late=given["late"],
    )


def send(config: pytest.Config, kind: str, value: object) -> None:
    """Send *value* to the controller when this worker ends.

    Args:
        config: The worker's.
        kind: ``usage_error`` (raised in a worker it would be exit code 3), ``fault`` at the end of
            a chain, ``ending`` of a chain whose gate did not run, or ``expected``: the chains that
            were collected, and those that a mark skipped.
        value: What is sent, in plain types.
    """
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined] # xdist's
    output.setdefault(KEY, {}).setdefault(kind, []).append(value)


def sent(node: WorkerController, kind: str) -> list[Any]:
    """Return what the worker *node* sent of a *kind*; nothing if it crashed."""
    output: dict[str, Any] = getattr(node, "workeroutput", None) or {}
    return list(output.get(KEY, {}).get(kind, ()))


def join(config: pytest.Config, request: SoakRequest) -> None:
    """Register the controller's side of the distribution.

    Raises:
        SoakUsageError: ``--dist each`` would run every chain several times in one folder.
    """
    if config.getoption("dist", "no") == "each":
        msg = "--dist each: runs every chain once per worker, in one folder; allowed: any other"
        raise SoakUsageError(msg)
    config.pluginmanager.register(
        Distribution(request, config.stash[EXPECTED]), "soak-distribution"
    )
