"""The market-maker pack: its parameters, KPIs and tables, row by row against the specification."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_soak_market.plugin import PACK as PATH

from pytest_soak.config.overrides import read_overrides
from pytest_soak.config.request import OverridesText
from pytest_soak.gates.kpi import KpiGate
from pytest_soak.guards.conflict import Conflict
from pytest_soak.model.decision import Decision, requests_of
from pytest_soak.model.history import Entry, History
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Condition
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Verdict
from pytest_soak.packs.loader import load_pack
from pytest_soak.systems.mock import MockSystem
from pytest_soak.tuners.table import TableTuner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.metrics import Value
    from pytest_soak.model.pack import Pack

PACK: Pack = load_pack(PATH)
S1 = PACK.profiles["S1"].fields
CI: dict[str, float] = json.loads(PATH.with_name("default_overrides.json").read_text("utf-8"))

INTERVAL, RATE, TAIL = "min_interval_ms", "replace_rate_per_min", "tail_age_ms"
SPREAD, IMPACT, DELTA = "base_spread_bps_delta", "impact_cap_ratio", "max_delta_ratio"

QUIET: Mapping[str, Value] = {
    "net_bps": 2.8,
    "cancel_ratio": 0.4,
    "order_age_p95_ms": 300,
    "ws_lag_p95_ms": 90,
    "adverse_bps_p95": 3.0,
    "slippage_bps_p95": 2.0,
    "maker_share": 0.95,
    "risk_ratio": 0.37,
}
N = dict.fromkeys(PACK.metrics, 100)
CANCEL: Mapping[str, Value] = {"cancel_ratio": 0.56}
ADVERSE: Mapping[str, Value] = {"adverse_bps_p95": 4.01}
SLIPPAGE: Mapping[str, Value] = {"slippage_bps_p95": 3.01}
AGE: Mapping[str, Value] = {"order_age_p95_ms": 331}
LAG: Mapping[str, Value] = {"ws_lag_p95_ms": 121}
THIN: Mapping[str, Value] = {"net_bps": 2.49}


def proposed(
    table: str, metrics: Mapping[str, Value], start: Mapping[str, float] = S1, /, **moved: float
) -> Proposal:
    parameters = {**start, **moved}
    summary = Summary(1, parameters, {**QUIET, **metrics})
    return TableTuner(PACK, PACK.tables[table]).propose(History([Entry(summary)]), parameters)


def applied(
    table: str, metrics: Mapping[str, Value], start: Mapping[str, float], /, **moved: float
) -> Decision:
    """Return what *table* asks for, clamped to its corridor."""
    parameters = {**start, **moved}
    proposal = proposed(table, metrics, start, **moved)
    requests = requests_of(table, proposal, TableTuner(PACK, PACK.tables[table]).corridor)
    settings = Conflict.Settings()
    return Conflict(PACK).review(History(), Decision(1, parameters, requests), settings)


def effective(decision: Decision) -> dict[str, float]:
    return {change.parameter: change.effective for change in decision.moves}


@pytest.mark.parametrize(
    ("name", "unit", "base", "limits", "apply", "calm", "precision"),
    [
        (INTERVAL, "ms", 60, (50, 300), (40, 80), "up", 1),
        (RATE, "1/min", 300, (120, 360), (200, 320), "down", 1),
        (SPREAD, "bps", 0.0, (0.0, 0.6), (0.08, 0.25), "up", 0.001),
        (IMPACT, "1", 0.10, (0.04, 0.12), (0.08, 0.12), "down", 0.001),
        (DELTA, "1", 0.15, (0.10, 0.20), (0.10, 0.16), "down", 0.001),
        (TAIL, "ms", 700, (400, 1000), (500, 800), "up", 1),
    ],
)
def test_parameters_are_those_of_the_specification(
    name: str,
    *,
    unit: str,
    base: float,
    limits: tuple[float, float],
    apply: tuple[float, float],
    calm: str,
    precision: float,
) -> None:
    parameter = PACK.parameters[name]
    assert (parameter.unit, parameter.calm, parameter.precision) == (unit, calm, precision)
    assert (parameter.limits.lo, parameter.limits.hi) == limits
    assert (parameter.apply.lo, parameter.apply.hi) == apply
    assert S1[name] == base


def test_s1_carries_the_fields_that_no_tuner_touches() -> None:
    fixed = {name: value for name, value in S1.items() if name not in PACK.parameters}
    assert fixed == {
        "base_spread_bps": 0.85,
        "concurrency_limit": 2,
        "slippage_penalty_coef": 0.10,
        "vip_tilt_cap": 0.15,
        "inventory_tilt_cap": 0.20,
    }


def test_the_overrides_of_a_ci_run_are_taken_as_they_are() -> None:
    assert CI == {SPREAD: 0.14, IMPACT: 0.09, DELTA: 0.14, INTERVAL: 65, RATE: 280, TAIL: 620}
    seeding = read_overrides(
        OverridesText("option", "ci", json.dumps(CI)), PACK, PACK.profiles[PACK.profile]
    )
    assert seeding.overrides == CI


@pytest.mark.parametrize(
    ("metric", "values", "words"),
    [
        ("net_bps", (2.5, 2.499), ("PASS", "FAIL")),
        ("cancel_ratio", (0.55, 0.56, 0.70, 0.71), ("PASS", "WARN", "WARN", "FAIL")),
        ("reject_ratio", (0.10, 0.11, 0.20, 0.80), ("PASS", "WARN", "WARN", "FAIL")),
        ("order_age_p95_ms", (330, 331, 360, 361), ("PASS", "WARN", "WARN", "FAIL")),
        ("maker_share", (0.85, 0.849), ("PASS", "FAIL")),
        ("adverse_bps_p95", (4.0, 4.01, 6.0, 6.01), ("PASS", "WARN", "WARN", "FAIL")),
        ("slippage_bps_p95", (3.0, 3.01, 5.0, 5.01), ("PASS", "WARN", "WARN", "FAIL")),
        ("ws_lag_p95_ms", (120, 121, 180, 181), ("PASS", "WARN", "WARN", "FAIL")),
    ],
)
def test_kpis_are_strict_as_written(
    metric: str, values: tuple[float, ...], words: tuple[str, ...]
) -> None:
    gate = KpiGate(PACK.kpis)
    for value, word in zip(values, words, strict=True):
        judged = {j.metric: j.verdict.name for j in gate.judge({**QUIET, metric: value}, N)}
        assert judged == {**dict.fromkeys(judged, "PASS"), metric: word}


PERCENTILES = {"order_age_p95_ms", "adverse_bps_p95", "slippage_bps_p95", "ws_lag_p95_ms"}


@pytest.mark.parametrize("n", [99, 1, None])
def test_a_percentile_of_too_few_values_or_of_untold_many_is_no_pass(n: int | None) -> None:
    counts = {} if n is None else {**N, **dict.fromkeys(PERCENTILES, n)}
    judged = KpiGate(PACK.kpis).judge(QUIET, counts)
    assert {j.metric for j in judged if j.verdict is Verdict.INCONCLUSIVE} == PERCENTILES


def test_what_a_system_or_an_old_report_may_not_have_is_optional() -> None:
    optional = {kpi.metric for kpi in PACK.kpis if kpi.optional}
    assert optional == {"reject_ratio", "process_rss_end_mb"}
    assert optional.isdisjoint(QUIET)


# ---- trigger-table


def test_with_every_value_at_its_limit_no_trigger_fires() -> None:
    edge: Mapping[str, Value] = {
        "cancel_ratio": 0.55,
        "adverse_bps_p95": 4,
        "slippage_bps_p95": 3,
        "order_age_p95_ms": 330,
        "ws_lag_p95_ms": 120,
        "net_bps": 2.5,
    }
    assert proposed("trigger-table", edge) == Proposal()


@pytest.mark.parametrize(
    ("metrics", "deltas", "reason"),
    [
        pytest.param(CANCEL, {INTERVAL: 20, RATE: -30}, "cancel_ratio>0.55", id="cancel"),
        pytest.param(ADVERSE, {SPREAD: 0.05}, "adverse/slippage>threshold", id="adverse"),
        pytest.param(SLIPPAGE, {SPREAD: 0.05}, "adverse/slippage>threshold", id="slippage"),
        pytest.param(
            {**ADVERSE, **SLIPPAGE}, {SPREAD: 0.05}, "adverse/slippage>threshold", id="both, once"
        ),
        pytest.param(AGE, {RATE: -30, TAIL: 50}, "order_age>330", id="age"),
        pytest.param(LAG, {INTERVAL: 20}, "ws_lag>120", id="lag"),
        pytest.param(THIN, {SPREAD: 0.02}, "net_bps<2.5", id="thin"),
    ],
)
def test_each_trigger_asks_for_its_row(
    metrics: Mapping[str, Value], deltas: dict[str, float], reason: str
) -> None:
    proposal = proposed("trigger-table", metrics)
    assert proposal.deltas == deltas
    assert proposal.reasons == (reason,)
    assert proposal.withheld == ()


@pytest.mark.parametrize("other", [CANCEL, ADVERSE, SLIPPAGE, AGE, LAG])
def test_a_thin_edge_counts_only_where_nothing_else_fires(other: Mapping[str, Value]) -> None:
    assert proposed("trigger-table", {**THIN, **other}) == proposed("trigger-table", other)


@pytest.mark.parametrize(
    ("metrics", "deltas"),
    [
        ({**CANCEL, **AGE}, {INTERVAL: 20, RATE: -60, TAIL: 50}),
        ({**CANCEL, **LAG}, {INTERVAL: 40, RATE: -30}),
        ({**ADVERSE, **LAG}, {SPREAD: 0.05, INTERVAL: 20}),
        ({**AGE, **LAG}, {RATE: -30, TAIL: 50, INTERVAL: 20}),
    ],
)
def test_two_triggers_add_up_to_two_changes_of_a_field(
    metrics: Mapping[str, Value], deltas: dict[str, float]
) -> None:
    proposal = proposed("trigger-table", metrics)
    assert proposal.deltas == deltas
    assert all(reason.count("+") < 2 for reason in proposal.reason_of.values())


TRIGGERS = (CANCEL, ADVERSE, AGE, LAG)


@given(st.sets(st.integers(0, 3), min_size=3), st.booleans())
def test_three_triggers_or_more_are_dropped_for_the_calming_package(
    which: set[int],
    thin: bool,
) -> None:
    metrics: dict[str, Value] = dict(THIN) if thin else {}
    for number in which:
        metrics |= TRIGGERS[number]
    proposal = proposed("trigger-table", metrics)
    assert proposal.deltas == {SPREAD: 0.05, INTERVAL: 20, RATE: -30}
    assert proposal.reasons == ("multi_fail_guard",)
    assert "multi_fail_guard" in proposal.withheld


FIGURES = st.fixed_dictionaries(
    {
        "net_bps": st.floats(-5, 5),
        "cancel_ratio": st.floats(0, 1),
        "order_age_p95_ms": st.floats(0, 1000),
        "ws_lag_p95_ms": st.floats(0, 500),
        "adverse_bps_p95": st.floats(-5, 10),
        "slippage_bps_p95": st.floats(-5, 10),
        "risk_ratio": st.floats(0, 1),
    }
)
SETTINGS = st.fixed_dictionaries(
    {
        name: st.floats(parameter.limits.lo, parameter.limits.hi).map(parameter.quantize)
        for name, parameter in PACK.parameters.items()
    }
)


@given(FIGURES, SETTINGS)
def test_the_spread_moves_at_most_a_tenth_in_an_iteration(
    metrics: dict[str, Value], parameters: dict[str, float]
) -> None:
    moved = effective(applied("trigger-table", metrics, {**S1, **parameters}))
    assert abs(moved.get(SPREAD, 0)) <= 0.1


@pytest.mark.parametrize("table", ["trigger-table", "iter-watcher"])
@given(metrics=FIGURES, parameters=SETTINGS)
def test_for_any_measurement_a_value_stays_in_or_comes_closer_to_its_corridor(
    table: str, metrics: dict[str, Value], parameters: dict[str, float]
) -> None:
    corridor = TableTuner(PACK, PACK.tables[table]).corridor
    for change in applied(table, metrics, {**S1, **parameters}).changes:
        bounds = PACK.parameters[change.parameter].corridor(corridor)
        assert abs(change.new - bounds.clamp(change.new)) <= abs(
            change.old - bounds.clamp(change.old)
        )


def test_the_first_rate_step_starts_from_the_base() -> None:
    decision = applied("trigger-table", CANCEL, S1)
    (rate,) = (change for change in decision.moves if change.parameter == RATE)
    assert (rate.old, rate.new, rate.note) == (300, 270, Note.NONE)


def test_the_trigger_table_works_in_the_limits_and_announces_itself() -> None:
    table = TableTuner(PACK, PACK.tables["trigger-table"])
    assert (table.corridor, table.announce) == (Corridor.LIMITS, True)


# ---- age-relief: trigger-table with another row for old orders


@pytest.mark.parametrize(
    "metrics", [CANCEL, ADVERSE, SLIPPAGE, LAG, THIN, {**CANCEL, **LAG}, {**ADVERSE, **LAG}]
)
def test_age_relief_asks_like_trigger_table_while_orders_are_young(
    metrics: Mapping[str, Value],
) -> None:
    young: Mapping[str, Value] = {**metrics, "order_age_p95_ms": 330}
    assert proposed("age-relief", young).deltas != {}
    assert proposed("age-relief", young) == proposed("trigger-table", young)


@pytest.mark.parametrize(
    ("metrics", "deltas"),
    [
        pytest.param({"order_age_p95_ms": 330}, {}, id="age at its limit"),
        pytest.param(AGE, {INTERVAL: -10, RATE: 30}, id="old"),
        pytest.param({**AGE, "adverse_bps_p95": 4}, {INTERVAL: -10, RATE: 30}, id="adverse at 4"),
        pytest.param({**AGE, "slippage_bps_p95": 3}, {INTERVAL: -10, RATE: 30}, id="slippage at 3"),
        pytest.param({**AGE, **ADVERSE}, {SPREAD: 0.05}, id="adverse: no relief"),
        pytest.param({**AGE, **SLIPPAGE}, {SPREAD: 0.05}, id="slippage: no relief"),
        pytest.param({**AGE, **THIN}, {INTERVAL: -10, RATE: 30}, id="relief silences thin edge"),
        pytest.param({**AGE, **LAG}, {INTERVAL: 10, RATE: 30}, id="lag and relief add up"),
    ],
)
def test_relief_stands_instead_of_the_order_age_row(
    metrics: Mapping[str, Value], deltas: dict[str, float]
) -> None:
    proposal = proposed("age-relief", metrics)
    assert proposal.deltas == deltas
    assert TAIL not in proposal.deltas
    assert "order_age>330" not in proposal.reasons


@pytest.mark.parametrize(
    ("start", "deltas"),
    [
        ({INTERVAL: 61, RATE: 299}, {INTERVAL: -10, RATE: 30}),
        ({INTERVAL: 60, RATE: 300}, {INTERVAL: -10, RATE: 30}),
        ({INTERVAL: 57, RATE: 320}, {INTERVAL: -7, RATE: 10}),
        ({INTERVAL: 50, RATE: 329}, {RATE: 1}),
        ({INTERVAL: 51, RATE: 330}, {INTERVAL: -1}),
        ({INTERVAL: 50, RATE: 330}, {}),
        ({INTERVAL: 50, RATE: 345}, {}),
    ],
)
def test_relief_stops_at_an_interval_of_50_and_a_rate_of_330(
    start: dict[str, float], deltas: dict[str, float]
) -> None:
    assert proposed("age-relief", AGE, **start).deltas == deltas


def test_three_triggers_of_age_relief_are_dropped_for_the_calming_package() -> None:
    calming = proposed("age-relief", {**CANCEL, **AGE, **LAG})
    assert calming.deltas == {SPREAD: 0.05, INTERVAL: 20, RATE: -30}
    assert calming.reasons == ("multi_fail_guard",)
    assert "order_age>330_relief" in calming.withheld


# ---- driver-aware


def driven(*past: Mapping[str, Value], **moved: float) -> Proposal:
    """Return what driver-aware asks for after iterations with the metrics in *past*."""
    parameters = {**S1, **moved}
    none: Mapping[str, Value] = {
        "neg_edge_drivers": (),
        "blocked.min_interval": 0.2,
        "blocked.concurrency": 0.1,
    }
    entries = [
        Entry(Summary(number, parameters, {**QUIET, **none, **metrics}))
        for number, metrics in enumerate(past, 1)
    ]
    return TableTuner(PACK, PACK.tables["driver-aware"]).propose(History(entries), parameters)


LOSS: Mapping[str, Value] = {"net_bps": -0.01}
GAIN: Mapping[str, Value] = {"net_bps": 0}


@pytest.mark.parametrize(
    ("past", "deltas"),
    [
        pytest.param([{}], {}, id="quiet"),
        pytest.param([LOSS], {}, id="one loss"),
        pytest.param([LOSS, GAIN], {}, id="a loss, then 0"),
        pytest.param([GAIN, LOSS], {}, id="0, then a loss"),
        pytest.param([LOSS, GAIN, LOSS], {}, id="not in a row"),
        pytest.param([LOSS, LOSS], {INTERVAL: 20, RATE: -60, SPREAD: 0.02}, id="two in a row"),
        pytest.param(
            [GAIN, LOSS, LOSS, LOSS], {INTERVAL: 20, RATE: -60, SPREAD: 0.02}, id="three in a row"
        ),
        pytest.param(
            [{"neg_edge_drivers": ("fees", "slippage")}], {SPREAD: 0.02, TAIL: 50}, id="slippage"
        ),
        pytest.param(
            [{"neg_edge_drivers": ("adverse", "fees")}],
            {IMPACT: -0.02, DELTA: -0.02},
            id="adverse",
        ),
        pytest.param(
            [{"neg_edge_drivers": ("adverse", "slippage")}],
            {IMPACT: -0.02, DELTA: -0.02, SPREAD: 0.02, TAIL: 50},
            id="adverse and slippage",
        ),
        pytest.param([{"neg_edge_drivers": ("fees", "inventory")}], {}, id="other drivers"),
        pytest.param([{"blocked.min_interval": 0.40}], {}, id="interval blocks at 40 %"),
        pytest.param([{"blocked.min_interval": 0.401}], {INTERVAL: 20}, id="interval blocks"),
        pytest.param([{"blocked.concurrency": 0.30}], {}, id="concurrency blocks at 30 %"),
        pytest.param([{"blocked.concurrency": 0.301}], {RATE: -30}, id="concurrency blocks"),
        pytest.param(
            [LOSS, {**LOSS, "blocked.min_interval": 0.5, "blocked.concurrency": 0.4}],
            {INTERVAL: 40, RATE: -90, SPREAD: 0.02},
            id="rows add up",
        ),
        pytest.param([{**CANCEL, **ADVERSE, **AGE, **LAG}], {}, id="no row of trigger-table"),
    ],
)
def test_driver_aware_asks_for_its_rows(
    past: list[Mapping[str, Value]], deltas: dict[str, float]
) -> None:
    assert driven(*past).deltas == deltas


@pytest.mark.parametrize(("tail", "delta"), [(620, 80), (699, 1), (700, 0), (760, 0)])
def test_two_losses_bring_the_tail_to_at_least_700(tail: float, delta: float) -> None:
    assert driven(LOSS, LOSS, **{TAIL: tail}).deltas.get(TAIL, 0) == delta


def test_a_field_is_changed_by_two_rows_of_driver_aware_at_most() -> None:
    proposal = driven(
        LOSS,
        {**LOSS, "neg_edge_drivers": ("slippage", "adverse"), "blocked.min_interval": 0.9},
        **{TAIL: 620},
    )
    assert proposal.deltas == {
        INTERVAL: 40,
        RATE: -60,
        SPREAD: 0.04,
        TAIL: 130,
        IMPACT: -0.02,
        DELTA: -0.02,
    }
    assert all(reason.count("+") < 2 for reason in proposal.reason_of.values())


@pytest.mark.parametrize("table", ["age-relief", "driver-aware"])
def test_the_further_tables_work_in_the_limits_with_the_guardrails_of_the_first(
    table: str,
) -> None:
    tuner = TableTuner(PACK, PACK.tables[table])
    assert (tuner.corridor, tuner.announce) == (Corridor.LIMITS, True)
    first = PACK.tables["trigger-table"]
    assert PACK.tables[table].max_changes_per_field == first.max_changes_per_field == 2
    assert PACK.tables[table].step_cap == first.step_cap == {SPREAD: 0.1}


# ---- iter-watcher


@pytest.mark.parametrize(
    ("metrics", "deltas"),
    [
        pytest.param({"risk_ratio": 0.60}, {INTERVAL: 5, IMPACT: -0.01, TAIL: 30}, id="aggressive"),
        pytest.param({"risk_ratio": 0.599}, {INTERVAL: 5, IMPACT: -0.005}, id="moderate"),
        pytest.param({"risk_ratio": 0.40}, {INTERVAL: 5, IMPACT: -0.005}, id="moderate begins"),
        pytest.param({"risk_ratio": 0.399}, {}, id="hysteresis ends"),
        pytest.param({"risk_ratio": 0.35, "net_bps": 3.5}, {}, id="hysteresis begins"),
        pytest.param(
            {"risk_ratio": 0.349, "net_bps": 3.0}, {INTERVAL: -3, IMPACT: 0.005}, id="relax"
        ),
        pytest.param({"risk_ratio": 0.349, "net_bps": 2.999}, {}, id="no relax on a thin edge"),
        pytest.param({"adverse_bps_p95": 3.5}, {}, id="adverse at its limit"),
        pytest.param(
            {"adverse_bps_p95": 3.501}, {IMPACT: -0.01, DELTA: -0.01}, id="adverse driver"
        ),
        pytest.param({"slippage_bps_p95": 2.5}, {}, id="slippage at its limit"),
        pytest.param({"slippage_bps_p95": 2.501}, {SPREAD: 0.02, TAIL: 30}, id="slippage driver"),
    ],
)
def test_zones_and_drivers_ask_for_their_rows(
    metrics: Mapping[str, Value], deltas: dict[str, float]
) -> None:
    assert proposed("iter-watcher", metrics, **{IMPACT: 0.095}).deltas == deltas


@pytest.mark.parametrize(
    ("risk", "deltas"),
    [
        (0.70, {INTERVAL: 5, IMPACT: -0.01, TAIL: 30, DELTA: -0.01, SPREAD: 0.02}),
        (0.45, {INTERVAL: 5, IMPACT: -0.005, DELTA: -0.01, SPREAD: 0.02, TAIL: 30}),
        (0.30, {INTERVAL: -3, IMPACT: 0.005, DELTA: -0.01, SPREAD: 0.02, TAIL: 30}),
    ],
)
def test_zones_win_over_drivers_on_the_same_field(risk: float, deltas: dict[str, float]) -> None:
    drivers: Mapping[str, Value] = {"adverse_bps_p95": 5, "slippage_bps_p95": 5, "net_bps": 3.1}
    proposal = proposed("iter-watcher", {**drivers, "risk_ratio": risk}, **{IMPACT: 0.095})
    assert proposal.deltas == deltas


@pytest.mark.parametrize(
    ("net", "risk", "tightens"),
    [
        (3.199, 0.45, True),
        (3.2, 0.45, False),
        (3.2, 0.499, False),
        (3.2, 0.50, True),
        (9.9, 0.60, True),
    ],
)
def test_tightening_needs_a_thin_edge_or_much_risk(
    net: float,
    risk: float,
    tightens: bool,
) -> None:
    metrics: Mapping[str, Value] = {
        "net_bps": net,
        "risk_ratio": risk,
        "adverse_bps_p95": 5,
        "slippage_bps_p95": 5,
    }
    deltas = proposed("iter-watcher", metrics).deltas
    assert bool(deltas) is tightens
    assert all((field in deltas) is tightens for field in (INTERVAL, IMPACT, DELTA, SPREAD))


@pytest.mark.parametrize("net", [3.0, 3.19, 3.2, 9.9])
def test_relaxing_has_no_such_condition(net: float) -> None:
    metrics: Mapping[str, Value] = {"net_bps": net, "risk_ratio": 0.2}
    assert proposed("iter-watcher", metrics, **{IMPACT: 0.09}).deltas == {
        INTERVAL: -3,
        IMPACT: 0.005,
    }


@given(st.floats(0.35, 0.40, exclude_max=True), st.floats(-5, 9))
def test_in_the_hysteresis_no_zone_moves_anything(risk: float, net: float) -> None:
    assert proposed("iter-watcher", {"risk_ratio": risk, "net_bps": net}).deltas == {}


@pytest.mark.parametrize(
    ("risk", "start", "deltas"),
    [
        (0.45, {INTERVAL: 72}, {INTERVAL: 3, IMPACT: -0.005}),
        (0.45, {INTERVAL: 75}, {IMPACT: -0.005}),
        (0.45, {INTERVAL: 80}, {IMPACT: -0.005}),
        (0.45, {IMPACT: 0.092}, {INTERVAL: 5, IMPACT: -0.002}),
        (0.45, {IMPACT: 0.09}, {INTERVAL: 5}),
        (0.45, {IMPACT: 0.08}, {INTERVAL: 5}),
        (0.20, {INTERVAL: 52}, {INTERVAL: -2}),
        (0.20, {INTERVAL: 50}, {}),
        (0.20, {INTERVAL: 50, IMPACT: 0.098}, {IMPACT: 0.002}),
        (0.20, {INTERVAL: 50, IMPACT: 0.12}, {}),
    ],
)
def test_a_zone_stops_where_its_row_says(
    risk: float, start: dict[str, float], deltas: dict[str, float]
) -> None:
    at_relax_stop = {IMPACT: 0.10, **start}
    metrics: Mapping[str, Value] = {"risk_ratio": risk, "net_bps": 3.1}
    assert proposed("iter-watcher", metrics, **at_relax_stop).deltas == deltas


def test_the_aggressive_zone_is_cut_by_the_apply_corridor() -> None:
    decision = applied(
        "iter-watcher", {"risk_ratio": 0.9}, CI, **{INTERVAL: 78, IMPACT: 0.085, TAIL: 790}
    )
    assert effective(decision) == {INTERVAL: 2, IMPACT: -0.005, TAIL: 10}
    assert {c.parameter: c.note for c in decision.changes} == {
        INTERVAL: Note.CAP,
        IMPACT: Note.FLOOR,
        TAIL: Note.CAP,
    }


def test_when_the_risk_falls_the_parameters_come_back() -> None:
    parameters = {**S1, **CI, IMPACT: 0.10}
    for risk in (0.7, 0.7, 0.7, *(0.2,) * 12):
        metrics: Mapping[str, Value] = {"risk_ratio": risk, "net_bps": 3.1}
        decision = applied("iter-watcher", metrics, parameters)
        parameters = decision.overrides(parameters)
        if risk == 0.7:
            tightest = dict(parameters)
    assert (tightest[INTERVAL], tightest[IMPACT]) == (80, 0.08)
    assert (parameters[INTERVAL], parameters[IMPACT]) == (50, 0.1)


def test_from_s1_the_spread_steps_towards_its_corridor() -> None:
    decision = applied("iter-watcher", SLIPPAGE, S1)
    assert effective(decision) == {SPREAD: 0.02, TAIL: 30}


@pytest.mark.parametrize("metrics", [CANCEL, AGE, LAG])
def test_iter_watcher_does_not_look_at_cancels_age_or_lag(metrics: Mapping[str, Value]) -> None:
    assert proposed("iter-watcher", metrics) == Proposal()


def test_iter_watcher_works_in_the_apply_corridor() -> None:
    table = TableTuner(PACK, PACK.tables["iter-watcher"])
    assert (table.corridor, table.announce) == (Corridor.APPLY, False)


def test_adaptive_is_the_default() -> None:
    assert PACK.tuner == "adaptive"


# ---- the mock under the pack


def test_under_stress_the_mock_fails_untuned_and_the_trigger_table_repairs_it() -> None:
    gate = KpiGate(PACK.kpis)
    words = {}
    for name, tuned in (("untuned", False), ("tuned", True)):
        parameters = dict(S1)
        for iteration in range(1, 7):
            report, _ = MockSystem(PACK, "stressed").run(parameters, iteration, iteration, None)
            totals = report["totals"]
            assert isinstance(totals, dict)
            words[name] = max(judgement.verdict for judgement in gate.judge(totals, N))
            if tuned:
                decision = applied("trigger-table", totals, parameters)
                parameters = decision.overrides(parameters)
    assert words["untuned"] is Verdict.FAIL
    assert words["tuned"].good


def test_a_guard_cannot_wait_for_a_driver_that_nobody_knows() -> None:
    mistake = PACK.comparison_fault(Condition("neg_edge_drivers", Op.HAS, "slipage"))
    assert mistake is not None
    assert mistake.allowed == "fees, slippage, adverse, inventory"
    assert PACK.comparison_fault(Condition("neg_edge_drivers", Op.HAS, "slippage")) is None
