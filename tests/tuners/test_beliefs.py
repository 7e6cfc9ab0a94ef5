"""The limits and priors that `adaptive` takes from a pack, and its defaults."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Effects, MockMetric, Pack
from pytest_soak.model.parameters import Bounds, Parameter
from pytest_soak.tuners.beliefs import TAIL, Limit, outlook

FAN = Parameter("fan", "1", Bounds(0, 10), Bounds(0, 10), "up", 1)
HEAT = make_kpi("heat", {"warn": "> 20", "fail": "> 25"})


def a_pack(**parts: Any) -> Pack:
    nothing: dict[str, Any] = {key: {} for key in ("profiles", "metrics", "tables", "scenarios")}
    words = dict.fromkeys(
        ("name", "source", "prefix", "profile", "tuner", "system", "scenario"), "x"
    )
    return Pack(**{**words, **nothing, "parameters": {"fan": FAN}, "kpis": (HEAT,), **parts})


def test_declared_effects_are_taken_per_range_of_the_parameter() -> None:
    effects = {"heat": Effects({"fan": -2.0}, {"fan": 0.5}, bend=3.0)}
    belief = outlook(a_pack(effects=effects, noise={"heat": 0.7}), HEAT).belief
    assert belief.effects == (-20.0,)
    assert belief.spreads == (5.0,)
    assert (belief.bend, belief.noise, belief.scale) == (3.0, 0.7, 20)


def test_the_default_spread_is_half_the_effect_and_the_default_bend_the_noise() -> None:
    belief = outlook(
        a_pack(effects={"heat": Effects({"fan": -2.0})}, noise={"heat": 1}), HEAT
    ).belief
    assert belief.spreads == (11.0,)
    assert belief.bend == 1


def test_the_mocks_effects_and_noise_are_used_if_a_pack_declares_none() -> None:
    mock = {"heat": MockMetric({"fan": -1.0}, noise=0.2)}
    belief = outlook(a_pack(mock=mock), HEAT).belief
    assert (belief.effects, belief.noise) == ((-10.0,), 0.2)
    belief = outlook(a_pack(mock=mock, effects={"flow": Effects({"fan": 1.0})}), HEAT).belief
    assert (belief.effects, belief.noise) == ((0.0,), 0.2)


def test_with_nothing_declared_any_parameter_may_move_a_kpi_by_half_its_limit() -> None:
    belief = outlook(a_pack(), HEAT).belief
    assert belief.effects == (0.0,)
    assert belief.noise == pytest.approx(0.4)
    assert belief.spreads == pytest.approx((10.4,))


def test_a_limit_of_zero_has_size_one() -> None:
    kpi = make_kpi("heat", {"fail": "< 0"})
    told = outlook(a_pack(kpis=(kpi,)), kpi)
    assert told.belief.noise > 0
    assert told.size == 1


def test_on_a_log_scale_limits_values_and_noise_are_ratios() -> None:
    pack = a_pack(effects={"heat": Effects({"fan": -0.1}, log=True)}, noise={"heat": 2})
    told = outlook(pack, HEAT)
    assert [limit.value for limit in told.limits] == [math.log(20), math.log(25)]
    assert told.belief.noise == pytest.approx(0.1)
    assert told.see(20) == pytest.approx(math.log(20))
    assert told.see(0) == pytest.approx(math.log(0.02)), "not minus infinity"


def test_a_gate_setting_without_a_logarithm_is_used_on_the_linear_scale() -> None:
    kpi = make_kpi("heat", {"fail": "> 0"})
    told = outlook(a_pack(effects={"heat": Effects({"fan": -0.1}, log=True)}), kpi)
    assert not told.log
    assert told.belief.effects == (0.0,)
    assert told.see(-3.0) == -3.0


@pytest.mark.parametrize(("op", "bad"), [(Op.GT, 1), (Op.GE, 1), (Op.LT, -1), (Op.LE, -1)])
def test_a_limit_knows_its_bad_side(op: Op, bad: int) -> None:
    kpi = make_kpi("heat", {"fail": f"{op} 20"})
    (limit,) = outlook(a_pack(kpis=(kpi,)), kpi).limits
    assert limit.bad == bad
    assert limit.fails
    assert limit.text == f"heat{op}20"
    assert limit.broken_by(20 + bad)
    assert not limit.broken_by(20 - bad)


def test_a_probability_falls_without_a_jump_and_is_never_zero() -> None:
    limit = Limit("heat", 0.0, 1, fails=True, text="")
    chances = [limit.chance(mean / 10, 1.0) for mean in range(-50, 5000)]
    assert chances == sorted(chances, reverse=True)
    assert len(set(chances[40:])) == len(chances[40:])
    assert limit.chance(-TAIL - 1e-9, 1) == pytest.approx(limit.chance(-TAIL + 1e-9, 1), abs=1e-6)
    assert math.exp(limit.chance(0, 1)) == pytest.approx(0.5)
    assert math.exp(limit.chance(1.6449, 1)) == pytest.approx(0.05, abs=1e-4)
