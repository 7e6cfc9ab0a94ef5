"""What the distribution offers to pytest-soak; nothing is imported until a soak uses it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import Pack
    from pytest_soak_market.live.system import LiveSystem
    from pytest_soak_market.market import MarketSystem

__all__ = [
    "LIVE_PACK",
    "PACK",
    "make_fastmm",
    "make_live",
    "make_market",
    "pytest_soak_packs",
    "pytest_soak_systems",
]

PACK = Path(__file__).with_name("market_maker.toml")
LIVE_PACK = Path(__file__).with_name("market_live.toml")


@pytest.hookimpl(optionalhook=True)
def pytest_soak_packs() -> Mapping[str, Callable[[], Path]]:
    """Offer the market-maker packs: of the market in virtual time, and in wall-clock time."""
    return {"market-maker": lambda: PACK, "market-maker-live": lambda: LIVE_PACK}


@pytest.hookimpl(optionalhook=True)
def pytest_soak_systems() -> Mapping[str, Callable[[Pack, str], Any]]:
    """Offer the market in virtual time, and the one of processes in wall-clock time."""
    from pytest_soak import SystemFactory  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.live.settings import FastmmSettings, LiveSettings  # noqa: PLC0415 - as above
    from pytest_soak_market.market.settings import MarketSettings  # noqa: PLC0415 - as above

    return {
        "market": SystemFactory(make_market, MarketSettings),
        "market-live": SystemFactory(make_live, LiveSettings),
        "market-fastmm": SystemFactory(make_fastmm, FastmmSettings),
    }


def make_market(pack: Pack, scenario: str) -> MarketSystem:
    """Return the market under *scenario*, whose settings are those of the pack.

    Raises:
        SoakUsageError: A setting that the market does not know or cannot take, or a pack that
            does not say what the market is like in that scenario.
    """
    from pytest_soak import scenario_settings  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.market import MarketSettings, MarketSystem  # noqa: PLC0415 - as above

    return MarketSystem(scenario_settings(pack, scenario, "market", MarketSettings))


def make_live(pack: Pack, scenario: str) -> LiveSystem:
    """Return the market of processes under *scenario*; it starts none before it is opened.

    Raises:
        SoakUsageError: As for `make_market`, or what it needs is not installed.
    """
    _need("market-live", "live", "websockets", "psutil")
    from pytest_soak import scenario_settings  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.live.settings import LiveSettings  # noqa: PLC0415 - as above
    from pytest_soak_market.live.system import LiveSystem  # noqa: PLC0415 - as above

    return LiveSystem(scenario_settings(pack, scenario, "market-live", LiveSettings))


def make_fastmm(pack: Pack, scenario: str) -> LiveSystem:
    """Return the market maker against the exchange of fastmm-engine-live, under *scenario*.

    Raises:
        SoakUsageError: As for `make_live`.
    """
    _need("market-fastmm", "fastmm", "websockets", "psutil", "fastmm_live")
    from pytest_soak import scenario_settings  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.live.settings import FastmmSettings  # noqa: PLC0415 - as above
    from pytest_soak_market.live.system import FastmmSystem  # noqa: PLC0415 - as above

    return FastmmSystem(scenario_settings(pack, scenario, "market-fastmm", FastmmSettings))


def _need(system: str, extra: str, *modules: str) -> None:
    """Refuse a system whose *extra* is not installed."""
    from pytest_soak import SoakUsageError  # noqa: PLC0415 - nothing heavy without a soak

    for module in modules:
        if find_spec(module) is None:
            install = f"pip install 'pytest-soak-market[{extra}]'"
            msg = f"--soak-system={system}: needs {module}, which is not installed: {install}"
            raise SoakUsageError(msg)
