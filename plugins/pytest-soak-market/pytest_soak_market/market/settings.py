"""The conditions a market runs under: what a scenario sets and no tuner touches."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from pytest_soak import Setting


def within(unit: str, least: float, most: float) -> Meta:
    """Describe a number with its unit and its allowed range, both ends included."""
    return Setting(unit=unit, least=least, most=most)


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """The market, the venue and the maker's means; the defaults are a calm, normal market.

    Attributes:
        symbol: what is traded; names the entry in the report's ``symbols``.
        slot_s: simulated seconds per iteration, after half a second of warm-up.
        price: where the market starts, in USD per unit.
        capital: the maker's capital in USD; orders and the inventory limit are shares of it.
        volatility_bps: standard deviation of the fair value over one second, in basis points.
        taker_rate: takers per second that come to trade, informed ones included.
        taker_size: mean size of an uninformed taker, in USD (exponential).
        taker_reach_bps: what every uninformed taker will pay beyond fair value.
        taker_patience_bps: mean of what one will pay beyond that (exponential): the larger, the
            less a wider quote puts takers off.
        flow_persistence: probability that an uninformed taker trades in the direction of the one
            before; 0.5 is no memory.
        toxicity: share of takers that are informed: they know fair value and trade only against
            quotes that are stale by more than ``informed_edge_bps``.
        informed_edge_bps: the least profit an informed taker trades for.
        informed_size: mean size of an informed taker, in USD (exponential).
        makers: competing makers, each with one bid and one ask.
        maker_rate: how often each of them requotes around fair value, per second.
        maker_distance_bps: their least distance from fair value.
        maker_spread_bps: mean of their distance beyond that (exponential).
        queue_depth: mean size of their orders, in USD (exponential).
        maker_rebate_bps: what the venue pays for a maker fill.
        taker_fee_bps: what the venue charges for a taker fill.
        latency_ms: network latency, each way.
        feed_cost_ms: the maker's CPU time per market data message.
        decision_cost_ms: its CPU time per decision.
        request_cost_ms: its CPU time per request it sends.
        requote_bps: how far an order may be from where it should be before it is moved.
        danger_bps: how much too close to the mid an order may be before it is pulled where it
            cannot be replaced.
        vip_trade: size from which a print counts as a VIP taker's, in USD.
        size_variation: by how much, at most, an order is smaller than the largest allowed; makers
            vary their sizes so as not to be recognised.
        risk_room: share of the inventory limit that must be free for a side to be quoted; an order
            larger than that can overshoot the limit.
        hedge_trigger: share of the inventory limit beyond which the maker hedges.
        hedge_target: share of the inventory limit that a hedge leaves.
        hedge_reach_bps: how far from the mid a hedge may trade.
    """

    symbol: Annotated[str, Setting(pattern=".", allowed="a text that is not empty")] = "BTC-USD"
    slot_s: Annotated[float, within("s", 2.0, 86_400.0)] = 240.0
    price: Annotated[float, within("USD", 1_000.0, 1_000_000.0)] = 50_000.0
    capital: Annotated[float, within("USD", 1_000.0, 1e9)] = 100_000.0
    volatility_bps: Annotated[float, within("bps/sqrt(s)", 0.0, 50.0)] = 1.8
    taker_rate: Annotated[float, within("1/s", 0.0, 10_000.0)] = 100.0
    taker_size: Annotated[float, within("USD", 10.0, 1e8)] = 3_000.0
    taker_reach_bps: Annotated[float, within("bps", -10.0, 100.0)] = 0.4
    taker_patience_bps: Annotated[float, within("bps", 0.01, 100.0)] = 0.85
    flow_persistence: Annotated[float, within("1", 0.0, 1.0)] = 0.8
    toxicity: Annotated[float, within("1", 0.0, 1.0)] = 0.1
    informed_edge_bps: Annotated[float, within("bps", 0.0, 100.0)] = 0.1
    informed_size: Annotated[float, within("USD", 10.0, 1e8)] = 5_000.0
    makers: Annotated[int, within("1", 1, 200)] = 8
    maker_rate: Annotated[float, within("1/s", 0.1, 1_000.0)] = 5.0
    maker_distance_bps: Annotated[float, within("bps", 0.1, 100.0)] = 1.6
    maker_spread_bps: Annotated[float, within("bps", 0.01, 100.0)] = 1.5
    queue_depth: Annotated[float, within("USD", 10.0, 1e9)] = 8_000.0
    maker_rebate_bps: Annotated[float, within("bps", -10.0, 10.0)] = 1.8
    taker_fee_bps: Annotated[float, within("bps", -10.0, 100.0)] = 2.0
    latency_ms: Annotated[float, within("ms", 0.0, 1_000.0)] = 0.4
    feed_cost_ms: Annotated[float, within("ms", 0.0, 100.0)] = 0.02
    decision_cost_ms: Annotated[float, within("ms", 0.0, 10_000.0)] = 1.5
    request_cost_ms: Annotated[float, within("ms", 0.0, 10_000.0)] = 0.2
    requote_bps: Annotated[float, within("bps", 0.0, 100.0)] = 0.3
    danger_bps: Annotated[float, within("bps", 0.0, 100.0)] = 0.6
    vip_trade: Annotated[float, within("USD", 0.0, 1e9)] = 10_000.0
    size_variation: Annotated[float, within("1", 0.0, 0.9)] = 0.2
    risk_room: Annotated[float, within("1", 0.0, 1.0)] = 0.5
    hedge_trigger: Annotated[float, within("1", 0.1, 10.0)] = 1.2
    hedge_target: Annotated[float, within("1", 0.0, 1.0)] = 0.7
    hedge_reach_bps: Annotated[float, within("bps", 0.1, 1_000.0)] = 8.0
