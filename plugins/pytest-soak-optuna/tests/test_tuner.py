"""The tuner alone: pure, within the limits, and led by the KPIs. Public names only."""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pytest_soak_optuna", reason="pytest-soak-optuna is not installed")

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_soak_optuna.aim import SHARED, Aim, Measurement
from pytest_soak_optuna.quiet import quiet
from pytest_soak_optuna.trials import next_point
from pytest_soak_optuna.tuner import OptunaTuner

from pytest_soak import Entry, History, Pack, Proposal, Summary
from pytest_soak.model.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

BAD = {"latency_p95_ms": 400.0, "error_rate": 0.1, "throughput": 50.0}
GOOD = {"latency_p95_ms": 100.0, "error_rate": 0.01, "throughput": 150.0}
START = {"workers": 2, "batch_size": 40, "backoff_s": 0.2}
PACKS: dict[tuple[str, ...], Pack] = {}

PACK = """
[pack]
name = "mine"
prefix = "MINE_"
profile = "default"
system = "mock"
scenario = "busy"
{objective}
[parameters]
workers = {{ unit = "1", limits = [1, 16], apply = [2, 12], calm = "up", precision = 1 }}
[profiles.default]
workers = 2
[metrics]
cost = {{ label = "cost", unit = "1" }}
gain = {{ label = "gain", unit = "1" }}
[scenarios.busy.mock]
cost = 3
gain = 4
[kpis]
cost = {{ warn = "> 10" }}
"""


class Spy:
    """Takes the pack that a factory is given, as a stranger's plugin sees it."""

    requires = ()

    def __init__(self) -> None:
        self.pack: Pack | None = None

    def pytest_soak_tuners(self) -> Mapping[str, object]:
        return {"spy": self.take}

    def take(self, pack: Pack) -> Spy:
        self.pack = pack
        return self

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        return Proposal()


def pack_of(pytester: pytest.Pytester, *args: str) -> Pack:
    """Return the pack that a chain has under these options, read once."""
    if args not in PACKS:
        spy = Spy()
        pytester.makepyfile(test_spy="def test_spy(soak): soak.run()")
        pytester.runpytest_inprocess(
            "--soak-iterations=2", "--auto-tune", "--soak-tuner=spy", *args, plugins=[spy]
        )
        assert spy.pack is not None
        PACKS[args] = spy.pack
    return PACKS[args]


def test_an_optional_kpi_which_a_system_may_not_have_does_not_lead_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.demo.kpis.error_rate]\noptional = true\n")
    aim = Aim(pack_of(pytester, "--soak-seed=1"))
    assert set(aim.metrics) == {*BAD} - {"error_rate"}
    assert not any("error_rate" in limit for limit in aim.constraints(BAD))
    assert aim.reached({**GOOD, "error_rate": 1.0})


@pytest.fixture
def pack(pytester: pytest.Pytester) -> Pack:
    """Return the demo pack."""
    return pack_of(pytester)


@pytest.fixture
def demo(pack: Pack) -> None:
    """See to it that `PACKS` holds the demo pack."""


def entry(
    parameters: Mapping[str, float],
    metrics: Mapping[str, Any],
    **more: Any,
) -> Entry:
    return Entry(Summary(1, parameters, metrics, **more))


def history(*entries: Entry) -> History:
    return History(entries)


POINT = st.fixed_dictionaries(
    {
        "workers": st.integers(1, 16),
        "batch_size": st.integers(1, 100),
        "backoff_s": st.integers(0, 200).map(lambda cents: cents / 100),
    }
)
METRICS = st.fixed_dictionaries(
    {
        "latency_p95_ms": st.floats(0, 1000),
        "error_rate": st.floats(0, 1),
        "throughput": st.floats(0, 500),
    }
)
HISTORY = st.lists(st.tuples(POINT, METRICS), min_size=1, max_size=8)


@pytest.mark.usefixtures("demo")
@given(ran=HISTORY)
@settings(max_examples=25, deadline=None)
def test_every_step_ends_within_the_limits_before_the_clamp_and_is_the_same_when_asked_again(
    ran: list[tuple[dict[str, float], dict[str, float]]],
) -> None:
    pack = PACKS[()]
    seen = history(*(entry(*one) for one in ran))
    now = ran[-1][0]
    proposal = OptunaTuner(pack).propose(seen, dict(now))
    for name, delta in proposal.deltas.items():
        parameter = pack.parameters[name]
        target = now[name] + delta
        assert parameter.limits.clamp(target) == pytest.approx(target, abs=1e-9)
        assert parameter.quantize(target) == pytest.approx(target, abs=1e-9)
    assert OptunaTuner(pack).propose(seen, dict(now)) == proposal
    as_floats = [({k: float(v) for k, v in point.items()}, metrics) for point, metrics in ran]
    again = history(*(entry(*one) for one in as_floats))
    assert OptunaTuner(pack).propose(again, dict(now)) == proposal


def test_it_stays_where_every_kpi_keeps_its_limits(pack: Pack) -> None:
    proposal = OptunaTuner(pack).propose(history(entry(START, GOOD)), START)
    assert proposal == Proposal(reasons=("every KPI keeps its limits",))


@pytest.mark.parametrize("metric", BAD)
def test_it_moves_while_one_kpi_breaks_its_limit(pack: Pack, metric: str) -> None:
    metrics = {**GOOD, metric: BAD[metric]}
    assert OptunaTuner(pack).propose(history(entry(START, metrics)), START).deltas


def test_a_gate_setting_moves_the_goal(pytester: pytest.Pytester) -> None:
    stricter = pack_of(pytester, "--soak-gate=throughput>=200")
    looser = pack_of(pytester, "--soak-gate=latency_p95_ms<=500", "--soak-gate=warn:error_rate<=1")
    slow = {**GOOD, "latency_p95_ms": 240.0}
    assert OptunaTuner(stricter).propose(history(entry(START, GOOD)), START).deltas
    assert not OptunaTuner(looser).propose(history(entry(START, slow)), START).deltas


@pytest.mark.parametrize(
    "more",
    [{"problems": (Problem(Kind.NO_REPORT),)}, {"restarted": True}],
    ids=["problems", "restarted"],
)
def test_an_iteration_without_a_valid_measurement_is_no_trial(
    pack: Pack, more: dict[str, Any]
) -> None:
    tuner = OptunaTuner(pack)
    odd = entry({**START, "workers": 9}, GOOD, **more)
    bad = entry(START, BAD)
    assert tuner.propose(history(odd, bad), START) == tuner.propose(history(bad), START)
    assert tuner.propose(history(odd), START) == Proposal()


@pytest.mark.parametrize(
    ("parameters", "metrics"),
    [
        ({**START, "workers": 99}, BAD),
        ({"workers": 2}, BAD),
        (START, {**BAD, "error_rate": None}),
        (START, {**BAD, "error_rate": True}),
    ],
    ids=["outside the limits", "a parameter is missing", "undefined", "no number"],
)
def test_a_measurement_that_does_not_fit_is_no_trial(
    pack: Pack, parameters: dict[str, float], metrics: dict[str, Any]
) -> None:
    assert OptunaTuner(pack).propose(history(entry(parameters, metrics)), START) == Proposal()


def test_points_near_those_that_keep_the_limits_are_preferred(pack: Pack) -> None:
    aim, numbers = Aim(pack), random.Random(3)
    asked = []
    for _ in range(20):
        measured = [
            Measurement(
                {"workers": float(workers), "batch_size": 40.0, "backoff_s": 0.2},
                {name: value + numbers.random() / 100 for name, value in metrics.items()},
            )
            for workers, metrics in [(2, BAD), (3, BAD), (5, BAD), (13, GOOD), (14, GOOD)]
        ]
        asked.append(next_point(measured, aim, pack)["workers"])
    assert median(asked) > 9


def test_what_others_measured_is_tried_best_first_and_then_learned_from(pack: Pack) -> None:
    better = Measurement({"workers": 9.0, "batch_size": 20.0, "backoff_s": 1.0}, GOOD)
    good = Measurement(
        {"workers": 8.0, "batch_size": 20.0, "backoff_s": 1.0}, {**GOOD, "error_rate": 0.049}
    )
    bad = Measurement({"workers": 1.0, "batch_size": 20.0, "backoff_s": 1.0}, BAD)
    misfit = Measurement({"workers": 99.0, "batch_size": 20.0, "backoff_s": 1.0}, GOOD)
    words = tuple(each.dumps(f"run {n}") for n, each in enumerate((good, bad, better, misfit)))
    tuner = OptunaTuner(pack)
    first = entry(START, {**BAD, SHARED: words})
    proposal = tuner.propose(history(first), START)
    assert proposal.deltas == {"workers": 7, "batch_size": -20, "backoff_s": 0.8}
    assert proposal.reasons == ("optuna: as good in run 2",)
    there = {"workers": 9, "batch_size": 20, "backoff_s": 1.0}
    second = tuner.propose(history(first, entry(there, BAD)), there)
    assert second == Proposal({"workers": -1}, ("optuna: as good in run 0",))
    here = {**there, "workers": 8}
    third = tuner.propose(history(first, entry(there, BAD), entry(here, BAD)), here)
    assert third.reasons == ("optuna: trial 6",)


@pytest.mark.parametrize(("better", "direction"), [("up", "maximize"), ("down", "minimize")])
def test_an_objective_is_the_value_and_its_direction_the_study_s(
    pytester: pytest.Pytester, better: str, direction: str
) -> None:
    text = PACK.format(objective=f'[objective]\nmetric = "gain"\nbetter = "{better}"')
    path = pytester.path / f"{better}.toml"
    path.write_text(text)
    pack = pack_of(pytester, f"--soak-pack={path}")
    aim = Aim(pack)
    assert (aim.direction, aim.metrics) == (direction, ("cost", "gain"))
    assert aim.value({"cost": 3.0, "gain": 4.0}) == 4.0
    low, high = ({"cost": 1.0, "gain": gain} for gain in (1.0, 5.0))
    words = (
        Measurement({"workers": 8.0}, low).dumps("low"),
        Measurement({"workers": 9.0}, high).dumps("high"),
    )
    start = {"workers": 2}
    seen = history(entry(start, {"cost": 30.0, "gain": 3.0, SHARED: words}))
    best = "high" if better == "up" else "low"
    assert OptunaTuner(pack).propose(seen, start).reasons == (f"optuna: as good in {best}",)


def test_optuna_s_own_log_level_is_put_back() -> None:
    before = optuna.logging.get_verbosity()
    with quiet():
        assert optuna.logging.get_verbosity() == optuna.logging.CRITICAL
    assert optuna.logging.get_verbosity() == before
