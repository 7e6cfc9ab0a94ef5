"""The part of the plugin that only an hours run has: it keeps each slot to its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.runner.chain import place_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_soak.model.pace import Clock

CLOCK: pytest.StashKey[Clock] = pytest.StashKey()
"""Where a test puts the clock that it turns, in its ``pytest_configure``; without one it is the
machine's."""


class Hours:
    """Waits between the slots of a chain, and drops those that the deadline leaves no time for."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait before the next item, not in the last one.

        So what an iteration has to show is shown at once, `-x` and a failed chain end without a
        wait, and no limit of pytest-timeout or of `faulthandler_timeout` runs meanwhile.
        """
        place = place_of(item)
        pace = place.chain.pace(place.number) if place else None
        if place and pace:
            pace.reach(place.number)
        return (yield)
