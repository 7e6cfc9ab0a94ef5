"""The KPI gate: strict limits, and no pass without a number."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.gates.kpi import KpiGate
from pytest_soak.model.verdict import Judgement, Verdict

LATENCY = make_kpi("latency", {"warn": "> 250", "fail": "> 300"})
RATE = make_kpi("rate", {"fail": "< 80"})
GATE = KpiGate((LATENCY, RATE))


def word(**metrics: Any) -> list[str]:
    return [judgement.verdict.name for judgement in GATE.judge(metrics, {})]


@pytest.mark.parametrize(
    ("latency", "verdict"),
    [(0, "PASS"), (250, "PASS"), (250.1, "WARN"), (300, "WARN"), (300.1, "FAIL")],
)
def test_limits_are_strict_as_written(latency: float, verdict: str) -> None:
    assert word(latency=latency, rate=80) == [verdict, "PASS"]


def test_a_kpi_without_a_warning_goes_straight_to_fail() -> None:
    assert word(latency=0, rate=79.9) == ["PASS", "FAIL"]


@pytest.mark.parametrize(
    "value", [None, ("fees",), math.nan, math.inf, -math.inf, True, "12"], ids=repr
)
def test_what_is_no_finite_number_never_passes(value: object) -> None:
    assert word(latency=value, rate=value) == ["INCONCLUSIVE", "INCONCLUSIVE"]


def test_a_missing_metric_never_passes() -> None:
    assert word() == ["INCONCLUSIVE", "INCONCLUSIVE"]
    judged = Judgement("latency", Verdict.INCONCLUSIVE, n=7, problem="no value")
    assert LATENCY.judge(None, 7) == judged


def test_a_judgement_says_value_count_and_the_rule_that_was_broken() -> None:
    assert GATE.judge({"latency": 310, "rate": 90}, {"latency": 1000}) == (
        Judgement("latency", Verdict.FAIL, 310, 1000, "> 300"),
        Judgement("rate", Verdict.PASS, 90),
    )


def test_a_gate_requires_every_metric_it_judges() -> None:
    assert GATE.requires == ("latency", "rate")


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e6))
def test_a_worse_value_is_never_judged_better(latency: float, worse: float) -> None:
    better = GATE.judge({"latency": latency, "rate": 90}, {})[0].verdict
    assert GATE.judge({"latency": latency + worse, "rate": 90}, {})[0].verdict >= better
