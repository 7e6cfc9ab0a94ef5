"""Runs without pytest, files or a system: what the shipped guards do with given requests."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from pytest_soak import hookspecs
from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.overrides import InitialOverrides
from pytest_soak.config.plan import ChainPlan
from pytest_soak.config.registry import Registry
from pytest_soak.engine.strategies import Strategies
from pytest_soak.model.decision import Decision, requests_of
from pytest_soak.model.history import Entry, History
from pytest_soak.model.mode import Mode
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Verdict
from pytest_soak.packs.loader import build_pack
from pytest_soak.packs.overlay import lay_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak.model.decision import Notice, Veto
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.pack import Pack

    Requests = Mapping[str, Mapping[str, float]]
    """``{tuner: {parameter: delta}}``"""

BAD: Mapping[str, Value] = {"latency_p95_ms": 400.0, "error_rate": 0.1, "throughput": 50.0}


def demo(changed: str = "") -> Pack:
    """Return the demo pack with *changed*, TOML, merged over it."""
    text = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8")
    data = lay_over(tomllib.loads(text), tomllib.loads(changed))
    tables = data.pop("guards", {})  # checked where the guards are made
    return replace(build_pack(data, "demo.toml, changed"), guards=tables)


class Tuners:
    """The names of the tuners in conflicts; the runs here say what they ask for."""

    def pytest_soak_tuners(self) -> Mapping[str, Callable[..., object]]:
        """Offer them."""
        return dict.fromkeys("abc", Proposal)


def guarded(pack: Pack) -> Strategies:
    """Return the shipped guards with the settings of *pack*."""
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    manager.register(CorePlugin())
    manager.register(Tuners())
    plan = ChainPlan(
        "test_x", "test_x", "run", 6, 2, Mode.APPLY, 0, pack, pack.profiles[pack.profile],
        InitialOverrides("profile", {}), "calm", "mock", None,
    )  # fmt: skip
    return Strategies(plan, Registry(manager))


def soak(
    pack: Pack,
    iterations: int,
    requests: Callable[[int], Requests],
    metrics: Callable[[int, Mapping[str, float]], Mapping[str, Value]] = lambda *_: BAD,
    *,
    window: int = 0,
    corridor: Corridor = Corridor.APPLY,
) -> list[Entry]:
    """Return the history of a run in which tuners ask for *requests* and reports give *metrics*.

    Args:
        pack: The domain.
        iterations: The length of the run.
        requests: What is asked for after an iteration.
        metrics: What an iteration with given parameters measures; ``{}`` makes it INCONCLUSIVE.
        window: The length of the observation window.
        corridor: The corridor of all tuners.
    """
    strategies = guarded(pack)
    parameters = dict(pack.profiles[pack.profile].fields)
    entries: list[Entry] = []
    for number in range(1, iterations + 1):
        found = metrics(number, parameters)
        summary = Summary(
            number,
            parameters,
            found,
            verdict=Verdict.FAIL if found else Verdict.INCONCLUSIVE,
            problems=() if found else (Problem(Kind.NO_REPORT),),
            in_window=number > iterations - window,
        )
        entries.append(Entry(summary))
        asked = requests(number) if found else {}
        made = tuple(
            one
            for tuner, deltas in asked.items()
            for one in requests_of(tuner, Proposal(deltas, (tuner,)), corridor)
        )
        before = Decision(number, parameters, made)
        decision = strategies.review(History(entries), before)
        parameters = decision.overrides(parameters)
        if decision.rollback is not None:
            parameters = dict(decision.rollback.parameters)
        entries[-1] = replace(entries[-1], decision=decision, applied=bool(decision.touched))
    return entries


def steps(*deltas: float, parameter: str = "workers") -> Callable[[int], Requests]:
    """Return a tuner that asks for *deltas* in turn, then for the last one; for 0, nothing."""

    def requests(number: int) -> Requests:
        delta = deltas[min(number, len(deltas)) - 1]
        return {"one": {parameter: delta}} if delta else {}

    return requests


def values(entries: list[Entry], parameter: str = "workers") -> list[float]:
    """Return the value of *parameter* in each iteration."""
    return [entry.summary.parameters[parameter] for entry in entries]


def told(entries: list[Entry]) -> list[tuple[int, str, str]]:
    """Return all vetoes and notices as ``(iteration, reason, detail)``."""
    found = []
    for entry in entries:
        assert entry.decision is not None
        words: tuple[Veto | Notice, ...] = (*entry.decision.vetoes, *entry.decision.notices)
        found += [(entry.summary.iteration, word.reason, word.detail) for word in words]
    return found


def stopped(entries: list[Entry], reason: str) -> list[int]:
    """Return the iterations after which *reason* was given."""
    return [number for number, why, _ in told(entries) if why == reason]
