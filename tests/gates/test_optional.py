"""The criterion `optional`: a metric that a system never has is not judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.gates.kpi import KpiGate
from pytest_soak.model.stretch import NO_VALUE, Reading, Stretch
from pytest_soak.model.verdict import RunJudgement, Verdict

KPI = make_kpi("rss", {"fail": "> 300", "optional": True})
NEEDED = make_kpi("latency", {"fail": "> 300"})


def stretch(there: int, ran: int) -> Stretch:
    readings = tuple(Reading(number, 200) for number in range(1, there + 1))
    return Stretch(
        1, ran, readings, readings, metric="rss", ran=ran, absent=ran - there, seen=there > 0
    )


def test_an_iteration_without_the_metric_is_not_judged_by_it() -> None:
    gate = KpiGate((KPI, NEEDED))
    assert gate.requires == ("latency",)
    assert [one.metric for one in gate.judge({"latency": 1}, {})] == ["latency"]
    assert [one.metric for one in gate.judge({"latency": 1, "rss": 1}, {})] == ["rss", "latency"]


def test_a_metric_that_is_there_without_a_value_is_inconclusive() -> None:
    (judged,) = KpiGate((KPI,)).judge({"rss": None}, {})
    assert judged.verdict is Verdict.INCONCLUSIVE


def test_a_run_that_never_has_the_metric_is_not_judged_by_it() -> None:
    (limits,) = KPI.judge_run(stretch(0, 5))
    assert (limits.verdict, limits.problem) == (None, NO_VALUE)


def test_a_metric_that_was_there_before_the_stretch_alone_is_inconclusive() -> None:
    _, optional = KPI.judge_run(replace(stretch(0, 5), seen=True))
    assert (optional.verdict, optional.n) == (Verdict.INCONCLUSIVE, 0)


@pytest.mark.parametrize("there", [1, 4])
def test_a_metric_that_is_there_at_times_only_is_inconclusive(there: int) -> None:
    limits, optional = KPI.judge_run(stretch(there, 5))
    assert limits.verdict is Verdict.PASS
    assert optional == RunJudgement(
        "optional",
        "rss",
        Verdict.INCONCLUSIVE,
        n=there,
        problem=f"has a value in only {there} of 5 iterations",
    )


def test_of_a_metric_that_is_always_there_it_says_nothing() -> None:
    assert [judged.criterion for judged in KPI.judge_run(stretch(5, 5))] == ["limits"]


def test_a_kpi_that_is_set_to_be_needed_is() -> None:
    kpi = make_kpi("rss", {"fail": "> 300", "optional": False})
    assert not kpi.optional
    assert [judged.criterion for judged in kpi.judge_run(stretch(1, 5))] == ["limits"]
