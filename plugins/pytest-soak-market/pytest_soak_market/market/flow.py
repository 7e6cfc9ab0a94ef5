"""Background order flow: fair value, competing makers, and takers with and without knowledge.

Fair value is a random walk that nobody sees but informed takers and, whenever they requote, the
competing makers. Uninformed takers arrive at random and pay only so much beyond fair value, so a
wider quote trades less (the exponential fill intensity of Avellaneda and Stoikov, 2008); informed
ones trade against quotes that fair value has left behind.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from .book import BUY, SELL, Order, OrderBook, Trade
from .units import BPS, CELL

if TYPE_CHECKING:
    from random import Random

    from .settings import MarketSettings

BACKGROUND = 0


class BackgroundFlow:
    """All participants but the maker; all randomness of an iteration comes from one source.

    ``next_s`` is the virtual time of its next event.
    """

    def __init__(
        self, settings: MarketSettings, rng: Random, book: OrderBook, now_s: float, fair: float
    ) -> None:
        """Start at a time and a fair value, in ticks."""
        self._book = book
        self._settings = settings
        self._rng = rng
        self._requote_rate = settings.makers * settings.maker_rate
        self._rate = self._requote_rate + settings.taker_rate
        self._volatility = settings.volatility_bps / BPS
        self._last_side = BUY
        self._now_s = now_s
        self.fair = fair
        self.next_s = now_s + rng.expovariate(self._rate)

    def populate(self) -> None:
        """Let every competing maker quote once."""
        for maker in range(self._settings.makers):
            self._requote(maker)

    def step(self, mid: float) -> list[Trade]:
        """Run the event due at ``next_s``, and return its trades.

        Arguments:
            mid: the mid just before it, in ticks.
        """
        rng = self._rng
        elapsed = self.next_s - self._now_s
        self._now_s = self.next_s
        self.next_s += rng.expovariate(self._rate)
        self.fair *= 1 + self._volatility * sqrt(elapsed) * rng.gauss(0.0, 1.0)
        if rng.random() * self._rate < self._requote_rate:
            return self._requote(rng.randrange(self._settings.makers))
        if rng.random() < self._settings.toxicity:
            return self._take_informed(mid)
        return self._take_uninformed()

    def _take_informed(self, mid: float) -> list[Trade]:
        side = BUY if self.fair > mid else SELL
        limit = self.fair * (1 - side * self._settings.informed_edge_bps / BPS)
        return self._take(side, self._settings.informed_size, limit)

    def _take_uninformed(self) -> list[Trade]:
        settings, rng = self._settings, self._rng
        if rng.random() >= settings.flow_persistence:
            self._last_side = -self._last_side
        side = self._last_side
        reach = settings.taker_reach_bps + rng.expovariate(1 / settings.taker_patience_bps)
        return self._take(side, settings.taker_size, self.fair * (1 + side * reach / BPS))

    def _take(self, side: int, mean_size: float, limit: float) -> list[Trade]:
        size = self._rng.expovariate(1 / mean_size)
        quantity = int(size / (self.fair * CELL)) + 1
        return self._book.take(side, quantity, round(limit))

    def _requote(self, maker: int) -> list[Trade]:
        settings, rng, book = self._settings, self._rng, self._book
        trades: list[Trade] = []
        for side in (BUY, SELL):
            order_id = -2 * maker - (1 if side == BUY else 2)
            book.cancel(order_id)
            distance = settings.maker_distance_bps + rng.expovariate(1 / settings.maker_spread_bps)
            size = rng.expovariate(1 / settings.queue_depth)
            price = round(self.fair * (1 - side * distance / BPS))
            quantity = int(size / (self.fair * CELL)) + 1
            trades += book.add(Order(order_id, BACKGROUND, side, price, quantity))
        return trades
