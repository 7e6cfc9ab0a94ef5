"""The metrics obey the identities that their definitions imply."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_soak_market.market import metrics
from pytest_soak_market.market.metrics import EndCause, Fill, OrderEnd

PRICES = st.floats(1.0, 1e5)
RETURNS = st.floats(-0.01, 0.01)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    """Draw a fill whose prices are within 1 % of its mid."""
    mid = draw(PRICES)
    is_maker = draw(st.booleans())
    price = mid * (1 + draw(RETURNS))
    quantity = draw(st.floats(0.001, 10.0))
    return Fill(
        time_s=draw(st.floats(0.0, 100.0)),
        side=draw(st.sampled_from([1, -1])),
        price=price,
        quantity=quantity,
        fee=price * quantity * draw(RETURNS),
        mid=mid,
        mid_later=mid * (1 + draw(RETURNS)),
        mid_sent=mid * (1 + draw(RETURNS)),
        is_maker=is_maker,
    )


MANY = st.lists(fills(), min_size=1, max_size=20)
LIVES = st.lists(
    st.builds(
        lambda start, age, cause: OrderEnd(start, start + age, cause),
        st.floats(0.0, 100.0),
        st.floats(0.0, 5.0),
        st.sampled_from(EndCause),
    ),
    min_size=1,
    max_size=30,
)


def near(value: float | None) -> object:
    """Compare up to rounding."""
    return pytest.approx(value, rel=1e-9, abs=1e-6)


def mirrored(fill: Fill) -> Fill:
    """Return the same trade seen from the other side: prices reflected at the mid before it."""
    assert fill.mid_later is not None
    return replace(
        fill,
        side=-fill.side,
        price=2 * fill.mid - fill.price,
        mid_later=2 * fill.mid - fill.mid_later,
    )


@given(fills())
def test_capture_is_adverse_plus_markout(fill: Fill) -> None:
    adverse, markout = metrics.adverse_bps(fill), metrics.markout_bps(fill)
    assert adverse is not None
    assert markout is not None
    assert metrics.capture_bps(fill) == near(adverse + markout)


@given(MANY)
def test_mean_capture_is_mean_adverse_plus_mean_markout(many: list[Fill]) -> None:
    adverse = metrics.weighted_mean(many, metrics.adverse_bps)
    markout = metrics.weighted_mean(many, metrics.markout_bps)
    assert adverse is not None
    assert markout is not None
    assert metrics.weighted_mean(many, metrics.capture_bps) == near(adverse + markout)


@given(fills())
def test_buys_and_sells_are_mirror_images(fill: Fill) -> None:
    other = mirrored(fill)
    assert metrics.capture_bps(other) == near(metrics.capture_bps(fill))
    assert metrics.markout_bps(other) == near(metrics.markout_bps(fill))
    assert metrics.adverse_bps(other) == near(metrics.adverse_bps(fill))


@given(fills())
def test_slippage_mirrors_around_the_mid_when_sent(fill: Fill) -> None:
    taker = replace(fill, is_maker=False)
    other = replace(taker, side=-taker.side, price=2 * taker.mid_sent - taker.price)
    assert metrics.slippage_bps(other) == near(metrics.slippage_bps(taker))


@given(fills())
def test_a_maker_fill_has_no_slippage(fill: Fill) -> None:
    assert metrics.slippage_bps(replace(fill, is_maker=True)) == 0


@given(MANY, st.floats(0.001, 10.0))
def test_a_rebate_lowers_cost_and_lifts_net(many: list[Fill], rebate: float) -> None:
    cheaper = [replace(many[0], fee=many[0].fee - rebate), *many[1:]]
    before, after = metrics.fees_bps(many), metrics.fees_bps(cheaper)
    assert before is not None
    assert after is not None
    assert after < before
    poor, rich = metrics.net_bps(many, 100.0, 101.0), metrics.net_bps(many, 100.0, 101.0 + rebate)
    assert poor is not None
    assert rich is not None
    assert rich > poor
    assert rich - poor == pytest.approx(before - after, rel=1e-6)


@given(MANY, st.floats(1e-3, 1e3))
def test_ratios_do_not_know_the_unit_of_quantity(many: list[Fill], factor: float) -> None:
    scaled = [replace(f, quantity=f.quantity * factor, fee=f.fee * factor) for f in many]
    assert metrics.fees_bps(scaled) == near(metrics.fees_bps(many))
    assert metrics.maker_share(scaled) == near(metrics.maker_share(many))


@given(MANY)
def test_net_is_markout_less_fees_plus_inventory(many: list[Fill]) -> None:
    net = metrics.net_bps(many, 1000.0, 1001.0)
    markout = metrics.weighted_mean(many, metrics.markout_bps)
    fees = metrics.fees_bps(many)
    inventory = metrics.inventory_bps(net, markout, fees)
    assert net is not None
    assert markout is not None
    assert fees is not None
    assert inventory is not None
    assert markout - fees + inventory == near(net)


@given(MANY)
def test_a_mean_lies_between_its_extremes(many: list[Fill]) -> None:
    mean = metrics.weighted_mean(many, metrics.capture_bps)
    values = [metrics.capture_bps(fill) for fill in many]
    assert mean is not None
    assert min(values) - 1e-6 <= mean <= max(values) + 1e-6


@given(MANY)
def test_the_maker_share_is_a_share(many: list[Fill]) -> None:
    share = metrics.maker_share(many)
    assert share is not None
    assert 0 <= share <= 1
    flipped = metrics.maker_share([replace(fill, is_maker=not fill.is_maker) for fill in many])
    assert flipped == near(1 - share)


@given(LIVES)
def test_replaced_orders_are_among_the_cancelled(ends: list[OrderEnd]) -> None:
    cancelled, replaced = metrics.cancel_ratio(ends), metrics.replace_ratio(ends)
    assert cancelled is not None
    assert replaced is not None
    assert 0 <= replaced <= cancelled <= 1


@given(LIVES)
def test_the_order_age_is_one_that_orders_have(ends: list[OrderEnd]) -> None:
    ages = [1e3 * (end.ended_s - end.acknowledged_s) for end in ends]
    age = metrics.order_age_p95_ms(ends)
    assert age is not None
    assert min(ages) - 1e-6 <= age <= max(ages) + 1e-6


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 100), st.floats(0, 100)
)
def test_percentiles_rise_with_the_percentage(values: list[float], one: float, two: float) -> None:
    low, high = (metrics.percentile(values, percent) for percent in sorted((one, two)))
    assert low is not None
    assert high is not None
    assert low <= high + 1e-9
    assert metrics.percentile(values, 0) == min(values)
    assert metrics.percentile(values, 100) == max(values)


@given(st.integers(0, 9), st.integers(0, 9))
def test_rejects_are_a_share_of_the_orders_sent(refused: int, sent: int) -> None:
    share = metrics.reject_ratio(refused, sent)
    assert (share is None) == (sent == 0)
    if share is not None:
        assert 0 <= share <= 1
        assert refused > sent or math.isclose(share * sent, refused)


def test_percentiles_are_interpolated() -> None:
    assert metrics.percentile([10, 20], 95) == pytest.approx(19.5)
    assert metrics.percentile(range(101), 95) == 95


def test_what_needs_a_sample_is_undefined_without_one() -> None:
    assert metrics.net_bps([], 1.0, 2.0) is None
    assert metrics.fees_bps([]) is None
    assert metrics.maker_share([]) is None
    assert metrics.weighted_mean([], metrics.capture_bps) is None
    assert metrics.adverse_bps_p95([]) is None
    assert metrics.slippage_bps_p95([]) is None
    assert metrics.slippage_taker_bps_p95([]) is None
    assert metrics.cancel_ratio([]) is None
    assert metrics.replace_ratio([]) is None
    assert metrics.order_age_p95_ms([]) is None
    assert metrics.inventory_bps(None, 1.0, 1.0) is None


@given(fills())
def test_a_fill_without_a_later_mid_is_left_out(fill: Fill) -> None:
    last = replace(fill, mid_later=None, is_maker=True)
    assert metrics.markout_bps(last) is None
    assert metrics.adverse_bps_p95([last]) is None
    assert metrics.adverse_bps_p95([last, replace(fill, is_maker=True)]) is not None


def test_taker_slippage_is_undefined_without_a_taker() -> None:
    fill = Fill(0.0, 1, 99.0, 1.0, -0.01, 100.0, 100.0, 100.0, is_maker=True)
    assert metrics.slippage_taker_bps_p95([fill]) is None
    assert metrics.slippage_bps_p95([fill]) == 0


def test_a_bought_fill_has_the_signs_of_the_definition() -> None:
    fill = Fill(0.0, 1, 99.99, 1.0, -0.01, 100.0, 99.98, 100.0, is_maker=True)
    assert metrics.capture_bps(fill) == pytest.approx(1.0)
    assert metrics.markout_bps(fill) == pytest.approx(-1.0)
    assert metrics.adverse_bps(fill) == pytest.approx(2.0)
    taker = replace(fill, price=100.02, is_maker=False)
    assert metrics.slippage_bps(taker) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("net", "drivers"),
    [(None, []), (0.0, []), (1.0, []), (-1.0, ["adverse", "inventory"])],
)
def test_drivers_are_named_only_where_the_edge_is_negative(
    net: float | None, drivers: list[str]
) -> None:
    costs = {"fees": -1.8, "slippage": None, "adverse": 3.0, "inventory": 0.5}
    assert metrics.neg_edge_drivers(net, costs) == drivers


@given(LIVES)
def test_all_full_fills_mean_no_cancels(ends: list[OrderEnd]) -> None:
    filled = [replace(end, cause=EndCause.FILLED) for end in ends]
    assert metrics.cancel_ratio(filled) == 0
    assert math.isclose(metrics.cancel_ratio([*filled, *ends]) or 0.0, _half_cancelled(ends))


def _half_cancelled(ends: list[OrderEnd]) -> float:
    cancelled = metrics.cancel_ratio(ends)
    assert cancelled is not None
    return cancelled / 2
