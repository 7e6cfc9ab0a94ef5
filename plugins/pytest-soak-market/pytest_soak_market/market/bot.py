"""The market maker: receives the feed, decides at its pace, and sends requests.

Messages and a clock drive it, so the same code runs in virtual time and as a process of its own. It
knows only the messages of the feed. Each decision covers both sides. Per side it has one order near
the mid. An order that the market has moved away from stays in the tail while no replaces are left
and the concurrency limit permits, until it trades or reaches its maximum age.
"""

from __future__ import annotations

from collections import Counter
from math import exp
from typing import TYPE_CHECKING

from .book import BUY, SELL
from .memory import Memory, Quote
from .messages import Message, Request, RequestKind, Topic
from .units import BPS, CELL, to_lots

if TYPE_CHECKING:
    from random import Random

    from .clock import Clock
    from .parameters import MakerParameters
    from .settings import MarketSettings

DECISION = "decision"
MIN_INTERVAL = "min_interval"
CONCURRENCY = "concurrency"
RISK = "risk"
THROTTLE = "throttle"
BLOCKS = (MIN_INTERVAL, CONCURRENCY, RISK, THROTTLE)

_BURST_S = 1.0  # the time for which the replace rate saves up
_VIP_MEMORY_S = 1.0  # time constant of the VIP flow
_VIP_WEIGHT = 0.5  # weight of one VIP print in it
_SLIPPAGE_WEIGHT = 0.02  # weight of the newest fill in the recent slippage


class MarketMaker:
    """Quote both sides of one market.

    ``blocks`` counts quote decisions and, by reason, the blocked ones. A quote decision is a
    check of a side that finds its quote missing or out of place, with any outcome. A quote that
    ended without a request of the maker, and that the minimum interval forbids to renew, counts
    too. Of several reasons risk counts first.
    """

    def __init__(
        self,
        settings: MarketSettings,
        parameters: MakerParameters,
        rng: Random,
        memory: Memory | None,
        clock: Clock,
    ) -> None:
        """Start with an empty memory, or go on from one; ``rng`` varies the sizes of orders."""
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._parameters = parameters
        self._interval_s = parameters.min_interval_ms / 1e3
        self._tail_s = parameters.tail_age_ms / 1e3
        self._replaces_per_s = parameters.replace_rate_per_min / 60
        self._burst = max(1.0, self._replaces_per_s * _BURST_S)
        self._limit = settings.capital * parameters.max_delta_ratio
        self._size = settings.capital * parameters.impact_cap_ratio
        self._vip_cells = settings.vip_trade / CELL
        self._outbox: list[Request] = []
        self._sent_s = 0.0
        self.memory = memory or Memory(tokens=self._burst)
        self._sides = {
            order_id: side for side, own in self.memory.quotes.items() for order_id in own
        }
        self.blocks: Counter[str] = Counter()

    def hear(self, message: Message) -> None:
        """Update the maker's memory with a message."""
        self.memory.mid = message.mid
        topic = message.topic
        if topic is Topic.MARKET:
            if abs(message.lots) * message.mid >= self._vip_cells:
                self._hear_vip(message)
        elif topic is Topic.FILL:
            self._hear_fill(message)
        elif topic is Topic.HEDGED:
            self.memory.is_hedging = False
        elif topic is Topic.OPEN:
            self._forget_orders()
        elif message.order_id in self._sides:  # unknown: forgotten when the connection broke
            side = self._sides.pop(message.order_id)
            del self.memory.quotes[side][message.order_id]

    def think(self, message: Message) -> list[Request]:
        """Hear a message, decide if a decision is due, and return the requests it leads to.

        It begins at the clock's time, and its work takes time by the clock, to ``busy_until_s``.

        Arguments:
            message: the oldest message of the feed it has not heard yet.
        """
        memory, settings, clock = self.memory, self._settings, self._clock
        now_s = clock.now()
        clock.work(settings.feed_cost_ms / 1e3)
        self._outbox = []
        if now_s - memory.decided_s < self._interval_s:
            if message.topic is Topic.ENDED and message.order_id in self._sides:
                self._count_blocked_renewal(message.order_id)
            self.hear(message)
        else:
            self.hear(message)
            memory.decided_s = now_s
            memory.decided_mid = memory.mid
            clock.work(settings.decision_cost_ms / 1e3)
            self._sent_s = clock.now()
            self._decide(now_s)
            clock.work(len(self._outbox) * settings.request_cost_ms / 1e3)
        memory.busy_until_s = clock.now()
        return self._outbox

    def _hear_vip(self, message: Message) -> None:
        memory = self.memory
        faded = memory.vip * exp((memory.vip_s - message.venue_s) / _VIP_MEMORY_S)
        news = _VIP_WEIGHT if message.lots > 0 else -_VIP_WEIGHT
        memory.vip = max(-1.0, min(1.0, faded + news))
        memory.vip_s = message.venue_s

    def _hear_fill(self, message: Message) -> None:
        memory = self.memory
        memory.lots += message.lots
        slippage = 0.0
        if message.is_taker:
            side = BUY if message.lots > 0 else SELL
            slippage = BPS * side * (message.price - memory.decided_mid) / memory.decided_mid
        memory.slippage += _SLIPPAGE_WEIGHT * (slippage - memory.slippage)

    def _forget_orders(self) -> None:
        self._sides.clear()
        for own in self.memory.quotes.values():
            own.clear()
        self.memory.is_hedging = False

    def _count_blocked_renewal(self, order_id: int) -> None:
        """Count a quote that ended and cannot be renewed before the minimum interval is over."""
        side = self._sides[order_id]
        if not self.memory.quotes[side][order_id].is_closing:
            self.blocks[DECISION] += 1
            self.blocks[RISK if self._is_risky(side) else MIN_INTERVAL] += 1

    def _is_risky(self, side: int) -> bool:
        """Return whether a side is too close to the inventory limit to be quoted."""
        value = side * self.memory.lots * self.memory.mid * CELL
        return value > self._limit * (1 - self._settings.risk_room)

    def _decide(self, now_s: float) -> None:
        memory = self.memory
        earned = (now_s - memory.tokens_s) * self._replaces_per_s
        memory.tokens = min(self._burst, memory.tokens + earned)
        memory.tokens_s = now_s
        value = memory.lots * memory.mid * CELL
        if abs(value) > self._limit * self._settings.hedge_trigger and not memory.is_hedging:
            self._hedge(value)
        center, offset = self._price(now_s, value)
        for side in (BUY, SELL):
            if self._is_risky(side):
                self.blocks[DECISION] += 1
                self.blocks[RISK] += 1
                self._pull(side)
            else:
                self._quote(side, center - side * offset, now_s)

    def _price(self, now_s: float, value: float) -> tuple[float, float]:
        """Return the center of the quotes and their distance from it, in ticks.

        Arguments:
            now_s: the time, for the VIP flow to fade.
            value: the inventory in USD.
        """
        memory, parameters = self.memory, self._parameters
        distance = (
            parameters.base_spread_bps
            + parameters.base_spread_bps_delta
            + parameters.slippage_penalty_coef * memory.slippage
        )
        vip = memory.vip * exp((memory.vip_s - now_s) / _VIP_MEMORY_S)
        lean = max(-1.0, min(1.0, value / self._limit))
        tilt = distance * (parameters.vip_tilt_cap * vip - parameters.inventory_tilt_cap * lean)
        return memory.mid * (1 + tilt / BPS), memory.mid * distance / BPS

    def _quote(self, side: int, target: float, now_s: float) -> None:
        """Bring one side's near order to its target, in ticks, as far as rate and limits permit."""
        memory, settings = self.memory, self._settings
        own = memory.quotes[side]
        near: Quote | None = None
        near_id = 0
        excess = 0.0  # basis points that the near order is closer to the mid than it should be
        for order_id, quote in own.items():
            if quote.is_closing:
                continue
            gap = BPS * side * (quote.price - target) / target
            if gap < -settings.requote_bps and now_s - quote.sent_s > self._tail_s:
                self._cancel(order_id, quote)
            elif near is None or gap > excess:
                near, near_id, excess = quote, order_id, gap
        if near is not None and abs(excess) <= settings.requote_bps:
            return
        self.blocks[DECISION] += 1
        if near is not None and memory.tokens >= 1:
            memory.tokens -= 1
            near.is_closing = True
            self._enter(RequestKind.REPLACE, side, target, near_id)
        elif near is not None and excess > settings.danger_bps:
            self._cancel(near_id, near)
        elif near is not None and excess > 0:
            self.blocks[THROTTLE] += 1
        elif len(own) < self._parameters.concurrency_limit:
            self._enter(RequestKind.NEW, side, target)
        else:
            self.blocks[CONCURRENCY] += 1

    def _enter(self, kind: RequestKind, side: int, target: float, replaced: int = 0) -> None:
        """Send a new order; a REPLACE takes the place of the order *replaced*."""
        order_id = self._new_id()
        price = round(target)
        self.memory.quotes[side][order_id] = Quote(side, price, self._sent_s)
        self._sides[order_id] = side
        varied = 1 - self._settings.size_variation * self._rng.random()
        lots = to_lots(self._size * varied, self.memory.mid)
        self._send(kind, order_id, side=side, price=price, quantity=lots, replaced=replaced)

    def _cancel(self, order_id: int, quote: Quote) -> None:
        quote.is_closing = True
        self._send(RequestKind.CANCEL, order_id)

    def _pull(self, side: int) -> None:
        for order_id, quote in self.memory.quotes[side].items():
            if not quote.is_closing:
                self._cancel(order_id, quote)

    def _hedge(self, value: float) -> None:
        """Trade inventory, in USD, down to its target; cancel own orders in its way first."""
        side = SELL if value > 0 else BUY
        self._pull(-side)
        mid = self.memory.mid
        lots = to_lots(abs(value) - self._limit * self._settings.hedge_target, mid)
        limit = round(mid * (1 + side * self._settings.hedge_reach_bps / BPS))
        self.memory.is_hedging = True
        self._send(RequestKind.HEDGE, self._new_id(), side=side, price=limit, quantity=lots)

    def _send(self, kind: RequestKind, order_id: int, **terms: int) -> None:
        self._outbox.append(Request(kind, self._sent_s, order_id, **terms))

    def _new_id(self) -> int:
        order_id = self.memory.next_id
        self.memory.next_id += 1
        return order_id
