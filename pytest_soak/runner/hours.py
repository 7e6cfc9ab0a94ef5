"""The plugin of an hours run: it starts each slot on time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.runner.chain import place_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_soak.model.pace import Clock

CLOCK: pytest.StashKey[Clock] = pytest.StashKey()
"""A clock that a test controls, set in its ``pytest_configure``; else the machine's is used."""


class Hours:
    """Waits between the slots of a chain, and drops those that the deadline leaves no time for."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait before an item, not at the end of the one before.

        So an iteration's lines are shown at once, `-x` and a failed chain end without a wait, and
        the limits of pytest-timeout and `faulthandler_timeout` do not include the wait.
        """
        place = place_of(item)
        pace = place.chain.pace(place.number) if place else None
        if place and pace:
            pace.reach(place.number)
        return (yield)
