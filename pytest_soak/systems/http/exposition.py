"""Computes metrics from two scrapes in the text format of Prometheus.

Pure: two scrapes go in, a value comes out, or `Unmeasured` with the reason. A value in doubt is
never a number. Whoever gives a scrape also gives the check whether there is time left.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TextIO, TypeAlias, cast

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_fd_to_metric_families

from pytest_soak.model.safe_repr import did_you_mean
from pytest_soak.packs.http import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from prometheus_client.samples import Sample

Labels: TypeAlias = "frozenset[tuple[str, str]]"
OPENMETRICS = "application/openmetrics-text"
"""The media type of the stricter format: it ends with ``# EOF`` and has times in seconds."""
PROCESS_START = "process_start_time_seconds"
"""A gauge of the Prometheus client libraries: another value means another process."""
DRIFT = 1.0
"""Seconds by which the start time of one process may seem to move, exclusive: it is computed from
clocks that are adjusted."""
MIN_TIMESTAMP = 1e9
"""A ``NAME_created`` from this value on (the year 2001) is a time, below it some other number."""
EXEMPLAR = re.compile(r'^[^#"\n]+(?:"(?:[^"\\\n]|\\.)*"[^#"\n]*)* # \{')
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


MAX_LINE = 64 * 1024
"""The longest line of an answer in characters. The parser's time grows with its square."""


class Unmeasured(Exception):
    """Why a metric has no value.

    The text is not shortened: it may hold a secret, and a part of a secret is not recognised.
    """


def unlimited() -> None:
    """Allow any amount of time."""


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
        check: Raises an error once there is no time left to look at it.
    """

    samples: Mapping[str, Sequence[Sample]]
    types: Mapping[str, str]
    at: float = 0.0
    since: float = -math.inf
    check: Callable[[], None] = unlimited

    def each(self, name: str) -> Iterator[Sample]:
        """Yield the samples called *name* while there is time left."""
        for sample in self.samples.get(name, ()):
            self.check()
            yield sample

    def resolve(self, name: str) -> str:
        """Return *name* as the parser spells it: it adds ``_total`` to a counter without it."""
        return name if name in self.types else f"{name}_total"


def read_text(
    body: bytes,
    at: float = 0.0,
    since: float = -math.inf,
    *,
    kind: str = "text/plain",
    check: Callable[[], None] = unlimited,
) -> Scrape:
    """Parse an answer in the text format or in OpenMetrics.

    Args:
        body: The answer.
        at: When it came, see `Scrape`.
        since: The earliest valid timestamp, see `Scrape`.
        kind: Its media type.
        check: Raises an error once there is no time left, see `Scrape`.

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
    parse = openmetrics.text_fd_to_metric_families if strict else text_fd_to_metric_families
    samples: dict[str, list[Sample]] = {}
    types: dict[str, str] = {}
    read = 0
    try:
        lines = _Lines(body.decode(), check, strict=strict)
        for family in parse(cast("TextIO", lines)):  # of a file it only takes the lines
            for part in SUFFIXES.get(family.type, ("",)):
                types[f"{family.name}{part}"] = family.type
            for sample in family.samples:
                read += 1
                types[sample.name] = family.type
                if sample.value is not None:  # a native histogram has none
                    samples.setdefault(sample.name, []).append(sample)
    except Unmeasured:
        raise
    except Exception as error:  # noqa: BLE001 - for bad text the parser raises any exception
        msg = f"the answer is no text of Prometheus: {error}"
        raise Unmeasured(msg) from None
    if strict and read != lines.samples:  # its parser silently drops a duplicate
        msg = f"there are {lines.samples} samples of {read} series: one is there twice"
        raise Unmeasured(msg)
    return Scrape(samples, types, at, since, check)


class _Lines:
    """The lines of an answer, while there is time left."""

    def __init__(self, text: str, check: Callable[[], None], *, strict: bool) -> None:
        self._text = text
        self._check = check
        self._strict = strict
        self.samples = 0
        """How many of the lines that were read are samples."""

    def __iter__(self) -> Iterator[str]:
        for line in io.StringIO(self._text):
            self._check()
            if len(line) > MAX_LINE:
                msg = f"a line of the answer has {len(line)} characters; allowed: {MAX_LINE}"
                raise Unmeasured(msg)
            if not self._strict and EXEMPLAR.match(line):  # the parser takes its time for another
                msg = "a sample has an exemplar, # {...}; allowed: in OpenMetrics alone"
                raise Unmeasured(msg)
            self.samples += not line.startswith("#")
            yield line


def restarted(start: Scrape, end: Scrape) -> bool:
    """Return whether the start time of the process changed between two scrapes.

    A start time that is NaN is unknown, and says nothing.
    """
    before, after = (
        {frozenset(sample.labels.items()): sample.value for sample in scrape.each(PROCESS_START)}
        for scrape in (start, end)
    )
    return before.keys() != after.keys() or any(
        abs(after[labels] - value) >= DRIFT for labels, value in before.items()
    )


def check_shown(measure: Measure, scrape: Scrape) -> None:
    """Check that a program that shows *scrape* shows what is measured; values do not matter.

    Raises:
        Unmeasured: It does not. A series that may come later, `Measure.from_zero`, need not exist.
    """
    for series in filter(None, (measure.series, measure.of)):
        name = _sample_name(measure, series, scrape)
        found = {
            _owner(measure, frozenset(sample.labels.items()))
            for sample in scrape.each(name)
            if series.matches(sample.labels)
        }
        if not found and not measure.from_zero:
            raise Unmeasured(_absent_text(measure, series, scrape))
        _require_one(measure, series, found)


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


def _sample_name(measure: Measure, series: Series, scrape: Scrape) -> str:
    """Return the name of the samples of *series*.

    Raises:
        Unmeasured: They have a type that cannot be measured in this way.
    """
    name = series.name
    if measure.kind is Kind.QUANTILE:
        name = f"{name}_bucket"
    elif measure.kind is not Kind.GAUGE:
        name = scrape.resolve(name)
    given = scrape.types.get(name)
    if measure.kind is Kind.GAUGE and given in COUNTERS:
        msg = f"{name} is a {given}; allowed: a gauge. Use rate, increase, ratio or quantile"
        raise Unmeasured(msg)
    if measure.kind is not Kind.GAUGE and given in GAUGES:
        msg = f"{name} is a {given}; allowed: a counter. Use gauge"
        raise Unmeasured(msg)
    return name


def _owner(measure: Measure, labels: Labels) -> Labels:
    """Return the labels of the histogram that a bucket belongs to; of others, their own."""
    if measure.kind is not Kind.QUANTILE:
        return labels
    return frozenset(pair for pair in labels if pair[0] != "le")


def _gauge(measure: Measure, series: Series, start: Scrape, end: Scrape) -> float:
    found = _select(series, _sample_name(measure, series, end), end, start)
    if not found:
        raise Unmeasured(_absent_text(measure, series, end))
    _require_one(measure, series, found)
    return sum(found.values())


def _total_increase(measure: Measure, series: Series, start: Scrape, end: Scrape) -> float:
    """Return the summed increase of the counters of *series*."""
    increase = _increases(measure, series, start, end)
    _require_one(measure, series, increase)
    return sum(increase.values())


def _increases(measure: Measure, series: Series, start: Scrape, end: Scrape) -> dict[Labels, float]:
    """Return ``{labels: increase}`` of each counter of *series*."""
    name = _sample_name(measure, series, end)
    before, after = _select(series, name, start), _select(series, name, end, start)
    if not after and not (measure.from_zero and name in end.types and not before):
        raise Unmeasured(_absent_text(measure, series, end))
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
            fell = f"fell from {earlier:g} to {value:g}: it was reset"
            msg = f"{_series_text(name, labels)} {fell}; {WHOLE_SLOT}"
            raise Unmeasured(msg)
        # All buckets of a histogram share one `_created` sample, which has no label `le`.
        owner = frozenset(pair for pair in labels if pair[0] != "le")
        times = {created_before.get(owner), created_after.get(owner)} - {None}
        if labels in before and len(times) > 1:
            msg = f"{_series_text(name, labels)} was reset, as {created} says; {WHOLE_SLOT}"
            raise Unmeasured(msg)
        increase[labels] = value - earlier
    for labels in before.keys() - after.keys():
        gone = "was there at the start of the slot, and is gone"
        msg = f"{_series_text(name, labels)} {gone}; {WHOLE_SLOT}"
        raise Unmeasured(msg)
    return increase


WHOLE_SLOT = "allowed: a program, and its series, that last for the whole slot"


def _quantile(measure: Measure, series: Series, start: Scrape, end: Scrape) -> Value:
    """Return a quantile of the observations between two scrapes, as ``histogram_quantile`` does.

    It interpolates within a bucket; the lowest bucket begins at 0 if its bound is positive. Unlike
    in Prometheus, a quantile above the largest finite bound has no value: Prometheus returns that
    bound, which is better than the truth.
    """
    sets: dict[Labels, dict[float, float]] = {}
    for labels, increase in _increases(measure, series, start, end).items():
        bounds_of = sets.setdefault(_owner(measure, labels), {})
        bounds_of[_bound(dict(labels).get("le", ""), series)] = increase
    _require_one(measure, series, sets)
    if len({frozenset(one) for one in sets.values()}) > 1:
        what = "has series with different buckets, which cannot be summed"
        msg = f"{series} {what}; allowed: one series, by its labels"
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
            f"the quantile {measure.quantile:g} of {series} is above its largest bucket, "
            f"{largest}; allowed: a smaller quantile, or a histogram with a larger bucket"
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
        for sample in scrape.each(name)
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
    for sample in scrape.each(name):
        if not series.matches(sample.labels):
            continue
        labels = frozenset(sample.labels.items())
        if labels in found:
            msg = f"{_series_text(name, labels)} is there twice; allowed: each series once"
            raise Unmeasured(msg)
        if not math.isfinite(sample.value):
            what = f"is {sample.value}; allowed: a finite number. NaN is shown for nothing observed"
            msg = f"{_series_text(name, labels)} {what}"
            raise Unmeasured(msg)
        if sample.timestamp is not None and float(sample.timestamp) < scrape.since:
            what = "is stale: its sample is older than the slot"
            msg = f"{_series_text(name, labels)} {what}; {YOUNG}"
            raise Unmeasured(msg)
        if sample.timestamp is not None and float(sample.timestamp) == timestamps.get(labels):
            msg = (
                f"{_series_text(name, labels)} is stale: its sample has the same time at the start "
                f"and at the end of the slot; {YOUNG}"
            )
            raise Unmeasured(msg)
        found[labels] = float(sample.value)
    return found


YOUNG = "allowed: a slot that is longer than the time between two updates of the program"


def _timestamps(name: str, scrape: Scrape) -> dict[Labels, float]:
    """Return ``{labels: timestamp}`` of the samples that have one, in seconds since 1970."""
    return {
        frozenset(sample.labels.items()): float(sample.timestamp)
        for sample in scrape.each(name)
        if sample.timestamp is not None
    }


def _require_one(measure: Measure, series: Series, found: Collection[Labels]) -> None:
    """Raise `Unmeasured` where several series were found and they are not to be summed."""
    if len(found) > 1 and not measure.together:
        examples = " and ".join(_series_text(series.name, labels) for labels in islice(found, 2))
        msg = (
            f"{series} is {len(found)} series, such as {examples}; allowed: one, by its labels, "
            "or all with sum = true"
        )
        raise Unmeasured(msg)


def _absent_text(measure: Measure, series: Series, end: Scrape) -> str:
    name = series.name
    there = any(f"{name}{part}" in end.types for part in ("", "_total", "_bucket"))
    if there:
        return f"{series} is not there; {name} is, with other labels or none{_later(measure)}"
    known = [one for one in islice(end.types, MOST_NAMES) if len(one) < LONGEST_NAME]
    near = did_you_mean(name, known)
    return f"{series} is not there{near}; allowed: a series that the program shows{_later(measure)}"


def _later(measure: Measure) -> str:
    """Return how to mend the absence of a series that comes with its first count."""
    if measure.kind is Kind.GAUGE or measure.from_zero:
        return ""
    return "; where a series that is not there yet counts as 0, say from_zero = true"


MOST_NAMES, LONGEST_NAME = 1000, 200
"""How many names of a program are compared with an absent one, and how long they may be."""


def _series_text(name: str, labels: Labels) -> str:
    each = ", ".join(f"{label}={value!r}" for label, value in sorted(labels))
    return f"{name}{{{each}}}" if each else name
