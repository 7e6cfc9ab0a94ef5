"""Faults planted in strategies and in the core: the kit finds each, and names the promise."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import Phase

from pytest_soak import Bounds, Corridor, Judgement, Proposal, Verdict
from pytest_soak.engine import strategies
from pytest_soak.engine.controller import Controller
from pytest_soak.errors import SoakUsageError
from pytest_soak.guards import clamp
from pytest_soak.guards.budget import Budget
from pytest_soak.guards.freeze import Freeze
from pytest_soak.guards.observation_window import ObservationWindow
from pytest_soak.guards.oscillation import Oscillation
from pytest_soak.guards.restarted import Restarted
from pytest_soak.guards.undone import Undone
from pytest_soak.model import decision
from pytest_soak.model.pack import Objective
from pytest_soak.model.parameters import Note, Parameter, Stepped, step
from pytest_soak.systems.mock import MockSystem
from pytest_soak.testing import (
    BrokenPromise,
    Promise,
    Turn,
    check_gate,
    check_guard,
    check_system,
    check_tuner,
    check_watcher,
    checks,
    demo_pack,
    system,
)
from pytest_soak.testing.slots import Slot, Start, steady
from pytest_soak.testing.world import Subject
from tests.testing.oracle import JudgedWorld, Rule, _holds

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_soak import Decision, Pack

SLOW = 220


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not shrink histories, which takes long; one test does."""
    monkeypatch.setattr(checks, "PHASES", (Phase.generate,))


def broken(check: Callable[..., object], *args: Any, **more: Any) -> BrokenPromise:
    with pytest.raises(BrokenPromise) as caught:
        check(*args, **more)
    return caught.value


class Tuner:
    """A correct tuner, from which faulty ones are derived."""

    requires: tuple[str, ...] = ("latency_p95_ms",)
    corridor: Any = Corridor.APPLY

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.calls = 0

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": 2} if history.latest.number("latency_p95_ms") > SLOW else {}

    def propose(self, history: Any, parameters: Any) -> Any:
        return Proposal(self.wants(history, parameters), ("because",))


def test_a_correct_tuner_passes() -> None:
    check_tuner(Tuner, examples=20)


class Counts(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        self.calls += 1
        return {"workers": self.calls}


class RemembersTheLast(Tuner):
    """Gives the same answer when asked again; a new instance would not."""

    last: tuple[int, float] = (0, 0.0)

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        now = (history.latest.iteration, history.latest.number("latency_p95_ms"))
        if now[0] != self.last[0]:
            self.before, self.last = self.last, now
        return {"workers": 1 if now[1] > self.before[1] else -1}


class RemembersInItsClass(Tuner):
    """Shares its memory among instances: only calls in another order show it."""

    seen = 0

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        RemembersInItsClass.seen = max(self.seen, history.latest.iteration)
        return {"workers": self.seen}


class RaisesTheSecondTime(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        self.calls += 1
        return {"workers": 1 // (2 - self.calls)}


class Throws(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": random.choice((-1, 1)) * random.random()}


class LooksAtTheClock(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": time.perf_counter_ns() % 1_000_003}


class Raises(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": history.latest.number("latency")}


class Exits(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        sys.exit(3)


class NeedsWhatItDoesNotRequire(Tuner):
    """Reads a metric that may be missing."""

    requires = ()

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": history[-2].summary.number("error_rate")}


class NotANumber(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": float("nan")}


class Nothing(Tuner):
    def propose(self, history: Any, parameters: Any) -> Any:
        return None


class Hangs(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)


class UnknownMetric(Tuner):
    requires = ("latency",)


class UnknownCorridor(Tuner):
    corridor = "wide"


class Widens(Tuner):
    corridor = Corridor.LIMITS

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        workers = self.pack.parameters["workers"]
        self.pack.parameters["workers"] = replace(workers, limits=Bounds(0, 1000))  # type: ignore[index] # the fault
        return {"workers": 500}


class Forges(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        object.__setattr__(history.latest, "in_window", False)
        object.__setattr__(history.latest, "metrics", {"latency_p95_ms": 1.0})
        return {"workers": 1}


class Forgets(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        if len(history) > 1:
            entry = history[0]
            object.__setattr__(entry, "applied", False)
            object.__setattr__(entry.summary, "verdict", None)
        return {"workers": 1}


class ForgetsWhenAskedAgain(Tuner):
    """Only the records of the chain show it."""

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        self.calls += 1
        if self.calls % 2 == 0 and len(history) > 1:
            object.__setattr__(history[0].summary, "in_window", True)
        return {"workers": 1}


class SetsThem(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        parameters["workers"] = 12
        return {}


class WritesTheOverrides(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        Path(os.devnull).write_text('{"workers": 12}')
        return {}


class WritesByNumber(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        os.close(os.open(os.devnull, os.O_WRONLY))
        return {}


class SetsTheEnvironment(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        os.environ["SOAK_KIT_PLANTED"] = "{}"
        del os.environ["SOAK_KIT_PLANTED"]
        return {}


TUNERS: dict[type[Tuner], Promise] = {
    Counts: Promise.SAME_ANSWER,
    RemembersTheLast: Promise.SAME_ANSWER,
    RemembersInItsClass: Promise.SAME_ANSWER,
    RaisesTheSecondTime: Promise.SAME_ANSWER,
    Throws: Promise.SAME_ANSWER,
    LooksAtTheClock: Promise.SAME_ANSWER,
    Raises: Promise.ANSWERS,
    Exits: Promise.ANSWERS,
    NeedsWhatItDoesNotRequire: Promise.ANSWERS,
    NotANumber: Promise.ANSWERS,
    Nothing: Promise.ANSWERS,
    UnknownMetric: Promise.READY,
    UnknownCorridor: Promise.READY,
    Widens: Promise.INPUTS,
    Forges: Promise.INPUTS,
    Forgets: Promise.INPUTS,
    ForgetsWhenAskedAgain: Promise.INPUTS,
    SetsThem: Promise.INPUTS,
    WritesTheOverrides: Promise.OUTSIDE,
    WritesByNumber: Promise.OUTSIDE,
    SetsTheEnvironment: Promise.OUTSIDE,
}


@pytest.mark.parametrize("fault", TUNERS, ids=lambda fault: fault.__name__)
def test_a_faulty_tuner_is_caught(fault: type[Tuner]) -> None:
    found = broken(check_tuner, fault)
    assert found.promise is TUNERS[fault]
    assert f"hook pytest_soak_tuners, '{fault.__name__}'" in found.who


def test_a_tuner_that_hangs_is_ended_and_named() -> None:
    found = broken(check_tuner, Hangs, seconds=0.3)
    assert found.promise is Promise.IN_TIME
    assert "propose() took longer than 0.3 s and was ended" in found.what
    assert "test_planted.py:" in found.what
    assert "'Hangs'" in found.who


def test_the_bytecode_cache_of_an_import_is_not_a_side_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_late.py").write_text("STEP = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    class ImportsLate(Tuner):
        def wants(self, history: Any, parameters: Any) -> dict[str, float]:
            return {"workers": importlib.import_module("planted_late").STEP}

    check_tuner(ImportsLate, examples=2)
    assert list((tmp_path / "__pycache__").iterdir())


def test_in_another_thread_only_the_time_is_not_checked() -> None:
    caught: list[BrokenPromise] = []

    def check() -> None:
        check_tuner(Tuner, examples=1)
        caught.append(broken(check_tuner, Counts))

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert [found.promise for found in caught] == [Promise.SAME_ANSWER]


def test_the_error_for_a_factory_without_a_pack_shows_how_to_take_one() -> None:
    class Simple:
        requires = ()

    found = broken(check_tuner, Simple)
    assert found.promise is Promise.READY
    assert found.what.endswith("a factory takes the pack: lambda pack: Simple()")
    other = broken(check_tuner, lambda pack: pack.no_such_thing)
    assert other.promise is Promise.READY
    assert "AttributeError" in other.what
    assert "a factory takes" not in other.what


def test_the_smallest_history_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Tuner):
        def wants(self, history: Any, parameters: Any) -> dict[str, float]:
            return {"workers": 1 / (2 - len(history))}

    monkeypatch.undo()
    found = broken(check_tuner, Late)
    first, *iterations = found.story
    assert first == "pack demo"
    assert [line.partition(":")[0] for line in iterations] == [
        "iteration 1",
        "iteration 2",
    ]
    assert str(found).splitlines()[:2] == [
        "ANSWERS: every answer is valid, and nothing is raised",
        f"  broken by: plugin {__name__}, hook pytest_soak_tuners, 'Late'",
    ]
    assert "ZeroDivisionError" in found.what


# ---- guards


class Guard:
    """A correct guard: no more workers while there are many errors."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def stops(self, history: Any) -> bool:
        errors = history.latest.metrics.get("error_rate")
        return errors is not None and errors > 0.05

    def review(self, history: Any, decision: Decision, settings: Any) -> Any:
        asked = any(change.parameter == "workers" for change in decision.changes)
        return self.stop(decision) if asked and self.stops(history) else decision

    def stop(self, decision: Decision) -> Any:
        return decision.veto("guard", "workers", "errors_first", "many errors")


ACTS = [Turn(asks={"workers": 2}, measures={"error_rate": 0.06})]


def test_a_correct_guard_passes() -> None:
    check_guard(Guard, acts=ACTS, examples=10)


class OnlyLogs(Guard):
    def stop(self, decision: Decision) -> Any:
        return decision.notice("guard", "errors_first", "workers", "many errors")


class ReadsAWrongKey(Guard):
    def stops(self, history: Any) -> bool:
        return (history.latest.metrics.get("errors") or 0) > 0.05


class ReadsASettingThatIsNotSet(Guard):
    @dataclass(frozen=True)
    class Settings:
        stop: bool = False

    def review(self, history: Any, decision: Decision, settings: Any) -> Any:
        return super().review(history, decision, settings) if settings.stop else decision


class TrustsItsReport(Guard):
    def review(self, history: Any, decision: Decision, settings: Any) -> Any:
        return self.stop(decision) if history.latest.number("error_rate") > 1 else decision


def changed(decision: Decision, **more: Any) -> Decision:
    changes = [replace(c, **more) if c.parameter == "workers" else c for c in decision.changes]
    return replace(decision, changes=tuple(changes))


class Enlarges(Guard):
    def stop(self, decision: Decision) -> Any:
        return changed(decision, effective=9)


class Turns(Guard):
    def stop(self, decision: Decision) -> Any:
        (one,) = (c for c in decision.changes if c.parameter == "workers")
        return changed(decision, effective=-one.effective)


class Adds(Guard):
    def stop(self, decision: Decision) -> Any:
        there = {change.parameter for change in decision.changes}
        free = sorted({"backoff_s", "batch_size", "workers"} - there)
        more = (replace(decision.changes[0], parameter=name) for name in free)
        return replace(decision, changes=(*decision.changes, *more))


class RewritesTheCorridor(Guard):
    def stop(self, decision: Decision) -> Any:
        return changed(decision, corridor="anywhere")


class RewritesTheRequests(Guard):
    def stop(self, decision: Decision) -> Any:
        return replace(decision, requests=())


class StopsWhatIsNotThere(Guard):
    def stop(self, decision: Decision) -> Any:
        return decision.veto("guard", "wrokers", "errors_first")


class Resurrects(Guard):
    """Restores what an earlier guard stopped."""

    def review(self, history: Any, decision: Decision, settings: Any) -> Any:
        return replace(decision, vetoes=(), skip_reason="")


class RewritesTheSkip(Guard):
    """Puts its own reason in the place of that of another guard."""

    def review(self, history: Any, decision: Decision, settings: Any) -> Any:
        return replace(decision, skip_reason="mine") if decision.skip_reason else decision


class SaysNothing(Guard):
    def stop(self, decision: Decision) -> Any:
        return None


class ReturnsAList(Guard):
    def stop(self, decision: Decision) -> Any:
        return replace(decision, changes=[])  # type: ignore[arg-type] # the fault


class ForgetsToSay(Guard):
    def stop(self, decision: Decision) -> Any:
        left = tuple(change for change in decision.changes if change.parameter != "workers")
        return replace(decision, changes=left)


class CutsInSilence(Guard):
    def stop(self, decision: Decision) -> Any:
        return changed(decision, effective=0)


class PutsFiguresIntoTheReason(Guard):
    def stop(self, decision: Decision) -> Any:
        return decision.veto("guard", "workers", "errors=0.06")


class SaysAndStarves(Guard):
    """Makes every step 0, and gives another reason."""

    def stop(self, decision: Decision) -> Any:
        return changed(decision, effective=0).notice("guard", "smaller", "workers")


class StopsEverything(Guard):
    """Gives a reason, and stops every step while reports stay bad."""

    def review(self, history: Any, decision: Decision, settings: Any) -> Any:
        return decision.skip("guard", "never") if self.stops(history) else decision


class Counter(Guard):
    calls = itertools.count()

    def stops(self, history: Any) -> bool:
        return next(self.calls) % 3 == 0


GUARDS: dict[type[Guard], Promise] = {
    OnlyLogs: Promise.ACTS,
    ReadsAWrongKey: Promise.ACTS,
    ReadsASettingThatIsNotSet: Promise.ACTS,
    TrustsItsReport: Promise.ANSWERS,
    Enlarges: Promise.TAKES_AWAY,
    Turns: Promise.TAKES_AWAY,
    Adds: Promise.TAKES_AWAY,
    RewritesTheCorridor: Promise.TAKES_AWAY,
    RewritesTheRequests: Promise.TAKES_AWAY,
    Resurrects: Promise.TAKES_AWAY,
    RewritesTheSkip: Promise.TAKES_AWAY,
    SaysNothing: Promise.ANSWERS,
    ReturnsAList: Promise.ANSWERS,
    StopsWhatIsNotThere: Promise.TOLD,
    ForgetsToSay: Promise.TOLD,
    CutsInSilence: Promise.TOLD,
    PutsFiguresIntoTheReason: Promise.TOLD,
    SaysAndStarves: Promise.NO_LIVELOCK,
    StopsEverything: Promise.NO_LIVELOCK,
    Counter: Promise.SAME_ANSWER,
}


@pytest.mark.parametrize("fault", GUARDS, ids=lambda fault: fault.__name__)
def test_a_faulty_guard_is_caught(fault: type[Guard]) -> None:
    late = GUARDS[fault] in {Promise.ACTS, Promise.NO_LIVELOCK}  # looked for after the chains
    found = broken(check_guard, fault, acts=ACTS, examples=3 if late else 40)
    assert found.promise is GUARDS[fault]
    assert f"hook pytest_soak_guards, '{fault.__name__}'" in found.who


def test_a_guard_that_does_not_act_is_explained() -> None:
    found = broken(check_guard, OnlyLogs, acts=ACTS, examples=1)
    assert found.what == "it left {'workers': 2} as it was; its notices: errors_first"
    quiet = broken(check_guard, Guard, tells=ACTS, examples=1)
    assert (quiet.promise, quiet.what) == (Promise.ACTS, "it added no notice")
    unasked = broken(check_guard, Guard, acts=[Turn()], start={"workers": 6}, examples=1)
    assert unasked.what == "no step reached this guard: none was asked for"
    assert unasked.story[0] == "pack demo, starting overrides {'workers': 6}"
    undecided = broken(check_guard, Guard)
    assert "no situation is given" in undecided.what


def test_a_guard_that_stops_everything_passes_if_its_author_says_why() -> None:
    found = broken(check_guard, StopsEverything, acts=ACTS, examples=1)
    assert "nothing moved in 60 iterations" in found.what
    assert "`holds`" in found.what
    check_guard(StopsEverything, acts=ACTS, holds="errors come before all", examples=1)
    silent = broken(check_guard, SaysAndStarves, acts=ACTS, holds="it is so", examples=1)
    assert silent.promise is Promise.NO_LIVELOCK


def test_a_guard_is_not_blamed_for_what_the_bounds_stop() -> None:
    demo = demo_pack()
    base = demo.profiles[demo.profile].fields
    closed = {
        name: replace(
            one, limits=Bounds(base[name], base[name]), apply=Bounds(base[name], base[name])
        )
        for name, one in demo.parameters.items()
    }
    pack = replace(demo, parameters=closed)
    checks.no_livelock(Subject("guard", StopsEverything, pack, "here", "mine"))


def test_a_situation_with_names_that_the_pack_does_not_know_is_refused() -> None:
    for turn in (Turn({"wrokers": 2}), Turn(measures={"errors": 2})):
        found = broken(check_guard, Guard, acts=[turn])
        assert found.promise is Promise.READY
        assert "pack demo has " in found.what


# ---- watchers and gates


class Watcher:
    def __init__(self, pack: Pack) -> None:
        self.seen: list[Any] = []

    def observe(self, report: Any, history: Any) -> Any:
        rate = report.measured.values.get("throughput")
        return {} if rate is None else {"rate_per_minute": rate * 60}


class TrustsTheReport(Watcher):
    def observe(self, report: Any, history: Any) -> Any:
        return {"rate_per_minute": report.measured.values["throughput"] * 60}


class Averages(Watcher):
    def observe(self, report: Any, history: Any) -> Any:
        self.seen.append(report)
        return {"reports": len(self.seen)}


class Paints(Watcher):
    def observe(self, report: Any, history: Any) -> Any:
        report.raw["totals"]["error_rate"] = 0
        return {}


class Claims(Watcher):
    def observe(self, report: Any, history: Any) -> Any:
        return {"error_rate": 0.0}


WATCHERS: dict[type[Watcher], Promise] = {
    TrustsTheReport: Promise.ANSWERS,
    Averages: Promise.SAME_ANSWER,
    Paints: Promise.INPUTS,
    Claims: Promise.ANSWERS,
}


@pytest.mark.parametrize("fault", WATCHERS, ids=lambda fault: fault.__name__)
def test_a_faulty_watcher_is_caught(fault: type[Watcher]) -> None:
    found = broken(check_watcher, fault)
    assert found.promise is WATCHERS[fault]
    assert f"hook pytest_soak_watchers, '{fault.__name__}'" in found.who


def test_a_correct_watcher_passes() -> None:
    check_watcher(Watcher, examples=10)


class Gives(Watcher):
    def observe(self, report: Any, history: Any) -> Any:
        rate = report.measured.values.get("throughput")
        return {"error_rate": None if rate is None else 1 / (1 + rate)}


class GivesTooMuch(Gives):
    def observe(self, report: Any, history: Any) -> Any:
        return {"error_rate": 1.5}


def test_a_watcher_may_give_the_metrics_that_its_author_names() -> None:
    check_watcher(Gives, facts=["error_rate"], examples=10)
    check_watcher(GivesNothing, facts=demo_pack().metrics, examples=10)
    assert broken(check_watcher, Gives).promise is Promise.ANSWERS
    found = broken(check_watcher, GivesTooMuch, facts=["error_rate"])
    assert found.promise is Promise.ANSWERS
    assert "gave a value for 'error_rate', which is 1.5, above 1" in found.what


class GivesNothing(Watcher):
    def observe(self, report: Any, history: Any) -> Any:
        return {}


class LeavesErrorsToAWatcher(MockSystem):
    def run(self, *args: Any) -> Any:
        report, state = super().run(*args)
        for part in ("totals", "n"):
            del report[part]["error_rate"]  # type: ignore[attr-defined] # an object
        return report, state


def test_a_system_may_lack_what_watchers_give_and_must_not_have_it() -> None:
    check_system(LeavesErrorsToAWatcher, facts=["error_rate"])
    assert broken(check_system, LeavesErrorsToAWatcher).what == "error_rate is missing"
    found = broken(check_system, MockSystem, facts=["error_rate"])
    assert (found.promise, found.what) == (
        Promise.REPORT,
        "the report has error_rate, which is one of `facts`",
    )


def test_the_kit_reads_a_pack_that_extends_the_demo_pack_and_no_other(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('pack.extends = "demo"\nmetrics.mood = {}')
    assert "mood" in checks.as_pack(mine).metrics
    mine.write_text('pack.extends = "other"')
    with pytest.raises(SoakUsageError, match="no installed pack 'other' is known here"):
        checks.as_pack(mine)


def test_facts_that_are_no_metrics_of_the_pack_are_refused() -> None:
    for check, mine in ((check_watcher, Gives), (check_system, MockSystem)):
        found = broken(check, mine, facts=["erorr_rate"])
        assert found.promise is Promise.READY
        assert "`facts` names 'erorr_rate'; the metrics of pack demo: latency_p95_ms" in found.what


def test_a_gate_that_trusts_the_metrics_is_caught() -> None:
    class Gate:
        requires = ("throughput",)

        def judge(self, metrics: Any, n: Any) -> Any:
            return (Judgement("throughput", Verdict.PASS, metrics["throughput"]),)

    found = broken(check_gate, lambda pack: Gate())
    assert found.promise is Promise.ANSWERS
    assert "hook pytest_soak_gates, 'Gate'" in found.who


# ---- systems


class System(MockSystem):
    """A correct system, from which faulty ones are derived."""

    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> Any:
        report, _ = super().run(parameters, iteration, seed, state)
        return self.spoiled(report, parameters), (state or 0) + 1

    def spoiled(self, report: Any, parameters: Any) -> Any:
        return report


class Stale(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        return {**report, "iteration": 1}


class Undefined(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        del report["totals"]["error_rate"]
        return report


class NoJson(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        return {**report, "totals": {**report["totals"], "throughput": float("nan")}}


class Silent(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        return {**report, "parameters": None}


class Deaf(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        return {**report, "parameters": {**report["parameters"], "workers": 2}}


class Unseeded(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        return {**report, "totals": {**report["totals"], "throughput": random.random()}}


class Stamped(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        return {**report, "at": time.perf_counter_ns()}


class Uneven(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        parameters["workers"] = 3
        return report


class Hidden(System):
    """Keeps state that it does not return."""

    count = 0

    def spoiled(self, report: Any, parameters: Any) -> Any:
        self.count += 1
        return {**report, "totals": {**report["totals"], "throughput": self.count}}


class Loose(System):
    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> Any:
        return super().run(parameters, iteration, seed, None)[0], {1, 2}


class Alone(System):
    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> Any:
        return super().run(parameters, iteration, seed, None)[0]


class Breaks(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        raise RuntimeError


class Sleeps(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        time.sleep(60)


class Ignores(System):
    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> Any:
        report, left = super().run({**parameters, "workers": 2}, iteration, seed, state)
        return {**report, "parameters": dict(parameters)}, left


SYSTEMS: dict[Any, Promise] = {
    Stale: Promise.REPORT,
    Undefined: Promise.REPORT,
    NoJson: Promise.REPORT,
    Silent: Promise.ECHO,
    Deaf: Promise.ECHO,
    Unseeded: Promise.REPEATABLE,
    Stamped: Promise.REPEATABLE,
    Uneven: Promise.INPUTS,
    Hidden: Promise.STATE,
    Loose: Promise.STATE,
    Alone: Promise.ANSWERS,
    Breaks: Promise.ANSWERS,
    Sleeps: Promise.IN_TIME,
    Ignores: Promise.ANSWERS_TO,
}


@pytest.mark.parametrize("fault", SYSTEMS, ids=lambda fault: fault.__name__)
def test_a_faulty_system_is_caught(fault: Any) -> None:
    seconds = 0.3 if fault is Sleeps else 60.0
    found = broken(check_system, fault, answers_to=["workers"], seconds=seconds)
    assert found.promise is SYSTEMS[fault]
    assert "hook pytest_soak_systems" in found.who


def test_an_unknown_parameter_in_answers_to_is_reported_before_anything_runs() -> None:
    found = broken(check_system, Breaks, answers_to=["nosuch", "workers"])
    assert found.promise is Promise.READY
    assert found.what == (
        "`answers_to` names 'nosuch'; the parameters of pack demo: workers, batch_size, backoff_s"
    )


class ExitsInRun(System):
    def spoiled(self, report: Any, parameters: Any) -> Any:
        sys.exit("no more")


class ExitsInOpen(System):
    def open(self, folder: Path, slot: float | None) -> None:
        sys.exit(2)


class CannotClose(System):
    def close(self) -> None:
        message = "it is stuck"
        raise RuntimeError(message)


class HangsInOpen(System):
    def open(self, folder: Path, slot: float | None) -> None:
        time.sleep(60)


class HangsInClose(System):
    def close(self) -> None:
        time.sleep(60)


class BreaksAndCannotClose(CannotClose, Breaks):
    pass


class Leaves(System):
    """Leaves a process behind."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def open(self, folder: Path, slot: float | None) -> None:
        self.started.append(
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        )


class LeavesAndBreaks(Leaves, Breaks):
    pass


@pytest.mark.parametrize(
    ("fault", "promise", "what"),
    [
        (ExitsInRun, Promise.ANSWERS, "run() raised SystemExit: no more ("),
        (ExitsInOpen, Promise.READY, "open() raised SystemExit: 2 ("),
        (CannotClose, Promise.ANSWERS, "close() raised RuntimeError: it is stuck ("),
        (HangsInOpen, Promise.IN_TIME, "open() took longer than 0.5 s and was ended ("),
        (HangsInClose, Promise.IN_TIME, "close() took longer than 0.5 s and was ended ("),
        (BreaksAndCannotClose, Promise.ANSWERS, "run() raised RuntimeError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_system_that_fails_around_its_report_is_named(
    fault: type[System], promise: Promise, what: str
) -> None:
    found = broken(check_system, fault, seconds=0.5 if "Hangs" in fault.__name__ else 60.0)
    assert found.promise is promise
    assert what in found.what
    assert found.who == f"plugin {__name__}, hook pytest_soak_systems, {fault.__name__!r}"


def test_a_factory_that_exits_is_reported() -> None:
    found = broken(check_system, lambda pack, scenario: sys.exit(3))
    assert found.promise is Promise.READY
    assert "the factory raised SystemExit: 3" in found.what


@pytest.mark.process
@pytest.mark.parametrize("fault", [Leaves, LeavesAndBreaks])
def test_a_process_that_a_system_leaves_behind_is_reported_and_ended(
    fault: type[Leaves], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "GRACE_S", 0.1)
    found = broken(check_system, fault)
    if fault is Leaves:
        assert found.promise is Promise.OUTSIDE
        assert f"{Leaves.started[-1].pid} " in found.what
        assert "-c input()" in found.what
    else:
        assert found.promise is Promise.ANSWERS
    with Leaves.started.pop() as left:
        assert left.wait(timeout=60) < 0  # by a signal


@pytest.mark.process
def test_processes_that_end_soon_and_those_of_python_itself_are_ignored() -> None:
    held: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> None:
        held.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE))

    class Closes(System):
        def open(self, folder: Path, slot: float | None) -> None:
            start("input()")
            start("'multiprocessing.resource_tracker'; input()")

        def close(self) -> None:
            held[-2].communicate(b"\n")  # the other one stays

    try:
        check_system(Closes)
    finally:
        for one in held:
            one.kill()
            one.communicate()


@pytest.mark.process
def test_without_psutil_left_processes_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_soak.systems.command.processes", None)
    check_system(Leaves)
    while Leaves.started:
        Leaves.started.pop().communicate(b"\n")


def test_a_system_may_omit_parameters_if_its_author_says_so() -> None:
    check_system(Silent, echoes=False)


def test_a_system_is_opened_and_closed_in_every_check() -> None:
    told: list[str] = []

    class Opened(System):
        def open(self, folder: Path, slot: float | None) -> None:
            told.append(f"open {folder.is_dir()} {slot}")
            self.file = folder / "runtime_overrides.json"

        def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> Any:
            assert json.loads(self.file.read_text()).items() <= parameters.items()
            return super().run(parameters, iteration, seed, state)

        def close(self) -> None:
            told.append("close")

    class Failing(Opened, Breaks):
        pass

    class ByTheClock(Opened, Stamped):
        virtual_time = False

    check_system(Opened)
    assert told == ["open True None", "close"] * 3  # run, run again, gone on with
    told.clear()
    check_system(ByTheClock)
    assert told == ["open True None", "close"] * 2
    told.clear()
    broken(check_system, Failing)
    assert told == ["open True None", "close"]

    class NeverOpens(Opened):
        def open(self, folder: Path, slot: float | None) -> None:
            raise OSError(28, "No space left on device")

    told.clear()
    found = broken(check_system, NeverOpens)
    assert found.promise is Promise.READY
    assert "open() raised OSError: [Errno 28] No space left" in found.what
    assert told == ["close"]


@pytest.mark.parametrize("factory", [lambda pack: None, lambda pack, scenario: None])
def test_a_factory_that_returns_no_system_is_refused(factory: Any) -> None:
    assert broken(check_system, factory).promise is Promise.READY


# ---- the core itself: the oracle does not ask the guards that it judges


def violated(check: Callable[..., object], *args: Any, **more: Any) -> Rule:
    """Return the rule of the core that the oracle found broken."""
    found = broken(check, *args, **more)
    assert found.promise is Promise.INTEGRITY
    return Rule[found.what.partition(":")[0]]


class Restless(Tuner):
    """Alternates one parameter, and asks for more of another than its budget allows."""

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        way = -1 if len(history) % 2 else 1
        return {"workers": way, "batch_size": -5}


def untouched(self: Any, history: Any, decision: Any, settings: Any) -> Any:
    return decision


budget_review = Budget.review


def of_one_iteration(self: Any, history: Any, decision: Any, settings: Any) -> Any:
    return budget_review(self, history, decision, replace(settings, window=1))


def quiet(*args: Any, **more: Any) -> str:
    return ""


def over_far(*args: Any) -> Any:
    stepped = step(*args)
    return replace(stepped, new=stepped.new + stepped.delta, delta=2 * stepped.delta)


class Halves(Tuner):
    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        return {"workers": 0.5}


def as_asked(parameter: Any, bounds: Any, old: float, delta: float) -> Stepped:
    return Stepped(old + delta, delta, Note.NONE)


CORE: dict[str, tuple[list[tuple[Any, str, Any]], Rule]] = {
    "a window that does not hold": ([(ObservationWindow, "review", untouched)], Rule.WINDOW),
    "a restart that is ignored": ([(Restarted, "review", untouched)], Rule.UNUSABLE),
    "a budget without end": ([(Budget, "review", untouched)], Rule.BUDGET),
    "a budget of one iteration alone": ([(Budget, "review", of_one_iteration)], Rule.BUDGET),
    "a freeze that never fires": ([(Freeze, "review", untouched)], Rule.FROZEN),
    "an oscillation that is not held": ([(Oscillation, "review", untouched)], Rule.FROZEN),
    "a clamp without bounds": (
        [(Parameter, "corridor", lambda self, corridor: Bounds(-1e9, 1e9))],
        Rule.CORRIDOR,
    ),
    "a clamp that doubles": (
        [
            (clamp, "step", over_far),
            (strategies, "breach", quiet),
            (strategies, "loosened", quiet),
        ],
        Rule.STEP,
    ),
    "a clamp off the grid": (
        [(clamp, "step", as_asked), (decision, "step", as_asked), (strategies, "breach", quiet)],
        Rule.STEP,
    ),
    "a field that cannot be tuned": (
        [(Controller, "overrides_after", lambda self, r, before: {**before, "speed": 1})],
        Rule.ACTUATOR,
    ),
    "a recommendation that is applied": (
        [(Controller, "overrides_after", lambda self, r, before: r.decision.overrides(before))],
        Rule.MODE,
    ),
    "a change that is lost": (
        [(Controller, "overrides_after", lambda self, r, before: before)],
        Rule.ACTUATOR,
    ),
}


@pytest.mark.parametrize("fault", CORE)
def test_a_fault_of_the_core_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patches, rule = CORE[fault]
    for where, name, planted in patches:
        monkeypatch.setattr(where, name, planted)
    tuner = {"an oscillation that is not held": Restless, "a clamp off the grid": Halves}
    rules = {rule}
    if fault == "a field that cannot be tuned":  # it depends on the first chain that shows it
        rules |= {Rule.MODE, Rule.UNUSABLE, Rule.WINDOW}
    assert violated(check_tuner, tuner.get(fault, Tuner), examples=200) in rules


def test_an_error_of_the_core_is_not_blamed_on_the_strategy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Controller, "_settlement", lambda self, summary: 1 / 0)
    found = broken(check_tuner, Tuner)
    assert found.promise is Promise.INTEGRITY
    assert found.what.startswith("the controller raised ZeroDivisionError")


class Greedy(Tuner):
    """Makes throughput fall whenever it is good."""

    def wants(self, history: Any, parameters: Any) -> dict[str, float]:
        good = history.latest.number("throughput") == 100
        return {"batch_size": -5 if good else 1} if len(history) > 2 else {}


def falling() -> JudgedWorld:
    """Return a chain in which throughput falls after each change, until it is rolled back."""
    objective, noise = Objective("throughput", "up"), {"throughput": 0.5}
    pack = replace(demo_pack(), objective=objective, noise=noise)
    world = JudgedWorld(Subject("tuner", Greedy, pack, "here", "greedy"), Start())
    bad, base = steady(pack), pack.profiles["default"].fields
    for _ in range(30):
        now = {**base, **world.overrides}
        rate = 100.0 if now["batch_size"] == base["batch_size"] else 50.0
        world.run(Slot(metrics={**bad, "throughput": rate}))
    return world


def test_a_correct_rollback_passes() -> None:
    backs = [one.decision.rollback for one in falling().results]
    assert len([back for back in backs if back is not None]) >= 1


def test_a_rollback_to_nowhere_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    lawful = Controller.overrides_after

    def nowhere(self: Any, result: Any, before: Any) -> Any:
        back = result.decision.rollback
        return {"workers": 7} if back is not None else lawful(self, result, before)

    monkeypatch.setattr(Controller, "overrides_after", nowhere)
    assert violated(falling) is Rule.ROLLBACK


def test_a_change_after_two_rollbacks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Undone, "review", untouched)
    assert violated(falling) is Rule.FROZEN


def test_a_policy_that_chooses_between_tuners_passes() -> None:
    pack = replace(demo_pack(), guards={"conflict": {"policy": "smaller"}})
    check_tuner(Restless, pack=pack, examples=10)


def test_the_oracle_knows_every_comparison() -> None:
    drivers = {"metric": "drivers", "op": "has", "value": "queue"}
    assert _holds(drivers, {"drivers": ("queue", "net")})
    assert not _holds(drivers, {"drivers": ("net",)})
    assert not _holds(drivers, {"drivers": 3})
    for op, holds in ((">", False), (">=", True), ("<", False), ("<=", True)):
        assert _holds({"metric": "x", "op": op, "value": 2}, {"x": 2.0}) is holds
