"""What a program says in the text format of Prometheus, and what it came to during a slot.

Nothing here asks anybody: two readings go in, a value comes out, or why there is none. What cannot
be told is never a number.
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
"""What says to be in the stricter of the two formats, which has an end, and times in seconds."""
RESTARTED = "process_start_time_seconds"
"""A gauge that the client libraries of Prometheus expose: another value is another process."""
BIRTH = 1e9
"""What ``NAME_created`` is at least where it is a time: in 2001. A number of things is less."""
PARTS = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("", "_count", "_sum"),
}
"""What the names of a family's samples end with."""
COUNTED = {"counter", "histogram"}
"""The types whose samples only grow; those of a summary do either."""
UNCOUNTED = {"gauge", "gaugehistogram"}
"""The types whose samples may fall, however they are called."""


class Unmeasured(Exception):
    """Why a value cannot be told, whole: it may hold a secret, of which a part is not masked."""


class Kind(StrEnum):
    """How a metric is made from what is exposed."""

    GAUGE = "gauge"
    INCREASE = "increase"
    RATE = "rate"
    RATIO = "ratio"
    QUANTILE = "quantile"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Series:
    """Which series are meant: those of one name that carry the labels, whatever else they carry.

    Args:
        name: The name of the samples; of a histogram the one before ``_bucket``.
        labels: ``{label: the values that it may have}``.
    """

    name: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return them for people, as Prometheus writes them."""
        each = (f"{label}={'|'.join(values)!r}" for label, values in self.labels.items())
        return f"{self.name}{{{', '.join(each)}}}" if self.labels else self.name

    def within(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series with *labels* is one of them."""
        return all(labels.get(label) in values for label, values in self.labels.items())


@dataclass(frozen=True, slots=True)
class Measure:
    """How one metric is measured.

    Args:
        kind: What is made of the series.
        series: Which they are. None for a query.
        of: What a ratio is taken of.
        quantile: Which one, between 0 and 1.
        query: What a Prometheus server is asked.
        together: Whether several series are summed; otherwise there must be one.
        from_zero: Whether a series that is not there yet counts as 0.
        factor: What the result is multiplied with, such as 1000 from seconds to milliseconds.
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
    """A metric's value, None where it is undefined, and how many observations it rests on."""

    value: float | None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a program said at one moment.

    Args:
        samples: ``{name: its samples}``.
        types: ``{name: type}`` of all samples that a family may have, also while it has none.
        at: When, in seconds of the monotonic clock.
        since: No sample of this may have been taken earlier, in seconds since 1970.
    """

    samples: Mapping[str, Sequence[Sample]]
    types: Mapping[str, str]
    at: float = 0.0
    since: float = -math.inf

    def resolve(self, name: str) -> str:
        """Return *name* as the parser has it: it adds ``_total`` to counters without."""
        return name if name in self.types else f"{name}_total"


def read_text(
    body: bytes, at: float = 0.0, since: float = -math.inf, *, kind: str = "text/plain"
) -> Scrape:
    """Read the text format, or OpenMetrics where the answer is of that *kind*.

    Raises:
        Unmeasured: It is something else, or it is not whole.
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
        for family in parse(text):
            for part in PARTS.get(family.type, ("",)):
                types[f"{family.name}{part}"] = family.type
            for sample in family.samples:
                read += 1
                types[sample.name] = family.type
                if sample.value is not None:  # a native histogram has none
                    samples.setdefault(sample.name, []).append(sample)
    except Exception as error:  # noqa: BLE001 - for bad text the parser raises whatever it meets
        msg = f"the answer is no text of Prometheus: {error}"
        raise Unmeasured(msg) from None
    lines = sum(not line.startswith("#") for line in text.rstrip("\n").split("\n"))
    if strict and read != lines:  # its parser takes the first one, and says nothing
        msg = f"there are {lines} samples of {read} series: one is there twice"
        raise Unmeasured(msg)
    return Scrape(samples, types, at, since)


def restarted(start: Scrape, end: Scrape) -> bool:
    """Tell whether the program says that it was started anew between two scrapes."""
    before, after = (
        sorted(sample.value for sample in scrape.samples.get(RESTARTED, ()))
        for scrape in (start, end)
    )
    return before != after


def measure(measure: Measure, start: Scrape, end: Scrape) -> Value:
    """Return what a metric came to between two scrapes.

    Raises:
        Unmeasured: It cannot be told.
    """
    assert measure.series is not None  # noqa: S101 - a query is none of the program's
    if measure.kind is Kind.GAUGE:
        made = Value(_gauge(measure, measure.series, start, end))
    elif measure.kind is Kind.QUANTILE:
        made = _quantile(measure, measure.series, start, end)
    else:
        grown = _grown(measure, measure.series, start, end)
        if measure.of is not None:
            whole = _grown(measure, measure.of, start, end)
            n = int(whole) if whole == int(whole) else None
            made = Value(grown / whole if whole else None, n)
        elif measure.kind is Kind.RATE:
            made = Value(grown / (end.at - start.at))
        else:
            made = Value(grown)
    return made if made.value is None else Value(made.value * measure.factor, made.n)


def _gauge(measure: Measure, series: Series, start: Scrape, end: Scrape) -> float:
    name = series.name
    if end.types.get(name) in COUNTED:
        msg = f"{name} is a {end.types[name]}; allowed: a gauge"
        raise Unmeasured(msg)
    found = _found(series, name, end, start)
    if not found:
        raise Unmeasured(_absent(series, end))
    _one(measure, series, found)
    return sum(found.values())


def _grown(measure: Measure, series: Series, start: Scrape, end: Scrape) -> float:
    """Return by how much the counters of *series* grew in all."""
    grown = _growth(measure, series, end.resolve(series.name), start, end)
    _one(measure, series, grown)
    return sum(grown.values())


def _growth(
    measure: Measure, series: Series, name: str, start: Scrape, end: Scrape
) -> dict[Labels, float]:
    """Return by how much each counter of *series* grew, its samples being called *name*."""
    if end.types.get(name) in UNCOUNTED:
        msg = f"{name} is a {end.types[name]}; allowed: a counter"
        raise Unmeasured(msg)
    before, after = _found(series, name, start), _found(series, name, end, start)
    if not after and not (measure.from_zero and name in end.types and not before):
        raise Unmeasured(_absent(series, end))
    created = re.sub("_(total|bucket|count|sum)$", "_created", name)
    born, reborn = _born(created, start), _born(created, end)
    grown = {}
    for labels, value in after.items():
        if labels not in before and not measure.from_zero:
            msg = (
                f"{_called(name, labels)} was not there at the start of the slot; where a series "
                "that is not there yet counts as 0, say from_zero = true"
            )
            raise Unmeasured(msg)
        earlier = before.get(labels, 0.0)
        if value < earlier:
            msg = f"{_called(name, labels)} fell from {earlier:g} to {value:g}: it was reset"
            raise Unmeasured(msg)
        whose = frozenset(pair for pair in labels if pair[0] != "le")
        if labels in before and born.get(whose) != reborn.get(whose):
            msg = f"{_called(name, labels)} was reset, as {created} says"
            raise Unmeasured(msg)
        grown[labels] = value - earlier
    for labels in before.keys() - after.keys():
        msg = f"{_called(name, labels)} was there at the start of the slot, and is gone"
        raise Unmeasured(msg)
    return grown


def _quantile(measure: Measure, series: Series, start: Scrape, end: Scrape) -> Value:
    """Return a quantile of what a histogram observed, as ``histogram_quantile`` does.

    Within a bucket it is interpolated, the lowest begins at 0 where its bound is above that. Unlike
    there, one above the largest bound is no value: that bound would be too good.
    """
    name = f"{series.name}_bucket"
    sets: dict[Labels, dict[float, float]] = {}
    for labels, grown in _growth(measure, series, name, start, end).items():
        rest = frozenset(pair for pair in labels if pair[0] != "le")
        sets.setdefault(rest, {})[_bound(dict(labels).get("le", ""), series)] = grown
    _one(measure, series, sets)
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


def _born(name: str, scrape: Scrape) -> dict[Labels, float]:
    """Return ``{labels: when it began}`` as the samples called *name* say, if they are times."""
    return {
        frozenset(sample.labels.items()): sample.value
        for sample in scrape.samples.get(name, ())
        if sample.value >= BIRTH
    }


def _found(
    series: Series, name: str, scrape: Scrape, earlier: Scrape | None = None
) -> dict[Labels, float]:
    """Return ``{labels: value}`` of each of *series* in *scrape*.

    Raises:
        Unmeasured: One is there twice, is no finite number, or is stale: taken too early, or not
            taken anew since the *earlier* scrape.
    """
    taken = {} if earlier is None else _taken(name, earlier)
    found: dict[Labels, float] = {}
    for sample in scrape.samples.get(name, ()):
        if not series.within(sample.labels):
            continue
        labels = frozenset(sample.labels.items())
        if labels in found:
            msg = f"{_called(name, labels)} is there twice"
            raise Unmeasured(msg)
        if not math.isfinite(sample.value):
            msg = f"{_called(name, labels)} is {sample.value}; allowed: a finite number"
            raise Unmeasured(msg)
        if sample.timestamp is not None and float(sample.timestamp) < scrape.since:
            msg = f"{_called(name, labels)} is stale: its sample is older than the slot"
            raise Unmeasured(msg)
        if sample.timestamp is not None and float(sample.timestamp) == taken.get(labels):
            msg = (
                f"{_called(name, labels)} is stale: its sample has the same time at the start "
                "and at the end of the slot"
            )
            raise Unmeasured(msg)
        found[labels] = float(sample.value)
    return found


def _taken(name: str, scrape: Scrape) -> dict[Labels, float]:
    """Return ``{labels: when it was taken}`` of the samples that say so, in seconds since 1970."""
    return {
        frozenset(sample.labels.items()): float(sample.timestamp)
        for sample in scrape.samples.get(name, ())
        if sample.timestamp is not None
    }


def _one(measure: Measure, series: Series, found: Iterable[Labels]) -> None:
    """See to it that one series was found, where several are not summed."""
    several = sorted(found, key=sorted)
    if len(several) > 1 and not measure.together:
        examples = " and ".join(_called(series.name, labels) for labels in several[:2])
        msg = (
            f"{series} is {len(several)} series, such as {examples}; allowed: one, by its labels, "
            "or all with sum = true"
        )
        raise Unmeasured(msg)


def _absent(series: Series, end: Scrape) -> str:
    name = series.name
    there = any(f"{name}{part}" in end.types for part in ("", "_total", "_bucket"))
    return f"{series} is not there" + (f"; {name} is, with other labels or none" if there else "")


def _called(name: str, labels: Labels) -> str:
    each = ", ".join(f"{label}={value!r}" for label, value in sorted(labels))
    return f"{name}{{{each}}}" if each else name
