"""The closed-loop mock under the trigger table, with every change it makes recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_soak import Soak
    from pytest_soak.runner.snapshots import OverrideSnapshot


@pytest.mark.soak(scenario="stressed", tuner="trigger-table")
def test_mock(mock_soak: Soak, override_snapshot: OverrideSnapshot) -> None:
    """Each iteration changes what it changed when it was recorded."""
    result = mock_soak.run()
    assert result.patch == override_snapshot
