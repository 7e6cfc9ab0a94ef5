"""The metrics of a pack, shares included."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_soak.model.metrics import Metric, Op
from pytest_soak.model.pack import Condition, Pack
from pytest_soak.model.settings import Mistake

METRICS = {
    metric.name: metric
    for metric in (
        Metric("latency", "lat", unit="ms"),
        Metric("blocked", "blk", kind="shares"),
        Metric("drivers", "drv", kind="labels"),
    )
}
PACK = Pack(
    name="tiny",
    source="tiny.toml",
    prefix="TINY_",
    parameters={},
    profiles={},
    profile="base",
    metrics=METRICS,
    kpis=(),
    tables={},
    tuner="table",
    system="mock",
    scenario="calm",
    scenarios={},
)


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("latency", "number"),
        ("blocked", "shares"),
        ("blocked.risk", "number"),
        ("blocked.risk.more", "number"),
        ("drivers", "labels"),
        ("latency.risk", ""),
        ("drivers.fees", ""),
        ("unheard", ""),
        ("unheard.risk", ""),
    ],
)
def test_a_metric_is_of_the_kind_that_the_pack_says_and_a_share_is_a_number(
    metric: str, kind: str
) -> None:
    assert PACK.kind(metric) == kind
    assert PACK.knows(metric) is bool(kind)


@pytest.mark.parametrize(
    ("metric", "op", "value", "what", "allowed"),
    [
        ("drivers", Op.HAS, 3, "drivers has 3: a metric of kind labels", "has and a word"),
        ("drivers", Op.GT, 3, "drivers > 3: a metric of kind labels", "has and a word"),
        ("drivers", Op.GT, "x", "drivers > 'x': a metric of kind labels", "has and a word"),
        ("blocked", Op.LT, 1, "blocked < 1: a metric of kind shares", "blocked.REASON"),
        ("latency", Op.HAS, 3, "latency has 3: a number", ">, >=, <, <= and a number"),
        ("latency", Op.GE, "3", "latency >= '3': a number", ">, >=, <, <= and a number"),
    ],
)
def test_a_comparison_that_can_never_hold_is_told_with_what_could(
    metric: str, op: Op, value: float | str, what: str, allowed: str
) -> None:
    assert PACK.comparison_fault(Condition(metric, op, value)) == Mistake("", what, allowed)


@pytest.mark.parametrize(
    ("metric", "op", "value"),
    [("drivers", Op.HAS, "fees"), ("latency", Op.LE, 3), ("blocked.risk", Op.GT, 0.5)],
)
def test_a_comparison_that_can_hold_is_no_fault(metric: str, op: Op, value: float | str) -> None:
    assert PACK.comparison_fault(Condition(metric, op, value)) is None


def test_a_metric_is_looked_up_by_its_name() -> None:
    assert PACK.metric("latency") is METRICS["latency"]


def test_a_share_is_a_metric_from_0_to_1_labelled_by_its_name() -> None:
    share = Metric("blocked.risk", "blocked.risk", least=0, most=1)
    assert PACK.metric("blocked.risk") == share
    assert replace(PACK, metrics={}).metric("blocked.risk") == share
