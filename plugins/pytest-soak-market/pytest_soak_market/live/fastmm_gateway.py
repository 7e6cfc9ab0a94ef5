"""The maker's connection to an exchange with the protocol of Binance Spot.

It has two connections: market data (depth and trades), and the WebSocket API for orders and their
reports. Both are translated into messages of our market. The exchange's times are milliseconds of
the wall clock; they are converted to the monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from pytest_soak_market.market.book import BUY, SELL
from pytest_soak_market.market.messages import Message, Request, RequestKind, Topic
from pytest_soak_market.market.metrics import EndCause
from pytest_soak_market.market.units import LOT, TICK

from .exchange import HOST
from .fastmm_exchange import KEY, SECRET, SYMBOL
from .gateway import GatewayLost

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_TIMEOUT_S = 2.0  # of one attempt
_SIDES = {BUY: "BUY", SELL: "SELL"}
_STREAMS = f"{SYMBOL.lower()}@depth/{SYMBOL.lower()}@trade"


def ticks(text: str) -> int:
    """Read a price."""
    return round(float(text) / TICK)


def lots(text: str) -> int:
    """Read a quantity."""
    return round(float(text) / LOT)


class OthersBook:
    """The order book without the maker's own orders, from depth updates.

    Reports and depth come on two connections. So an own order that has ended is subtracted until
    the depth has caught up with the time of its end.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self._own: dict[tuple[int, int], int] = {}
        self._removals: list[tuple[float, int, int, int]] = []

    def take(self, update: Mapping[str, Any], bids: str, asks: str) -> None:
        """Apply the levels of a snapshot or an update; a quantity of 0 removes a level."""
        for side, key in ((BUY, bids), (SELL, asks)):
            for price, quantity in update[key]:
                self._levels[side][ticks(price)] = lots(quantity)
        at_ms = update.get("E", 0)
        for _, side, price, left in [removal for removal in self._removals if removal[0] <= at_ms]:
            self._own[side, price] -= left
        self._removals = [removal for removal in self._removals if removal[0] > at_ms]

    def add(self, side: int, price: int, quantity: int) -> None:
        """Add an own resting order."""
        self._own[side, price] = self._own.get((side, price), 0) + quantity

    def remove(self, at_ms: float, side: int, price: int, quantity: int) -> None:
        """Remove a quantity of an own order that ended or traded at *at_ms*."""
        self._removals.append((at_ms, side, price, quantity))

    def mid(self, known: float) -> float:
        """Return the mid in ticks, or the one *known* where a side is empty."""
        best = {}
        for side, levels in self._levels.items():
            others = (p for p, q in levels.items() if q > self._own.get((side, p), 0))
            best[side] = max(others, key=lambda price: side * price, default=None)
        bid, ask = best[BUY], best[SELL]
        return known if bid is None or ask is None else (bid + ask) / 2


class FastmmGateway:
    """The connection to ``fastmm-sim-exchange``."""

    def __init__(self, port: int) -> None:
        """Take the *port* of 127.0.0.1 for `connect`."""
        self._uri = f"ws://{HOST}:{port}"
        self._resources = contextlib.AsyncExitStack()
        self._api: ClientConnection | None = None
        self._frames: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._epoch_s = 0.0
        self._mid = 0.0
        self._book = OthersBook()
        self._pending: dict[int, Request] = {}
        self._orders: dict[int, Request] = {}
        self._acknowledged: dict[int, float] = {}
        self._replaced: set[int] = set()

    async def connect(self) -> None:
        """Make both connections; orders of an earlier connection are cancelled."""
        await self.close()
        self._epoch_s = time.time() - time.monotonic()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                data = await self._dial(f"/stream?streams={_STREAMS}")
                api = await self._dial("/ws-api/v3")
                for method, params in (
                    ("openOrders.cancelAll", _signed({"symbol": SYMBOL})),
                    ("userDataStream.subscribe.signature", _signed({})),
                    ("depth", {"symbol": SYMBOL, "limit": 5000}),
                ):
                    await api.send(json.dumps({"id": 0, "method": method, "params": params}))
                    snapshot = json.loads(await api.recv())
        except (OSError, TimeoutError, WebSocketException) as error:
            raise GatewayLost(str(error)) from None
        self._api = api
        self._book.take(snapshot["result"], "bids", "asks")
        self._mid = self._book.mid(self._mid)
        self._frames.put_nowait({"open": True})
        for socket in (data, api):
            reading = asyncio.create_task(self._read(socket))
            self._resources.callback(reading.cancel)

    async def receive(self, seconds: float) -> list[Message]:
        """Return the messages of the next frame that has any; none after *seconds*."""
        messages: list[Message] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not messages:
                    messages = self._read_frame(await self._frames.get())
        return messages

    async def send(self, requests: list[Request]) -> None:
        """Send *requests* one by one."""
        if self._api is None:
            msg = "not connected"
            raise GatewayLost(msg)
        for request in requests:
            self._pending[request.order_id] = request
            method, params = _call_of(request)
            if request.kind is not RequestKind.CANCEL:
                self._orders[request.order_id] = request
            if request.kind is RequestKind.REPLACE:
                self._replaced.add(request.replaced)
            order = {"id": request.order_id, "method": method, "params": _signed(params)}
            try:
                await self._api.send(json.dumps(order))
            except ConnectionClosed as error:
                raise GatewayLost(str(error)) from None

    async def close(self) -> None:
        """End both connections and clear their state."""
        self._api = None
        self._frames = asyncio.Queue()
        self._book = OthersBook()
        for known in (self._pending, self._orders, self._acknowledged, self._replaced):
            known.clear()
        await self._resources.aclose()

    async def _dial(self, path: str) -> ClientConnection:
        socket = await connect(
            self._uri + path, compression=None, ping_interval=None, proxy=None, close_timeout=1
        )
        self._resources.push_async_callback(socket.close)
        return socket

    async def _read(self, socket: ClientConnection) -> None:
        frames = self._frames
        try:
            async for frame in socket:
                frames.put_nowait(json.loads(frame))
        finally:
            frames.put_nowait(None)

    def _read_frame(self, frame: dict[str, Any] | None) -> list[Message]:
        if frame is None:
            msg = "a connection broke"
            raise GatewayLost(msg)
        if "open" in frame:
            return [self._message(time.monotonic(), Topic.OPEN)]
        if "stream" in frame:
            return self._hear_market(frame["data"])
        return self._hear_report(frame["event"]) if "event" in frame else self._hear_answer(frame)

    def _message(self, at_s: float, topic: Topic, order_id: int = 0) -> Message:
        return Message(at_s, self._mid, topic, order_id)

    def _hear_market(self, data: Mapping[str, Any]) -> list[Message]:
        volume = 0
        if data["e"] == "trade":
            volume = lots(data["q"]) * (SELL if data["m"] else BUY)
        else:
            self._book.take(data, "b", "a")
            self._mid = self._book.mid(self._mid)
        message = self._message(data["E"] / 1e3 - self._epoch_s, Topic.MARKET)
        return [message._replace(lots=volume)]

    def _hear_answer(self, frame: Mapping[str, Any]) -> list[Message]:
        """Return the acknowledgement of a request, and the end of a refused order."""
        request = self._pending.pop(frame["id"], None)
        if request is None:
            return []
        now_s = self._answered_s(frame, request)
        answer = self._message(now_s, Topic.ACK, request.order_id)
        messages = [answer._replace(since_s=request.sent_s)]
        if "error" in frame and request.kind is not RequestKind.CANCEL:
            del self._orders[request.order_id]
            self._replaced.discard(request.replaced)
            ended = Topic.HEDGED if request.kind is RequestKind.HEDGE else Topic.ENDED
            messages.append(self._message(now_s, ended, request.order_id))
        return messages

    def _answered_s(self, frame: Mapping[str, Any], request: Request) -> float:
        """Return the time of the exchange's answer, or now if it has none."""
        result = frame.get("result", {})
        at_ms = result.get("newOrderResponse", result).get("transactTime")
        if at_ms is None:
            return time.monotonic()
        # Whole milliseconds, rounded down, may lie before the request was sent.
        return max(request.sent_s, float(at_ms) / 1e3 - self._epoch_s)

    def _hear_report(self, event: Mapping[str, Any]) -> list[Message]:
        """Return the messages for an execution report of an own order."""
        if event["e"] != "executionReport":
            return []
        kind = event["x"]
        order_id = int(event["C"] if kind == "CANCELED" else event["c"])
        order = self._orders.get(order_id)
        if order is None:
            return []
        at_s = event["E"] / 1e3 - self._epoch_s
        is_hedge = order.kind is RequestKind.HEDGE
        messages = []
        if kind == "NEW" and not is_hedge:
            self._acknowledged[order_id] = at_s
            self._book.add(order.side, order.price, order.quantity)
        if kind == "TRADE":
            traded = lots(event["l"])
            if not is_hedge:
                self._book.remove(event["E"], order.side, order.price, traded)
            fill = self._message(at_s, Topic.FILL, order_id)._replace(
                lots=order.side * traded,
                price=ticks(event["L"]),
                fee=float(event["n"]),
                mid_before=self._mid,
                is_taker=is_hedge,
                since_s=order.sent_s,
            )
            messages.append(fill)
        if event["X"] not in ("NEW", "PARTIALLY_FILLED"):
            messages.append(self._end(event, order, at_s))
        return messages

    def _end(self, event: Mapping[str, Any], order: Request, at_s: float) -> Message:
        order_id = order.order_id
        del self._orders[order_id]
        if order.kind is RequestKind.HEDGE:
            return self._message(at_s, Topic.HEDGED, order_id)
        cause = EndCause.REPLACED if order_id in self._replaced else EndCause.CANCELLED
        if event["X"] == "FILLED":
            cause = EndCause.FILLED
        self._replaced.discard(order_id)
        left = order.quantity - lots(event["z"])
        self._book.remove(event["E"], order.side, order.price, left)
        ended = self._message(at_s, Topic.ENDED, order_id)
        return ended._replace(cause=cause, since_s=self._acknowledged.pop(order_id))


def _call_of(request: Request) -> tuple[str, dict[str, object]]:
    """Return the method and parameters of the exchange's API for *request*."""
    if request.kind is RequestKind.CANCEL:
        return "order.cancel", {"symbol": SYMBOL, "origClientOrderId": str(request.order_id)}
    terms: dict[str, object] = {
        "symbol": SYMBOL,
        "side": _SIDES[request.side],
        "type": "LIMIT_MAKER",
        "price": f"{request.price * TICK:.2f}",
        "quantity": f"{request.quantity * LOT:.5f}",
        "newClientOrderId": str(request.order_id),
        "newOrderRespType": "ACK",
    }
    if request.kind is RequestKind.HEDGE:
        return "order.place", {**terms, "type": "LIMIT", "timeInForce": "IOC"}
    if request.kind is RequestKind.NEW:
        return "order.place", terms
    replaced = {
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrigClientOrderId": str(request.replaced),
    }
    return "order.cancelReplace", {**terms, **replaced}


def _signed(params: Mapping[str, object]) -> dict[str, object]:
    """Return *params* with API key, timestamp and signature."""
    whole = {**params, "apiKey": KEY, "timestamp": int(time.time() * 1e3)}
    text = "&".join(f"{key}={whole[key]}" for key in sorted(whole))
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {**whole, "signature": signature}
