"""A pytest plugin that plants a fault in the product, to prove that the suite finds it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.runner import collect, resume
from pytest_soak.store import artifacts
from pytest_soak.store.journal import Journal
from pytest_soak.store.store import ChainStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pytest_soak.config.request import SoakRequest
    from pytest_soak.runner.chain import Chain

PLANT = "SOAK_FAULTS_PLANT"


def start_over() -> None:
    """Start a new run, but report a resume."""

    def resume_chains(chains: Collection[Chain], request: SoakRequest) -> None:
        pass

    vars(collect)["resume_chains"] = resume_chains


def repeat_last_iteration() -> None:
    """Resume one iteration too early, with a commit that ignores what is recorded."""
    take_up = SoakLoop._restore

    def resume_chains(chains: Collection[Chain], request: SoakRequest) -> None:
        resume.resume_chains(chains, request)
        for chain in chains:
            chain.resumed = max(0, chain.resumed - 1)

    def take_up_less(self: SoakLoop) -> None:
        take_up(self)
        self.controller.drop(self.done)
        self.latest = None
        self.store._recorded.clear()

    vars(collect)["resume_chains"] = resume_chains
    SoakLoop._restore = take_up_less  # type: ignore[method-assign] # that is the fault


def write_overrides_first() -> None:
    """Replace the overrides before the journal has the record."""
    commit = ChainStore.commit

    def commit_late(
        self: ChainStore, iteration: int, body: Mapping[str, Any], after: Mapping[str, float]
    ) -> object:
        self.write(artifacts.OVERRIDES, after)
        return commit(self, iteration, body, after)

    ChainStore.commit = commit_late  # type: ignore[method-assign,assignment] # as above


def after_load(change: Callable[[ChainStore, str, float], float]) -> None:
    """Change the overrides after they were taken up, by the last iteration's moves."""
    take_up = ChainStore.load

    def load_wrong(self: ChainStore) -> None:
        take_up(self)
        for move in artifacts.moves(self._last.record) if self._last else ():
            name = move["parameter"]
            self.overrides[name] = change(self, name, move["effective"])
        self.write(artifacts.OVERRIDES, self.overrides)

    ChainStore.load = load_wrong  # type: ignore[method-assign] # as above


def apply_again() -> None:
    """Apply the last iteration's deltas once more."""
    after_load(lambda store, name, delta: store.overrides[name] + delta)


def apply_not() -> None:
    """Forget the last iteration's deltas."""
    after_load(lambda store, name, delta: store.overrides[name] - delta)


def drop_torn_end() -> None:
    """Cut a torn end off without a record."""

    def cut(self: Journal, torn: bytes) -> None:
        os.truncate(self.path, self.path.stat().st_size - len(torn))

    Journal._heal = cut  # type: ignore[method-assign] # as above


def leave_torn_end() -> None:
    """Append after a torn end."""

    def leave(self: Journal, torn: bytes) -> None:
        pass

    Journal._heal = leave  # type: ignore[method-assign] # as above


def forget_state() -> None:
    """Do not restore the state of the system."""

    def nothing(self: ChainStore, iteration: int, digest: str) -> None:
        return None

    ChainStore.load_state = nothing  # type: ignore[method-assign] # as above


def rebuild_nothing() -> None:
    """Do not repair the files after a crash."""

    def leave(self: ChainStore) -> None:
        self._whole = True

    ChainStore.restore = leave  # type: ignore[method-assign] # as above


FAULTS = {
    fault.__name__: fault
    for fault in (
        start_over,
        repeat_last_iteration,
        write_overrides_first,
        apply_again,
        apply_not,
        drop_torn_end,
        leave_torn_end,
        forget_state,
        rebuild_nothing,
    )
}


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Plant the fault that was asked for, if one was."""
    fault = os.environ.get(PLANT)
    if fault:
        FAULTS[fault]()
