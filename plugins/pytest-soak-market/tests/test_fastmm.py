"""The same market maker against an exchange that others wrote."""

from __future__ import annotations

import pytest

pytest.importorskip("websockets", reason="needs the extra live of pytest-soak-market")
pytest.importorskip("fastmm_live", reason="needs the extra fastmm; Linux on x86-64")

from tests.support import read_json

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
