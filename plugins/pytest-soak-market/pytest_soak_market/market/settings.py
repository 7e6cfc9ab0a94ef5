"""The conditions a market runs under: what a scenario sets and no tuner touches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def setting(default: float, unit: str, low: float, high: float) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a number with its unit and its allowed range, both ends included."""
    return field(default=default, metadata={"unit": unit, "low": low, "high": high})


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

    symbol: str = "BTC-USD"
    slot_s: float = setting(240.0, "s", 2.0, 86_400.0)
    price: float = setting(50_000.0, "USD", 1_000.0, 1_000_000.0)
    capital: float = setting(100_000.0, "USD", 1_000.0, 1e9)
    volatility_bps: float = setting(1.8, "bps/sqrt(s)", 0.0, 50.0)
    taker_rate: float = setting(100.0, "1/s", 0.0, 10_000.0)
    taker_size: float = setting(3_000.0, "USD", 10.0, 1e8)
    taker_reach_bps: float = setting(0.4, "bps", -10.0, 100.0)
    taker_patience_bps: float = setting(0.85, "bps", 0.01, 100.0)
    flow_persistence: float = setting(0.8, "1", 0.0, 1.0)
    toxicity: float = setting(0.1, "1", 0.0, 1.0)
    informed_edge_bps: float = setting(0.1, "bps", 0.0, 100.0)
    informed_size: float = setting(5_000.0, "USD", 10.0, 1e8)
    makers: int = setting(8, "1", 1, 200)
    maker_rate: float = setting(5.0, "1/s", 0.1, 1_000.0)
    maker_distance_bps: float = setting(1.6, "bps", 0.1, 100.0)
    maker_spread_bps: float = setting(1.5, "bps", 0.01, 100.0)
    queue_depth: float = setting(8_000.0, "USD", 10.0, 1e9)
    maker_rebate_bps: float = setting(1.8, "bps", -10.0, 10.0)
    taker_fee_bps: float = setting(2.0, "bps", -10.0, 100.0)
    latency_ms: float = setting(0.4, "ms", 0.0, 1_000.0)
    feed_cost_ms: float = setting(0.02, "ms", 0.0, 100.0)
    decision_cost_ms: float = setting(1.5, "ms", 0.0, 10_000.0)
    request_cost_ms: float = setting(0.2, "ms", 0.0, 10_000.0)
    requote_bps: float = setting(0.3, "bps", 0.0, 100.0)
    danger_bps: float = setting(0.6, "bps", 0.0, 100.0)
    vip_trade: float = setting(10_000.0, "USD", 0.0, 1e9)
    size_variation: float = setting(0.2, "1", 0.0, 0.9)
    risk_room: float = setting(0.5, "1", 0.0, 1.0)
    hedge_trigger: float = setting(1.2, "1", 0.1, 10.0)
    hedge_target: float = setting(0.7, "1", 0.0, 1.0)
    hedge_reach_bps: float = setting(8.0, "bps", 0.1, 1_000.0)

    def __post_init__(self) -> None:
        """Check every value against its declared range."""
        for entry in fields(self):
            check_setting(entry.name, getattr(self, entry.name), entry.default, entry.metadata)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> MarketSettings:
        """Build settings from a scenario's mapping; what it does not name keeps its default.

        Raises:
            ValueError: an unknown key, a value of the wrong type or out of range; names all three.
        """
        return cls(**known_settings(cls, mapping))


def known_settings(cls: type, mapping: Mapping[str, object]) -> dict[str, Any]:
    """Return what a scenario sets, all of it known to the dataclass *cls*.

    Raises:
        ValueError: an unknown key; names it and what is known.
    """
    known = sorted(entry.name for entry in fields(cls))
    for name in mapping:
        if name not in known:
            msg = f"market setting {name!r} is unknown; known are {', '.join(known)}"
            raise ValueError(msg)
    return dict(mapping)


def check_setting(name: str, value: object, default: object, metadata: Mapping[str, Any]) -> None:
    """Refuse a *value* that is not of its default's type, or not in its declared range.

    Raises:
        ValueError: it is so; names setting, value and what is allowed.
    """
    if isinstance(default, str):
        if not isinstance(value, str) or not value:
            msg = f"market setting {name} must be a text that is not empty, got {value!r}"
            raise ValueError(msg)
        return
    kinds = (int,) if isinstance(default, int) else (int, float)
    wanted = "a whole number" if isinstance(default, int) else "a number"
    if isinstance(value, bool) or not isinstance(value, kinds):
        msg = f"market setting {name} must be {wanted}, got {value!r}"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for whatever a scenario says wrong
    low, high = metadata["low"], metadata["high"]
    if not (math.isfinite(value) and low <= value <= high):
        allowed = f"from {low:g} to {high:g} {metadata['unit']}"
        msg = f"market setting {name} must be {allowed}, got {value!r}"
        raise ValueError(msg)
