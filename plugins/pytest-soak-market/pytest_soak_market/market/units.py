"""The grid that prices and quantities live on, and its conversions."""

from __future__ import annotations

TICK = 0.01  # USD
LOT = 1e-5  # units
CELL = TICK * LOT  # USD: one lot at a price of one tick
BPS = 1e4


def to_lots(value: float, price: float) -> int:
    """Convert USD at a price in ticks to lots, at least one."""
    return max(1, round(value / (price * CELL)))
