"""What comes with pytest-soak keeps its promises, checked as a stranger's would be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from pytest_soak.gates.kpi import KpiGate
from pytest_soak.guards.alarm import Alarm
from pytest_soak.guards.binding import Binding
from pytest_soak.guards.budget import Budget
from pytest_soak.guards.caps import Caps
from pytest_soak.guards.confirmation import Confirmation
from pytest_soak.guards.cooldown import Cooldown
from pytest_soak.guards.drift import Drift
from pytest_soak.guards.freeze import Freeze
from pytest_soak.guards.oscillation import Oscillation
from pytest_soak.guards.smoothing import Smoothing
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Condition
from pytest_soak.systems.mock import MockSystem
from pytest_soak.testing import (
    GateConformance,
    SystemConformance,
    TunerConformance,
    Turn,
    WatcherConformance,
    check_guard,
    demo_pack,
)
from pytest_soak.tuners.table import TableTuner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import Pack


class TestDemoTable(TunerConformance):
    strategy = staticmethod(lambda pack: TableTuner(pack, pack.tables["demo-table"]))


class Words:
    """A watcher of facts; the one that is shipped gives the metrics themselves."""

    def observe(self, report: object, history: object) -> dict[str, object]:
        return {"words": ("a", "b"), "none": None}


class TestWords(WatcherConformance):
    strategy = staticmethod(lambda pack: Words())


class TestKpiGate(GateConformance):
    strategy = staticmethod(lambda pack: KpiGate(pack.kpis))


class TestMock(SystemConformance):
    strategy = MockSystem
    answers_to = ("workers", "batch_size", "backoff_s")


UP, DOWN = Turn({"workers": 2}), Turn({"workers": -2})
SLOW = Condition("latency_p95_ms", Op.GT, 900)
GUARDS: Mapping[str, tuple[Callable[[Pack], object], dict[str, object], list[Turn]]] = {
    "cooldown": (lambda _: Cooldown(), {"iterations": 2}, [UP, UP]),
    "binding": (lambda _: Binding({"workers": SLOW}), {}, [UP]),
    "alarm": (lambda _: Alarm(), {"levels": {"workers": {"warn": 2, "pause": 3}}}, [UP, UP]),
    "freeze": (
        lambda pack: Freeze(pack.parameters),
        {
            "when": [{"metric": "throughput", "op": ">", "value": 1}],
            "streak": 1,
            "parameters": ["workers"],
        },
        [UP],
    ),
    "caps": (lambda pack: Caps(pack.parameters), {"requests": 1}, [Turn({"workers": 99})] * 2),
    "oscillation": (lambda _: Oscillation(), {}, [UP, DOWN, UP, DOWN]),
    "confirmation": (lambda _: Confirmation(), {"iterations": 2}, [UP]),
    "smoothing": (lambda pack: Smoothing(pack.parameters), {"alpha": 0.5}, [UP]),
    "budget": (lambda pack: Budget(pack.parameters), {"largest": {"workers": 3}}, [UP, UP]),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_shipped_guard_keeps_its_promises_and_acts(name: str) -> None:
    """Each stands where a plugin's would; the core's own of that name is off."""
    factory, settings, acts = GUARDS[name]
    pack = replace(demo_pack(), guards={name: {"enabled": False}})
    check_guard(factory, acts=acts, settings=settings, name="again", pack=pack, examples=8)


def test_a_guard_that_only_warns_tells() -> None:
    check_guard(
        lambda pack: Drift(pack.parameters),
        tells=[Turn({"workers": 9}), Turn()],
        settings={"share": 0.25},
        examples=8,
    )


class TestSettings(TunerConformance):
    examples: ClassVar[int] = 2

    @staticmethod
    def strategy(pack: Pack) -> TableTuner:  # a function that is written as a method
        return TableTuner(pack, pack.tables["demo-table"])
