"""The criterion `trend`: a slope whose whole interval is beyond the limit, and nothing else."""

from __future__ import annotations

import math
import random
import statistics
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_soak.errors import SoakUsageError
from pytest_soak.gates.criteria import make_kpi, read_gate
from pytest_soak.gates.limits import Limits
from pytest_soak.gates.slope import rates, slope_of
from pytest_soak.gates.trend import Trend
from pytest_soak.model.metrics import NUMBER
from pytest_soak.model.stretch import Reading, Stretch
from pytest_soak.model.verdict import RunJudgement, Verdict
from pytest_soak.packs.loader import build_pack
from tests.support import DEMO, chain_folder, records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_soak.model.pack import Pack

RISING = {"fail": "> 2 / iteration"}
LEAK = [120 + 4 * iteration for iteration in range(1, 31)]
"""The latency of the case `leak`, without any noise."""
HOUR = 12
"""How many iterations an hour has."""


def timed(iteration: int) -> float:
    return iteration / HOUR


def stretch(
    values: Sequence[float | None],
    cuts: Sequence[int] = (),
    due: int | None = None,
    hours: Callable[[int], float | None] = timed,
) -> Stretch:
    """Return the stretch of an untuned run; None is an iteration without a usable value."""
    readings = tuple(
        Reading(number, value, None, hours(number))
        for number, value in enumerate(values, 1)
        if value is not None
    )
    due = len(values) if due is None else due
    return Stretch(1, len(values), readings, readings, due=due, cuts=frozenset(cuts))


def judge(
    values: Sequence[float | None],
    trend: dict[str, Any] | None = None,
    table: dict[str, Any] | None = None,
    **given: Any,
) -> RunJudgement:
    """Judge a run of a KPI with the criterion *trend*, by default one that must not rise at all."""
    kpi = make_kpi("rss", {**(table or {}), "trend": trend or {"fail": "> 0 / iteration"}})
    return kpi.judge_run(stretch(values, **given))[-1]


def noise(seed: int, n: int = 96) -> list[float]:
    numbers = random.Random(seed)
    return [100 + numbers.gauss(0, 1) for _ in range(n)]


# What it says of a leak


def test_a_leak_without_noise_fails_with_its_slope_and_when_the_limit_is_reached() -> None:
    judged = judge(LEAK, {"fail": "> 2 / iteration", "warn": "> 1 / iteration"}, {"fail": "> 300"})
    assert replace(judged, detail="") == RunJudgement(
        "trend", "rss", Verdict.FAIL, 4, 4, 4, n=30, rule="> 2 / iteration"
    )
    assert judged.detail == (
        "reaches 300 in 15 iterations (15 to 15 iterations); "
        "simulated: 0.7 % false alarms, finds a growth of 5 sigma in 99 %"
    )


def test_the_same_leak_by_the_hour() -> None:
    judged = judge(LEAK, {"fail": "> 40 / h"}, {"warn": "> 250", "fail": "> 300"})
    assert (judged.verdict, judged.value, judged.rule) == (Verdict.FAIL, 48, "> 40 / h")
    assert judged.detail.startswith("reaches 300 in 1.25 h (1.25 to 1.25 h); simulated")


@pytest.mark.parametrize(
    ("trend", "verdict", "rule"),
    [
        ({"fail": "> 4 / iteration"}, "PASS", "> 4 / iteration"),
        ({"fail": ">=4/iteration"}, "FAIL", ">= 4 / iteration"),
        ({"fail": "< 4 / iteration"}, "PASS", "< 4 / iteration"),
        ({"fail": "<= 4 / iteration"}, "FAIL", "<= 4 / iteration"),
        ({"fail": "> 5 / iteration", "warn": "> 3.5 / iteration"}, "WARN", "> 3.5 / iteration"),
        ({"warn": "> 3 / iteration"}, "WARN", "> 3 / iteration"),
        ({"fail": "> -1 / h"}, "FAIL", "> -1 / h"),
        ({"reaches": "300 within 15 iterations"}, "FAIL", "300 within 15 iterations"),
        ({"reaches": "300 within 14.9 iterations"}, "PASS", "300 within 14.9 iterations"),
        ({"reaches": "300 within 1.25 h"}, "FAIL", "300 within 1.25 h"),
        ({"reaches": "200 within 0 h"}, "FAIL", "200 within 0 h"),
        ({"reaches": "100 within 99 h"}, "PASS", "100 within 99 h"),
        ({"warn": "> 3 / h", "reaches": "300 within 2 h"}, "FAIL", "300 within 2 h"),
        ({"fail": "> 3 / h", "reaches": "300 within 2 h"}, "FAIL", "> 3 / h"),
        # A fall is bad: 300 must not be reached from above, and the leak has been below it.
        ({"warn": "< -9 / h", "reaches": "300 within 0 h"}, "FAIL", "300 within 0 h"),
    ],
    ids=str,
)
def test_a_slope_is_judged_as_it_is_written(trend: dict[str, str], verdict: str, rule: str) -> None:
    judged = judge(LEAK, trend)
    assert (judged.verdict, judged.rule) == (Verdict[verdict], rule)


def test_the_side_from_which_a_value_is_reached_is_that_of_the_limits() -> None:
    trend = {"reaches": "100 within 99 h"}
    assert judge(LEAK, trend, {"fail": "> 300"}).verdict is Verdict.FAIL  # more than 100 all along
    assert judge(LEAK, trend, {"fail": "< 90"}).verdict is Verdict.PASS


def test_a_forecast_counts_only_if_the_slower_end_of_the_interval_comes_in_time() -> None:
    values = [value + rise / 10 for rise, value in enumerate(noise(1))]
    judged = judge(values, {"reaches": "120 within 1000 iterations"})
    told = judged.detail.split("; ")[0]
    assert told == "reaches 120 in 110 iterations (93.8 to 131 iterations)"
    for within, verdict in ((130, Verdict.PASS), (132, Verdict.FAIL)):
        assert judge(values, {"reaches": f"120 within {within} iterations"}).verdict is verdict


@pytest.mark.parametrize(
    ("values", "limit", "told"),
    [
        (noise(2), "> 200", "reaches 200 in * iterations at the earliest"),
        (noise(2), "> 10000000000", ""),
        (LEAK, "> 200", "has reached 200"),
        (LEAK, "< 0", ""),
        ([-value for value in LEAK], "< -300", "reaches -300 in 15 iterations (15 to 15 *)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forecast_says_what_can_be_said(values: list[float], limit: str, told: str) -> None:
    detail = judge(values, table={"fail": limit}).detail
    forecast, _, _ = detail.rpartition("simulated")
    assert fnmatchcase(forecast, f"{told}; " if told else "")


def test_a_value_is_foretold_once_if_both_the_limit_and_the_trend_name_it() -> None:
    judged = judge(LEAK, {"reaches": "300 within 99 iterations"}, {"fail": "> 300"})
    assert judged.detail.count("reaches 300") == 1


# Properties of the slope

SERIES = st.lists(st.integers(-1000, 1000), min_size=24, max_size=60)


@settings(max_examples=25)
@given(SERIES, st.integers(-1000, 1000), st.sampled_from([0.25, 2, 1024]))
def test_another_unit_or_zero_of_a_metric_changes_the_slope_with_it(
    values: list[float], shift: float, scale: float
) -> None:
    before = judge(values)
    after = judge([shift + scale * value for value in values])
    for name in ("value", "low", "high"):
        was, now = getattr(before, name), getattr(after, name)
        assert math.isclose(now, scale * was, rel_tol=1e-4, abs_tol=1e-9 * scale * 1000)


@settings(max_examples=25)
@given(SERIES)
def test_a_fall_is_judged_as_the_rise_in_a_mirror(values: list[float]) -> None:
    up = judge(values, {"fail": "> 0 / iteration"})
    down = judge([-value for value in values], {"fail": "< 0 / iteration"})
    assert (up.verdict, up.value, up.low, up.high) == (
        down.verdict,
        -(down.value or 0),
        -(down.high or 0),
        -(down.low or 0),
    )


@settings(max_examples=25)
@given(SERIES)
def test_the_interval_holds_the_slope_and_all_numbers_are_python_s_own(values: list[float]) -> None:
    judged = judge(values)
    assert judged.low is not None
    assert judged.value is not None
    assert judged.high is not None
    assert judged.low <= judged.value <= judged.high
    assert {type(one) for one in (judged.low, judged.value, judged.high)} == {float}


@given(
    st.dictionaries(st.integers(0, 95), st.floats(-1e6, 1e6), max_size=5),
    st.sampled_from([0.0, 1.0]),
)
def test_a_few_outliers_of_any_size_turn_no_verdict(
    outliers: dict[int, float], rise: float
) -> None:
    values = [
        outliers.get(place, 0) + rise * place / 10 + (place * 7 % 5) / 10 for place in range(96)
    ]
    verdict = Verdict.FAIL if rise else Verdict.PASS
    limit = {"fail": "> 0.01 / iteration"}  # above what medians of the noise alone can rise
    assert judge(values, limit).verdict is verdict


@settings(max_examples=25)
@given(st.data())
def test_any_values_in_fewer_than_half_of_each_block_leave_a_flat_line_flat(
    data: st.DataObject,
) -> None:
    values = [50.0] * 96
    for block in range(8):
        places = st.lists(st.integers(0, 11), max_size=5, unique=True)
        for place in data.draw(places):
            values[12 * block + place] = data.draw(st.floats(-1e9, 1e9))
    judged = judge(values)
    assert (judged.verdict, judged.value, judged.low, judged.high) == (Verdict.PASS, 0, 0, 0)


@pytest.mark.parametrize(
    "values",
    [
        [5] * 30,
        [0] * 30,
        [1e150, -1e150] * 15,
        [10**149 * number for number in range(10)] * 3,
        [5e-324 * number for number in range(30)],
        [1e-300 * number for number in range(30)],
        [1e150] + [0] * 29,
    ],
    ids=lambda values: f"{values[0]:g}-{values[1]:g}",
)
@pytest.mark.parametrize("unit", ["iteration", "h"])
def test_extreme_values_are_judged_without_a_warning(values: list[float], unit: str) -> None:
    trend = {"fail": f"> 0 / {unit}", "reaches": f"9 within 3 {unit}"}
    judged = judge(values, trend, {"fail": "> 3"}, hours=lambda number: number * 1e-9)
    assert judged.verdict in (Verdict.PASS, Verdict.FAIL)
    assert judged.low is not None
    assert math.isfinite(judged.low)
    if len({*values}) == 1:
        assert (judged.low, judged.value, judged.high) == (0, 0, 0)


# What the series is


def test_a_restart_cuts_the_series_so_that_a_leak_which_it_hides_is_found() -> None:
    piece = [13 + rise / 2 for rise in range(40)]
    hidden = judge([*piece, *piece, *piece])
    assert hidden.verdict is Verdict.PASS
    judged = judge([*piece, *piece, *piece], cuts=(41, 81))
    assert (judged.verdict, judged.value, judged.n) == (Verdict.FAIL, 0.5, 40)
    assert "iterations 1 to 40, the longest piece without a restart; " in judged.detail


def test_a_step_at_a_restart_is_no_trend() -> None:
    values = [*noise(1, 48), *(value + 20 for value in noise(2, 48))]
    assert judge(values).verdict is Verdict.FAIL
    assert judge(values, cuts=(49,)).verdict is Verdict.PASS


def test_missing_iterations_keep_their_place() -> None:
    values = [value if place % 3 else None for place, value in enumerate(LEAK * 2)]
    values[30:] = [None if value is None else value + 120 for value in values[30:]]
    judged = judge(values)
    assert (judged.value, judged.low, judged.high, judged.n) == (4, 4, 4, 40)


def test_by_the_hour_slots_of_different_length_keep_their_place() -> None:
    def clock(number: int) -> float:
        return math.pow(number, 1.5) / 60

    values = [3 * clock(number) for number in range(1, 61)]
    assert judge(values, {"fail": "> 2.9 / h"}, hours=clock).value == 3


# What is not judged


@pytest.mark.parametrize(
    ("values", "given", "verdict", "problem"),
    [
        (LEAK, {"due": 2}, None, "2 iterations to judge by plan, 24 needed"),
        (LEAK[:6], {}, None, "6 iterations to judge by plan, 24 needed"),
        (LEAK, {"cuts": (15,)}, None, "at most 16 iterations without a restart, 24 needed"),
        (LEAK, {"hours": lambda _: None}, None, "the time of its iterations is unknown"),
        (LEAK[:10], {"due": 30}, "INCONCLUSIVE", "10 usable values without a restart, 24 needed"),
        ([*LEAK[:10], *[None] * 20], {}, "INCONCLUSIVE", "10 usable values without a restart*"),
        ([1, 2], {"due": 96}, "INCONCLUSIVE", "2 usable values without a restart, 24 needed"),
        ([None] * 30, {}, "INCONCLUSIVE", "0 usable values without a restart, 24 needed"),
        (LEAK, {"hours": lambda _: 7.0}, "INCONCLUSIVE", "its iterations took no time"),
        (
            [*LEAK[:10], None, *LEAK],
            {"hours": lambda n: timed(n) if n > 20 else None},
            "INCONCLUSIVE",
            "21 usable values without a restart, 24 needed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_judged_says_why(
    values: list[float | None], given: dict[str, Any], verdict: str | None, problem: str
) -> None:
    judged = judge(values, {"fail": "> 2 / h"}, **given)
    assert judged.verdict is (Verdict[verdict] if verdict else None)
    assert (judged.value, judged.rule, judged.detail) == (None, "> 2 / h", "")
    assert judged.problem == problem or judged.problem.startswith(problem.rstrip("*"))


def test_how_many_values_it_needs_can_be_set() -> None:
    assert judge(LEAK, {**RISING, "least": 30}).verdict is Verdict.FAIL
    assert judge(LEAK, {**RISING, "least": 31}).verdict is None
    assert judge(LEAK[:8], {**RISING, "least": 8}).verdict is Verdict.FAIL


def test_single_iterations_are_not_judged() -> None:
    kpi = make_kpi("rss", {"trend": RISING})
    assert kpi.judge(10**6, None).verdict is Verdict.PASS


# How often it is right


def test_iterations_that_depend_on_each_other_make_a_slope_less_certain() -> None:
    shares = [rates(96, dependence) for dependence in (0, 0.5, 0.8)]
    assert shares == sorted(shares, key=lambda pair: -pair[1])
    assert all(false <= 0.02 for false, _ in shares)
    assert all(found >= 0.9 for _, found in shares)
    assert rates(10_000, 0.8) == rates(1000, 0.8)


@pytest.mark.parametrize("dependence", [0, 0.5, 0.8])
def test_the_dependence_of_iterations_is_found(dependence: float) -> None:
    numbers = random.Random(4)
    found = []
    for _ in range(50):
        value, values = 0.0, []
        for place in range(96):
            value = dependence * value + numbers.gauss(0, 1)
            values.append(value + place / 10)
        slope = slope_of(range(96), values)
        assert slope is not None
        found.append(slope.dependence)
    assert abs(statistics.fmean(found) - dependence) < 0.06


# How it is set


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("trend:rss<=2/h", "> 2 / h"),
        ("trend:rss <= 2 / h", "> 2 / h"),
        ("trend:rss<0.5/iteration", ">= 0.5 / iteration"),
        ("trend:rss>=-2/h", "< -2 / h"),
        ("trend:rss>-2/h", "<= -2 / h"),
    ],
)
def test_a_gate_setting_states_what_is_good(text: str, bad: str) -> None:
    assert read_gate(text) == ("rss", {"trend": {"fail": bad}})
    assert str(make_kpi(*read_gate(text)).criteria[0].slopes[0]) == bad  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["trend:rss<=2", "trend:rss<=2/d", "trend:rss=2/h", "trend:rss"])
def test_a_gate_setting_that_is_unclear_is_told_the_grammar(text: str) -> None:
    with pytest.raises(ValueError, match=r"^trend:METRIC<=X/h or X/iteration, <, >= or >"):
        read_gate(text, (Limits, Trend))


def test_a_gate_setting_larger_than_anything_measured_is_told_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=NUMBER.replace("+", r"\+")):
        read_gate(f"trend:rss<=1{'0' * 400}/h")


def pack(trend: object) -> Pack:
    """Return a pack with this *trend*."""
    data = {
        "pack": {"name": "tiny"},
        "kpis": {"rss": {"trend": trend}},
        "parameters": {"x": {"limits": [0, 1], "base": 0}},
    }
    return build_pack(data, "tiny")


def test_a_pack_sets_a_trend() -> None:
    trend = {"warn": "> 1 / h", "reaches": "600 within 72 h"}
    assert pack(trend).kpis == (make_kpi("rss", {"trend": trend}),)


def mistakes(trend: object) -> list[str]:
    """Return what is told of a pack with this *trend*."""
    with pytest.raises(SoakUsageError) as raised:
        pack(trend)
    return [text.removeprefix("pack tiny: kpis.rss.") for text in raised.value.lines]


A_TIME = 'a value and a time, such as "600 within 72 h" or "600 within 500 iterations"'
A_SLOPE = 'a slope that is bad, such as "> 2 / h" or "< -2 / iteration"'
BIG = "9" * 40


@pytest.mark.parametrize(
    ("trend", "told"),
    [
        ({"fail": "2 / h"}, f"trend.fail: '2 / h' given; allowed: {A_SLOPE}"),
        ({"warn": "> 2 / day"}, f"trend.warn: '> 2 / day' given; allowed: {A_SLOPE}"),
        ({"fail": "> 2 / h\n"}, f"trend.fail: '> 2 / h\\n' given; allowed: {A_SLOPE}"),
        ({"reaches": "600 in 72 h"}, f"trend.reaches: '600 in 72 h' given; allowed: {A_TIME}"),
        ({**RISING, "least": 7}, "trend.least: 7 given; allowed: 8 or more"),
        ({**RISING, "lest": 9}, "trend: unknown key 'lest', did you mean 'least'?; *"),
        ("> 2 / h", "trend: '> 2 / h' given; allowed: a table"),
        ({}, f"trend: neither fail nor warn nor reaches is set; allowed: {A_SLOPE}"),
        ({"least": 96}, f"trend: neither fail nor warn nor reaches is set; allowed: {A_SLOPE}"),
        ({"fail": f"> {BIG} / h"}, f"trend: 1e+40 given; allowed: {NUMBER}"),
        ({"reaches": f"{BIG} within 1 h"}, f"trend: 1e+40 given; allowed: {NUMBER}"),
        ({"reaches": f"1 within {BIG} h"}, f"trend: 1e+40 given; allowed: {NUMBER}"),
        (
            {**RISING, "reaches": "600 within 72 h"},
            "trend: per h and per iteration given; allowed: one of them for all",
        ),
    ],
    ids=str,
)
def test_a_mistake_in_a_pack_is_told_with_what_is_allowed(trend: object, told: str) -> None:
    found = mistakes(trend)
    assert len(found) == 1, found
    assert found[0] == told or found[0].startswith(told.partition("*")[0])


@example({"reaches": "-0.5 within 500 iterations", "least": 96})
@given(
    st.fixed_dictionaries(
        {"fail": st.sampled_from(["> 2 / h", "<-0.5/h", ">= 0 / h", "<=2 /h"])},
        optional={
            "warn": st.just("> 1 / h"),
            "reaches": st.sampled_from(["600 within 72 h", "-6.5 within 0 h"]),
            "least": st.integers(8, 10**6),
        },
    )
)
@settings(max_examples=30)
def test_the_journal_is_told_what_makes_the_same_criterion_again(trend: dict[str, Any]) -> None:
    kpi = make_kpi("rss", {"trend": trend})
    described = kpi.describe()
    assert described == {"trend": {"least": 24, **trend}}
    assert make_kpi("rss", described) == kpi
    assert make_kpi("rss", kpi.table) == kpi


# In a run


def test_a_run_with_a_trend_keeps_it_in_its_journal(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    given = "--soak-gate=trend:latency_p95_ms<=2/h"
    assert pytester.runpytest("--soak-iterations=2", "--soak-scenario=calm", given).ret == 0
    kpis = records(chain_folder(pytester))[0]["config"]["kpis"]
    trend = {"fail": "> 2 / h", "least": 24}
    assert kpis["latency_p95_ms"] == {"warn": "> 250", "fail": "> 300", "trend": trend}


def test_without_scipy_a_trend_is_a_usage_error_before_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "pytest_soak.gates.slope", raising=False)
        for name in [one for one in sys.modules if one.startswith("scipy")]:
            patch.setitem(sys.modules, name, None)
        ran = pytester.runpytest("--soak-iterations=2", "--soak-gate=trend:throughput>=-2/h")
        plain = pytester.runpytest("--soak-iterations=2", "--soak-scenario=calm")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    told = "ERROR: criterion trend of throughput: needs scipy*; install pytest-soak[[]stats]"
    ran.stderr.fnmatch_lines([told])
    assert plain.ret == 0
