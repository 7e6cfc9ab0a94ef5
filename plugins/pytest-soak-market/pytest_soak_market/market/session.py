"""One stretch of virtual time: flow, venue and maker, in the order in which things happen."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING, Any

from .book import BUY, SELL, Order, OrderBook, Trade
from .bot import MarketMaker
from .flow import BackgroundFlow
from .memory import Memory
from .messages import Message, Request, RequestKind, Topic
from .metrics import EndCause
from .recorder import RawFill, Recorder
from .units import BPS, CELL, TICK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from .parameters import MakerParameters
    from .settings import MarketSettings

MAKER = 1


class Session:
    """Run the market for a while, from a fresh start or from where an earlier session ended.

    ``maker`` is the bot, ``recorder`` what was measured; ``cash`` is in USD, ``lots`` the maker's
    inventory, ``mid`` the mid of the rest of the market in ticks. The maker's own orders are left
    out of the mid: it could otherwise move the benchmark it is measured by.
    """

    def __init__(
        self,
        settings: MarketSettings,
        parameters: MakerParameters,
        rng: Random,
        warm_up_s: float,
        state: Mapping[str, Any] | None,
    ) -> None:
        """Start afresh, or from the ``state`` an earlier session dumped.

        Arguments:
            settings: the market's conditions.
            parameters: what the maker works with.
            rng: the only source of randomness.
            warm_up_s: seconds at the start that are not measured.
            state: see ``dump``.
        """
        self._settings = settings
        self._latency_s = settings.latency_ms / 1e3
        self._book = OrderBook()
        self._feed: deque[Message] = deque()
        self._requests: deque[Request] = deque()
        self._acknowledged: dict[int, float] = {}
        memory = None if state is None else Memory.load(state["maker"])
        self.maker = MarketMaker(settings, parameters, rng, memory)
        self.now_s = 0.0 if state is None else state["now_s"]
        self.cash = settings.capital if state is None else state["cash"]
        self.lots = 0 if state is None else state["lots"]
        fair = settings.price / TICK if state is None else state["fair"]
        self._flow = BackgroundFlow(settings, rng, self._book, self.now_s, fair)
        self.mid = fair
        if state is None:
            self._flow.populate()
            self.mid = self._measure_mid()
        else:
            self._load(state)
        self.recorder = Recorder(self.now_s + warm_up_s)
        self.recorder.note_mid(self.now_s, self.mid)

    @property
    def equity(self) -> float:
        """Return cash plus inventory at the mid, in USD."""
        return self.cash + self.lots * self.mid * CELL

    def run(self, until_s: float) -> None:
        """Let everything happen that is due up to ``until_s``."""
        flow, maker, feed, requests = self._flow, self.maker, self._feed, self._requests
        memory = maker.memory
        latency_s = self._latency_s
        while True:
            heard_s = max(feed[0].venue_s + latency_s, memory.busy_until_s) if feed else inf
            arrives_s = requests[0].arrives_s if requests else inf
            next_s = flow.next_s
            if arrives_s <= next_s and arrives_s <= heard_s:
                if arrives_s > until_s:
                    break
                self._serve(requests.popleft())
            elif next_s <= heard_s:
                if next_s > until_s:
                    break
                self._trade(next_s, flow.step(self.mid))
            else:
                if heard_s > until_s:
                    break
                message = feed.popleft()
                self.recorder.note_lag(message.venue_s, heard_s)
                requests.extend(maker.think(heard_s, message))
        self.now_s = until_s

    def drain(self) -> None:
        """Let the maker hear what is left of the feed at once, deciding nothing.

        An overload's backlog would otherwise be measured again by the next session.
        """
        while self._feed:
            self.maker.hear(self._feed.popleft())

    def dump(self) -> dict[str, Any]:
        """Return the state that the next session goes on from, as JSON values."""
        return {
            "now_s": self.now_s,
            "cash": self.cash,
            "lots": self.lots,
            "fair": self._flow.fair,
            "mid": self.mid,
            "orders": [asdict(order) for order in self._book.orders()],
            "acknowledged": [list(item) for item in self._acknowledged.items()],
            "requests": [
                {**asdict(request), "kind": request.kind.value} for request in self._requests
            ],
            "maker": self.maker.memory.dump(),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        for order in state["orders"]:
            self._book.add(Order(**order))
        self._acknowledged.update(state["acknowledged"])
        for request in state["requests"]:
            self._requests.append(Request(**{**request, "kind": RequestKind(request["kind"])}))
        self.mid = state["mid"]

    def _trade(self, now_s: float, trades: list[Trade]) -> None:
        """Book the trades of a background event and publish what the market saw of it."""
        mid_before = self.mid
        self.mid = self._measure_mid()
        volume = 0
        for trade in trades:
            volume -= trade.side * trade.quantity
            if trade.owner == MAKER:
                self._fill(now_s, trade, mid_before)
        if volume or self.mid != mid_before:
            self._publish_mid(now_s, mid_before, volume)

    def _publish_mid(self, now_s: float, mid_before: float, volume: int) -> None:
        if self.mid != mid_before:
            self.recorder.note_mid(now_s, self.mid)
        self._feed.append(Message(now_s, self.mid, Topic.MARKET, lots=volume))

    def _fill(self, now_s: float, trade: Trade, mid_before: float) -> None:
        """Book a fill of one of the maker's resting orders."""
        signed = trade.side * trade.quantity
        self._settle(now_s, trade.side, trade, mid_before, mid_before)
        self._feed.append(Message(now_s, self.mid, Topic.FILL, trade.order_id, signed, trade.price))
        if trade.done:
            self._end(now_s, trade.order_id, EndCause.FILLED)

    def _settle(self, now_s: float, side: int, trade: Trade, mid: float, mid_sent: float) -> None:
        is_maker = trade.owner == MAKER
        notional = trade.price * trade.quantity * CELL
        rate = -self._settings.maker_rebate_bps if is_maker else self._settings.taker_fee_bps
        fee = notional * rate / BPS
        self.cash -= side * notional + fee
        self.lots += side * trade.quantity
        self.recorder.note_fill(
            RawFill(now_s, side, trade.price, trade.quantity, fee, mid, mid_sent, is_maker)
        )

    def _serve(self, request: Request) -> None:
        """Do at the venue what the maker asked for."""
        now_s = request.arrives_s
        if request.kind is RequestKind.HEDGE:
            self._hedge(now_s, request)
        elif request.kind is RequestKind.CANCEL:
            if self._book.cancel(request.order_id):
                self._end(now_s, request.order_id, EndCause.CANCELLED)
        elif request.kind is RequestKind.NEW:
            self._enter(now_s, request)
        elif self._book.cancel(request.replaced):
            self._end(now_s, request.replaced, EndCause.REPLACED)
            self._enter(now_s, request)
        else:
            self._feed.append(Message(now_s, self.mid, Topic.ENDED, request.order_id))

    def _enter(self, now_s: float, request: Request) -> None:
        """Rest a quote; it is post-only, so one that would trade on arrival is refused."""
        order_id = request.order_id
        if self._book.crosses(request.side, request.price):
            self._feed.append(Message(now_s, self.mid, Topic.ENDED, order_id))
            return
        self._book.add(Order(order_id, MAKER, request.side, request.price, request.quantity))
        self._acknowledged[order_id] = now_s

    def _end(self, now_s: float, order_id: int, cause: EndCause) -> None:
        self.recorder.note_end(self._acknowledged.pop(order_id), now_s, cause)
        self._feed.append(Message(now_s, self.mid, Topic.ENDED, order_id))

    def _hedge(self, now_s: float, request: Request) -> None:
        mid_before = self.mid
        trades = self._book.take(request.side, request.quantity, request.price)
        self.mid = self._measure_mid()
        mid_sent = self.recorder.mid_at(request.sent_s)
        for trade in trades:
            self._settle(now_s, request.side, trade, mid_before, mid_sent)
            self._feed.append(
                Message(
                    now_s,
                    self.mid,
                    Topic.FILL,
                    request.order_id,
                    request.side * trade.quantity,
                    trade.price,
                )
            )
        self._feed.append(Message(now_s, self.mid, Topic.HEDGED, request.order_id))
        if self.mid != mid_before:
            self._publish_mid(now_s, mid_before, 0)

    def _measure_mid(self) -> float:
        bid = self._book.best(BUY, without=MAKER)
        ask = self._book.best(SELL, without=MAKER)
        return self.mid if bid is None or ask is None else (bid + ask) / 2
