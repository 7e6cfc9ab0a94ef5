"""The shipped strategies keep their promises, checked like those of a plugin."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from pytest_soak import Proposal, SoakUsageError
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
    BrokenPromise,
    GateConformance,
    GuardConformance,
    Promise,
    SystemConformance,
    TunerConformance,
    Turn,
    WatcherConformance,
    check_guard,
    check_system,
    check_tuner,
    demo_pack,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import Pack


class TestDemoTable(TunerConformance):
    strategy = "demo-table"


class Words:
    """A watcher that adds facts; the shipped one returns the metrics themselves."""

    def observe(self, report: object, history: object) -> dict[str, object]:
        return {"words": ("a", "b"), "none": None}


class TestWords(WatcherConformance):
    strategy = staticmethod(lambda pack: Words())
    examples = 10


class TestKpiGate(GateConformance):
    strategy = staticmethod(lambda pack: KpiGate(pack.kpis))
    examples = 10


class TestMock(SystemConformance):
    strategy = MockSystem
    answers_to = ("workers", "batch_size", "backoff_s")


UP, DOWN = Turn({"workers": 2}), Turn({"workers": -2})
SLOW = Condition("latency_p95_ms", Op.GT, 900)
GUARDS: Mapping[str, tuple[Callable[[Pack], object], dict[str, object], list[Turn]]] = {
    "cooldown": (Cooldown, {"iterations": 2}, [UP, UP]),
    "binding": (lambda pack: Binding(replace(pack, binding={"workers": SLOW})), {}, [UP]),
    "alarm": (Alarm, {"levels": {"workers": {"warn": 2, "pause": 3}}}, [UP, UP]),
    "freeze": (
        Freeze,
        {
            "when": [{"metric": "throughput", "op": ">", "value": 1}],
            "streak": 1,
            "parameters": ["workers"],
        },
        [UP],
    ),
    "caps": (Caps, {"requests": 1}, [Turn({"workers": 99})] * 2),
    "oscillation": (Oscillation, {}, [UP, DOWN, UP, DOWN]),
    "confirmation": (Confirmation, {"iterations": 2}, [UP]),
    "smoothing": (Smoothing, {"alpha": 0.5}, [UP]),
    "budget": (Budget, {"largest": {"workers": 3}}, [UP, UP]),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_shipped_guard_keeps_its_promises_and_acts(name: str) -> None:
    """Each is checked as a plugin's guard, with the core's own of that name switched off."""
    factory, settings, acts = GUARDS[name]
    pack = replace(demo_pack(), guards={name: {"enabled": False}})
    check_guard(factory, acts=acts, settings=settings, name="again", pack=pack, examples=5)


def test_a_guard_that_only_warns_passes() -> None:
    check_guard(
        Drift,
        tells=[Turn({"workers": 9}), Turn()],
        settings={"share": 0.25},
        examples=5,
    )


@pytest.mark.parametrize(
    "given", [{"iterations": 2}, Cooldown.Settings(iterations=2)], ids=["table", "object"]
)
def test_settings_are_given_as_a_table_or_as_an_object(given: object) -> None:
    check_guard(Cooldown, acts=[UP, UP], settings=given, name="mine", examples=2)
    with pytest.raises(BrokenPromise, match="ACTS"):
        check_guard(Cooldown, acts=[UP, UP], name="mine", examples=2)


def test_unknown_settings_are_reported() -> None:
    with pytest.raises(BrokenPromise, match="READY") as caught:
        check_guard(Cooldown, acts=[UP], settings={"iteration": 2}, name="mine")
    assert "guards.mine: unknown key 'iteration', did you mean 'iterations'?" in str(caught.value)


def test_a_guard_cannot_take_the_name_of_one_of_the_core() -> None:
    with pytest.raises(BrokenPromise, match="the name 'cooldown' is taken"):
        check_guard(Cooldown, acts=[UP], name="cooldown")


def test_tables_of_guards_that_are_not_installed_are_ignored() -> None:
    pack = replace(demo_pack(), guards={"rest": {"iterations": 3}})
    check_tuner("demo-table", pack=pack, examples=2)


class LooksAhead:
    """A tuner that asks for the headroom that the guards leave."""

    requires = ()

    def propose(
        self,
        history: object,
        parameters: Mapping[str, float],
        headroom: Mapping[str, tuple[float, float]],
    ) -> Proposal:
        _, up = headroom.get("workers", (0, 2))
        return Proposal({"workers": min(up, 2)}, ("more",))


class TestLooksAhead(TunerConformance):
    strategy = staticmethod(lambda pack: LooksAhead())
    examples = 10


def test_an_invalid_headroom_is_found() -> None:
    class Boasts(Cooldown):
        def headroom(self, history: object, parameters: object, settings: object) -> object:
            return {"workers": -1}

    with pytest.raises(BrokenPromise, match=r"ANSWERS.*\n.*\n.*headroom\(\) gave -1 for 'workers'"):
        check_guard(Boasts, acts=[UP, UP], settings={"iterations": 2}, name="mine", examples=5)


def test_an_unknown_table_is_reported() -> None:
    with pytest.raises(BrokenPromise, match="there are: demo-table") as caught:
        check_tuner("demo")
    assert caught.value.who == "plugin pack demo, hook pytest_soak_tuners, 'demo'"


def test_a_factory_may_be_any_callable_and_must_be_set() -> None:
    class Bare(GuardConformance):
        strategy = lambda _: Cooldown(demo_pack())  # noqa: E731 - as users write it
        settings: ClassVar[Mapping[str, Any]] = {"iterations": 2}
        acts = (UP, UP)
        examples = 1

    Bare().test_it_keeps_every_promise_of_a_guard()

    class Empty(GuardConformance):
        pass

    with pytest.raises(TypeError, match="Empty: set `strategy = staticmethod"):
        Empty().test_it_keeps_every_promise_of_a_guard()


def test_a_pack_may_be_given_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8")
    path.write_text(text.replace('name = "demo"', 'name = "mine"'))
    for given in (path, str(path)):
        check_tuner("demo-table", pack=given, examples=1)
        check_system(MockSystem, pack=given)
    with pytest.raises(SoakUsageError, match=r"nowhere\.toml: cannot be read"):
        check_tuner("demo-table", pack="nowhere.toml")


def test_without_hypothesis_the_import_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import pytest_soak.testing"
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    told = ended.stderr.splitlines()[-1]
    assert told.endswith("needs Hypothesis: pip install 'pytest-soak[testing]'")


def test_every_promise_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "testing.md"
    told = set(re.findall(r"`([A-Z_]+)`", page.read_text(encoding="utf-8")))
    assert told == {promise.name for promise in Promise}
