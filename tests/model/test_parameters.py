"""The clamp, for values inside and outside of the bounds."""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.parameters import (
    Bounds,
    Corridor,
    Note,
    Parameter,
    Stepped,
    is_same,
    overlay,
    step,
)

GRIDS = (1, 5, 50, 0.5, 0.25, 0.1, 0.01, 0.001)
COUNTS = st.integers(-2000, 2000)
MEASURED = st.floats(-5000, 5000, allow_nan=False)


def a_parameter(
    precision: float,
    limits: Bounds = Bounds(-1e9, 1e9),  # noqa: B008 - frozen
    apply: Bounds = Bounds(-1e9, 1e9),  # noqa: B008 - frozen
) -> Parameter:
    return Parameter("field", "1", limits, apply, "up", precision)


def exact(value: float) -> Decimal:
    return Decimal(str(value))


def on_grid(units: int, precision: float) -> float:
    """Return *units* times *precision* without rounding errors."""
    return float(units * exact(precision))


def distance(value: Decimal, bounds: Bounds) -> Decimal:
    return max(exact(bounds.lo) - value, value - exact(bounds.hi), Decimal(0))


@st.composite
def bounds_anywhere(draw: st.DrawFn) -> Bounds:
    lo, hi = sorted((draw(MEASURED), draw(MEASURED)))
    return Bounds(lo, hi)


@given(st.sampled_from(GRIDS), COUNTS, COUNTS, COUNTS, COUNTS)
def test_on_the_grid_the_clamp_is_the_formula(
    precision: float, one: int, other: int, old: int, delta: int
) -> None:
    lo, hi = sorted((one, other))
    new = min(max(old + delta, min(lo, old)), max(hi, old))
    stepped = step(
        a_parameter(precision),
        Bounds(on_grid(lo, precision), on_grid(hi, precision)),
        on_grid(old, precision),
        on_grid(delta, precision),
    )
    assert exact(stepped.new) == new * exact(precision)
    assert exact(stepped.delta) == (new - old) * exact(precision)
    if new == old:
        assert stepped.note is (Note.HOLD if delta else Note.NONE)
    elif new != old + delta:
        assert stepped.note is (Note.CAP if delta > 0 else Note.FLOOR)
    else:
        assert stepped.note is Note.NONE


@given(st.sampled_from(GRIDS), bounds_anywhere(), MEASURED, MEASURED)
def test_a_step_is_never_turned_around(
    precision: float, bounds: Bounds, old: float, delta: float
) -> None:
    stepped = step(a_parameter(precision), bounds, old, delta)
    assert stepped.delta == 0 or (stepped.delta > 0) == (delta > 0)
    assert stepped.new == old or (stepped.new > old) == (delta > 0)


@given(st.sampled_from(GRIDS), bounds_anywhere(), MEASURED, MEASURED)
def test_a_step_is_never_larger_than_requested(
    precision: float, bounds: Bounds, old: float, delta: float
) -> None:
    stepped = step(a_parameter(precision), bounds, old, delta)
    dust = exact(precision) * Decimal("1e-6")
    assert abs(exact(stepped.new) - exact(old)) <= abs(exact(delta)) + dust
    assert abs(exact(stepped.delta)) <= abs(exact(delta)) + dust


@given(st.sampled_from(GRIDS), bounds_anywhere(), MEASURED, MEASURED)
def test_the_distance_to_the_corridor_never_grows(
    precision: float, bounds: Bounds, old: float, delta: float
) -> None:
    stepped = step(a_parameter(precision), bounds, old, delta)
    assert distance(exact(stepped.new), bounds) <= distance(exact(old), bounds)


@given(st.sampled_from(GRIDS), bounds_anywhere(), MEASURED, st.lists(MEASURED, max_size=20))
def test_no_sequence_of_steps_leaves_the_corridor_once_it_is_in(
    precision: float, bounds: Bounds, start: float, deltas: list[float]
) -> None:
    parameter = a_parameter(precision)
    values = [start]
    for delta in deltas:
        values.append(step(parameter, bounds, values[-1], delta).new)
    for before, after in pairwise(values):
        assert before not in bounds or after in bounds


@given(st.sampled_from(GRIDS), bounds_anywhere(), MEASURED, MEASURED)
def test_a_moved_value_is_on_the_grid_without_rounding_errors(
    precision: float, bounds: Bounds, old: float, delta: float
) -> None:
    stepped = step(a_parameter(precision), bounds, old, delta)
    if stepped.delta:
        assert exact(stepped.new) % exact(precision) == 0
    else:
        assert stepped.new == old


@given(st.sampled_from(GRIDS), COUNTS, COUNTS, st.integers(-3, 3))
def test_rounding_errors_in_a_request_do_not_cost_a_step(
    precision: float, old: int, delta: int, dust: int
) -> None:
    wide = Bounds(-1e9, 1e9)
    requested = on_grid(delta, precision) + dust * 1e-9 * precision
    stepped = step(a_parameter(precision), wide, on_grid(old, precision), requested)
    assert exact(stepped.delta) == delta * exact(precision)


@given(st.sampled_from(GRIDS), bounds_anywhere(), MEASURED)
def test_a_step_of_zero_changes_nothing(precision: float, bounds: Bounds, old: float) -> None:
    assert step(a_parameter(precision), bounds, old, 0) == Stepped(old, 0, Note.NONE)


@given(st.floats(min_value=1e3, allow_infinity=False, allow_nan=False), st.sampled_from((1, -1)))
def test_a_step_however_large_ends_at_the_bound(size: float, sign: int) -> None:
    stepped = step(a_parameter(0.001), Bounds(0.0, 0.6), 0.3, sign * size)
    assert stepped.new == (0.6 if sign > 0 else 0)
    assert stepped.note is (Note.CAP if sign > 0 else Note.FLOOR)


def test_the_sum_of_tenths_has_no_rounding_errors() -> None:
    spread = a_parameter(0.001)
    stepped = step(spread, Bounds(0.0, 0.6), 0.09, 0.05)
    assert (repr(stepped.new), repr(stepped.delta)) == ("0.14", "0.05")


def test_whole_values_are_written_as_whole_numbers() -> None:
    stepped = step(a_parameter(1), Bounds(40, 80), 60.0, 5.0)
    assert (repr(stepped.new), repr(stepped.delta)) == ("65", "5")


def test_the_first_rate_step_starts_from_the_base() -> None:
    rate = a_parameter(1, Bounds(120, 360), Bounds(200, 320))
    assert step(rate, rate.corridor(Corridor.LIMITS), 300, -30) == Stepped(270, -30, Note.NONE)


@pytest.mark.parametrize(
    ("old", "delta", "outcome"),
    [
        pytest.param(0.0, 0.02, Stepped(0.02, 0.02, Note.NONE), id="below steps towards it"),
        pytest.param(0.0, -0.02, Stepped(0.0, 0, Note.HOLD), id="below steps no farther away"),
        pytest.param(0.5, -0.05, Stepped(0.45, -0.05, Note.NONE), id="above steps towards it"),
        pytest.param(0.5, 0.05, Stepped(0.5, 0, Note.HOLD), id="above steps no farther away"),
        pytest.param(0.24, 0.02, Stepped(0.25, 0.01, Note.CAP), id="cut at the top"),
        pytest.param(0.09, -0.02, Stepped(0.08, -0.01, Note.FLOOR), id="cut at the bottom"),
        pytest.param(0.25, 0.02, Stepped(0.25, 0, Note.HOLD), id="at the top it holds"),
        pytest.param(0.2, 0.0004, Stepped(0.2, 0, Note.HOLD), id="finer than the grid it holds"),
    ],
)
def test_the_spread_in_its_apply_corridor(old: float, delta: float, outcome: Stepped) -> None:
    assert step(a_parameter(0.001), Bounds(0.08, 0.25), old, delta) == outcome


def test_the_apply_corridor_is_common_to_both_bounds() -> None:
    parameter = a_parameter(1, limits=Bounds(50, 300), apply=Bounds(40, 80))
    assert parameter.corridor(Corridor.APPLY) == Bounds(50, 80)
    assert parameter.corridor(Corridor.LIMITS) == Bounds(50, 300)


@given(st.sampled_from(GRIDS), MEASURED)
def test_quantizing_goes_to_the_nearest_point_of_the_grid(precision: float, value: float) -> None:
    point = exact(a_parameter(precision).quantize(value))
    assert point % exact(precision) == 0
    assert abs(point - exact(value)) * 2 <= exact(precision)


def test_how_a_caller_rounds_decimals_changes_nothing() -> None:
    with localcontext(rounding=ROUND_DOWN):
        assert a_parameter(1).quantize(0.7) == 1
        assert step(a_parameter(1), Bounds(0, 9), 0, 0.9999999).new == 1


@given(bounds_anywhere(), MEASURED)
def test_the_ends_of_an_interval_belong_to_it(bounds: Bounds, value: float) -> None:
    assert bounds.lo in bounds
    assert bounds.hi in bounds
    assert bounds.clamp(value) in bounds
    assert (bounds.clamp(value) == value) == (value in bounds)


def test_overrides_lie_over_the_base_sorted_by_name() -> None:
    effective = overlay({"workers": 2, "batch": 40}, {"workers": 4, "added": 1})
    assert list(effective.items()) == [("added", 1), ("batch", 40), ("workers", 4)]


@given(st.integers(-12, 9), st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_two_points_of_a_grid_are_never_the_same_however_fine_it_is(
    power: int, units: int, apart: int
) -> None:
    precision = float(f"1e{power}")
    one, other = on_grid(units, precision), on_grid(units + apart, precision)
    assert not is_same(one, other, precision)
    assert is_same(one, one, precision)


@pytest.mark.parametrize(
    ("one", "other", "precision", "same"),
    [
        (0, 1e-7, 0.1, True),  # dust: a millionth of the grid
        (0, 2e-7, 0.1, False),
        (1e12, 1e12 + 0.25, 1, True),  # a billionth of the value, and less than half a step
        (1e12, 1e12 + 0.5, 1, False),
        (1e12, 1e12 + 1, 2.5, True),
        (1e12, 1e12 + 1, 0, True),
        (0, 1e-300, 0, False),
    ],
)
def test_how_far_a_value_may_be_off(
    one: float, other: float, precision: float, *, same: bool
) -> None:
    assert is_same(one, other, precision) is is_same(other, one, precision) is same


@given(st.integers(-12, 9), st.integers(-(10**12), 10**12))
def test_a_value_that_was_rounded_on_its_way_is_the_same(power: int, units: int) -> None:
    precision = float(f"1e{power}")
    value = on_grid(units, precision)
    for other in (math.nextafter(value, math.inf), value / 3 * 3, value / 60_000 * 60_000):
        assert is_same(value, other, precision)
