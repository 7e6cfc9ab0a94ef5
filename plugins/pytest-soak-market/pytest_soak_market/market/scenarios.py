"""The scenarios that ship with the market: settings by name.

What a scenario does not name has its default, which is the calm market.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CALM: Mapping[str, float] = MappingProxyType({})

# Fair value moves more than twice as fast, a quarter of the takers know it, and the machine is
# busy: the small steps of a tuner do not repair this one.
STRESSED: Mapping[str, float] = MappingProxyType(
    {
        "volatility_bps": 4.0,
        "taker_rate": 150.0,
        "toxicity": 0.25,
        "latency_ms": 2.0,
        "decision_cost_ms": 30.0,
    }
)

# A quarter of the capital against one-sided flow and a thin book: one fill takes the maker most of
# the way to its limit, so that it keeps running into its risk rule and pays for hedges.
THIN_CAPITAL: Mapping[str, float] = MappingProxyType(
    {
        "capital": 25_000.0,
        "volatility_bps": 1.5,
        "taker_rate": 200.0,
        "taker_size": 2_500.0,
        "taker_patience_bps": 0.7,
        "flow_persistence": 0.985,
        "queue_depth": 1_200.0,
        "maker_distance_bps": 2.3,
        "maker_rebate_bps": 2.17,
        "requote_bps": 0.2,
        "size_variation": 0.5,
        "risk_room": 0.75,
        "hedge_trigger": 0.72,
        "hedge_target": 0.2,
    }
)

SCENARIOS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"calm": CALM, "stressed": STRESSED, "thin_capital": THIN_CAPITAL}
)
