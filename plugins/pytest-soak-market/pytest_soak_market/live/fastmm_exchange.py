"""Runs the exchange of fastmm-engine-live, and ends it with the parent process.

``fastmm-sim-exchange`` is a third-party program with the protocol of Binance Spot. It gets a market
like ours, as far as its settings allow. The first line on stdin is our settings, as JSON; the
answer is ``{"port": N}``. When stdin ends, the exchange is ended. If this process is killed, the
reaper ends the exchange by its inherited mark.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import convert

from pytest_soak_market.market.units import BPS, LOT, TICK, to_lots

from .lines import Lines
from .settings import LiveSettings

if TYPE_CHECKING:
    from pytest_soak_market.market.settings import MarketSettings

SYMBOL = "BTCUSDT"
KEY, SECRET = "sim-key", "sim-secret"
"""Of its only account. These are no secrets: it listens on 127.0.0.1 only."""


def configuration(market: MarketSettings) -> dict[str, Any]:
    """Return the exchange's settings for a market like *market*."""
    return {
        "venues": {"sim": {"kind": "sim"}},
        "instruments": [
            {
                "venue": "sim",
                "symbol": SYMBOL,
                "base": "BTC",
                "quote": "USDT",
                "tick": f"{TICK:.2f}",
                "lot": f"{LOT:.5f}",
                "min_qty": f"{LOT:.5f}",
                "max_qty": "1000",
                "min_notional": "0.01",
            }
        ],
        "sim": {
            "start_mid": f"{market.price:.2f}",
            "depth_update_ms": 50,
            "account": {
                "api_key": KEY,
                "api_secret": SECRET,
                "balances": {"BTC": "1000000", "USDT": "10000000000"},
            },
            "fees": {"maker_bps": -market.maker_rebate_bps, "taker_bps": market.taker_fee_bps},
            "limits": {"weight_per_minute": 10_000_000, "orders_per_10s": 1_000_000},
            "generator": {
                "limit_rate_per_s": market.makers * market.maker_rate,
                "market_rate_per_s": market.taker_rate,
                "base_spread_ticks": round(market.maker_distance_bps * market.price / TICK / BPS),
                "market_qty_median_lots": float(to_lots(market.taker_size, market.price / TICK)),
                "limit_qty_median_lots": float(to_lots(market.queue_depth, market.price / TICK)),
                "regimes": False,
            },
        },
    }


def to_toml(table: dict[str, Any]) -> str:
    """Return *table* as TOML with inline tables."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:  # noqa: ANN401 - any TOML value
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {_value(entry)}" for key, entry in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


async def main() -> None:
    """Run the exchange until stdin ends."""
    import fastmm_live  # noqa: PLC0415 - an extra

    lines = await Lines.open()
    order = await lines.read()
    settings = convert(order["settings"], LiveSettings)
    config = Path(order["folder"]) / "sim.toml"
    config.write_text(to_toml(configuration(settings)), encoding="utf-8")
    exchange = await asyncio.create_subprocess_exec(
        str(fastmm_live.sim_exchange_path()),
        *("--config", str(config), "--port", "0", "--no-tls"),
        *("--seed", str(order["seed"]), "--stats-interval", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert exchange.stdout is not None  # noqa: S101 - it was asked for
        output = await exchange.stdout.readuntil(b"/ws-api/")  # ws://127.0.0.1:PORT/ws-api/v3
        lines.write({"port": int(output.removesuffix(b"/ws-api/").rpartition(b":")[2])})
        ending = asyncio.create_task(lines.ended())
        exited = asyncio.create_task(exchange.wait())
        await asyncio.wait((ending, exited), return_when=asyncio.FIRST_COMPLETED)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            exchange.kill()  # it has nothing to save
        await exchange.wait()


if __name__ == "__main__":
    asyncio.run(main())
