"""Computes metrics from two scrapes in the text format of Prometheus.

Pure: two scrapes go in, a value comes out, or `Unmeasured` with the reason. A value in doubt is
never a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client.samples import Sample

Labels: TypeAlias = "frozenset[tuple[str, str]]"
OPENMETRICS = "application/openmetrics-text"
"""The media type of the stricter format: it ends with ``# EOF`` and has times in seconds."""
PROCESS_START = "process_start_time_seconds"
"""A gauge of the Prometheus client libraries: another value means another process."""
MIN_TIMESTAMP = 1e9
"""A ``NAME_created`` from this value on (the year 2001) is a time, below it some other number."""
EXEMPLAR = re.compile(r'^[^#"\n]+(?:"(?:[^"\\\n]|\\.)*"[^#"\n]*)* # \{', re.MULTILINE)
"""A line with an exemplar, outside of the values of its labels."""
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("", "_count", "_sum"),
}
"""The suffixes of sample names by type of the family."""
COUNTERS = {"counter", "histogram"}
"""The types whose samples only grow. A summary is in neither set: it has both kinds."""
GAUGES = {"gauge", "gaugehistogram"}
"""The types whose samples may fall, even those with a counter's suffix."""


class Unmeasured(Exception):
    """Why a metric has no value.

    The text is not shortened: it may hold a secret, and a part of a secret is not recognised.
    """


class Kind(StrEnum):
    """How a metric is computed from the exposed series."""

    GAUGE = "gauge"
    INCREASE = "increase"
    RATE = "rate"
    RATIO = "ratio"
    QUANTILE = "quantile"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Series:
    """Selects the series of one name that have the given labels, among others.

    Args:
        name: The name of the samples; for a histogram without ``_bucket``.
        labels: ``{label: allowed values}``.
    """

    name: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the selector as Prometheus writes it."""
        each = (f"{label}={'|'.join(values)!r}" for label, values in self.labels.items())
        return f"{self.name}{{{', '.join(each)}}}" if self.labels else self.name

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with *labels* is selected."""
        return all(labels.get(label) in values for label, values in self.labels.items())


@dataclass(frozen=True, slots=True)
class Measure:
    """How one metric is measured.

    Args:
        kind: How it is computed.
        series: The series; None for a query.
        of: The denominator of a ratio.
        quantile: The quantile, between 0 and 1.
        query: The PromQL query for a Prometheus server.
        together: Whether several series are summed; otherwise there must be exactly one.
        from_zero: Whether a series that does not exist yet counts as 0.
        factor: Multiplies the result, such as 1000 from seconds to milliseconds.
    """

    kind: Kind
    series: Series | None = None
    of: Series | None = None
    quantile: float = 0.0
    query: str = ""
    together: bool = False
    from_zero: bool = False
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a metric, None where it is undefined, and its number of observations."""

    value: float | None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """The metrics of a program at one moment.

    Args:
        samples: ``{name: samples}``.
        types: ``{name: type}`` of every sample name that a family can have.
        at: When it was scraped, in seconds of the monotonic clock.
        since: A sample with an earlier timestamp is stale; in seconds since 1970.
    """

    samples: Mapping[str, Sequence[Sample]]
    types: Mapping[str, str]
    at: float = 0.0
    since: float = -math.inf

    def resolve(self, name: str) -> str:
        """Return *name* as the parser spells it: it adds ``_total`` to a counter without it."""
        return name if name in self.types else f"{name}_total"


def read_text(
    body: bytes, at: float = 0.0, since: float = -math.inf, *, kind: str = "text/plain"
) -> Scrape:
    """Parse an answer in the text format or in OpenMetrics.

    Args:
        body: The answer.
        at: When it came, see `Scrape`.
        since: The earliest valid timestamp, see `Scrape`.
        kind: Its media type.

    Raises:
        Unmeasured: It cannot be parsed, or is not complete.
    """
    strict = kind == OPENMETRICS
    if strict and not body.endswith((b"# EOF\n", b"# EOF")):
        msg = "the answer broke off: it does not end with # EOF"
        raise Unmeasured(msg)
    if not strict and body and not body.endswith(b"\n"):
        msg = "the answer broke off: its last line does not end"
        raise Unmeasured(msg)
    parse = openmetrics.text_string_to_metric_families if strict else text_string_to_metric_families
    samples: dict[str, list[Sample]] = {}
    types: dict[str, str] = {}
    read = 0
    try:
        text = body.decode()
        if not strict and " # {" in text and EXEMPLAR.search(text):
            msg = "a sample has an exemplar, # {...}; allowed: in OpenMetrics alone"
            raise ValueError(msg)  # noqa: TRY301 - the parser takes its time for the sample's
        for family in parse(text):
            for part in SUFFIXES.get(family.type, ("",)):
                types[f"{family.name}{part}"] = family.type
            for sample in family.samples:
                read += 1
                types[sample.name] = family.type
                if sample.value is not None:  # a native histogram has none
                    samples.setdefault(sample.name, []).append(sample)
    except Exception as error:  # noqa: BLE001 - for bad text the parser raises any exception
        msg = f"the answer is no text of Prometheus: {error}"
        raise Unmeasured(msg) from None
    lines = sum(not line.startswith("#") for line in text.rstrip("\n").split("\n"))
    if strict and read != lines:  # its parser silently drops a duplicate
        msg = f"there are {lines} samples of {read} series: one is there twice"
        raise Unmeasured(msg)
    return Scrape(samples, types, at, since)


def restarted(start: Scrape, end: Scrape) -> bool:
    """Return whether the start time of the process changed between two scrapes."""
    before, after = (
        sorted(sample.value for sample in scrape.samples.get(PROCESS_START, ()))
        for scrape in (start, end)
    )
    return before != after


def measure(measure: Measure, start: Scrape, end: Scrape) -> Value:
    """Return the value of a metric over the time between two scrapes.

    Raises:
        Unmeasured: It has none, such as where its series is absent, stale or was reset.
    """
    assert measure.series is not None  # noqa: S101 - a query is sent to the server instead
    if measure.kind is Kind.GAUGE:
        made = Value(_gauge(measure, measure.series, start, end))
    elif measure.kind is Kind.QUANTILE:
        made = _quantile(measure, measure.series, start, end)
    else:
        increase = _total_increase(measure, measure.series, start, end)
        if measure.of is not None:
            whole = _total_increase(measure, measure.of, start, end)
            n = int(whole) if whole == int(whole) else None
            made = Value(increase / whole if whole else None, n)
        elif measure.kind is Kind.RATE:
            made = Value(increase / (end.at - start.at))
        else:
            made = Value(increase)
    return made if made.value is None else Value(made.value * measure.factor, made.n)


def _gauge(measure: Measure, series: Series, start: Scrape, end: Scrape) -> float:
    name = series.name
    if end.types.get(name) in COUNTERS:
        msg = f"{name} is a {end.types[name]}; allowed: a gauge"
        raise Unmeasured(msg)
    found = _select(series, name, end, start)
    if not found:
        raise Unmeasured(_absent_text(series, end))
    _require_one(measure, series, found)
    return sum(found.values())


def _total_increase(measure: Measure, series: Series, start: Scrape, end: Scrape) -> float:
    """Return the summed increase of the counters of *series*."""
    increase = _increases(measure, series, end.resolve(series.name), start, end)
    _require_one(measure, series, increase)
    return sum(increase.values())


def _increases(
    measure: Measure, series: Series, name: str, start: Scrape, end: Scrape
) -> dict[Labels, float]:
    """Return ``{labels: increase}`` of each counter of *series*; *name* is that of its samples."""
    if end.types.get(name) in GAUGES:
        msg = f"{name} is a {end.types[name]}; allowed: a counter"
        raise Unmeasured(msg)
    before, after = _select(series, name, start), _select(series, name, end, start)
    if not after and not (measure.from_zero and name in end.types and not before):
        raise Unmeasured(_absent_text(series, end))
    created = re.sub("_(total|bucket|count|sum)$", "_created", name)
    created_before, created_after = _created_times(created, start), _created_times(created, end)
    increase = {}
    for labels, value in after.items():
        if labels not in before and not measure.from_zero:
            msg = (
                f"{_series_text(name, labels)} was not there at the start of the slot; where a "
                "series that is not there yet counts as 0, say from_zero = true"
            )
            raise Unmeasured(msg)
        earlier = before.get(labels, 0.0)
        if value < earlier:
            msg = f"{_series_text(name, labels)} fell from {earlier:g} to {value:g}: it was reset"
            raise Unmeasured(msg)
        # All buckets of a histogram share one `_created` sample, which has no label `le`.
        owner = frozenset(pair for pair in labels if pair[0] != "le")
        if labels in before and created_before.get(owner) != created_after.get(owner):
            msg = f"{_series_text(name, labels)} was reset, as {created} says"
            raise Unmeasured(msg)
        increase[labels] = value - earlier
    for labels in before.keys() - after.keys():
        msg = f"{_series_text(name, labels)} was there at the start of the slot, and is gone"
        raise Unmeasured(msg)
    return increase


def _quantile(measure: Measure, series: Series, start: Scrape, end: Scrape) -> Value:
    """Return a quantile of the observations between two scrapes, as ``histogram_quantile`` does.

    It interpolates within a bucket; the lowest bucket begins at 0 if its bound is positive. Unlike
    in Prometheus, a quantile above the largest finite bound has no value: Prometheus returns that
    bound, which is better than the truth.
    """
    name = f"{series.name}_bucket"
    sets: dict[Labels, dict[float, float]] = {}
    for labels, increase in _increases(measure, series, name, start, end).items():
        rest = frozenset(pair for pair in labels if pair[0] != "le")
        sets.setdefault(rest, {})[_bound(dict(labels).get("le", ""), series)] = increase
    _require_one(measure, series, sets)
    if len({frozenset(one) for one in sets.values()}) > 1:
        msg = f"{series} has series with different buckets, which cannot be summed"
        raise Unmeasured(msg)
    bounds = sorted(next(iter(sets.values()), {math.inf: 0.0}))
    counts = [sum(one[bound] for one in sets.values()) for bound in bounds] if sets else [0.0]
    if bounds[-1] != math.inf or counts != sorted(counts):
        msg = f"{series} is no histogram: its buckets are not cumulative up to +Inf"
        raise Unmeasured(msg)
    total = counts[-1]
    if not total:
        return Value(None, 0)
    rank = measure.quantile * total
    at = next(index for index, counted in enumerate(counts) if counted >= rank)
    if bounds[at] == math.inf:
        largest = f"{bounds[-2]:g}" if at else "none"
        msg = (
            f"the quantile {measure.quantile:g} of {series} is above its largest bucket, {largest}"
        )
        raise Unmeasured(msg)
    low, below = (bounds[at - 1], counts[at - 1]) if at else (min(0.0, bounds[0]), 0.0)
    share = (rank - below) / (counts[at] - below)
    return Value(low + (bounds[at] - low) * share, int(total))


def _bound(text: str, series: Series) -> float:
    try:
        return float(text)
    except ValueError:
        msg = f"{series} is no histogram: a bucket ends at {text!r}"
        raise Unmeasured(msg) from None


def _created_times(name: str, scrape: Scrape) -> dict[Labels, float]:
    """Return ``{labels: creation time}`` from the samples called *name*, where they are times."""
    return {
        frozenset(sample.labels.items()): sample.value
        for sample in scrape.samples.get(name, ())
        if sample.value >= MIN_TIMESTAMP
    }


def _select(
    series: Series, name: str, scrape: Scrape, earlier: Scrape | None = None
) -> dict[Labels, float]:
    """Return ``{labels: value}`` of the selected series in *scrape*.

    Raises:
        Unmeasured: A series appears twice, is not finite, or is stale: its timestamp is before the
            slot, or the same as in the *earlier* scrape.
    """
    timestamps = {} if earlier is None else _timestamps(name, earlier)
    found: dict[Labels, float] = {}
    for sample in scrape.samples.get(name, ()):
        if not series.matches(sample.labels):
            continue
        labels = frozenset(sample.labels.items())
        if labels in found:
            msg = f"{_series_text(name, labels)} is there twice"
            raise Unmeasured(msg)
        if not math.isfinite(sample.value):
            msg = f"{_series_text(name, labels)} is {sample.value}; allowed: a finite number"
            raise Unmeasured(msg)
        if sample.timestamp is not None and float(sample.timestamp) < scrape.since:
            msg = f"{_series_text(name, labels)} is stale: its sample is older than the slot"
            raise Unmeasured(msg)
        if sample.timestamp is not None and float(sample.timestamp) == timestamps.get(labels):
            msg = (
                f"{_series_text(name, labels)} is stale: its sample has the same time at the start "
                "and at the end of the slot"
            )
            raise Unmeasured(msg)
        found[labels] = float(sample.value)
    return found


def _timestamps(name: str, scrape: Scrape) -> dict[Labels, float]:
    """Return ``{labels: timestamp}`` of the samples that have one, in seconds since 1970."""
    return {
        frozenset(sample.labels.items()): float(sample.timestamp)
        for sample in scrape.samples.get(name, ())
        if sample.timestamp is not None
    }


def _require_one(measure: Measure, series: Series, found: Iterable[Labels]) -> None:
    """Raise `Unmeasured` where several series were found and they are not to be summed."""
    several = sorted(found, key=sorted)
    if len(several) > 1 and not measure.together:
        examples = " and ".join(_series_text(series.name, labels) for labels in several[:2])
        msg = (
            f"{series} is {len(several)} series, such as {examples}; allowed: one, by its labels, "
            "or all with sum = true"
        )
        raise Unmeasured(msg)


def _absent_text(series: Series, end: Scrape) -> str:
    name = series.name
    there = any(f"{name}{part}" in end.types for part in ("", "_total", "_bucket"))
    return f"{series} is not there" + (f"; {name} is, with other labels or none" if there else "")


def _series_text(name: str, labels: Labels) -> str:
    each = ", ".join(f"{label}={value!r}" for label, value in sorted(labels))
    return f"{name}{{{each}}}" if each else name
