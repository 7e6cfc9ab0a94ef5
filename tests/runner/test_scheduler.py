"""The scheduler of chains runs every item once, in order, wherever workers crash and join.

Workers are simulated: each holds back its last item until it is sent more or is shut down, as those
of pytest-xdist do. tests/runner/test_worker_crashes.py starts real ones.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("xdist")

from pytest_soak.config.request import SoakRequest
from pytest_soak.model.mode import Mode
from pytest_soak.runner.distribute import MOST_CRASHES, ChainScheduling, Distribution
from pytest_soak.runner.exit_code import Expected

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

MEMBERS = ("iter-00001", "iter-00002", "iter-00003", "kpi-gate")


class Worker:
    """What the scheduler knows of a worker, and the items that the worker was sent."""

    def __init__(self, name: str, *, sends: bool = True) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[int] = []
        self.shutting_down = False
        self._sends = sends

    def end(self) -> None:
        """End without a crash."""
        self.workeroutput: dict[str, object] = {}

    def send_runtest_some(self, indices: list[int]) -> None:
        if not self._sends:
            raise OSError(self.gateway.id)
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def can_run(self) -> bool:
        return len(self.sent) > 1 or bool(self.sent and self.shutting_down)


class Config:
    """Collects the failed reports that the scheduler makes."""

    def __init__(self) -> None:
        self.failed: list[pytest.CollectReport] = []
        self.hook = SimpleNamespace(
            pytest_collectreport=lambda report: self.failed.append(report)  # noqa: PLW0108
        )


def scheduler_of(config: Config, expected: int) -> ChainScheduling:
    return ChainScheduling(cast("pytest.Config", config), expected)


def node(worker: Worker) -> WorkerController:
    return cast("Any", worker)


def join(scheduler: ChainScheduling, worker: Worker, items: list[str]) -> None:
    scheduler.add_node(node(worker))
    scheduler.add_node_collection(node(worker), items)
    if scheduler.collection_is_completed:
        scheduler.schedule()


def items_of(chains: int) -> list[str]:
    return [f"test_q.py::test_q[{chain}-{m}]" for chain in "abcdef"[:chains] for m in MEMBERS]


@given(st.data(), st.integers(1, 3), st.integers(1, 4))
def test_every_item_runs_once_and_in_order_whatever_crashes(
    data: st.DataObject, workers: int, chains: int
) -> None:
    items = items_of(chains)
    scheduler = scheduler_of(Config(), workers)
    alive = [Worker(f"gw{number}") for number in range(workers)]
    joined = workers
    for worker in alive:
        join(scheduler, worker, items)
    ran: list[int] = []
    crashes: Counter[int] = Counter()
    while not scheduler.tests_finished or scheduler.has_pending:
        able = [worker for worker in alive if worker.can_run]
        assert able, "items are left, and no worker can run one"
        worker = data.draw(st.sampled_from(able))
        item = worker.sent[0]
        if crashes[item] < MOST_CRASHES - 1 and data.draw(st.integers(0, 5)) == 0:
            crashes[item] += 1
            alive.remove(worker)
            assert scheduler.remove_node(node(worker)) == items[item]
            joined += 1
            alive.append(Worker(f"gw{joined}"))
            join(scheduler, alive[-1], items)
        else:
            worker.sent.pop(0)
            ran.append(item)
            scheduler.mark_test_complete(node(worker), item)
    assert sorted(ran) == list(range(len(items)))
    for chain in range(chains):
        of_chain = [item for item in ran if item // len(MEMBERS) == chain]
        assert of_chain == sorted(of_chain)
    for worker in alive:
        worker.end()
        assert scheduler.remove_node(node(worker)) is None
    assert scheduler.nodes == []


@given(st.integers(1, 3), st.integers(1, 4))
def test_a_worker_is_sent_whole_chains_alone(workers: int, chains: int) -> None:
    scheduler = scheduler_of(Config(), workers)
    alive = [Worker(f"gw{number}") for number in range(workers)]
    for worker in alive:
        join(scheduler, worker, items_of(chains))
    for worker in alive:
        of_chains = groupby(worker.sent, lambda index: index // len(MEMBERS))
        assert all(len(list(members)) == len(MEMBERS) for _, members in of_chains)
    assert len(scheduler.nodes) == workers


@pytest.mark.parametrize("item", range(len(MEMBERS)))
def test_after_three_crashes_at_an_item_only_the_gate_is_run(item: int) -> None:
    scheduler = scheduler_of(Config(), 1)
    items = items_of(1)
    for number in range(MOST_CRASHES):
        worker = Worker(f"gw{number}")
        join(scheduler, worker, items)
        assert worker.sent == list(range(item if number else 0, len(items)))
        for done in range(0 if number else item):
            scheduler.mark_test_complete(node(worker), done)
        assert scheduler.remove_node(node(worker)) == items[item]
    last = Worker("last")
    join(scheduler, last, items)
    gate = len(MEMBERS) - 1
    assert last.sent == ([] if item == gate else [gate])
    assert last.shutting_down


def test_a_worker_that_dies_while_it_is_sent_a_chain_gets_none() -> None:
    scheduler = scheduler_of(Config(), 1)
    dead = Worker("gw0", sends=False)
    join(scheduler, dead, items_of(2))
    assert scheduler.has_pending
    assert scheduler.remove_node(node(dead)) is None
    other = Worker("gw1")
    join(scheduler, other, items_of(2))
    assert other.sent == list(range(4))


def test_a_worker_that_was_shut_down_before_it_had_joined_gets_nothing() -> None:
    scheduler = scheduler_of(Config(), 1)
    late = Worker("gw1")
    scheduler.add_node_collection(node(late), items_of(1))
    assert scheduler.nodes == []
    assert not scheduler.collection_is_completed


@pytest.mark.parametrize("begun", [False, True], ids=["at the start", "as a replacement"])
def test_a_worker_that_collects_other_items_ends_the_run(begun: bool) -> None:
    config = Config()
    scheduler = scheduler_of(config, 1 if begun else 2)
    join(scheduler, Worker("gw0"), items_of(2))
    other = Worker("gw1")
    join(scheduler, other, items_of(1))
    assert other.sent == []
    assert other.shutting_down
    assert "gw1" in str(config.failed[0].longrepr)


@pytest.mark.parametrize("left", [True, False], ids=["with items left", "before the start"])
def test_a_worker_that_ends_early_without_a_crash_ends_the_run(left: bool) -> None:
    scheduler = scheduler_of(Config(), 1 if left else 2)
    worker = Worker("gw0")
    join(scheduler, worker, items_of(2))
    worker.end()
    assert scheduler.remove_node(node(worker)) is None
    assert not scheduler.has_pending
    assert scheduler.tests_finished


def test_ctrl_c_terminates_the_workers_that_run_on_this_machine() -> None:
    ended: list[str] = []
    local, remote = Worker("local"), Worker("remote")
    local.gateway._io = SimpleNamespace(
        popen=SimpleNamespace(terminate=lambda: ended.append("local"))
    )
    remote.gateway._io = SimpleNamespace()
    nothing = Path()
    request = SoakRequest(iterations=3, mode=Mode.OFF, session="run", folder=nothing)
    distribution = Distribution(request, Expected(nothing))
    distribution._nodes += [node(local), node(remote)]
    distribution.pytest_keyboard_interrupt()
    assert ended == ["local"]
