"""What the core itself registers: the demo pack and the mock, through the hooks of everybody."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from pytest_soak.systems.mock import MockSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class CorePlugin:
    """Offers the core's own packs and systems."""

    def pytest_soak_packs(self) -> Mapping[str, Callable[[], Any]]:
        """Offer the neutral demo pack."""
        return {"demo": lambda: resources.files("pytest_soak.packs").joinpath("demo.toml")}

    def pytest_soak_systems(self) -> Mapping[str, Callable[..., Any]]:
        """Offer the closed-loop mock."""
        return {"mock": MockSystem}
