"""The fixtures that soak tests request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.config.options import SKIP_REASON

if TYPE_CHECKING:
    from pytest_soak.runner.session import Soak
    from pytest_soak.runner.snapshots import OverrideSnapshot
    from pytest_soak.systems.protocol import System


@pytest.fixture
def soak_slot(request: pytest.FixtureRequest) -> int:
    """Return the number of this iteration, from 1."""
    slot: int | None = getattr(request, "param", None)
    if slot is None:
        pytest.skip(SKIP_REASON)
    return slot


@pytest.fixture
def soak_system() -> System | None:
    """Override this fixture to bring a system of your own; None means the one in the settings."""
    return None


@pytest.fixture
def soak(request: pytest.FixtureRequest, soak_slot: int, soak_system: System | None) -> Soak:
    """Return the soak of this test: ``soak.run()`` runs this iteration."""
    from pytest_soak.runner.session import open_soak  # noqa: PLC0415 - nothing heavy without a soak

    return open_soak(request.node, soak_slot, soak_system)


@pytest.fixture
def mock_soak(soak: Soak) -> Soak:
    """Return the soak of this test, on the mock system."""
    if soak.chain.system != "mock":
        pytest.fail("mock_soak must be an argument of the test or of its fixtures", pytrace=False)
    return soak


@pytest.fixture
def override_snapshot(request: pytest.FixtureRequest, soak: Soak) -> OverrideSnapshot:
    """Return the recorded patch of this iteration, ``assert result.patch == override_snapshot``.

    One recording for each chain, made and changed by ``--snapshot-update``.
    """
    from pytest_soak.runner.snapshots import open_snapshot  # noqa: PLC0415 - as above

    return open_snapshot(request, soak)
