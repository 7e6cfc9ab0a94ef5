"""What an iteration has measured: fills, ended orders, lags and the path of the mid."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from .metrics import EndCause, Fill, OrderEnd
from .units import LOT, TICK


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
    """Collect what happens from ``start_s`` on; what happens before is warm-up."""

    def __init__(self, start_s: float) -> None:
        """Start empty."""
        self.start_s = start_s
        self.ends: list[OrderEnd] = []
        self.lags_ms: list[float] = []
        self.mid_times_s: list[float] = []
        self.mids: list[float] = []
        self._raw_fills: list[RawFill] = []

    def note_mid(self, now_s: float, mid: float) -> None:
        """Note that the mid, in ticks, has changed; kept from the start, to know the mid then."""
        self.mid_times_s.append(now_s)
        self.mids.append(mid)

    def note_fill(self, fill: RawFill) -> None:
        """Note a fill."""
        if fill.time_s >= self.start_s:
            self._raw_fills.append(fill)

    def note_end(self, acknowledged_s: float, now_s: float, cause: EndCause) -> None:
        """Note the end of a resting order."""
        if now_s >= self.start_s:
            self.ends.append(OrderEnd(acknowledged_s, now_s, cause))

    def note_lag(self, venue_s: float, now_s: float) -> None:
        """Note when the maker gets to a message of the feed."""
        if now_s >= self.start_s:
            self.lags_ms.append(1e3 * (now_s - venue_s))

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
        return self.mids[max(0, bisect_right(self.mid_times_s, time_s) - 1)]
