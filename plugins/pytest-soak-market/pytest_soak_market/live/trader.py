"""The market maker as a process: receives messages, decides, trades, and reports slot by slot.

The first line on stdin is its settings, as JSON. Each further line orders a slot, and is answered
by a line when the slot's report is written. The process ends when stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import psutil
from msgspec import convert

from pytest_soak_market.market.bot import MarketMaker
from pytest_soak_market.market.clock import WallClock
from pytest_soak_market.market.messages import Topic
from pytest_soak_market.market.metrics import percentile
from pytest_soak_market.market.parameters import MakerParameters
from pytest_soak_market.market.recorder import Recorder
from pytest_soak_market.market.report import account, measure
from pytest_soak_market.market.system import HORIZON_S, WARM_UP_S
from pytest_soak_market.market.units import TICK

from .fastmm_gateway import FastmmGateway
from .gateway import GatewayLost, OurGateway
from .lines import Lines
from .settings import LiveSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak_market.market.clock import Clock
    from pytest_soak_market.market.memory import Memory
    from pytest_soak_market.market.messages import Message, Request
    from pytest_soak_market.market.settings import MarketSettings

    from .gateway import Gateway

GATEWAYS: dict[str, Callable[[int], Gateway]] = {
    "market-live": OurGateway,
    "market-fastmm": FastmmGateway,
}
"""The gateway of each system; each takes a port of 127.0.0.1."""
DRAIN_S = 2.0
"""Timeout in seconds for the rest of the feed after a slot; then the maker reconnects."""
MIB = 1024 * 1024
_QUIET_S = 0.3  # without a message: the feed is drained
_RETRY_S = 0.05  # between two attempts to connect


class SlotRecorder:
    """Records one slot: the messages of the venue, and the maker's own times."""

    def __init__(
        self,
        began_s: float,
        slot_s: float,
        cash: float,
        lots: int,
        mid: float,
        market_s: float | None = None,
    ) -> None:
        """Measure from the end of the warm-up to the end of the slot.

        Arguments:
            began_s: start of the slot, in seconds of the monotonic clock.
            slot_s: length of the slot in seconds, with the warm-up.
            cash: in USD, at the start.
            lots: inventory at the start.
            mid: in ticks, at the start.
            market_s: time of the last market data before the slot, from which a gap of the feed
                counts. None if the maker was not connected: then it counts from the warm-up's end.
        """
        self.began_s = began_s
        self.start_s = began_s + WARM_UP_S
        self.end_s = began_s + slot_s
        self.recorder = Recorder(0.0, self.start_s, cash, lots, mid, self.end_s)
        self.losses = 0
        self.unheard = 0
        self.market_s = self.start_s if market_s is None else market_s
        self.silent_until_s = self.end_s  # a gap that lasts counts up to here
        self._acks_ms: list[float] = []
        self._gap_s = 0.0

    def note(self, message: Message) -> None:
        """Record a message of the venue."""
        self.recorder.note(message)
        at_s = message.venue_s
        if message.topic is Topic.MARKET:  # at any time: an outage may span slots
            self._gap_s = max(self._gap_s, at_s - self.market_s)
            self.market_s = at_s
        elif message.topic is Topic.ACK and self.start_s <= at_s <= self.end_s:
            self._acks_ms.append(1e3 * (at_s - message.since_s))

    def measure(self) -> tuple[dict[str, object], dict[str, int]]:
        """Return the metrics that only a real connection has, and their counts."""
        gap_s = max(self._gap_s, self.silent_until_s - self.market_s)
        totals: dict[str, object] = {
            "feed_gap_ms": 1e3 * gap_s,
            "ack_p95_ms": percentile(self._acks_ms, 95),
        }
        counts = {
            "feed_gap_ms": len(self.recorder.lags_ms),
            "ack_p95_ms": len(self._acks_ms),
        }
        return totals, counts

    def describe(self) -> dict[str, object]:
        """Return the slot's further entries of the report's ``runtime``."""
        lags = self.recorder.lags_ms
        half = len(lags) // 2
        return {
            "lag_p95_ms_by_half": [percentile(lags[:half], 95), percentile(lags[half:], 95)],
            "unheard": self.unheard,
            "connections_lost": self.losses,
        }


class Trader:
    """Trade slot by slot; orders, inventory and memory carry over."""

    def __init__(self, settings: MarketSettings, gateway: Gateway, system: str) -> None:
        """Trade through *gateway*; *system* is the name for the reports."""
        self._settings = settings
        self._gateway = gateway
        self._system = system
        self._memory: Memory | None = None
        self._cash = settings.capital
        self._unheard: deque[Message] = deque()
        self._is_connected = False
        self._market_s: float | None = None

    async def trade(
        self, iteration: int, seed: int, parameters: Mapping[str, float], slot_s: float
    ) -> dict[str, object]:
        """Trade for *slot_s* seconds, warm-up included, and return the report.

        It takes at most the slot, the drain and one attempt to connect, even if the exchange fails.
        """
        clock = WallClock()
        used = MakerParameters.from_mapping(parameters)
        maker = MarketMaker(self._settings, used, Random(seed), self._memory, clock)  # noqa: S311 - a game
        memory = self._memory = maker.memory
        mid = memory.mid or self._settings.price / TICK
        slot = SlotRecorder(clock.now(), slot_s, self._cash, memory.lots, mid, self._market_s)
        began = datetime.now(UTC)
        await self._run(maker, slot, clock)
        is_heard = await self._drain(maker, slot)
        self._market_s = slot.market_s if is_heard else None
        self._cash = slot.recorder.cash
        fills = slot.recorder.fills(HORIZON_S, slot.end_s)
        totals, counts = measure(slot.recorder, fills, maker.blocks)
        more, more_counts = slot.measure()
        more["process_rss_end_mb"] = psutil.Process().memory_info().rss / MIB
        return {
            "iteration": iteration,
            "start": (began + timedelta(seconds=WARM_UP_S)).isoformat(timespec="milliseconds"),
            "end": (began + timedelta(seconds=slot_s)).isoformat(timespec="milliseconds"),
            "parameters": used.as_dict(),
            "totals": {**totals, **more},
            "n": {**counts, **more_counts, "process_rss_end_mb": 1},
            "symbols": {self._settings.symbol: account(slot.recorder, fills)},
            "runtime": {
                "system": self._system,
                "slot_s": slot_s,
                "measured_s": slot_s - WARM_UP_S,
                "horizon_s": HORIZON_S,
                "work_cpu_s": clock.worked_s,
                "work_wall_s": clock.took_s,
                **slot.describe(),
            },
        }

    async def _run(self, maker: MarketMaker, slot: SlotRecorder, clock: Clock) -> None:
        """Receive messages and trade until the slot is over."""
        is_warm = False
        while (now_s := clock.now()) < slot.end_s:
            if now_s >= slot.start_s and not is_warm:
                is_warm = True
                maker.blocks.clear()
            message = await self._next(slot, slot.end_s - now_s)
            if message is None:
                continue
            slot.note(message)
            if message.topic is Topic.ACK:
                continue
            if message.topic is Topic.OPEN or message.venue_s < slot.began_s:
                maker.hear(message)  # it happened between the slots
                continue
            if message.topic is Topic.MARKET:
                slot.recorder.note_lag(message.venue_s, clock.now())
            requests = maker.think(message)
            if requests:
                slot.recorder.note_sent(requests)
                await self._send(slot, requests)

    async def _drain(self, maker: MarketMaker, slot: SlotRecorder) -> bool:
        """Receive the rest of the slot's feed without deciding; return whether that was all.

        Otherwise the backlog of an overload would be measured again in the next slot. After the
        timeout the maker reconnects, and the rest is lost.
        """
        until_s = time.monotonic() + DRAIN_S
        silent_until_s = slot.market_s
        while self._is_connected or self._unheard:
            if time.monotonic() > until_s:
                slot.silent_until_s = silent_until_s
                # The exchange does not repeat messages about own orders that were received.
                own = (message for message in self._unheard if message.topic is not Topic.MARKET)
                self._unheard = deque(own)
                self._is_connected = False
                await self._gateway.close()
                return False
            message = await self._next(slot, _QUIET_S)
            if message is None:
                break
            slot.note(message)
            silent_until_s = message.venue_s
            if message.topic is not Topic.ACK:
                maker.hear(message)
            if message.topic is Topic.MARKET:
                if message.venue_s > slot.end_s:
                    return True
                slot.unheard += 1
        slot.silent_until_s = time.monotonic()  # the feed is silent: its gap counts up to now
        return True

    async def _next(self, slot: SlotRecorder, seconds: float) -> Message | None:
        """Return the next message, None if none came or the connection broke."""
        if not self._unheard:
            try:
                if not self._is_connected:
                    await self._gateway.connect()
                    self._is_connected = True
                self._unheard.extend(await self._gateway.receive(seconds))
            except GatewayLost:
                self._count_loss(slot)
                await asyncio.sleep(min(_RETRY_S, seconds))
        return self._unheard.popleft() if self._unheard else None

    async def _send(self, slot: SlotRecorder, requests: list[Request]) -> None:
        try:
            await self._gateway.send(requests)
        except GatewayLost:
            self._count_loss(slot)

    def _count_loss(self, slot: SlotRecorder) -> None:
        slot.losses += self._is_connected
        self._is_connected = False


def read_parameters(order: Mapping[str, Any]) -> dict[str, float]:
    """Return the ordered parameters with the overrides file laid over them."""
    path = order["overrides"]
    over = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return {**order["parameters"], **over}


async def trade_slots(lines: Lines) -> None:
    """Trade one slot for each order until stdin ends."""
    first = await lines.read()
    settings = convert(first["settings"], LiveSettings)
    gateway = GATEWAYS[first["system"]](first["port"])
    trader = Trader(settings, gateway, first["system"])
    while order := await lines.read():
        report = await trader.trade(
            order["iteration"], order["seed"], read_parameters(order), order["slot_s"]
        )
        path = Path(order["report"])
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(report, allow_nan=False), encoding="utf-8")
        unfinished.replace(path)
        lines.write({"iteration": order["iteration"]})
    await gateway.close()


async def main() -> None:
    """Trade until stdin ends, even in the middle of a slot."""
    lines = await Lines.open()
    trading = asyncio.create_task(trade_slots(lines))
    ending = asyncio.create_task(lines.ended())
    done, _ = await asyncio.wait((trading, ending), return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(main())
