"""What the distribution offers to pytest-soak; nothing is imported until a soak uses it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import Pack
    from pytest_soak_market.market import MarketSystem

PACK = Path(__file__).with_name("market_maker.toml")


@pytest.hookimpl(optionalhook=True)
def pytest_soak_packs() -> Mapping[str, Callable[[], Path]]:
    """Offer the market-maker pack."""
    return {"market-maker": lambda: PACK}


@pytest.hookimpl(optionalhook=True)
def pytest_soak_systems() -> Mapping[str, Callable[[Pack, str], MarketSystem]]:
    """Offer the market in virtual time."""
    return {"market": make_market}


def make_market(pack: Pack, scenario: str) -> MarketSystem:
    """Return the market under *scenario*, whose settings are those of the pack.

    Raises:
        SoakUsageError: A setting that the market does not know or cannot take, or a pack that
            does not say what the market is like in that scenario.
    """
    from pytest_soak import SoakUsageError  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.market import MarketSettings, MarketSystem  # noqa: PLC0415 - as above

    where = f"pack {pack.source}: scenarios.{scenario}.market"
    settings = pack.scenarios[scenario].get("market")
    if settings is None:
        able = [name for name, systems in pack.scenarios.items() if "market" in systems]
        msg = f"{where}: missing; scenarios for the market: {', '.join(able) or 'none'}"
        raise SoakUsageError(msg)
    try:
        return MarketSystem(MarketSettings.from_mapping(settings))
    except ValueError as error:
        msg = f"{where}: {error}"
        raise SoakUsageError(msg) from None
