"""What the core itself registers: the demo pack and the mock, through the hooks of everybody."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from pytest_soak.systems.mock import MockSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak.model.pack import Pack
    from pytest_soak.tuners.adaptive import Adaptive


def make_adaptive(pack: Pack) -> Adaptive:
    """Return the tuner `adaptive`; its module is loaded where it is used."""
    from pytest_soak.tuners.adaptive import Adaptive  # noqa: PLC0415

    return Adaptive(pack)


class CorePlugin:
    """Offers the core's own packs and systems."""

    def pytest_soak_packs(self) -> Mapping[str, Callable[[], Any]]:
        """Offer the neutral demo pack."""
        return {"demo": lambda: resources.files("pytest_soak.packs").joinpath("demo.toml")}

    def pytest_soak_tuners(self) -> Mapping[str, Callable[[Pack], Any]]:
        """Offer the tuner that learns; it works with every pack."""
        return {"adaptive": make_adaptive}

    def pytest_soak_systems(self) -> Mapping[str, Callable[..., Any]]:
        """Offer the closed-loop mock."""
        return {"mock": MockSystem}
