"""A limit order book with price-time priority.

Prices are whole ticks and quantities whole lots, so that nothing is lost to rounding: what was
added is what was traded, cancelled or still rests. Within a price the oldest order trades first.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

BUY = 1
SELL = -1


@dataclass(slots=True)
class Order:
    """An order as the book keeps it.

    ``side`` is ``BUY`` or ``SELL``, ``price`` is in ticks and ``quantity`` is what is left of the
    order, in lots. The book lowers ``quantity`` as the order trades.
    """

    order_id: int
    owner: int
    side: int
    price: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Trade:
    """One resting order meeting one incoming order, at the resting order's price."""

    order_id: int
    owner: int
    side: int
    price: int
    quantity: int
    done: bool


class OrderBook:
    """Match incoming orders against resting ones, best price first, then oldest first."""

    def __init__(self) -> None:
        """Start with an empty book."""
        self._orders: dict[int, Order] = {}
        # A level maps order id to order: insertion order is time priority, removal is O(1).
        self._levels: dict[int, dict[int, dict[int, Order]]] = {BUY: {}, SELL: {}}
        # Sorted `side * price`: the best price of either side is the last entry.
        self._ranks: dict[int, list[int]] = {BUY: [], SELL: []}

    def add(self, order: Order) -> list[Trade]:
        """Trade an order as far as its price reaches and rest what is left of it.

        Raises:
            ValueError: the order id is in the book already, or the quantity is not positive.
        """
        if order.order_id in self._orders or order.quantity <= 0:
            msg = f"order {order.order_id} of {order.quantity} lots cannot enter the book"
            raise ValueError(msg)
        trades = self.take(order.side, order.quantity, order.price)
        for trade in trades:
            order.quantity -= trade.quantity
        if order.quantity:
            self._rest(order)
        return trades

    def take(self, side: int, quantity: int, limit: int) -> list[Trade]:
        """Trade immediately against the other side, at ``limit`` ticks or better; rest nothing."""
        trades: list[Trade] = []
        ranks = self._ranks[-side]
        levels = self._levels[-side]
        worst = -side * limit
        while quantity and ranks and ranks[-1] >= worst:
            price = -side * ranks[-1]
            level = levels[price]
            for maker in list(level.values()):
                traded = min(quantity, maker.quantity)
                maker.quantity -= traded
                quantity -= traded
                done = not maker.quantity
                trades.append(Trade(maker.order_id, maker.owner, -side, price, traded, done))
                if done:
                    del level[maker.order_id], self._orders[maker.order_id]
                if not quantity:
                    break
            if not level:
                del levels[price]
                ranks.pop()
        return trades

    def cancel(self, order_id: int) -> Order | None:
        """Take an order out of the book, or return None where it no longer rests."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return None
        levels = self._levels[order.side]
        level = levels[order.price]
        del level[order_id]
        if not level:
            del levels[order.price]
            ranks = self._ranks[order.side]
            del ranks[bisect_left(ranks, order.side * order.price)]
        return order

    def crosses(self, side: int, price: int) -> bool:
        """Tell whether an order at ``price`` ticks would trade on arrival."""
        ranks = self._ranks[-side]
        return bool(ranks) and ranks[-1] >= -side * price

    def best(self, side: int, *, without: int | None = None) -> int | None:
        """Return the best price of a side in ticks, or None where it is empty.

        ``without`` leaves one owner's orders out: the price that the rest of the market makes.
        """
        levels = self._levels[side]
        for rank in reversed(self._ranks[side]):
            price = side * rank
            for order in levels[price].values():
                if order.owner != without:
                    return price
        return None

    def orders(self) -> list[Order]:
        """List all resting orders; those of one price in their time priority."""
        return [
            order
            for side in (BUY, SELL)
            for rank in reversed(self._ranks[side])
            for order in self._levels[side][side * rank].values()
        ]

    def _rest(self, order: Order) -> None:
        levels = self._levels[order.side]
        level = levels.get(order.price)
        if level is None:
            level = levels[order.price] = {}
            rank = order.side * order.price
            ranks = self._ranks[order.side]
            ranks.insert(bisect_left(ranks, rank), rank)
        level[order.order_id] = order
        self._orders[order.order_id] = order
