"""The metrics of a pack, shares included."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_soak.model.metrics import Metric
from pytest_soak.model.pack import Pack

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


def test_a_metric_is_looked_up_by_its_name() -> None:
    assert PACK.metric("latency") is METRICS["latency"]


def test_a_share_is_a_metric_from_0_to_1_labelled_by_its_name() -> None:
    share = Metric("blocked.risk", "blocked.risk", least=0, most=1)
    assert PACK.metric("blocked.risk") == share
    assert replace(PACK, metrics={}).metric("blocked.risk") == share
