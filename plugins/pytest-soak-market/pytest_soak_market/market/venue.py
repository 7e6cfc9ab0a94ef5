"""The venue: an order book with background flow that serves one maker and publishes messages.

It has no clock. The caller gives the time of each event: virtual time or wall-clock time.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .book import BUY, SELL, Order, OrderBook, Trade
from .flow import BackgroundFlow
from .messages import Message, Request, RequestKind, Topic
from .metrics import EndCause
from .units import BPS, CELL, TICK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from .settings import MarketSettings

MAKER = 1


class Venue:
    """Match background flow and the maker's requests, and publish what the maker may know.

    ``mid`` is that of the rest of the market, in ticks. The maker's own orders are left out: it
    could otherwise move the benchmark it is measured by.
    """

    def __init__(
        self,
        settings: MarketSettings,
        rng: Random,
        now_s: float,
        publish: Callable[[Message], None],
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the market.

        Arguments:
            settings: the market's conditions.
            rng: the only source of randomness.
            now_s: the time.
            publish: is given every message of the feed, in order.
            state: what an earlier venue dumped, to go on from there.
        """
        self._settings = settings
        self._publish = publish
        self._book = OrderBook()
        self._acknowledged: dict[int, float] = {}
        fair = settings.price / TICK if state is None else state["fair"]
        self._flow = BackgroundFlow(settings, rng, self._book, now_s, fair)
        self.mid = fair
        if state is None:
            self._flow.populate()
            self.mid = self._measure_mid()
        else:
            for order in state["orders"]:
                self._book.add(Order(**order))
            self._acknowledged.update(state["acknowledged"])
            self.mid = state["mid"]

    @property
    def next_s(self) -> float:
        """Return when the background flow's next event is due."""
        return self._flow.next_s

    def skip_to(self, now_s: float) -> None:
        """Skip the events that were due up to now."""
        self._flow.next_s = now_s

    def dump(self) -> dict[str, Any]:
        """Return what another venue can go on from, as JSON values."""
        return {
            "fair": self._flow.fair,
            "mid": self.mid,
            "orders": [asdict(order) for order in self._book.orders()],
            "acknowledged": [list(item) for item in self._acknowledged.items()],
        }

    def step(self, now_s: float) -> None:
        """Run the next event of the background flow, and publish its market data."""
        trades = self._flow.step(self.mid)
        mid_before = self.mid
        self.mid = self._measure_mid()
        volume = 0
        for trade in trades:
            volume -= trade.side * trade.quantity
            if trade.owner == MAKER:
                self._fill(now_s, trade, mid_before)
        if volume or self.mid != mid_before:
            self._publish(Message(now_s, self.mid, Topic.MARKET, lots=volume))

    def serve(self, now_s: float, request: Request) -> None:
        """Execute a request of the maker."""
        if request.kind is RequestKind.HEDGE:
            self._hedge(now_s, request)
        elif request.kind is RequestKind.CANCEL:
            self.cancel(now_s, request.order_id)
        elif request.kind is RequestKind.NEW:
            self._enter(now_s, request)
        elif self._book.cancel(request.replaced):
            self._end(now_s, request.replaced, EndCause.REPLACED)
            self._enter(now_s, request)
        else:
            self.refuse(now_s, request)

    def refuse(self, now_s: float, request: Request) -> None:
        """Refuse an order on arrival; the order that it would replace stays."""
        self._publish(Message(now_s, self.mid, Topic.ENDED, request.order_id))

    def cancel(self, now_s: float, order_id: int) -> None:
        """Cancel an order of the maker's, if it still rests."""
        if self._book.cancel(order_id):
            self._end(now_s, order_id, EndCause.CANCELLED)

    def cancel_all(self, now_s: float) -> None:
        """Cancel all resting orders of the maker."""
        for order_id in list(self._acknowledged):
            self.cancel(now_s, order_id)

    def _enter(self, now_s: float, request: Request) -> None:
        """Rest a quote; it is post-only, so one that would trade on arrival is refused."""
        order_id = request.order_id
        if self._book.crosses(request.side, request.price):
            self.refuse(now_s, request)
            return
        self._book.add(Order(order_id, MAKER, request.side, request.price, request.quantity))
        self._acknowledged[order_id] = now_s

    def _fill(self, now_s: float, trade: Trade, mid_before: float) -> None:
        """Publish a fill of one of the maker's resting orders."""
        signed = trade.side * trade.quantity
        fee = trade.price * trade.quantity * CELL * -self._settings.maker_rebate_bps / BPS
        order_id, price = trade.order_id, trade.price
        self._publish(
            Message(now_s, self.mid, Topic.FILL, order_id, signed, price, fee, mid_before)
        )
        if trade.done:
            self._end(now_s, order_id, EndCause.FILLED)

    def _end(self, now_s: float, order_id: int, cause: EndCause) -> None:
        since_s = self._acknowledged.pop(order_id)
        self._publish(Message(now_s, self.mid, Topic.ENDED, order_id, cause=cause, since_s=since_s))

    def _hedge(self, now_s: float, request: Request) -> None:
        mid_before = self.mid
        trades = self._book.take(request.side, request.quantity, request.price)
        self.mid = self._measure_mid()
        for trade in trades:
            fee = trade.price * trade.quantity * CELL * self._settings.taker_fee_bps / BPS
            self._publish(
                Message(
                    now_s,
                    self.mid,
                    Topic.FILL,
                    request.order_id,
                    request.side * trade.quantity,
                    trade.price,
                    fee,
                    mid_before,
                    is_taker=True,
                    since_s=request.sent_s,
                )
            )
        self._publish(Message(now_s, self.mid, Topic.HEDGED, request.order_id))
        if self.mid != mid_before:
            self._publish(Message(now_s, self.mid, Topic.MARKET))

    def _measure_mid(self) -> float:
        bid = self._book.best(BUY, without=MAKER)
        ask = self._book.best(SELL, without=MAKER)
        return self.mid if bid is None or ask is None else (bid + ask) / 2
