"""The criterion `limits`: strict as written; gate settings state what is good."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.gates.criteria import kpi_table, make_kpi, read_gate
from pytest_soak.gates.limits import Limits, Tolerate, longest, parse_threshold
from pytest_soak.model.metrics import NUMBER, Op
from pytest_soak.model.stretch import NO_VALUE, Reading, Stretch
from pytest_soak.model.verdict import Judgement, RunJudgement, Threshold, Verdict
from pytest_soak.packs.check import check

if TYPE_CHECKING:
    from decimal import Decimal

LATENCY = make_kpi("latency", {"warn": "> 250", "fail": "> 300"})


@pytest.mark.parametrize(
    ("value", "verdict", "rule"),
    [(250, "PASS", ""), (250.1, "WARN", "> 250"), (300, "WARN", "> 250"), (300.1, "FAIL", "> 300")],
)
def test_a_limit_is_strict_as_written_and_named(value: float, verdict: str, rule: str) -> None:
    assert LATENCY.judge(value, 7) == Judgement("latency", Verdict[verdict], value, 7, rule)


def test_strategies_are_told_the_thresholds_the_mildest_first() -> None:
    assert LATENCY.limits == (
        (Verdict.WARN, Threshold(Op.GT, 250)),
        (Verdict.FAIL, Threshold(Op.GT, 300)),
    )


def test_the_journal_is_told_both_limits_also_where_one_is_not_set() -> None:
    assert LATENCY.describe() == {"warn": "> 250", "fail": "> 300"}
    assert make_kpi("rate", {"fail": "<80.0"}).describe() == {"warn": None, "fail": "< 80"}


@given(st.decimals(-(10**12), 10**12, places=12), st.sampled_from(["<", "<=", ">", ">="]))
def test_the_journal_has_the_limit_itself_whatever_its_digits(limit: Decimal, op: str) -> None:
    kpi = make_kpi("rate", {"fail": f"{op} {limit:f}"})
    assert make_kpi("rate", {"fail": kpi.describe()["fail"]}).limits == kpi.limits


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("latency<=400", {"fail": "> 400"}),
        ("fail:latency < 400.5", {"fail": ">= 400.5"}),
        (" warn:latency>=-2 ", {"warn": "< -2"}),
        ("latency> 3", {"fail": "<= 3"}),
    ],
)
def test_a_gate_setting_states_what_is_good(text: str, set_: dict[str, str]) -> None:
    assert read_gate(text, (Limits,)) == ("latency", set_)


@pytest.mark.parametrize(
    "text",
    [
        "latency==3",
        "good:latency<3",
        "latency<three",
        "latency",
        "",
        "latency<=3 in95 %",
        "latency<=3 in -5 %",
        "latency<=3 in many %",
    ],
)
def test_a_gate_setting_that_is_unclear_is_told_the_grammar(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{Limits.grammar}$"):
        read_gate(text, (Limits,))


def test_a_gate_setting_larger_than_anything_measured_is_told_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=NUMBER.replace("+", r"\+")):
        read_gate(f"latency<=1{'0' * 400}")


@given(st.sampled_from([">", ">=", "<", "<="]), st.integers(-(10**9), 10**9))
def test_a_value_is_good_by_a_gate_setting_or_bad_by_the_limit_that_it_becomes(
    op: str, number: int
) -> None:
    metric, table = read_gate(f"x{op}{number}")
    kpi = make_kpi(metric, table)
    for value in (number - 1, number, number + 1):
        assert (kpi.judge(value, None).verdict is Verdict.PASS) is Op(op).holds(value, number)


@pytest.mark.parametrize(
    ("text", "threshold"),
    [
        ("< 2.5", Threshold(Op.LT, 2.5)),
        ("<2", Threshold(Op.LT, 2)),
        ("<= -2.5", Threshold(Op.LE, -2.5)),
        (">0.05", Threshold(Op.GT, 0.05)),
        (">=  3", Threshold(Op.GE, 3)),
    ],
)
def test_a_limit_is_read_as_it_is_written(text: str, threshold: Threshold) -> None:
    assert parse_threshold(text) == threshold


def judged(words: str, **tolerate: float) -> RunJudgement:
    """Judge a run whose iterations are P, W or F, or have no usable value (-)."""
    table = {"warn": "> 250", "fail": "> 300"} | ({"tolerate": tolerate} if tolerate else {})
    readings = tuple(
        Reading(number, {"P": 200, "W": 260, "F": 300 + number}[word])
        for number, word in enumerate(words, 1)
        if word != "-"
    )
    stretch = Stretch(1, len(words), readings, readings, metric="latency")
    (judgement,) = make_kpi("latency", table).judge_run(stretch)
    return judgement


@given(st.text("PWF", min_size=1, max_size=12))
def test_nothing_is_tolerated_unless_set(words: str) -> None:
    worst = next(word for word in "FWP" if word in words)
    verdict = {"P": Verdict.PASS, "W": Verdict.WARN, "F": Verdict.FAIL}[worst]
    assert judged(words).verdict is verdict


@given(st.text("PF", min_size=1, max_size=12), st.integers(0, 99), st.none() | st.integers(1, 4))
def test_a_run_fails_with_more_failures_or_more_in_a_row_than_tolerated(
    words: str, percent: int, most: int | None
) -> None:
    row = {} if most is None else {"in_a_row": most}
    verdict = judged(words, share=percent / 100, **row).verdict
    many = 100 * words.count("F") > percent * len(words)
    long = most is not None and "F" * (most + 1) in words
    assert verdict is (Verdict.FAIL if many or long else Verdict.PASS)


def test_what_is_beyond_the_fail_limit_is_beyond_the_warn_limit_too() -> None:
    assert judged("FPPPPPPPPP", share=0.1).verdict is Verdict.PASS
    warned = judged("FPPPPPPPPW", share=0.1)
    assert (warned.verdict, warned.rule, warned.iterations) == (Verdict.WARN, "> 250", (1, 10))
    assert warned.detail == "2 of 10 iterations"


def test_what_was_tolerated_is_told() -> None:
    told = judged("PWPPP", share=0.2, in_a_row=1)
    budget = "{ share = 0.2, in_a_row = 1 }"
    assert told == RunJudgement(
        "limits",
        "latency",
        Verdict.PASS,
        n=5,
        detail=f"1 of 5 iterations > 250, tolerated: {budget}",
        iterations=(2,),
    )


def test_iterations_on_both_sides_of_one_without_a_value_are_not_in_a_row() -> None:
    assert judged("PPF-FPP", share=0.5, in_a_row=1).verdict is Verdict.PASS
    assert judged("PPFFPPP", share=0.5, in_a_row=1).verdict is Verdict.FAIL


def test_a_failed_run_tells_the_worst_value_and_the_iterations() -> None:
    told = judged("PFPF")
    assert (told.value, told.n, told.rule, told.iterations) == (304, 4, "> 300", (2, 4))


def test_a_run_without_a_value_is_not_judged() -> None:
    told = judged("---")
    assert (told.verdict, told.problem) == (None, NO_VALUE)
    (only_budget,) = make_kpi("latency", {"tolerate": {"share": 0.1}}).criteria
    assert only_budget.judge_run(make_kpi("latency", {}), Stretch(1, 3)) is None


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_failure_by_a_few_iterations_says_which_setting_would_accept_them(
    bad: list[bool],
) -> None:
    words = "".join("F" if each else "P" for each in bad + [False] * 20)
    told = judged(words)
    match = re.search(r"tolerate = \{ share = (\S+), in_a_row = (\d+) \} would", told.detail)
    assert bool(match) is (0 < words.count("F") <= 0.1 * len(words))
    if match:
        accepted = judged(words, share=float(match[1]), in_a_row=int(match[2]))
        assert accepted.verdict is Verdict.PASS


def test_a_warning_by_a_few_iterations_suggests_nothing() -> None:
    assert judged("W" + "P" * 30).detail == "1 of 31 iterations"


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("x<=300 in 95 %", {"fail": "> 300", "tolerate": {"share": 0.05}}),
        ("x<=300  in 99.9%", {"fail": "> 300", "tolerate": {"share": 0.001}}),
        ("warn:x>2 in 100 %", {"warn": "<= 2", "tolerate": {"share": 0}}),
    ],
)
def test_a_gate_setting_may_say_in_how_many_iterations(text: str, set_: dict[str, Any]) -> None:
    assert read_gate(text) == ("x", set_)
    (limits,) = make_kpi("x", set_).criteria
    assert limits.settings.tolerate == Tolerate(set_["tolerate"]["share"])


@pytest.mark.parametrize("share", ["0", "0.0", "100.1", "900"])
def test_a_gate_setting_with_a_share_that_makes_no_sense_is_told_what_is_allowed(
    share: str,
) -> None:
    with pytest.raises(ValueError, match=r"^a share above 0 % and up to 100 %$"):
        read_gate(f"x<=300 in {share} %")


@pytest.mark.parametrize(
    ("tolerate", "mistake"),
    [
        ({"share": 1}, "share: 1 given"),
        ({"share": -0.1}, "share: -0.1 given"),
        ({"share": 0.1, "in_a_row": 0}, "in_a_row: 0 given"),
        ({"in_a_row": 2}, "share is missing"),
    ],
)
def test_a_budget_in_a_pack_is_checked(tolerate: dict[str, Any], mistake: str) -> None:
    (told,) = check({"tolerate": tolerate}, kpi_table(), "kpis.x")[1]
    assert mistake in str(told)


@given(st.lists(st.booleans(), max_size=12))
def test_the_longest_row_is_the_one_that_people_see(bad: list[bool]) -> None:
    rows = "".join("x" if each else " " for each in bad).split()
    numbers = [number for number, each in enumerate(bad) if each]
    assert longest(numbers) == max(map(len, rows), default=0)


def test_the_journal_is_told_the_budget() -> None:
    table = {"fail": "> 300", "tolerate": {"share": 0.05, "in_a_row": 2}}
    kpi = make_kpi("latency", table)
    assert kpi.describe() == {"warn": None, **table}
    assert make_kpi("latency", kpi.table) == kpi


@pytest.mark.parametrize(("bad", "verdict"), [(1, Verdict.PASS), (2, Verdict.FAIL)])
def test_a_budget_is_a_share_of_the_iterations_with_a_value(bad: int, verdict: Verdict) -> None:
    kpi = make_kpi("latency", {"fail": "> 300", "tolerate": {"share": 0.25}})
    values = [400] * bad + [200] * (4 - bad)
    readings = tuple(Reading(number, value) for number, value in enumerate(values, 1))
    (judged,) = kpi.judge_run(Stretch(1, 10, readings, readings, metric="latency"))
    assert (judged.verdict, judged.n) == (verdict, 4)
