"""The market's report: its schema, the example that ships with it, and the reports it makes."""

from __future__ import annotations

import copy
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import convert
from pytest_soak_market.market import MarketSettings, MarketSystem
from pytest_soak_market.plugin import PACK as PATH
from pytest_soak_market.plugin import make_market

from pytest_soak.model.report import read_report
from pytest_soak.packs.loader import load_pack
from pytest_soak.schemas import schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PACK = load_pack(PATH)
S1 = PACK.profiles["S1"].fields
SCHEMA = json.loads(PATH.with_name("edge_report.schema.json").read_text(encoding="utf-8"))
EXAMPLE = json.loads(PATH.with_name("edge_report.example.json").read_text(encoding="utf-8"))
SEED = 7
"""Of the example: iteration 1 of S1 in the scenario thin_capital."""
METRICS = SCHEMA["properties"]["totals"]["properties"]
IN_WALL_CLOCK_TIME = {"feed_gap_ms", "ack_p95_ms", "process_rss_end_mb"}


def faults(report: object) -> list[str]:
    validator = Draft202012Validator(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(report)]


def report(
    scenario: str = "calm", seed: int = 1, changes: Mapping[str, float] | None = None
) -> Any:
    """Run a short iteration; *changes* are parameters of S1 or settings of the market."""
    changed = changes or {}
    parameters = {**S1, **{key: value for key, value in changed.items() if key in S1}}
    settings = {key: value for key, value in changed.items() if key not in S1}
    scene = {**PACK.scenarios[scenario]["market"], "slot_s": 3.0, **settings}
    made, _ = MarketSystem(convert(scene, MarketSettings)).run(parameters, 1, seed, None)
    return made


def test_the_schema_is_itself_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_example_is_what_the_schema_of_the_market_and_of_the_core_say() -> None:
    assert faults(EXAMPLE) == []
    assert not list(Draft202012Validator(schema_of("EDGE_REPORT_1.json")).iter_errors(EXAMPLE))


def test_example_schema_and_pack_name_the_same_metrics() -> None:
    aliases = {alias for metric in PACK.metrics.values() for alias, _ in metric.aliases}
    assert set(EXAMPLE["totals"]) == set(EXAMPLE["n"]) == {*PACK.metrics} - IN_WALL_CLOCK_TIME
    assert set(METRICS) == {*PACK.metrics, *aliases, *IN_WALL_CLOCK_TIME}
    counts = set(SCHEMA["properties"]["n"]["properties"])
    assert counts == {*PACK.metrics, *IN_WALL_CLOCK_TIME}


def test_the_pack_finds_nothing_wrong_with_the_example() -> None:
    read = read_report(EXAMPLE, 1, PACK.metrics)
    assert (read.problem, set(read.measured.problems)) == (None, {"process_rss_end_mb"})
    assert read.parameters == S1


def test_every_metric_and_parameter_says_its_unit_as_the_pack_does() -> None:
    for name, metric in PACK.metrics.items():
        if metric.kind == "number":
            assert METRICS[name]["description"].startswith(f"{metric.unit}: "), name
    parameters = SCHEMA["properties"]["parameters"]["properties"]
    assert set(parameters) == set(PACK.parameters)
    for name, parameter in PACK.parameters.items():
        assert parameters[name]["description"].startswith(f"{parameter.unit}: "), name


@pytest.mark.skipif(sys.platform != "linux", reason="another libm, another last digit")
def test_the_example_was_made_by_the_market() -> None:
    made, _ = make_market(PACK, "thin_capital").run(dict(S1), 1, SEED, None)
    assert json.loads(json.dumps(made)) == EXAMPLE


def test_the_example_adds_up() -> None:
    totals, n = EXAMPLE["totals"], EXAMPLE["n"]
    assert totals["inventory_bps"] == pytest.approx(
        totals["net_bps"] - (totals["markout_bps"] - totals["fees_bps"])
    )
    assert totals["fills"] == n["net_bps"] == EXAMPLE["symbols"]["BTC-USD"]["fills"]
    assert totals["orders"] == n["cancel_ratio"]
    assert totals["risk_ratio"] == totals["blocked"]["risk"]["share"]
    for block in totals["blocked"].values():
        assert block["share"] == pytest.approx(block["count"] / n["blocked"])
    assert n["markout_bps"] < n["net_bps"]
    assert n["adverse_bps_p95"] + n["slippage_taker_bps_p95"] < n["net_bps"]


@pytest.mark.parametrize("scenario", ["calm", "stressed", "thin_capital"])
def test_fresh_reports_are_what_the_schema_says(scenario: str) -> None:
    for seed in range(3):
        assert faults(report(scenario, seed)) == []


@pytest.mark.parametrize(
    ("changes", "undefined"),
    [
        ({"taker_rate": 0.0, "base_spread_bps": 50.0}, {"net_bps", "maker_share", "markout_bps"}),
        (
            {"min_interval_ms": 60_000.0},
            {"cancel_ratio", "reject_ratio", "order_age_p95_ms", "risk_ratio"},
        ),
        ({}, {"slippage_taker_bps_p95"}),
    ],
    ids=["no fills", "no decisions", "no taker fills"],
)
def test_what_rests_on_nothing_is_null_and_nothing_else_is(
    changes: dict[str, float], undefined: set[str]
) -> None:
    made = report(changes=changes)
    assert faults(made) == []
    totals, n = made["totals"], made["n"]
    assert undefined <= {name for name, value in totals.items() if value is None}
    for name, value in totals.items():
        if PACK.kind(name) == "number" and name not in ("fills", "orders"):
            assert (value is None) == (n[name] == 0), name


def test_a_losing_report_names_its_drivers() -> None:
    made = report(changes={"maker_rebate_bps": -8.0})
    assert faults(made) == []
    assert len(made["totals"]["neg_edge_drivers"]) == 2


def test_maker_share_may_be_given_in_per_cent() -> None:
    made = copy.deepcopy(EXAMPLE)
    made["totals"]["maker_share_pct"] = 100 * made["totals"].pop("maker_share")
    assert faults(made) == []
    share = read_report(made, 1, PACK.metrics).measured.values["maker_share"]
    assert share == pytest.approx(EXAMPLE["totals"]["maker_share"])


def test_a_report_of_before_rejects_were_counted_is_still_one() -> None:
    made = copy.deepcopy(EXAMPLE)
    del made["totals"]["reject_ratio"], made["n"]["reject_ratio"]
    assert faults(made) == []


def put(*path: str, to: object) -> Callable[[Any], object]:
    """Return what sets the value at *path*."""

    def puts(made: Any) -> None:
        for step in path[:-1]:
            made = made[step]
        made[path[-1]] = to

    return puts


@pytest.mark.parametrize(
    ("mischief", "where"),
    [
        (lambda made: made.pop("start"), "$: 'start'"),
        (put("start", to="yesterday"), "$.start"),
        (put("iteration", to=0), "$.iteration"),
        (put("totals", "net_bps", to="nan"), "$.totals.net_bps"),
        (put("totals", "net_bps", to=True), "$.totals.net_bps"),
        (put("totals", "maker_share", to=95), "$.totals.maker_share"),
        (lambda made: made["totals"].pop("maker_share"), "$.totals"),
        (lambda made: made["totals"].pop("risk_ratio"), "$.totals: 'risk_ratio'"),
        (put("totals", "net_bsp", to=1), "$.totals"),
        (put("totals", "fills", to=None), "$.totals.fills"),
        (put("totals", "ws_lag_p95_ms", to=-1), "$.totals.ws_lag_p95_ms"),
        (put("totals", "blocked", "risk", to=0.4), "$.totals.blocked.risk"),
        (put("totals", "blocked", "luck", to={"count": 1, "share": 1}), "$.totals.blocked"),
        (put("totals", "neg_edge_drivers", to=["luck"]), "$.totals.neg_edge_drivers[0]"),
        (put("n", "net_bps", to=-1), "$.n.net_bps"),
        (lambda made: made["n"].pop("cancel_ratio"), "$.n: 'cancel_ratio'"),
        (put("parameters", "tail_age_ms", to=None), "$.parameters.tail_age_ms"),
        (lambda made: made["parameters"].pop("tail_age_ms"), "$.parameters"),
        (put("symbols", to={}), "$.symbols"),
        (lambda made: made["symbols"]["BTC-USD"].pop("mid"), "$.symbols"),
        (lambda made: made["runtime"].pop("system"), "$.runtime"),
        (put("surprise", to=1), "$: "),
    ],
)
def test_a_wrong_report_is_refused_where_it_is_wrong(
    mischief: Callable[[Any], object], where: str
) -> None:
    made = copy.deepcopy(EXAMPLE)
    mischief(made)
    told = faults(made)
    assert len(told) == 1
    assert told[0].startswith(where)
