"""Reports are validated: an invalid value never becomes a number."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.metrics import (
    LARGEST,
    SENSIBLE,
    Metric,
    Op,
    fact_fault,
    in_full,
    measure,
    sensible,
)
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.report import PROBLEM, contradictions, read_report, unusable
from tests.fuzz.values import (
    Blind,
    FloatLike,
    IntLike,
    Mute,
    TextLike,
    TouchyDict,
    TouchyFloat,
    TouchyInt,
    TouchyStr,
)

LATENCY = Metric("latency", "lat", least=0, most=1000)
SHARE = Metric("maker_share", "maker", least=0, most=1, aliases=(("maker_share_pct", 0.01),))
BLOCKED = Metric("blocked", "blocked", kind="shares")
DRIVERS = Metric("drivers", "drivers", kind="labels")
METRICS = {metric.name: metric for metric in (LATENCY, SHARE, BLOCKED, DRIVERS)}

SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(("", "12"))
JSON = (
    SCALARS
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(
        st.sampled_from(("risk", "share", "iteration", "totals")),
        SCALARS | st.dictionaries(st.sampled_from(("share", "count")), SCALARS, max_size=2),
        max_size=3,
    )
)


def a_report(**parts: object) -> dict[str, object]:
    return {"iteration": 3, "totals": {}, "parameters": {"workers": 2}, "n": {}, **parts}


@pytest.mark.parametrize(
    ("raw", "phrase"),
    [
        (None, "is null (undefined)"),
        (math.nan, "is not finite: nan"),
        (math.inf, "is not finite: inf"),
        (-math.inf, "is not finite: -inf"),
        (sys.float_info.max, "is 1.7976931348623157e+308, larger than anything that is measured"),
        (-1e151, "is -1e+151, larger than anything that is measured"),
        (2**1023, "larger than anything that is measured"),
        (True, "is not a number: True"),
        ("12", "is not a number: '12'"),
        ([12], "is not a number: [12]"),
        ({"value": 12}, "is not a number: {'value': 12}"),
        (-0.001, "is -0.001, below 0, the least that makes sense"),
        (1000.1, "is 1000.1, above 1000, the most that makes sense"),
        (10**400, "is"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_an_invalid_value_is_a_problem_and_not_a_number(raw: object, phrase: str) -> None:
    measured = measure({"latency": raw}, {}, {"latency": LATENCY})
    assert measured.values.get("latency") is None
    assert phrase in measured.problems["latency"]
    assert measured.lacking(["latency"])["latency"].startswith("is")


def test_a_missing_metric_is_a_problem() -> None:
    measured = measure({}, {}, METRICS)
    assert measured.problems == dict.fromkeys(METRICS, "is missing")
    assert measured.lacking(["latency", "drivers", "latency"]) == {
        "latency": "is missing",
        "drivers": "is missing",
    }


def test_a_value_that_rests_on_no_observation_is_a_problem() -> None:
    measured = measure({"latency": 12}, {"latency": 0}, {"latency": LATENCY})
    assert measured.values["latency"] is None
    assert measured.lacking(["latency"]) == {"latency": "rests on no observations (n = 0)"}
    assert measure({"latency": 12}, {"latency": 1}, {"latency": LATENCY}).problems == {}


@pytest.mark.parametrize("n", [-1, 0.5, "7", None, True, math.nan])
def test_a_count_that_is_none_is_a_problem(n: object) -> None:
    measured = measure({"latency": 12}, {"latency": n}, {"latency": LATENCY})
    assert measured.problems == {"latency": f"has an n that is no count: {n!r}"}


@pytest.mark.parametrize(
    "parts",
    [
        {"totals": {"latency": 200}},
        {"totals": {"latency": None}},
        {"totals": {"latency": "fast"}},
        {"n": {"latency": 0}},
        {"n": {"latency": 10}},
        {"unusable": {"latency": "the probe is off"}},
        {"totals": {"maker_share_pct": 20}},
        {"n": {"maker_share_pct": 20}},
        {"totals": {"blocked": {}}},
        {"unusable": {"blocked.quota": "nobody counts it"}},
        {"totals": {"drivers": []}},
    ],
    ids=repr,
)
def test_a_watcher_gives_no_metric_of_which_the_report_says_anything(
    parts: dict[str, dict[str, object]],
) -> None:
    measured = read_report(a_report(**parts), 3, METRICS).measured
    ((name, *_),) = parts.values()
    told = name.removesuffix("_pct").partition(".")[0]
    assert measured.absent == METRICS.keys() - {told}
    name = f"{told}.quota" if told == "blocked" else told
    for value in (0.5, ("slow",), None):
        fault = fact_fault(name, value, measured, METRICS)
        assert fault == "the report itself has; allowed: facts, and metrics that the report lacks"


def test_a_report_that_cannot_be_used_leaves_nothing_to_watchers() -> None:
    assert read_report(a_report(totals=None), 3, METRICS).measured.absent == set()


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("latency", 0, ""),
        ("latency", None, ""),
        ("latency", -1, "is -1, below 0, the least that makes sense"),
        ("latency", 1001, "is 1001, above 1000, the most that makes sense"),
        ("latency", ("slow",), "is not a number: ['slow']"),
        ("latency.p95", -1, ""),
        ("blocked.quota", 1, ""),
        ("blocked.quota", 1.5, "is 1.5, above 1, the most that makes sense"),
        ("blocked", 0.5, "is no share: 0.5; allowed: blocked.REASON, from 0 to 1"),
        ("drivers", ("slow", "fees"), ""),
        ("drivers", ["slow"], ""),
        ("drivers", ("dust",), "has the unknown word 'dust'; there are: slow, fees"),
        ("drivers", 3, "is not a list of words: 3"),
        ("mood", -1, ""),
    ],
)
def test_what_a_watcher_gives_for_a_metric_is_checked_like_a_report(
    name: str, value: object, fault: str
) -> None:
    metrics = {**METRICS, "drivers": replace(DRIVERS, words=("slow", "fees"))}
    assert fact_fault(name, value, measure({}, {}, metrics), metrics) == fault


@pytest.mark.parametrize(
    ("totals", "facts", "fault"),
    [
        ({}, {}, "is missing"),
        ({}, {"latency": 5}, ""),
        ({}, {"latency": None}, "is undefined: a watcher gave None"),
        ({"latency": None}, {"latency": None}, "is null (undefined)"),
    ],
)
def test_what_neither_the_report_nor_a_watcher_gives_is_a_problem(
    totals: dict[str, object], facts: dict[str, object], fault: str
) -> None:
    report = read_report(a_report(totals=totals), 3, METRICS)
    data = {"metric": "latency", "fault": fault}
    due = [Problem(Kind.METRIC_UNUSABLE, 3, data)] if fault else []
    assert unusable(["latency"], facts, report, 3) == due


def test_the_largest_number_that_is_measured_or_set_is_still_one() -> None:
    latency = {"latency": Metric("latency", "lat")}
    for value in (LARGEST, -LARGEST):
        assert measure({"latency": value}, {}, latency).values == {"latency": value}
    assert [sensible(value) for value in (SENSIBLE, -SENSIBLE, 2 * SENSIBLE)] == [True, True, False]


@pytest.mark.parametrize(
    ("number", "text"),
    [(4, "4"), (4.0, "4"), (-0.3, "-0.3"), (1e-10, "0.0000000001"), (1e22, "1" + "0" * 22)],
)
def test_a_number_is_told_with_all_its_digits(number: float, text: str) -> None:
    assert in_full(number) == text


@given(st.floats(allow_nan=False))
def test_what_is_told_of_a_number_is_that_number(number: float) -> None:
    assert float(in_full(number)) == number


@pytest.mark.parametrize("raw", [0, 1000, 0.5])
def test_the_ends_of_what_makes_sense_are_values(raw: float) -> None:
    measured = measure({"latency": raw}, {}, {"latency": LATENCY})
    assert measured.values == {"latency": raw}
    assert measured.lacking(["latency"]) == {}


@given(st.dictionaries(st.sampled_from((*METRICS, "maker_share_pct", "other")), JSON))
def test_any_reported_value_is_in_range_or_a_problem(
    totals: dict[str, object],
) -> None:
    measured = measure(totals, {}, METRICS)
    for name in ("latency", "maker_share"):
        value = measured.values.get(name)
        assert (value is None) == (name in measured.problems)
        if value is not None:
            assert isinstance(value, int | float)
            assert METRICS[name].least <= value <= METRICS[name].most  # type: ignore[operator]
    assert "other" not in measured.values


def test_a_percentage_given_under_its_alias_is_converted() -> None:
    measured = measure({"maker_share_pct": 92.5}, {}, METRICS)
    assert measured.values["maker_share"] == pytest.approx(0.925)
    assert "maker_share" not in measured.problems


@pytest.mark.parametrize(
    "raw", [None, "92", True, math.nan, 120, 10**400], ids=lambda v: repr(v)[:12]
)
def test_an_alias_is_checked_like_the_metric_itself(raw: object) -> None:
    measured = measure({"maker_share_pct": raw}, {}, METRICS)
    assert measured.values.get("maker_share") is None
    assert measured.values == {"maker_share": None}  # it was reported, so it is not missing
    assert measured.problems["maker_share"] != "is missing"


def test_the_metrics_own_name_wins_over_its_alias() -> None:
    assert (
        measure({"maker_share": 0.9, "maker_share_pct": 50}, {}, METRICS).values["maker_share"]
        == 0.9
    )


def test_shares_are_flattened_to_one_value_a_reason() -> None:
    blocked = {"unknown": {"count": 3}, "risk": {"count": 4, "share": 0.4}, "throttle": 0.1}
    measured = measure({"blocked": blocked}, {}, {"blocked": BLOCKED})
    assert measured.values == {"blocked.risk": 0.4, "blocked.throttle": 0.1}
    assert measured.lacking(["blocked.risk"]) == {}
    assert measured.lacking(["blocked.unknown"]) == {"blocked.unknown": "is missing"}


@pytest.mark.parametrize(
    ("raw", "phrase"),
    [
        ([0.4], "is not an object of shares: [0.4]"),
        (0.4, "is not an object of shares: 0.4"),
        ({"risk": 1.5}, "has a share that is none: risk is 1.5, above 1"),
        ({"risk": -0.1}, "has a share that is none: risk is -0.1, below 0"),
        ({"risk": {"share": "much"}}, "has a share that is none: risk is not a number: 'much'"),
    ],
)
def test_shares_that_are_none_are_a_problem(raw: object, phrase: str) -> None:
    measured = measure({"blocked": raw}, {}, {"blocked": BLOCKED})
    assert measured.problems["blocked"].startswith(phrase)
    assert "blocked.risk" not in measured.values


def test_labels_are_words_and_no_labels_are_a_value() -> None:
    assert measure({"drivers": ["fees"]}, {}, {"drivers": DRIVERS}).values == {"drivers": ("fees",)}
    measured = measure({"drivers": []}, {}, {"drivers": DRIVERS})
    assert measured.lacking(["drivers"]) == {}


@pytest.mark.parametrize("raw", ["fees", [1], {"fees": 1}], ids=repr)
def test_labels_that_are_no_words_are_a_problem(raw: object) -> None:
    measured = measure({"drivers": raw}, {}, {"drivers": DRIVERS})
    assert measured.values == {"drivers": None}
    assert measured.problems == {"drivers": f"is not a list of words: {raw!r}"}


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        (Op.GT, False, False, True),
        (Op.GE, False, True, True),
        (Op.LT, True, False, False),
        (Op.LE, True, True, False),
    ],
)
def test_comparisons_are_strict_as_written(
    op: Op,
    *,
    below: bool,
    equal: bool,
    above: bool,
) -> None:
    assert [op.holds(value, 2.5) for value in (2.4, 2.5, 2.6)] == [below, equal, above]


@given(
    st.sampled_from([op for op in Op if op is not Op.HAS]),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
)
def test_the_negated_comparison_holds_where_the_other_does_not(
    op: Op, value: float, limit: float
) -> None:
    assert op.negated.holds(value, limit) is not op.holds(value, limit)


def test_has_looks_for_a_word_and_nothing_else() -> None:
    assert Op.HAS.holds(("fees", "slippage"), "fees")
    assert not Op.HAS.holds(("fees",), "slippage")
    assert not Op.HAS.holds(1.0, "fees")
    assert Op.HAS.holds(1.0, 1.0) is False
    assert not Op.GT.holds(("fees",), 0.5)


def test_a_good_report_is_read() -> None:
    raw = a_report(totals={"latency": 12}, n={"latency": 100, "odd": "many"})
    report = read_report(raw, 3, METRICS)
    assert report.problem is None
    assert report.measured.values["latency"] == 12
    assert report.n == {"latency": 100}
    assert report.parameters == {"workers": 2}
    assert report.raw is raw


@pytest.mark.parametrize(
    ("raw", "phrase"),
    [
        (None, "no report"),
        (a_report(iteration=4), "stale report: it is of iteration 4"),
        ([], "not an object but list"),
        ("report", "not an object but str"),
        (a_report(iteration=2), "stale"),
        (a_report(iteration="3"), "of which iteration it is: '3'"),
        (a_report(iteration=None), "of which iteration it is: None"),
        ({"totals": {}}, "iteration is missing"),
        (a_report(totals=None), "totals are not an object: None"),
        (a_report(totals=[1]), "totals are not an object: [1]"),
        (a_report(parameters=[2]), "parameters are not an object: [2]"),
        (a_report(parameters={"workers": "2"}), "parameter workers is not a number: '2'"),
        (a_report(problem={"code": 7}), "the report's problem is not a text: {'code': 7}"),
        (a_report(problem="no sensor"), "no sensor"),
        (a_report(unusable=["rate"]), "unusable is not an object of texts: ['rate']"),
        (a_report(unusable={"rate": 1}), "unusable is not an object of texts: {'rate': 1}"),
        (a_report(parameters={"workers": True}), "parameter workers is not a number"),
        (a_report(parameters={"workers": math.nan}), "parameter workers is not a number"),
        (a_report(parameters={"workers": 10**400}), "parameter workers is not a number"),
    ],
)
def test_a_report_that_cannot_be_used_says_why_and_measures_nothing(
    raw: object, phrase: str
) -> None:
    report = read_report(raw, 3, METRICS)
    assert report.problem is not None
    assert phrase in str(report.problem)
    assert report.problem.iteration == 3
    assert all(report.measured.values.get(name) is None for name in METRICS)
    assert report.measured.problems == dict.fromkeys(METRICS, "is missing")


def test_a_metric_that_the_system_calls_unusable_has_no_value_and_the_reason() -> None:
    why = {"latency": "the probe\nis off", "blocked": "x" * 9999, "other": "nobody knows it"}
    totals = {"latency": 200, "drivers": ["slow"], "blocked": {"busy": {"share": 0.5}}}
    report = read_report(a_report(totals=totals, unusable=why), 3, METRICS)
    assert report.problem is None
    assert report.measured.values == {"drivers": ("slow",)}
    assert report.measured.lacking(["latency"]) == {"latency": "is unusable: the probe is off"}
    assert 500 < len(report.measured.problems["blocked"]) < 700
    assert "drivers" not in report.measured.problems


@given(
    JSON
    | JSON.map(lambda part: a_report(totals=part))
    | JSON.map(lambda p: a_report(n=p))
    | JSON.map(lambda p: a_report(unusable=p))
)
def test_no_report_raises(raw: Any) -> None:
    report = read_report(raw, 3, METRICS)
    assert report.raw is raw


@pytest.mark.parametrize(
    "part",
    [10**5000, -(10**5000), Blind(), Mute(), TouchyFloat(12), TouchyInt(12), TouchyDict(latency=1)],
    ids=lambda value: type(value).__name__,
)
def test_an_object_that_raises_is_a_problem_or_a_number(
    part: object,
) -> None:
    for raw in (
        part,
        a_report(totals={"latency": part}),
        a_report(totals={"maker_share_pct": part}),
        a_report(totals={"blocked": {"risk": part}}),
        a_report(totals=part),
        a_report(n={"latency": part}),
        a_report(parameters={"workers": part}),
        a_report(iteration=part),
    ):
        report = read_report(raw, 3, METRICS)
        told = [str(report.problem), *report.measured.problems.values()]
        assert all("\n" not in phrase and len(phrase) < 400 for phrase in told)
        for value in report.measured.values.values():
            assert value is None or type(value) in (int, float)


def test_a_report_that_raises_is_a_problem_that_tells_the_error() -> None:
    class Broken(dict[str, object]):
        def get(self, *_: object) -> object:
            raise OSError(*["disk", "gone"])

    raw = Broken(a_report())
    report = read_report(raw, 3, METRICS)
    assert report.problem == Problem(
        Kind.REPORT_UNREADABLE, 3, {"error": "OSError('disk', 'gone')"}
    )
    assert report.raw is raw
    assert report.measured.problems == dict.fromkeys(METRICS, "is missing")


def test_the_problem_that_a_report_states_is_kept_unless_it_is_very_long() -> None:
    for text in ("no sensor", "x" * PROBLEM):
        assert str(read_report(a_report(problem=text), 3, METRICS).problem) == text
    kept = str(read_report(a_report(problem="x" * 10 * PROBLEM), 3, METRICS).problem)
    assert kept.startswith("x" * PROBLEM)
    assert len(kept) < 2 * PROBLEM


def test_a_str_subclass_is_read_as_str() -> None:
    named = {TouchyStr("mine"): 7, "latency": 8}
    report = read_report(a_report(n=named, parameters=named), 3, METRICS)
    assert sorted(report.n) == ["latency", "mine"]
    assert report.parameters is not None
    assert sorted(report.parameters) == ["latency", "mine"]


def test_a_number_of_another_type_is_read_as_a_python_number() -> None:
    totals = {"latency": FloatLike(12.5), "drivers": [TextLike("fees")], "maker_share_pct": 50}
    raw = a_report(totals=totals, n={"latency": IntLike(7)}, parameters={"workers": IntLike(2)})
    report = read_report(raw, 3, METRICS)
    values = report.measured.values
    assert type(values["latency"]) is float
    assert [type(word) for word in values["drivers"] or ()] == [str]  # type: ignore[union-attr] # labels
    assert type(report.n["latency"]) is int
    assert type((report.parameters or {})["workers"]) is int


def test_a_count_without_a_name_is_no_count() -> None:
    assert read_report(a_report(n={(1, 2): 3, "latency": 4}), 3, METRICS).n == {"latency": 4}


def test_a_missing_report_has_the_problem_no_report() -> None:
    assert str(read_report(None, 3, METRICS).problem) == "no report"


@pytest.mark.parametrize("n", [[], "x", None, [1], 3, True])
def test_counts_of_the_wrong_shape_are_a_problem(n: object) -> None:
    problem = read_report(a_report(n=n), 3, METRICS).problem
    assert str(problem) == f"the report's n is not an object of counts: {n!r}"


@pytest.mark.parametrize(
    ("raw", "given"),
    [({"totals": {}}, "iteration is missing"), (a_report(iteration=None), "None")],
)
def test_a_report_without_its_iteration_is_not_called_stale(raw: object, given: str) -> None:
    problem = str(read_report(raw, 3, METRICS).problem)
    assert problem == f"the report does not say of which iteration it is: {given}"


def test_a_missing_metric_names_what_the_report_has_that_is_nearest() -> None:
    measured = measure({"latencies": 5, "blocked": {}}, {}, METRICS)
    hint = "is missing; the report has a similar name, did you mean 'latencies'?"
    assert measured.problems["latency"] == hint
    assert measured.problems["maker_share"] == "is missing"


def test_a_share_that_cannot_be_read_says_why_and_not_that_it_is_missing() -> None:
    measured = measure({"blocked": {"risk": 1.2}}, {}, METRICS)
    assert measured.lacking(["blocked.risk"]) == {
        "blocked.risk": "has a share that is none: risk is 1.2, above 1, the most that makes sense"
    }


def test_a_word_that_the_vocabulary_does_not_know_is_a_problem() -> None:
    why = {"why": Metric("why", "why", kind="labels", words=("fees", "slippage"))}
    assert measure({"why": ["fees"]}, {}, why).values == {"why": ("fees",)}
    assert measure({"why": ["fees", "slipage"]}, {}, why).problems == {
        "why": "has the unknown word 'slipage', did you mean 'slippage'?; there are: fees, slippage"
    }


def test_a_report_silent_about_its_parameters_is_not_refused() -> None:
    report = read_report({"iteration": 3, "totals": {"latency": 1}}, 3, METRICS)
    assert (report.problem, report.parameters) == (None, None)


@pytest.mark.parametrize(
    ("used", "outcome"),
    [
        ({"workers": 4, "backoff": 0.3}, {}),
        ({"workers": 4.0, "backoff": 0.1 + 0.2, "more": 1}, {}),
        ({"workers": 4}, {"backoff": None}),
        ({}, {"workers": None, "backoff": None}),
        (None, {"workers": None, "backoff": None}),
        ({"workers": 2, "backoff": 0.3}, {"workers": 2}),
        ({"workers": 2}, {"workers": 2, "backoff": None}),
    ],
    ids=["same", "same in other digits", "partly told", "told nothing", "silent", "other", "both"],
)
def test_requested_parameters_are_compared_with_used_ones(
    used: dict[str, float] | None, outcome: dict[str, float | None]
) -> None:
    grids = {"workers": 1, "backoff": 0.1}
    assert contradictions({"workers": 4, "backoff": 0.3}, used, grids) == outcome


def test_rounding_errors_near_zero_are_no_difference() -> None:
    assert contradictions({"spread": 0}, {"spread": 1e-12}, {"spread": 0.001}) == {}


def test_of_a_field_without_a_grid_only_the_last_digits_may_differ() -> None:
    assert contradictions({"fee": 3e-10}, {"fee": 3e-10 * (1 + 1e-12)}, {}) == {}
    assert contradictions({"fee": 3e-10}, {"fee": 1e-10}, {}) == {"fee": 1e-10}
    assert contradictions({"fee": 0}, {"fee": 1e-12}, {}) == {"fee": 1e-12}


@pytest.mark.parametrize("part", ["n", "parameters", "measured.values", "measured.problems"])
def test_no_strategy_can_change_what_was_measured(part: str) -> None:
    report = read_report(a_report(), 3, METRICS)
    mapping = attrgetter(part)(report)
    with pytest.raises(TypeError, match="does not support item assignment"):
        mapping["latency"] = 0
