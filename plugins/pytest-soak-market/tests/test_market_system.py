"""The market is deterministic, carries its state over, and answers to its parameters."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from functools import cache
from random import Random
from statistics import fmean, stdev
from typing import Any, cast

import pytest
from msgspec import convert
from pytest_soak_market.live.settings import FastmmSettings, LiveSettings
from pytest_soak_market.market import MarketSettings, MarketSystem
from pytest_soak_market.market.messages import Message, Request, RequestKind, Topic
from pytest_soak_market.market.parameters import MakerParameters
from pytest_soak_market.market.recorder import Recorder
from pytest_soak_market.market.session import Session
from pytest_soak_market.plugin import PACK as PATH
from pytest_soak_market.plugin import make_market

from pytest_soak import SoakUsageError
from pytest_soak.packs.check import schema_of
from pytest_soak.packs.loader import load_pack

SCENARIOS = {
    name: systems["market"]
    for name, systems in tomllib.loads(PATH.read_text(encoding="utf-8"))["scenarios"].items()
}
S1 = {
    "min_interval_ms": 60.0,
    "replace_rate_per_min": 300.0,
    "base_spread_bps_delta": 0.0,
    "impact_cap_ratio": 0.10,
    "max_delta_ratio": 0.15,
    "tail_age_ms": 700.0,
    "base_spread_bps": 0.85,
    "concurrency_limit": 2.0,
    "slippage_penalty_coef": 0.10,
    "vip_tilt_cap": 0.15,
    "inventory_tilt_cap": 0.20,
}
METRICS = {
    "net_bps",
    "gross_bps",
    "fees_bps",
    "inventory_bps",
    "markout_bps",
    "adverse_bps_p95",
    "slippage_bps_p95",
    "slippage_taker_bps_p95",
    "cancel_ratio",
    "replace_ratio",
    "reject_ratio",
    "order_age_p95_ms",
    "ws_lag_p95_ms",
    "maker_share",
    "risk_ratio",
    "blocked",
    "neg_edge_drivers",
    "fills",
    "orders",
}
SEEDS = range(6)


def run(
    seed: int, state: object | None = None, slot_s: float = 20.0, **changes: object
) -> tuple[dict[str, Any], Any]:
    """Run one iteration; changes are parameters of S1 or, by their names, settings."""
    parameters = {**S1, **{key: value for key, value in changes.items() if key in S1}}
    settings = {key: value for key, value in changes.items() if key not in S1}
    system = MarketSystem(convert({"slot_s": slot_s, **settings}, MarketSettings))
    return system.run(cast("dict[str, float]", parameters), 1, seed, state)


@cache
def samples(metric: str, *changes: tuple[str, float]) -> list[float]:
    """Return a metric for every seed, under changed parameters or settings."""
    return [_reports(changes)[seed]["totals"][metric] for seed in SEEDS]


@cache
def _reports(changes: tuple[tuple[str, float], ...]) -> list[dict[str, Any]]:
    return [run(seed, **dict(changes))[0] for seed in SEEDS]


def assert_rises(
    metric: str, low: tuple[str, float], high: tuple[str, float], *rest: tuple[str, float]
) -> None:
    """Assert that a metric is higher by more than three standard errors of the difference."""
    lower, higher = samples(metric, low, *rest), samples(metric, high, *rest)
    error = ((stdev(lower) ** 2 + stdev(higher) ** 2) / len(SEEDS)) ** 0.5
    assert fmean(higher) - fmean(lower) > 3 * error


def blocked(reason: str, **changes: float) -> int:
    """Return how many quote decisions were blocked for a reason."""
    return cast("int", run(1, **changes)[0]["totals"]["blocked"][reason]["count"])


def test_a_seed_gives_the_same_bytes() -> None:
    assert json.dumps(run(7, slot_s=5.0)) == json.dumps(run(7, slot_s=5.0))


def test_another_seed_gives_another_market() -> None:
    assert run(7, slot_s=5.0)[0]["totals"] != run(8, slot_s=5.0)[0]["totals"]


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_state_survives_json(scenario: str) -> None:
    settings = {**SCENARIOS[scenario], "slot_s": 5.0}
    system = MarketSystem(convert(settings, MarketSettings))
    _, state = system.run(S1, 1, 11, None)
    stored = json.loads(json.dumps(state, allow_nan=False))
    assert stored == state
    assert json.dumps(system.run(S1, 2, 12, stored)) == json.dumps(system.run(S1, 2, 12, state))


def test_running_on_leaves_the_state_alone() -> None:
    _, state = run(1, slot_s=5.0)
    before = json.dumps(state)
    run(2, state, slot_s=5.0)
    assert json.dumps(state) == before


def test_orders_inventory_and_time_carry_over() -> None:
    first, state = run(1, slot_s=5.0)
    second, later = run(2, state, slot_s=5.0)
    assert state["lots"] == state["maker"]["lots"]
    assert any(order["owner"] == 1 for order in state["orders"])
    assert second["start"] > first["end"]
    assert later["now_s"] == 10.0
    carried = {order_id for order_id, _ in state["maker"]["quotes"]}
    assert later["maker"]["next_id"] > max(carried)


def test_warm_up_is_not_measured() -> None:
    report, _ = run(1, slot_s=5.0)
    assert report["start"] == "2025-01-01T00:00:00.500+00:00"
    assert report["end"] == "2025-01-01T00:00:05.000+00:00"
    assert report["runtime"]["measured_s"] == 4.5


def test_the_report_has_every_metric_with_its_count_and_what_was_used() -> None:
    report, _ = run(1, slot_s=5.0)
    assert set(report["totals"]) == set(report["n"]) == METRICS
    assert report["parameters"] == S1
    assert set(report["totals"]["blocked"]) == {"min_interval", "concurrency", "risk", "throttle"}
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report["symbols"]) == ["BTC-USD"]


def test_fills_of_the_last_second_are_left_out_of_what_looks_ahead() -> None:
    report, _ = run(1, slot_s=5.0)
    assert 0 < report["n"]["markout_bps"] < report["n"]["net_bps"] == report["totals"]["fills"]


def test_without_fills_what_divides_by_them_is_undefined() -> None:
    totals = run(1, slot_s=3.0, taker_rate=0.0, base_spread_bps=50.0)[0]["totals"]
    assert totals["fills"] == 0
    assert all(
        totals[name] is None
        for name in (
            "net_bps",
            "gross_bps",
            "fees_bps",
            "inventory_bps",
            "markout_bps",
            "adverse_bps_p95",
            "slippage_bps_p95",
            "slippage_taker_bps_p95",
            "maker_share",
        )
    )
    assert totals["neg_edge_drivers"] == []
    assert totals["ws_lag_p95_ms"] is not None


def test_a_maker_that_never_decides_has_no_ratios() -> None:
    totals = run(1, slot_s=3.0, min_interval_ms=60_000.0)[0]["totals"]
    assert totals["orders"] == 0
    assert totals["cancel_ratio"] is None
    assert totals["order_age_p95_ms"] is None
    assert totals["risk_ratio"] is None
    assert totals["blocked"]["risk"] == {"count": 0, "share": None}


def test_a_losing_market_names_its_drivers() -> None:
    totals = run(1, slot_s=5.0, maker_rebate_bps=-8.0)[0]["totals"]
    assert totals["net_bps"] < 0
    assert totals["neg_edge_drivers"][0] == "fees"
    assert len(totals["neg_edge_drivers"]) == 2


@pytest.mark.parametrize("metric", ["net_bps", "cancel_ratio", "order_age_p95_ms"])
def test_a_wider_spread_lifts(metric: str) -> None:
    assert_rises(metric, ("base_spread_bps_delta", 0.0), ("base_spread_bps_delta", 0.6))


def test_what_is_quoted_is_base_plus_delta() -> None:
    by_base, _ = run(3, slot_s=5.0, base_spread_bps=1.0, base_spread_bps_delta=0.0)
    by_delta, _ = run(3, slot_s=5.0, base_spread_bps=0.75, base_spread_bps_delta=0.25)
    assert by_base["totals"] == by_delta["totals"]


@pytest.mark.parametrize("metric", ["cancel_ratio", "risk_ratio"])
def test_a_larger_size_lifts(metric: str) -> None:
    assert_rises(metric, ("impact_cap_ratio", 0.04), ("impact_cap_ratio", 0.12))


def test_a_larger_inventory_limit_lowers_risk() -> None:
    assert_rises("risk_ratio", ("max_delta_ratio", 0.2), ("max_delta_ratio", 0.1))


def test_the_venue_refuses_more_the_older_the_news_that_an_order_rests_on() -> None:
    assert_rises("reject_ratio", ("latency_ms", 1.0), ("latency_ms", 40.0))


def test_only_orders_of_the_iteration_are_sent_or_refused_in_it() -> None:
    recorder = Recorder(0.0, 1.0, 0.0, 0, 100.0, end_s=2.0)
    for at_s in (0.9, 1.0, 2.0, 2.1):
        kinds = (RequestKind.NEW, RequestKind.REPLACE, RequestKind.CANCEL, RequestKind.HEDGE)
        recorder.note_sent([Request(kind, at_s, 1) for kind in kinds])
        recorder.note(Message(at_s, 100.0, Topic.ENDED, 1))
        recorder.note(Message(at_s, 100.0, Topic.ENDED, 1, cause="filled"))
    assert (recorder.sent, recorder.refused, len(recorder.ends)) == (4, 2, 2)


def test_a_longer_interval_means_fewer_orders() -> None:
    assert_rises("orders", ("min_interval_ms", 120.0), ("min_interval_ms", 50.0))


def test_a_higher_replace_rate_means_more_replaces_and_younger_orders() -> None:
    low, high = ("replace_rate_per_min", 120.0), ("replace_rate_per_min", 360.0)
    assert_rises("replace_ratio", low, high)
    assert_rises("order_age_p95_ms", high, low)


def test_a_longer_tail_age_lets_far_orders_grow_older() -> None:
    throttled = ("replace_rate_per_min", 120.0)
    assert_rises("order_age_p95_ms", ("tail_age_ms", 400.0), ("tail_age_ms", 1000.0), throttled)


def test_more_volatility_means_more_adverse_selection() -> None:
    assert_rises("adverse_bps_p95", ("volatility_bps", 1.8), ("volatility_bps", 4.0))


def test_more_inventory_tilt_means_less_risk() -> None:
    assert_rises("risk_ratio", ("inventory_tilt_cap", 1.0), ("inventory_tilt_cap", 0.0))


def test_a_slippage_penalty_widens_the_quotes_of_a_maker_that_hedges() -> None:
    thin = SCENARIOS["thin_capital"].items()
    low, high = ("slippage_penalty_coef", 0.0), ("slippage_penalty_coef", 3.0)
    assert_rises("gross_bps", low, high, *thin)


def test_a_vip_tilt_moves_the_quotes() -> None:
    still, _ = run(1, slot_s=5.0, vip_tilt_cap=0.0)
    tilted, _ = run(1, slot_s=5.0, vip_tilt_cap=1.0)
    assert still["totals"]["gross_bps"] != tilted["totals"]["gross_bps"]


def test_each_reason_to_block_can_be_seen() -> None:
    assert blocked("risk", max_delta_ratio=0.1) > 0
    assert blocked("throttle", replace_rate_per_min=60.0, danger_bps=5.0) > 0
    assert blocked("min_interval", min_interval_ms=200.0) > 0
    assert blocked("concurrency", concurrency_limit=1.0, replace_rate_per_min=60.0) > 0


def test_an_idle_maker_lags_by_the_network() -> None:
    totals = run(1, slot_s=5.0, decision_cost_ms=0.0, feed_cost_ms=0.0, request_cost_ms=0.0)[0]
    assert totals["totals"]["ws_lag_p95_ms"] == pytest.approx(0.4)


def test_a_decision_dearer_than_the_interval_overloads_the_feed_and_is_forgotten_after() -> None:
    overloaded, state = run(1, slot_s=5.0, decision_cost_ms=90.0)
    assert overloaded["totals"]["ws_lag_p95_ms"] > 1000
    paced, _ = run(2, state, slot_s=5.0, decision_cost_ms=90.0, min_interval_ms=200.0)
    assert paced["totals"]["ws_lag_p95_ms"] < 120


def test_a_thin_maker_meets_its_risk_rule_and_pays_for_hedges() -> None:
    totals = run(1, slot_s=60.0, **SCENARIOS["thin_capital"])[0]["totals"]
    assert totals["risk_ratio"] > 0.4
    assert totals["maker_share"] < 0.98
    assert totals["slippage_taker_bps_p95"] > 2.5


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_the_books_balance(scenario: str) -> None:
    settings = {**SCENARIOS[scenario], "slot_s": 5.0}
    report, state = MarketSystem(convert(settings, MarketSettings)).run(S1, 1, 5, None)
    totals = cast("dict[str, Any]", report["totals"])
    assert totals["inventory_bps"] == pytest.approx(
        totals["net_bps"] - (totals["markout_bps"] - totals["fees_bps"])
    )
    assert totals["maker_share"] <= 1
    orders = cast("dict[str, Any]", state)["orders"]
    bids = [order["price"] for order in orders if order["side"] == 1]
    asks = [order["price"] for order in orders if order["side"] == -1]
    assert max(bids) < min(asks)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_shipped_scenarios_are_valid_settings(scenario: str) -> None:
    assert convert(SCENARIOS[scenario], MarketSettings) is not None


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ({"volatility": 1.0}, "market: unknown key 'volatility', did you mean 'volatility_bps'"),
        ({"capital": "much"}, "market.capital: 'much' given; allowed: a finite number"),
        ({"capital": True}, "market.capital: True given; allowed: a finite number"),
        ({"capital": 1.0}, "market.capital: 1.0 given; allowed: 1000 or more"),
        ({"capital": float("nan")}, "market.capital: nan given; allowed: a finite number"),
        ({"makers": 2.5}, "market.makers: 2.5 given; allowed: a whole number"),
        ({"symbol": ""}, "market.symbol: '' given; allowed: a text that is not empty"),
    ],
)
def test_wrong_settings_say_what_is_wrong(mapping: dict[str, object], complaint: str) -> None:
    pack = replace(load_pack(PATH), scenarios={"odd": {"market": mapping}})
    with pytest.raises(SoakUsageError, match=re.escape(f"scenarios.odd.{complaint}")):
        make_market(pack, "odd")


@pytest.mark.parametrize("kind", [MarketSettings, LiveSettings, FastmmSettings])
def test_every_number_among_the_settings_has_a_unit_and_a_range(kind: type) -> None:
    for name, setting in schema_of(kind)["$defs"][kind.__name__]["properties"].items():
        if name not in {"symbol", "faults"}:
            assert setting["unit"]
            assert setting["minimum"] <= setting["default"] <= setting["maximum"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"min_interval_ms": -1.0}, "min_interval_ms must be a number from 0"),
        ({"min_interval_ms": float("inf")}, "min_interval_ms must be a number from 0"),
        ({"tail_age_ms": True}, "tail_age_ms must be a number from 0"),
        ({"max_delta_ratio": 0.0}, "max_delta_ratio must be above 0"),
        ({"leverage": 2.0}, "unknown: leverage"),
    ],
)
def test_wrong_parameters_say_what_is_wrong(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        MarketSystem(MarketSettings()).run({**S1, **change}, 1, 1, None)


def test_a_missing_parameter_is_named() -> None:
    without = {key: value for key, value in S1.items() if key != "tail_age_ms"}
    with pytest.raises(ValueError, match="missing: tail_age_ms"):
        MarketSystem(MarketSettings()).run(without, 1, 1, None)


def test_requests_on_their_way_arrive_in_the_next_iteration() -> None:
    _, state = run(1, slot_s=5.0, latency_ms=400.0)
    assert state["requests"]
    settings = convert({"latency_ms": 400.0}, MarketSettings)
    parameters = MakerParameters.from_mapping(S1)
    taken_up = Session(settings, parameters, Random(2), 0.5, state)
    assert taken_up.dump() == state
    taken_up.run(state["requests"][-1]["arrives_s"])
    there = {request["order_id"] for request in taken_up.dump()["requests"]}
    assert there.isdisjoint(request["order_id"] for request in state["requests"])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("", "*demo.toml: scenario 'busy' has no *; scenarios for the system market: none"),
        ("nope = 1", "ERROR: *: scenarios.busy.market: unknown key 'nope'; allowed: *"),
    ],
)
def test_a_scenario_without_valid_settings_for_the_market_is_refused(
    pytester: pytest.Pytester, settings: str, line: str
) -> None:
    if settings:
        pytester.makepyprojecttoml(
            f"[tool.pytest-soak.packs.demo.scenarios.busy.market]\n{settings}"
        )
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    result = pytester.runpytest("--soak-iterations=4", "--soak-pack=demo", "--soak-system=market")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


@pytest.mark.parametrize("value", ["-1", "0"])
def test_parameters_that_the_market_cannot_run_with_are_refused(
    pytester: pytest.Pytester, value: str
) -> None:
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    result = pytester.runpytest(
        "--soak-iterations=1",
        "--soak-pack=market-maker",
        f'--soak-overrides={{"concurrency_limit": {value}}}',
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*system market: the parameters it would start with: *concurr*"])
