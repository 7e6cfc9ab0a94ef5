"""The book keeps price-time priority and loses nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_soak_market.market.book import BUY, SELL, Order, OrderBook, Trade

SIDES = st.sampled_from([BUY, SELL])
PRICES = st.integers(95, 105)
LOTS = st.integers(1, 20)


@dataclass(frozen=True)
class Add:
    """Enter an order."""

    side: int
    price: int
    quantity: int


@dataclass(frozen=True)
class Take:
    """Trade at once."""

    side: int
    price: int
    quantity: int


@dataclass(frozen=True)
class Cancel:
    """Cancel the order that was entered as the nth."""

    nth: int


ACTIONS = st.lists(
    st.builds(Add, SIDES, PRICES, LOTS)
    | st.builds(Take, SIDES, PRICES, LOTS)
    | st.builds(Cancel, st.integers(0, 30)),
    max_size=60,
)


def play(actions: list[Add | Take | Cancel]) -> tuple[OrderBook, int, int, list[Trade]]:
    """Play actions on a new book; return it, the lots added and cancelled, and the trades."""
    book = OrderBook()
    added = cancelled = entered = 0
    trades: list[Trade] = []
    for action in actions:
        if isinstance(action, Add):
            order = Order(entered, entered % 3, action.side, action.price, action.quantity)
            entered += 1
            added += action.quantity
            fills = book.add(order)
            added -= sum(trade.quantity for trade in fills)
            trades += fills
        elif isinstance(action, Take):
            trades += book.take(action.side, action.quantity, action.price)
        else:
            order_or_none = book.cancel(action.nth)
            cancelled += order_or_none.quantity if order_or_none else 0
    return book, added, cancelled, trades


@given(ACTIONS)
def test_it_is_never_crossed(actions: list[Add | Take | Cancel]) -> None:
    book, *_ = play(actions)
    bid, ask = book.best(BUY), book.best(SELL)
    assert bid is None or ask is None or bid < ask


@given(ACTIONS)
def test_quantity_is_conserved(actions: list[Add | Take | Cancel]) -> None:
    book, added, cancelled, trades = play(actions)
    resting = sum(order.quantity for order in book.orders())
    assert added == cancelled + resting + sum(trade.quantity for trade in trades)


@given(ACTIONS, SIDES, LOTS)
def test_better_prices_trade_first_and_older_orders_first_within_a_price(
    actions: list[Add | Take | Cancel], side: int, quantity: int
) -> None:
    book, *_ = play(actions)
    waiting = [order.order_id for order in book.orders() if order.side == -side]
    trades = book.take(side, quantity, 200 if side == BUY else 1)
    assert [trade.order_id for trade in trades] == waiting[: len(trades)]
    assert all(trade.done for trade in trades[:-1])
    prices = [side * trade.price for trade in trades]
    assert prices == sorted(prices)
    # Ids are handed out in the order of entry, so time priority is the order of ids.
    assert all(
        first.order_id < second.order_id
        for first, second in pairwise(trades)
        if first.price == second.price
    )


@given(ACTIONS, SIDES, PRICES, LOTS)
def test_nothing_trades_beyond_its_limit(
    actions: list[Add | Take | Cancel], side: int, price: int, quantity: int
) -> None:
    book, *_ = play(actions)
    crosses = book.crosses(side, price)
    trades = book.take(side, quantity, price)
    assert bool(trades) == crosses
    assert sum(trade.quantity for trade in trades) <= quantity
    assert all(side * trade.price <= side * price for trade in trades)


@given(ACTIONS)
def test_its_orders_rebuild_it(actions: list[Add | Take | Cancel]) -> None:
    book, *_ = play(actions)
    again = OrderBook()
    for order in book.orders():
        again.add(order)
    assert again.orders() == book.orders()


def test_a_partly_filled_order_keeps_its_place() -> None:
    book = OrderBook()
    book.add(Order(1, 0, SELL, 100, 5))
    book.add(Order(2, 0, SELL, 100, 5))
    book.take(BUY, 3, 100)
    assert [trade.order_id for trade in book.take(BUY, 3, 100)] == [1, 2]


def test_the_best_price_can_leave_an_owner_out() -> None:
    book = OrderBook()
    book.add(Order(1, 7, BUY, 100, 5))
    assert book.best(BUY, without=7) is None
    book.add(Order(2, 0, BUY, 99, 5))
    assert book.best(BUY) == 100
    assert book.best(BUY, without=7) == 99


def test_a_cancelled_order_is_gone() -> None:
    book = OrderBook()
    book.add(Order(1, 0, BUY, 100, 5))
    assert book.cancel(1) == Order(1, 0, BUY, 100, 5)
    assert book.cancel(1) is None
    assert book.orders() == []


@pytest.mark.parametrize("order", [Order(1, 0, BUY, 90, 5), Order(2, 0, BUY, 90, 0)])
def test_it_refuses_an_id_it_has_and_an_order_of_nothing(order: Order) -> None:
    book = OrderBook()
    book.add(Order(1, 0, BUY, 100, 5))
    with pytest.raises(ValueError, match="cannot enter the book"):
        book.add(order)
