"""The metrics of a market-making report, as pure functions over fills and ended orders.

Use them to compute a report of your own: collect a :class:`Fill` per execution and an
:class:`OrderEnd` per ended order and call the functions. Conventions, from the report's definition
(SPEC 3.3): side s is +1 for a buy and -1 for a sell, a fee is positive where it costs and negative
where it is a rebate, m is the mid strictly before the fill and m(h) the mid h later. Means are
weighted by notional p·q. A value that would need a fill, an order or a sample that is not there is
``None``, never 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

BPS = 1e4


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    Attributes:
        time_s: when it happened, in seconds.
        side: +1 for a buy, -1 for a sell.
        price: price per unit, in the quote currency.
        quantity: units, positive.
        fee: in the quote currency; positive costs, negative is a rebate.
        mid: the mid strictly before the fill.
        mid_later: the mid one horizon later, or None where it is not known.
        mid_sent: the mid when the order was sent; it counts for taker fills only.
        is_maker: whether the order was resting.
    """

    time_s: float
    side: int
    price: float
    quantity: float
    fee: float
    mid: float
    mid_later: float | None
    mid_sent: float
    is_maker: bool

    @property
    def notional(self) -> float:
        """Return price times quantity, in the quote currency."""
        return self.price * self.quantity


class EndCause(StrEnum):
    """How an order ended."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """The end of a resting order: its cause, and its life from acknowledgement, in seconds."""

    acknowledged_s: float
    ended_s: float
    cause: EndCause


def capture_bps(fill: Fill) -> float:
    """Return the spread a fill captured, 1e4·s·(m-p)/m, in basis points."""
    return BPS * fill.side * (fill.mid - fill.price) / fill.mid


def markout_bps(fill: Fill) -> float | None:
    """Return what a fill was worth one horizon later, 1e4·s·(m(h)-p)/m, in basis points."""
    if fill.mid_later is None:
        return None
    return BPS * fill.side * (fill.mid_later - fill.price) / fill.mid


def adverse_bps(fill: Fill) -> float | None:
    """Return how far the mid moved against a fill, 1e4·s·(m-m(h))/m, in basis points.

    ``capture_bps == adverse_bps + markout_bps`` for every fill whose ``mid_later`` is known.
    """
    if fill.mid_later is None:
        return None
    return BPS * fill.side * (fill.mid - fill.mid_later) / fill.mid


def slippage_bps(fill: Fill) -> float:
    """Return 1e4·s·(p - mid when sent)/mid in basis points; a maker fill counts as 0."""
    if fill.is_maker:
        return 0.0
    return BPS * fill.side * (fill.price - fill.mid_sent) / fill.mid_sent


def weighted_mean(fills: Iterable[Fill], value: Callable[[Fill], float | None]) -> float | None:
    """Average a value over the fills that have it, weighted by notional."""
    total = weight = 0.0
    for fill in fills:
        number = value(fill)
        if number is not None:
            total += number * fill.notional
            weight += fill.notional
    return total / weight if weight else None


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return a percentile (0 to 100), interpolated linearly between the closest ranks.

    Hyndman and Fan's type 7, the default of NumPy and of spreadsheets.
    """
    ordered = sorted(values)
    if not ordered:
        return None
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = math.ceil(position)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def fees_bps(fills: Sequence[Fill]) -> float | None:
    """Return 1e4·Σ fee / Σ notional in basis points; negative where rebates outweigh fees."""
    notional = math.fsum(fill.notional for fill in fills)
    return BPS * math.fsum(fill.fee for fill in fills) / notional if notional else None


def net_bps(fills: Sequence[Fill], equity_start: float, equity_end: float) -> float | None:
    """Return 1e4·(equity at the end - at the start) / Σ notional in basis points.

    Equity is cash after fees plus inventory at the mid, in the quote currency.
    """
    notional = math.fsum(fill.notional for fill in fills)
    return BPS * (equity_end - equity_start) / notional if notional else None


def inventory_bps(net: float | None, markout: float | None, fees: float | None) -> float | None:
    """Return net - (markout - fees): what holding inventory beyond the horizon earned."""
    if net is None or markout is None or fees is None:
        return None
    return net - (markout - fees)


def maker_share(fills: Sequence[Fill]) -> float | None:
    """Return maker notional / all notional, from 0 to 1."""
    notional = math.fsum(fill.notional for fill in fills)
    maker = math.fsum(fill.notional for fill in fills if fill.is_maker)
    return maker / notional if notional else None


def adverse_bps_p95(fills: Iterable[Fill]) -> float | None:
    """Return the 95th percentile of ``adverse_bps`` over maker fills; positive is bad."""
    return percentile(_known(adverse_bps(fill) for fill in fills if fill.is_maker), 95)


def slippage_bps_p95(fills: Iterable[Fill]) -> float | None:
    """Return the 95th percentile of ``slippage_bps`` over all fills."""
    return percentile((slippage_bps(fill) for fill in fills), 95)


def slippage_taker_bps_p95(fills: Iterable[Fill]) -> float | None:
    """Return the 95th percentile of ``slippage_bps`` over taker fills alone."""
    return percentile((slippage_bps(fill) for fill in fills if not fill.is_maker), 95)


def cancel_ratio(ends: Sequence[OrderEnd]) -> float | None:
    """Return ended orders that did not end by a full fill / all ended orders."""
    return ratio(sum(end.cause is not EndCause.FILLED for end in ends), len(ends))


def replace_ratio(ends: Sequence[OrderEnd]) -> float | None:
    """Return replaced orders / all ended orders."""
    return ratio(sum(end.cause is EndCause.REPLACED for end in ends), len(ends))


def reject_ratio(refused: int, sent: int) -> float | None:
    """Return orders that the venue refused on arrival / orders sent.

    One that was sent before the iteration may be refused in it; so at most all of them are counted.
    """
    return ratio(min(refused, sent), sent)


def order_age_p95_ms(ends: Iterable[OrderEnd]) -> float | None:
    """Return the 95th percentile of an order's life from acknowledgement to end, in ms."""
    return percentile((1e3 * (end.ended_s - end.acknowledged_s) for end in ends), 95)


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole, or None where the whole is 0."""
    return part / whole if whole else None


def neg_edge_drivers(net: float | None, costs_bps: Mapping[str, float | None]) -> list[str]:
    """Name the two largest costs where net_bps is negative; otherwise nothing.

    Arguments:
        net: net_bps.
        costs_bps: mean cost per driver (fees, slippage, adverse, inventory) in basis points of
            all notional; positive is a cost. An unknown one is left out.
    """
    if net is None or net >= 0:
        return []
    known = {name: cost for name, cost in costs_bps.items() if cost is not None}
    return sorted(known, key=lambda name: (-known[name], name))[:2]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
