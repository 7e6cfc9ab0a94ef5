"""The criterion `limits`: strict as written; gate settings state what is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.gates.criteria import make_kpi, read_gate
from pytest_soak.gates.limits import Limits, parse_threshold
from pytest_soak.model.metrics import NUMBER, Op
from pytest_soak.model.verdict import Judgement, Threshold, Verdict

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


@pytest.mark.parametrize("text", ["latency==3", "good:latency<3", "latency<three", "latency", ""])
def test_a_gate_setting_that_is_unclear_is_told_the_grammar(text: str) -> None:
    grammar = "METRIC>=X, <=, > or <, before it warn: or fail:, after it a share such as in 95 %"
    with pytest.raises(ValueError, match=f"^{grammar}$"):
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
