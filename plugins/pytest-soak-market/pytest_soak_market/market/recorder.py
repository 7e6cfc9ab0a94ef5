"""Records an iteration: fills, ended orders, lags, the path of the mid, and the account."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from .book import BUY, SELL
from .messages import RequestKind, Topic
from .metrics import EndCause, Fill, OrderEnd
from .units import CELL, LOT, TICK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .messages import Message, Request


@dataclass(frozen=True, slots=True)
class RawFill:
    """A fill of the maker's in ticks and lots; the mid one horizon later is not known yet."""

    time_s: float
    side: int
    price: int
    lots: int
    fee: float
    mid: float
    mid_sent: float
    is_maker: bool


class Recorder:
    """Follow a maker's account by the venue's messages, and collect the measurements.

    What happens before ``start_s`` is warm-up, what happens after ``end_s`` is too late. ``cash``
    is in USD, ``lots`` the inventory, ``mid`` in ticks. ``sent`` counts the orders that were sent,
    ``refused`` those that the venue refused on arrival.
    """

    def __init__(
        self, now_s: float, start_s: float, cash: float, lots: int, mid: float, end_s: float = inf
    ) -> None:
        """Start with an account as it is at ``now_s``."""
        self.start_s = start_s
        self.end_s = end_s
        self.cash = cash
        self.lots = lots
        self.mid = mid
        self.ends: list[OrderEnd] = []
        self.lags_ms: list[float] = []
        self.sent = 0
        self.refused = 0
        self._mid_times_s = [now_s]
        self._mids = [mid]
        self._raw_fills: list[RawFill] = []
        self._equity_start: float | None = None
        self._equity_end: float | None = None

    @property
    def equity(self) -> float:
        """Return cash plus inventory at the mid, in USD."""
        return self.cash + self.lots * self.mid * CELL

    @property
    def equities(self) -> tuple[float, float]:
        """Return the equity at the start and at the end, or now before the end."""
        now = self.equity
        start = now if self._equity_start is None else self._equity_start
        return start, now if self._equity_end is None else self._equity_end

    def note(self, message: Message) -> None:
        """Record a message of the venue; they come in the order of the venue's time."""
        now_s = message.venue_s
        if self._equity_start is None and now_s > self.start_s:
            self._equity_start = self.equity
        if self._equity_end is None and now_s > self.end_s:
            self._equity_end = self.equity
        if message.topic is Topic.FILL:
            self._note_fill(message)
        elif message.topic is Topic.ENDED:
            self._note_end(message)
        elif message.topic is Topic.MARKET and message.mid != self.mid:
            self.mid = message.mid
            self._mid_times_s.append(now_s)
            self._mids.append(message.mid)

    def note_lag(self, venue_s: float, now_s: float) -> None:
        """Record when the maker processes a message of the feed."""
        if self.start_s <= now_s <= self.end_s:
            self.lags_ms.append(1e3 * (now_s - venue_s))

    def note_sent(self, requests: Iterable[Request]) -> None:
        """Count the orders among the maker's *requests*; a hedge never rests, and is none."""
        self.sent += sum(
            request.kind in (RequestKind.NEW, RequestKind.REPLACE)
            and self.start_s <= request.sent_s <= self.end_s
            for request in requests
        )

    def fills(self, horizon_s: float, end_s: float) -> list[Fill]:
        """Return the fills in USD and units, with the mid one horizon after each.

        A fill in the last horizon before ``end_s`` has none, and is left out of what needs it.
        """
        return [
            Fill(
                time_s=raw.time_s,
                side=raw.side,
                price=raw.price * TICK,
                quantity=raw.lots * LOT,
                fee=raw.fee,
                mid=raw.mid * TICK,
                mid_later=self.mid_at(raw.time_s + horizon_s) * TICK
                if raw.time_s + horizon_s <= end_s
                else None,
                mid_sent=raw.mid_sent * TICK,
                is_maker=raw.is_maker,
            )
            for raw in self._raw_fills
        ]

    def mid_at(self, time_s: float) -> float:
        """Return the mid at a time, in ticks; the first one known for any time before it."""
        return self._mids[max(0, bisect_right(self._mid_times_s, time_s) - 1)]

    def _note_end(self, message: Message) -> None:
        if not self.start_s <= message.venue_s <= self.end_s:
            return
        if message.cause:
            self.ends.append(OrderEnd(message.since_s, message.venue_s, EndCause(message.cause)))
        else:
            self.refused += 1

    def _note_fill(self, message: Message) -> None:
        side = BUY if message.lots > 0 else SELL
        quantity = abs(message.lots)
        notional = message.price * quantity * CELL
        self.cash -= side * notional + message.fee
        self.lots += message.lots
        if self.start_s <= message.venue_s <= self.end_s:
            before = message.mid_before
            sent = self.mid_at(message.since_s) if message.is_taker else before
            self._raw_fills.append(
                RawFill(
                    message.venue_s,
                    side,
                    message.price,
                    quantity,
                    message.fee,
                    before,
                    sent,
                    not message.is_taker,
                )
            )
