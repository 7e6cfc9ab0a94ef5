"""The criterion `min_n`: a value of too few observations proves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.gates.criteria import kpi_table, make_kpi, read_gate
from pytest_soak.gates.min_n import MinN
from pytest_soak.model.stretch import Reading, Stretch
from pytest_soak.model.verdict import Judgement, RunJudgement, Verdict
from pytest_soak.packs.check import check

KPI = make_kpi("latency", {"fail": "> 300", "min_n": 100})


@given(st.integers(0, 400), st.integers(0, 200))
def test_too_few_observations_are_inconclusive_whatever_the_value(value: int, n: int) -> None:
    due = Verdict.FAIL if value > 300 else Verdict.PASS
    assert KPI.judge(value, n).verdict is (due if n >= 100 else Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(("n", "told"), [(99, "99"), (0, "0"), (None, "not told")])
def test_it_says_how_many_there_are_and_how_many_are_needed(n: int | None, told: str) -> None:
    assert KPI.judge(301, n) == Judgement(
        "latency", Verdict.INCONCLUSIVE, 301, n, problem=f"n is {told}, min_n is 100"
    )


def test_it_has_no_word_on_runs() -> None:
    readings = (Reading(1, 200, 100), Reading(2, 210, 100))
    judged = KPI.judge_run(Stretch(1, 2, readings, readings, metric="latency"))
    assert judged == (RunJudgement("limits", "latency", Verdict.PASS, n=2),)


def test_it_is_set_by_a_gate_setting() -> None:
    assert read_gate("min_n:latency>=100") == ("latency", {"min_n": 100})


@pytest.mark.parametrize(
    "rest",
    [">=0", ">=-3", ">=2.5", ">100", "<=100", ">=many", f">={'9' * 16}", ">=\N{SUPERSCRIPT TWO}"],
)
def test_a_gate_setting_that_sets_no_whole_number_is_told_the_grammar(rest: str) -> None:
    with pytest.raises(ValueError, match=f"^{MinN.grammar}$"):
        read_gate(f"min_n:latency{rest}", (MinN,))


def test_it_is_at_least_1() -> None:
    (mistake,) = check({"min_n": 0}, kpi_table(), "kpis.latency")[1]
    assert str(mistake) == "kpis.latency.min_n: 0 given; allowed: 1 or more"
