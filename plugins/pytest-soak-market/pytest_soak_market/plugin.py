"""What the distribution offers to pytest-soak; nothing is imported until a soak uses it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from .packs import PACK, LivePack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import Pack
    from pytest_soak_market.live.system import LiveSystem
    from pytest_soak_market.market import MarketSystem

T = TypeVar("T")

__all__ = [
    "PACK",
    "make_fastmm",
    "make_live",
    "make_market",
    "pytest_soak_packs",
    "pytest_soak_systems",
]


@pytest.hookimpl(optionalhook=True)
def pytest_soak_packs() -> Mapping[str, Callable[[], Any]]:
    """Offer the market-maker packs: of the market in virtual time, and in wall-clock time."""
    return {"market-maker": lambda: PACK, "market-maker-live": LivePack}


@pytest.hookimpl(optionalhook=True)
def pytest_soak_systems() -> Mapping[str, Callable[[Pack, str], Any]]:
    """Offer the market in virtual time, and the one of processes in wall-clock time."""
    return {"market": make_market, "market-live": make_live, "market-fastmm": make_fastmm}


def make_market(pack: Pack, scenario: str) -> MarketSystem:
    """Return the market under *scenario*, whose settings are those of the pack.

    Raises:
        SoakUsageError: A setting that the market does not know or cannot take, or a pack that
            does not say what the market is like in that scenario.
    """
    from pytest_soak_market.market import MarketSettings, MarketSystem  # noqa: PLC0415 - nothing heavy without a soak

    return MarketSystem(_settings(pack, scenario, "market", MarketSettings.from_mapping))


def make_live(pack: Pack, scenario: str) -> LiveSystem:
    """Return the market of processes under *scenario*; it starts none before it is opened.

    Raises:
        SoakUsageError: As for `make_market`, or what it needs is not installed.
    """
    _need("market-live", "live", "websockets", "psutil")
    from pytest_soak_market.live.settings import LiveSettings  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.live.system import LiveSystem  # noqa: PLC0415 - as above

    return LiveSystem(_settings(pack, scenario, "market-live", LiveSettings.from_mapping))


def make_fastmm(pack: Pack, scenario: str) -> LiveSystem:
    """Return the market maker against the exchange of fastmm-engine-live, under *scenario*.

    Raises:
        SoakUsageError: As for `make_live`.
    """
    _need("market-fastmm", "fastmm", "websockets", "psutil", "fastmm_live")
    from pytest_soak_market.live.settings import LiveSettings  # noqa: PLC0415 - nothing heavy without a soak
    from pytest_soak_market.live.system import FastmmSystem  # noqa: PLC0415 - as above

    return FastmmSystem(_settings(pack, scenario, "market-fastmm", LiveSettings.without_faults))


def _need(system: str, extra: str, *modules: str) -> None:
    """Refuse a system whose *extra* is not installed."""
    from pytest_soak import SoakUsageError  # noqa: PLC0415 - nothing heavy without a soak

    for module in modules:
        if find_spec(module) is None:
            install = f"pip install 'pytest-soak-market[{extra}]'"
            msg = f"--soak-system={system}: needs {module}, which is not installed: {install}"
            raise SoakUsageError(msg)


def _settings(pack: Pack, scenario: str, system: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Return what a scenario says of a system, as *read* makes it of a table."""
    from pytest_soak import SoakUsageError  # noqa: PLC0415 - nothing heavy without a soak

    where = f"pack {pack.source}: scenarios.{scenario}.{system}"
    settings = pack.scenarios[scenario].get(system)
    if settings is None:
        able = [name for name, systems in pack.scenarios.items() if system in systems]
        msg = f"{where}: missing; scenarios for the {system}: {', '.join(able) or 'none'}"
        raise SoakUsageError(msg)
    try:
        return read(settings)
    except ValueError as error:
        msg = f"{where}: {error}"
        raise SoakUsageError(msg) from None
