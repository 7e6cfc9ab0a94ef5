"""A market maker with too little capital, in a real order book."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_soak import Soak

ENOUGH_FILLS = 500


@pytest.mark.soak(system="market", scenario="thin_capital")
def test_market(soak: Soak) -> None:
    """Each iteration trades enough for its figures to mean something."""
    result = soak.run()
    assert result.summary.number("fills") > ENOUGH_FILLS
