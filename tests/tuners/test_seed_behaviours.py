"""The first behaviours of such a soak, each by its original name, on the market maker.

Five triggers, limits, multi-fail guard, spread cap, two changes per field, no triggers,
incremental steps; three iterations on the mock, without the flag, with S1, markers, structure.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from pytest_soak_market.plugin import PACK

from pytest_soak.store.artifacts import rebuild
from tests.logged import LoggedSoak
from tests.support import DEMO, chain_folder, patches, read_json, records

if TYPE_CHECKING:
    from pathlib import Path


INTERVAL, RATE, TAIL = "min_interval_ms", "replace_rate_per_min", "tail_age_ms"
SPREAD = "base_spread_bps_delta"
S1 = {INTERVAL: 60, RATE: 300, TAIL: 700, SPREAD: 0.0}

CANCEL = {"cancel_ratio": 0.60}
ADVERSE = {"adverse_bps_p95": 4.5}
SLIPPAGE = {"slippage_bps_p95": 3.5}
AGE = {"order_age_p95_ms": 345}
LAG = {"ws_lag_p95_ms": 160}
THIN = {"net_bps": 2.4}

SOAK = ("--soak-iterations=3", "--auto-tune", "--soak-pack=market-maker", "--soak-system=mock")
DEAF = "".join(
    f"[tool.pytest-soak.packs.market-maker.mock.{metric}.effects]\n"
    + "".join(f"{field} = 0\n" for field in answer.get("effects", ()))
    for metric, answer in tomllib.loads(PACK.read_text(encoding="utf-8"))["mock"].items()
)
"""Merged over the pack, it makes a mock whose metrics do not depend on the parameters."""
NO_ALARM = "[tool.pytest-soak.packs.market-maker.guards.alarm]\nenabled = false\n"
"""The alarm would stop the spread long before its limit."""


class Maker:
    """Soaks the market maker's mock in a calm scenario with given metrics."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makepyfile(test_demo=DEMO)

    def soak(self, metrics: dict[str, float], *args: str, pack: str = "") -> pytest.RunResult:
        """Run three iterations with trigger-table; *pack* is merged over the pack too."""
        numbers = "\n".join(f"{name} = {value}" for name, value in metrics.items())
        changed = f"[tool.pytest-soak.packs.market-maker.scenarios.calm.mock]\n{numbers}\n{pack}"
        self._pytester.makepyprojecttoml(changed)
        tuner = "--soak-tuner=trigger-table"
        return self._pytester.runpytest(*SOAK, "--soak-scenario=calm", tuner, *args)

    @property
    def folder(self) -> Path:
        """The chain's folder."""
        return chain_folder(self._pytester)

    def changed(self, iteration: int = 1) -> dict[str, float]:
        """Return the values that the patch after *iteration* sets."""
        patch = patches(self.folder)[iteration - 1]
        return {operation["path"][1:]: operation["value"] for operation in patch}

    def tuning(self) -> dict[str, Any]:
        """Return the decision after the first iteration."""
        tuning = read_json(self.folder / "ITER_SUMMARY_1.json")["tuning"]
        assert isinstance(tuning, dict)
        return tuning


@pytest.fixture
def maker(pytester: pytest.Pytester) -> Maker:
    return Maker(pytester)


@pytest.mark.parametrize(
    ("metrics", "changed", "reason"),
    [
        pytest.param(CANCEL, {INTERVAL: 80, RATE: 270}, "cancel_ratio>0.55", id="cancel_ratio"),
        pytest.param(ADVERSE, {SPREAD: 0.05}, "adverse/slippage>threshold", id="adverse"),
        pytest.param(SLIPPAGE, {SPREAD: 0.05}, "adverse/slippage>threshold", id="slippage"),
        pytest.param(AGE, {RATE: 270, TAIL: 750}, "order_age>330", id="order_age"),
        pytest.param(LAG, {INTERVAL: 80}, "ws_lag>120", id="ws_lag"),
        pytest.param(THIN, {SPREAD: 0.02}, "net_bps<2.5", id="net_bps"),
    ],
)
def test_five_triggers(
    maker: Maker, metrics: dict[str, float], changed: dict[str, float], reason: str
) -> None:
    result = maker.soak(metrics)
    assert maker.changed() == changed
    assert maker.tuning()["reasons"] == [reason]
    result.stdout.fnmatch_lines(
        [f"| soak_iter_tune | OK | ADJUSTMENTS={len(changed)} net_bps=*", f"  - {reason}"]
    )
    for field, value in changed.items():
        line = f"| runtime_adjust | OK | FIELD={field} FROM={S1[field]:g} TO={value:g} "
        result.stdout.fnmatch_lines([f"{line}REASON={reason} |"])


@pytest.mark.parametrize(
    ("metrics", "start", "changed", "notes"),
    [
        (CANCEL, {INTERVAL: 290, RATE: 130}, {INTERVAL: 300, RATE: 120}, ["cap", "floor"]),
        (CANCEL, {INTERVAL: 300, RATE: 120}, {}, ["hold", "hold"]),
        (AGE, {RATE: 125, TAIL: 980}, {RATE: 120, TAIL: 1000}, ["floor", "cap"]),
        (ADVERSE, {SPREAD: 0.58}, {SPREAD: 0.6}, ["cap"]),
        (LAG, {INTERVAL: 80}, {INTERVAL: 100}, []),  # beyond the apply bounds: not its corridor
    ],
)
def test_limits(
    maker: Maker,
    metrics: dict[str, float],
    start: dict[str, float],
    changed: dict[str, float],
    notes: list[str],
) -> None:
    seed = ", ".join(f'"{name}": {value}' for name, value in start.items())
    maker.soak(metrics, f"--soak-overrides={{{seed}}}", pack=DEAF + NO_ALARM)
    assert maker.changed() == changed
    assert sorted(maker.tuning()["notes"].values()) == sorted(notes)


@pytest.mark.parametrize(
    "metrics",
    [{**CANCEL, **ADVERSE, **LAG}, {**CANCEL, **SLIPPAGE, **AGE, **LAG}],
    ids=["three", "four"],
)
def test_multi_fail_guard(maker: Maker, metrics: dict[str, float]) -> None:
    result = maker.soak(metrics)
    assert maker.changed() == {SPREAD: 0.05, INTERVAL: 80, RATE: 270}
    assert maker.tuning()["reasons"] == ["multi_fail_guard"]
    result.stdout.fnmatch_lines(
        [
            "| soak_iter_tune | SKIP | REASON=multi_fail_guard |",
            "| soak_iter_tune | OK | ADJUSTMENTS=3 *",
            "  - withheld: cancel_ratio>0.55",
        ]
    )


def test_two_triggers_are_not_many(maker: Maker) -> None:
    result = maker.soak({**CANCEL, **LAG})
    assert maker.changed() == {INTERVAL: 100, RATE: 270}
    result.stdout.no_fnmatch_line("*multi_fail_guard*")


def test_spread_cap(maker: Maker) -> None:
    greedy = """
        [[tool.pytest-soak.packs.market-maker.rule]]
        tuner = ["trigger-table", "age-relief"]
        id = "adverse-slippage"
        step = { base_spread_bps_delta = 0.3 }
    """
    result = maker.soak(ADVERSE, pack=greedy)
    assert maker.changed() == {SPREAD: 0.1}
    result.stdout.fnmatch_lines(["  - withheld: step_cap: base_spread_bps_delta"])


def test_two_changes_per_field(maker: Maker) -> None:
    third = """
        [tool.pytest-soak.packs.market-maker.tuners.trigger-table.multi_fail]
        triggers = 9
        [[tool.pytest-soak.packs.market-maker.rule]]
        tuner = ["trigger-table", "age-relief"]
        id = "lag"
        step = { replace_rate_per_min = -30 }
    """
    result = maker.soak({**CANCEL, **AGE, **LAG}, pack=third)
    assert maker.changed() == {INTERVAL: 100, RATE: 240, TAIL: 750}
    result.stdout.fnmatch_lines(
        ["  - withheld: max_changes_per_field: replace_rate_per_min (ws_lag>120)"]
    )


def test_no_triggers(maker: Maker) -> None:
    result = maker.soak({})
    assert result.ret == 0
    assert patches(maker.folder) == [[], [], []]
    result.stdout.fnmatch_lines(
        [
            "| soak_iter_tune | OK | ADJUSTMENTS=0 metrics_stable |",
            "| iter_watch | APPLY | SKIP | iter=1 no deltas |",
        ]
    )


def test_incremental_steps(maker: Maker) -> None:
    maker.soak({"ws_lag_p95_ms": 400}, "--soak-iterations=6")
    reached = [maker.changed(iteration) for iteration in range(1, 7)]
    steps = [{INTERVAL: 80}, {INTERVAL: 100}, {INTERVAL: 120}, {INTERVAL: 140}]
    assert reached == [*steps, {}, {}]
    assert read_json(maker.folder / "runtime_overrides.json") == {INTERVAL: 140}


# ---- three iterations on the mock


STRESSED = (*SOAK, "--soak-scenario=stressed", "--soak-tuner=trigger-table")


def test_three_iterations_on_the_mock(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo="def test_demo(mock_soak): mock_soak.run()")
    result = pytester.runpytest(*STRESSED)
    result.assert_outcomes(passed=3, failed=1)  # two thirds of three iterations are the window
    first, *window = patches(chain_folder(pytester))
    assert {operation["path"] for operation in first} == {f"/{SPREAD}", f"/{INTERVAL}", f"/{RATE}"}
    assert window == [[], []]
    before, after = (
        read_json(chain_folder(pytester) / f"EDGE_REPORT_{number}.json") for number in (1, 2)
    )
    assert after["parameters"] == {**before["parameters"], SPREAD: 0.05, INTERVAL: 80, RATE: 270}
    assert after["totals"]["cancel_ratio"] < before["totals"]["cancel_ratio"]


def test_without_the_flag_nothing_is_tuned(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    untuned = [one for one in STRESSED if one != "--auto-tune" and "--soak-tuner" not in one]
    result = pytester.runpytest(*untuned)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert patches(chain_folder(pytester)) == [[], [], []]
    assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}
    for marker in ("soak_iter_tune", "runtime_adjust", "iter_watch"):
        result.stdout.no_fnmatch_line(f"| {marker} |*")


def test_with_s1(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_PROFILE", "S1")
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*STRESSED)
    result.stdout.fnmatch_lines(["| profile_apply | OK | PROFILE=S1 |"])
    profile = read_json(chain_folder(pytester) / "applied_profile.json")
    assert profile["profile"] == "S1"
    assert {name: profile["base"][name] for name in S1} == S1
    assert profile["applied"] == {**profile["base"], **profile["overrides_runtime"]}
    monkeypatch.setenv("MM_PROFILE", "S2")
    assert pytester.runpytest(*STRESSED).ret == pytest.ExitCode.USAGE_ERROR


def test_markers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*STRESSED)
    result.stdout.fnmatch_lines(
        [
            "| profile_apply | OK | PROFILE=S1 |",
            "| runtime_overrides | OK | SOURCE=profile |",
            "| save_applied_profile | OK | *applied_profile.json |",
            "| soak_iter_tune | SKIP | REASON=multi_fail_guard |",
            "| soak_iter_tune | OK | ADJUSTMENTS=3 net_bps=* cancel=0.7? age_p95=30? lag_p95=2?? |",
            "| runtime_adjust | OK | FIELD=min_interval_ms FROM=60 TO=80 REASON=multi_fail_guard |",
            "| iter_watch | APPLY | iter=1 params=3 |",
            "  min_interval_ms: 60 → 80 (Δ=+20)",
            "| iter_watch | SELF_CHECK | Diff for runtime_overrides.json (iter 1) |",
            "| soak_iter_tune | SKIP | REASON=observation_window |",
            "| iter_watch | APPLY | SKIP | iter=2 observation_window |",
            "| iter_watch | SUMMARY | steady apply complete |",
            "| kpi_gate | FAIL | REASONS=net_bps* |",
        ]
    )


def test_structure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*STRESSED)
    folder = chain_folder(pytester)
    left = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    assert {str(path.relative_to(folder)) for path in left} == {
        *dict(rebuild(records(folder))),
        *(
            f"{kind}_{number}.json"
            for kind in ("EDGE_REPORT", "ITER_SUMMARY")
            for number in (1, 2, 3)
        ),
        *("runtime_overrides.json", "applied_profile.json", "TUNING_REPORT.json", "KPI_GATE.json"),
        *("journal.jsonl", "backups/runtime_overrides_backup_1.json"),
    }
    profile = read_json(folder / "applied_profile.json")
    keys = {"profile", "base", "overrides_runtime", "runtime_adjustments", "applied"}
    assert set(profile) == keys
    for entry in profile["runtime_adjustments"]:
        assert set(entry) >= {"ts", "field", "from", "to", "reason"}
    summary = read_json(folder / "ITER_SUMMARY_1.json")
    assert set(summary) == {"iteration", "summary", "tuning"}
    tuning = {"deltas", "effective", "applied", "verified", "reasons", "skip_reason"}
    assert set(summary["tuning"]) >= tuning
    assert read_json(folder / "runtime_overrides.json") == {SPREAD: 0.05, INTERVAL: 80, RATE: 270}


def test_a_relaxing_step_is_applied_where_a_tightening_one_would_not_be(
    pytester: pytest.Pytester,
) -> None:
    logged = LoggedSoak(pytester)
    tight = {"min_interval_ms": 65, "impact_cap_ratio": 0.09, "base_spread_bps_delta": 0.2}
    scene = ("--soak-pack=market-maker", "--soak-system=mock", "--soak-scenario=calm")
    logged.soak(
        4,
        "--auto-tune",
        "--soak-tuner=iter-watcher",
        *scene,
        f"--soak-overrides={json.dumps(tight)}",
    )
    metrics = logged.read("ITER_SUMMARY_1.json")["summary"]["metrics"]
    assert metrics["risk_ratio"] < 0.35
    assert metrics["net_bps"] > 3.2  # tightening would not be applied here
    tuning = logged.read("ITER_SUMMARY_1.json")["tuning"]
    assert tuning["applied"] is True
    assert tuning["reasons"] == ["risk<0.35"]
    assert tuning["effective"] == {"min_interval_ms": -3, "impact_cap_ratio": 0.005}
    reached = logged.read("runtime_overrides.json")
    assert reached["min_interval_ms"] < 65
    assert reached["impact_cap_ratio"] > 0.09
