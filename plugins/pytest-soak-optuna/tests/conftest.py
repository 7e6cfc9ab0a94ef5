"""What the tests of pytest-soak-optuna share; without the distribution they are skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of what takes long."""
    config.addinivalue_line("markers", "slow: installs from the registry, takes half a minute")
