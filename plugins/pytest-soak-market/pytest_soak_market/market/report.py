"""Computes the report of one iteration: its metrics and their counts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from . import metrics
from .bot import BLOCKS, DECISION, RISK
from .units import CELL, TICK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .metrics import Fill
    from .recorder import Recorder

_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


def virtual_time(seconds: float) -> str:
    """Write virtual time, in seconds since a fixed epoch, as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def measure(
    recorder: Recorder, fills: Sequence[Fill], blocks: Mapping[str, int]
) -> tuple[dict[str, object], dict[str, int]]:
    """Compute all metrics of a report.

    Arguments:
        recorder: what was recorded.
        fills: its executions.
        blocks: the number of quote decisions, and by reason of the blocked ones.

    Returns:
        The metrics, undefined ones as None, and for each the number of samples it rests on.
    """
    ends, lags_ms = recorder.ends, recorder.lags_ms
    net = metrics.net_bps(fills, *recorder.equities)
    markout = metrics.weighted_mean(fills, metrics.markout_bps)
    adverse = metrics.weighted_mean(fills, metrics.adverse_bps)
    slippage = metrics.weighted_mean(fills, metrics.slippage_bps)
    fees = metrics.fees_bps(fills)
    inventory = metrics.inventory_bps(net, markout, fees)
    decisions = blocks[DECISION]
    costs = {
        "fees": fees,
        "slippage": slippage,
        "adverse": adverse,
        "inventory": None if inventory is None else -inventory,
    }
    totals: dict[str, object] = {
        "net_bps": net,
        "gross_bps": metrics.weighted_mean(fills, metrics.capture_bps),
        "fees_bps": fees,
        "inventory_bps": inventory,
        "markout_bps": markout,
        "adverse_bps_p95": metrics.adverse_bps_p95(fills),
        "slippage_bps_p95": metrics.slippage_bps_p95(fills),
        "slippage_taker_bps_p95": metrics.slippage_taker_bps_p95(fills),
        "cancel_ratio": metrics.cancel_ratio(ends),
        "replace_ratio": metrics.replace_ratio(ends),
        "reject_ratio": metrics.reject_ratio(recorder.refused, recorder.sent),
        "order_age_p95_ms": metrics.order_age_p95_ms(ends),
        "ws_lag_p95_ms": metrics.percentile(lags_ms, 95),
        "maker_share": metrics.maker_share(fills),
        "risk_ratio": metrics.ratio(blocks[RISK], decisions),
        "blocked": {
            reason: {"count": blocks[reason], "share": metrics.ratio(blocks[reason], decisions)}
            for reason in BLOCKS
        },
        "neg_edge_drivers": metrics.neg_edge_drivers(net, costs),
        "fills": len(fills),
        "orders": len(ends),
    }
    makers = sum(fill.is_maker for fill in fills)
    marked = [fill for fill in fills if fill.mid_later is not None]
    counts = dict.fromkeys(totals, len(fills))
    counts |= dict.fromkeys(("markout_bps", "inventory_bps"), len(marked))
    counts |= dict.fromkeys(
        ("cancel_ratio", "replace_ratio", "order_age_p95_ms", "orders"), len(ends)
    )
    counts |= dict.fromkeys(("risk_ratio", "blocked"), decisions)
    counts |= {
        "adverse_bps_p95": sum(fill.is_maker for fill in marked),
        "slippage_taker_bps_p95": len(fills) - makers,
        "ws_lag_p95_ms": len(lags_ms),
        "reject_ratio": recorder.sent,
    }
    return totals, counts


def account(recorder: Recorder, fills: Sequence[Fill]) -> dict[str, float]:
    """Return a report's entry for one symbol: fills, and the account at the end, in USD."""
    return {
        "fills": len(fills),
        "notional": math.fsum(fill.notional for fill in fills),
        "inventory": recorder.lots * recorder.mid * CELL,
        "equity": recorder.equity,
        "mid": recorder.mid * TICK,
    }
