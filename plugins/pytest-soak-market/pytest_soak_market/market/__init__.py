"""A market maker quoting into an order book, in virtual time."""

from __future__ import annotations

from .settings import MarketSettings
from .system import MarketSystem

__all__ = ["MarketSettings", "MarketSystem"]
