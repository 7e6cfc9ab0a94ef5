"""The same market maker against an exchange that others wrote."""

from __future__ import annotations

import signal
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from msgspec import convert

pytest.importorskip("websockets", reason="needs the extra live of pytest-soak-market")
pytest.importorskip("fastmm_live", reason="needs the extra fastmm; Linux on x86-64")

psutil = pytest.importorskip("psutil", reason="looks for processes that were left behind")

from pytest_soak_market.live import children  # noqa: E402 - after the skips
from pytest_soak_market.live.settings import FastmmSettings  # noqa: E402 - as above
from pytest_soak_market.live.system import FastmmSystem  # noqa: E402 - as above
from pytest_soak_market.plugin import LIVE_PACK  # noqa: E402 - as above

from pytest_soak import SystemFailure  # noqa: E402 - as above
from pytest_soak.packs.loader import load_pack  # noqa: E402 - as above
from tests.support import read_json  # noqa: E402 - as above

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


def test_the_maker_trades_and_keeps_up_at_fastmm_sim_exchange(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.soak(pack="market-maker-live", system="market-fastmm", scenario="calm")
        def test_calm(soak):
            soak.run()
        """
    )
    plain = ("-p", "no:randomly", "-p", "no:cacheprovider")
    done = pytester.runpytest_subprocess(*plain, "--soak-iterations=2", timeout=120)
    assert done.ret == 0, done.stdout.str()
    (folder,) = (pytester.path / "artifacts" / "soak").glob("test_calm-*")
    for number in (1, 2):
        report = read_json(folder / f"EDGE_REPORT_{number}.json")
        assert report["runtime"]["system"] == "market-fastmm"
        totals = report["totals"]
        assert totals["fills"] > 0
        assert totals["orders"] > 0
        assert totals["fees_bps"] == pytest.approx(-1.8, abs=0.01)
        assert totals["ws_lag_p95_ms"] < 120


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_fastmms_exchange_ends_even_if_its_parent_is_killed(
    tmp_path: Path, fate: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "GRACE_S", 0.3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # of this process
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # of those that it starts
    pack = load_pack(LIVE_PACK)
    settings = pack.scenarios["calm"]["market-fastmm"]
    market = FastmmSystem(convert({**settings, "slot_s": 2}, FastmmSettings))
    try:
        exchange, maker, _ = market._start()
        (theirs,) = psutil.Process(exchange.process.pid).children()
        assert theirs.name().startswith("fastmm-sim")
        exchange.process.send_signal(fate)
        if fate is not signal.SIGSTOP:
            exchange.process.wait()
            with pytest.raises(SystemFailure, match="the exchange ended"):
                market.run(dict(pack.profiles["S1"].fields), 1, 7, None)
    finally:
        market.close()
    with suppress(psutil.NoSuchProcess):  # one that nobody waits for stays as a zombie
        assert theirs.status() == psutil.STATUS_ZOMBIE
    assert maker.process.poll() is not None
    assert list(tmp_path.iterdir()) == []
