"""The maker's memory, which carries over from one iteration to the next."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .book import BUY, SELL

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Quote:
    """An order of the maker's, as the maker knows it: side, price in ticks, time it was sent."""

    side: int
    price: int
    sent_s: float
    is_closing: bool = False


@dataclass(slots=True)
class Memory:
    """The maker's memory.

    Attributes:
        next_id: the id of the next order.
        lots: inventory, signed.
        mid: the newest mid, in ticks.
        busy_until_s: when the maker can process the next message.
        decided_s: when it last decided.
        decided_mid: the mid it decided on, in ticks.
        tokens: replaces that it may send at once, at the time ``tokens_s``.
        tokens_s: the time of ``tokens``.
        vip: recent flow of VIP takers, from -1 (all sell) to 1, at the time ``vip_s``.
        vip_s: the time of ``vip``.
        slippage: recent slippage per fill, in basis points.
        is_hedging: whether a hedge was sent and has not ended.
        quotes: its orders by id, per side.
    """

    tokens: float
    next_id: int = 1
    lots: int = 0
    mid: float = 0.0
    busy_until_s: float = 0.0
    decided_s: float = 0.0
    decided_mid: float = 0.0
    tokens_s: float = 0.0
    vip: float = 0.0
    vip_s: float = 0.0
    slippage: float = 0.0
    is_hedging: bool = False
    quotes: dict[int, dict[int, Quote]] = field(default_factory=lambda: {BUY: {}, SELL: {}})

    def dump(self) -> dict[str, Any]:
        """Return the memory as JSON values."""
        quotes = [
            [order_id, asdict(quote)]
            for side in (BUY, SELL)
            for order_id, quote in self.quotes[side].items()
        ]
        return {**asdict(self), "quotes": quotes}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Memory:
        """Return the memory from the result of ``dump``."""
        memory = cls(**{**dumped, "quotes": {BUY: {}, SELL: {}}})
        for order_id, quote in dumped["quotes"]:
            memory.quotes[quote["side"]][order_id] = Quote(**quote)
        return memory
