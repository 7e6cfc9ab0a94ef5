"""The tuner `adaptive`: bounded steps towards points where all KPIs hold, with any prior."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_soak.model.history import Entry, History
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.summary import Summary
from pytest_soak.packs.loader import build_pack
from pytest_soak.tuners.adaptive import MEMORY, Adaptive, learn
from pytest_soak.tuners.beliefs import outlook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak.model.metrics import Value
    from pytest_soak.model.pack import Pack

START = {"fan": 50, "valve": 0.5}
KPIS = {"heat": {"warn": "> 20", "fail": "> 25"}, "flow": {"fail": "< 10"}}


def a_pack(**parts: Any) -> Pack:
    return build_pack(
        {
            "pack": {
                "name": "tiny",
                "prefix": "TINY_",
                "profile": "base",
                "tuner": "adaptive",
                "system": "mock",
                "scenario": "calm",
            },
            "parameters": {
                "fan": {"unit": "1", "limits": [0, 100], "calm": "up", "precision": 1},
                "valve": {"unit": "1", "limits": [0, 1], "calm": "down", "precision": 0.001},
            },
            "profiles": {"base": START},
            "metrics": {"heat": {}, "flow": {}},
            "kpis": KPIS,
            "noise": {"heat": 0.3, "flow": 0.2},
            "scenarios": {"calm": {}},
            **parts,
        },
        "tiny.toml",
    )


def entry(number: int, parameters: Mapping[str, float], **metrics: Value) -> Entry:
    return Entry(Summary(number, parameters, metrics))


def soak(
    tuner: Adaptive,
    answer: Callable[[float, float], dict[str, float]],
    iterations: int,
    start: Mapping[str, float] = START,
) -> list[dict[str, float]]:
    """Run a system whose metrics are *answer* of its parameters; return all parameters."""
    parameters = dict(start)
    entries: list[Entry] = []
    path = [dict(parameters)]
    for number in range(1, iterations + 1):
        metrics = answer(parameters["fan"], parameters["valve"])
        entries.append(entry(number, dict(parameters), **metrics))
        for name, delta in tuner.propose(History(entries), parameters).deltas.items():
            parameters[name] += delta
        path.append(dict(parameters))
    return path


def holds(heat: float, flow: float) -> bool:
    return heat <= 20 and flow >= 10


FANS = st.integers(0, 100)
VALVES = st.integers(0, 1000).map(lambda n: n / 1000)
SEEN = st.lists(
    st.tuples(FANS, VALVES, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=20
)


@settings(deadline=None)
@given(SEEN)
def test_no_history_takes_it_out_of_the_corridor_or_beyond_the_largest_step(
    seen: list[tuple[int, float, float, float]],
) -> None:
    pack = a_pack()
    entries = [
        entry(n, {"fan": fan, "valve": valve}, heat=heat, flow=flow)
        for n, (fan, valve, heat, flow) in enumerate(seen, 1)
    ]
    parameters = dict(entries[-1].summary.parameters)
    proposal = Adaptive(pack).propose(History(entries), parameters)
    for name, delta in proposal.deltas.items():
        parameter = pack.parameters[name]
        assert 0 < abs(delta) <= parameter.largest_step
        assert parameters[name] + delta in parameter.limits or round(
            parameters[name] + delta, 9
        ) in (parameter.limits.lo, parameter.limits.hi)
    assert Adaptive(pack).propose(History(entries), parameters) == proposal
    assert set(proposal.reason_of) == set(proposal.deltas)


def test_a_value_outside_the_corridor_steps_towards_it_and_never_away() -> None:
    pack = a_pack()
    outside = {"fan": 140, "valve": 0.5}
    proposal = Adaptive(pack).propose(History([entry(1, outside, heat=30, flow=20)]), outside)
    assert -25 <= proposal.deltas.get("fan", 0) <= 0


def test_a_metric_that_hardly_varies_is_learned_from_like_any_other() -> None:
    """`calibrate` measures a noise of almost 0 for a nearly exact system."""
    pack = a_pack(noise={"heat": 1e-12, "flow": 1e-9})
    path = soak(Adaptive(pack), lambda fan, _: {"heat": 60 - 0.5 * fan, "flow": 20}, 12)
    assert path[-1]["fan"] >= 80


def test_the_pack_sets_the_largest_step_which_is_a_quarter_of_the_range_by_default() -> None:
    pack = a_pack()
    assert pack.parameters["fan"].largest_step == 25
    assert pack.parameters["valve"].largest_step == 0.25
    data = {"unit": "1", "limits": [0, 100], "calm": "up", "precision": 1, "step": 7}
    valve = {**data, "precision": 0.001, "limits": [0, 1], "step": 0.0005}
    slow = a_pack(parameters={"fan": data, "valve": valve})
    assert slow.parameters["valve"].largest_step == 0.001, "a step is at least a point of the grid"
    path = soak(Adaptive(slow), lambda fan, _: {"heat": 60 - 0.5 * fan, "flow": 20}, 3)
    assert [point["fan"] for point in path] == [50, 57, 64, 71]


def test_it_requires_the_kpis_and_works_within_the_limits() -> None:
    tuner = Adaptive(a_pack())
    assert tuner.requires == ("heat", "flow")
    assert tuner.corridor is Corridor.LIMITS


def test_an_optional_kpi_which_a_system_may_not_have_does_not_steer_it() -> None:
    pack = a_pack(kpis={"heat": {"fail": "> 50"}, "flow": {"fail": "< 10", "optional": True}})
    assert Adaptive(pack).requires == ("heat",)


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_around_a_good_point_moves_nothing(seed: int) -> None:
    noise = random.Random(seed)

    def good(_fan: float, _valve: float) -> dict[str, float]:
        return {"heat": 18.5 + noise.gauss(0, 0.3), "flow": 11 + noise.gauss(0, 0.2)}

    assert soak(Adaptive(a_pack()), good, 30) == [START] * 31


def line(slopes: tuple[float, ...], fan: float, valve: float) -> dict[str, float]:
    heat = 24 + slopes[0] * (fan - 50) + slopes[1] * (valve - 0.5)
    flow = 9 + slopes[2] * (fan - 50) + slopes[3] * (valve - 0.5)
    return {"heat": heat, "flow": flow}


CORNERS = ((0, 0), (0, 1), (100, 0), (100, 1))
SLOPES = [
    slopes
    for slopes in product((-0.3, 0.3), (-12.0, 12.0), (-0.1, 0.1), (-6.0, 6.0))
    if any(holds(**line(slopes, *corner)) for corner in CORNERS)  # somebody could repair it
]


@pytest.mark.parametrize("slopes", SLOPES)
def test_without_declared_effects_it_learns_them_with_either_sign(
    slopes: tuple[float, ...],
) -> None:
    noise = random.Random(1)

    def system(fan: float, valve: float) -> dict[str, float]:
        sigmas = {"heat": 0.3, "flow": 0.2}
        exact = line(slopes, fan, valve)
        return {name: value + noise.gauss(0, sigmas[name]) for name, value in exact.items()}

    end = soak(Adaptive(a_pack()), system, 12)[-1]
    assert holds(**line(slopes, end["fan"], end["valve"]))


def cooled(fan: float, _valve: float) -> dict[str, float]:
    return {"heat": 26 - 0.3 * (fan - 50), "flow": 20}


def test_declared_effects_save_it_the_search() -> None:
    effects = {"heat": {"mean": {"fan": -0.3}, "spread": {"fan": 0.05, "valve": 0.1}}}
    path = soak(Adaptive(a_pack(effects=effects)), cooled, 1)
    assert holds(**cooled(path[-1]["fan"], 0))


def test_declared_effects_with_the_wrong_sign_are_corrected() -> None:
    effects = {"heat": {"mean": {"fan": 0.3}, "spread": {"fan": 0.3}}}
    path = soak(Adaptive(a_pack(effects=effects)), cooled, 6)
    assert path[1]["fan"] < 50, "what it was told it believes at first"
    assert holds(**cooled(path[-1]["fan"], 0))


def test_a_warn_is_not_cured_at_the_price_of_a_fail() -> None:
    effects = {
        "heat": {"mean": {"fan": -0.1}, "spread": {"fan": 0.001, "valve": 0.001}, "bend": 0},
        "flow": {"mean": {"fan": -0.2}, "spread": {"fan": 0.001, "valve": 0.001}, "bend": 0},
    }
    tuner = Adaptive(a_pack(effects=effects))
    dear = History([entry(1, START, heat=22, flow=10.5)])
    assert tuner.propose(dear, START).deltas.get("fan", 0) <= 1
    cheap = History([entry(1, START, heat=22, flow=20)])
    assert tuner.propose(cheap, START).deltas["fan"] > 15


def test_a_change_says_which_limit_it_helps_most() -> None:
    effects = {"heat": {"mean": {"fan": -0.3}}, "flow": {"mean": {"valve": 10}}}
    tuner = Adaptive(a_pack(effects=effects))
    proposal = tuner.propose(History([entry(1, START, heat=22, flow=9)]), START)
    assert proposal.reason_of == {"fan": "heat>20", "valve": "flow<10"}
    assert proposal.reasons[0] in proposal.reason_of.values()


def test_iterations_without_usable_metrics_are_not_learned_from() -> None:
    tuner = Adaptive(a_pack())
    good = entry(1, START, heat=22, flow=9)
    lost = Entry(replace(good.summary, iteration=2, metrics={"heat": 99, "flow": None}))
    odd = Entry(
        replace(
            good.summary,
            iteration=3,
            metrics={"heat": 99, "flow": 0},
            problems=(Problem(Kind.NO_REPORT),),
        )
    )
    assert tuner.propose(History([good, lost, odd]), START) == tuner.propose(History([good]), START)
    assert tuner.propose(History([lost, odd]), START) == Proposal()


def test_only_the_latest_iterations_are_learned_from() -> None:
    tuner = Adaptive(a_pack())
    old = [entry(n, {"fan": n, "valve": 0.5}, heat=5 * n, flow=3) for n in range(1, 9)]
    new = [entry(n, START, heat=21.9, flow=9.8) for n in range(9, 9 + MEMORY)]
    assert tuner.propose(History([*old, *new]), START) == tuner.propose(History(new), START)


def test_a_value_much_worse_than_expected_starts_a_new_line() -> None:
    pack = a_pack()
    heat, flow = (outlook(pack, kpi) for kpi in pack.kpis)
    points = [(0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (0.3, 0.0)]
    forgot = learn(heat, points, [1.0, 1.1, 19.0, 19.1])
    assert forgot.predict((0.0, 0.0))[0] == pytest.approx(19, abs=1)
    forgot = learn(flow, points, [30.0, 30.1, 12.0, 12.1])
    assert forgot.predict((0.0, 0.0))[0] == pytest.approx(12, abs=1)


def test_after_a_value_better_than_expected_nothing_is_forgotten() -> None:
    pack = a_pack()
    heat = outlook(pack, pack.kpis[0])
    knows = learn(heat, [(0.0, 0.0), (0.2, 0.0), (0.1, 0.0)], [500.0, 19.0, 18.5])
    assert knows.predict((0.0, 0.0))[0] > 25, "the danger is remembered"


def test_the_demo_converges_under_it_and_fails_without(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_demo(soak): soak.run()")
    assert pytester.runpytest_inprocess("--soak-iterations=6", "--soak-pack=demo").ret == 1
    tuned = pytester.runpytest_inprocess(
        "--soak-iterations=6", "--soak-pack=demo", "--auto-tune", "--soak-tuner=adaptive"
    )
    assert tuned.ret == 0
    tuned.stdout.fnmatch_lines(["*| kpi_gate | PASS |*", "*tuner adaptive*"])
