"""The pack's tuners and the market keep the promises of their kinds."""

from __future__ import annotations

import pytest
from pytest_soak_market.plugin import PACK, make_market

from pytest_soak.testing import SystemConformance, TunerConformance, check_tuner


class TestIterWatcher(TunerConformance):
    strategy, pack, examples = "iter-watcher", PACK, 8


@pytest.mark.parametrize("table", ["trigger-table", "age-relief"])
def test_a_table_of_triggers_keeps_every_promise_of_a_tuner(table: str) -> None:
    check_tuner(table, pack=PACK, examples=4)


class TestMarket(SystemConformance):
    strategy, pack = staticmethod(make_market), PACK
