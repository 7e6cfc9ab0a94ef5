"""The types that strangers build on: checked by mypy as they are run by pytest."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import pytest_soak
from pytest_soak import (
    Decision,
    Gate,
    Guard,
    History,
    IterationResult,
    Judgement,
    Proposal,
    Report,
    Soak,
    Summary,
    System,
    Tuner,
    Verdict,
    Watcher,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.metrics import Value


class Mine:
    """All strategies in one, each as its protocol wants it."""

    requires = ("latency_p95_ms",)

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        return {"iteration": iteration, "seed": seed, "parameters": dict(parameters)}, state

    def observe(self, report: Report, history: History) -> Mapping[str, Value]:
        return {"length": len(history)}

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        return Proposal({"workers": parameters["workers"]})

    def review(self, history: History, decision: Decision, settings: Any) -> Decision:
        return decision

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        return (Judgement("latency_p95_ms", Verdict.PASS),)


def test_one_class_may_be_every_strategy() -> None:
    mine = Mine()
    system: System = mine
    watcher: Watcher = mine
    tuner: Tuner = mine
    guard: Guard = mine
    gate: Gate = mine
    asked = {System: system, Watcher: watcher, Tuner: tuner, Guard: guard, Gate: gate}
    assert list(asked.values()) == [mine] * 5


def uses(soak: Soak) -> None:
    """What a test does with a soak; for mypy alone."""
    result = soak.run()
    assert_type(result, IterationResult)
    assert_type(result.verdict, Verdict)
    assert_type(result.summary, Summary)
    assert_type(result.summary.number("latency_p95_ms"), float)
    assert_type(result.patch, "tuple[dict[str, Any], ...]")
    assert_type(soak.iteration, int)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in pytest_soak.__all__:
        home = importlib.import_module(f"pytest_soak.{pytest_soak._HOME[name]}")
        assert getattr(pytest_soak, name) is getattr(home, name)
    assert pytest_soak._HOME.keys() == set(pytest_soak.__all__)
    assert sorted(pytest_soak.__all__) == list(pytest_soak.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        getattr(importlib.import_module("pytest_soak"), "Nope")  # noqa: B009 - mypy knows better
