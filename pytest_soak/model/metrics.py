"""Metrics: what a pack says about them, and how their values are read from a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from pytest_soak.model.safe_repr import did_you_mean, safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Value: TypeAlias = float | tuple[str, ...] | None
"""A metric's value: a number, a tuple of labels, or None if it is undefined."""


LARGEST = 1e150
"""Beyond this a metric is no measurement: many programs report "none" as the largest float. The
square of this limit is a finite float, so what is computed from metrics does not overflow."""
NOT_FINITE = ("nan", "inf", "-inf")
"""How the journal has numbers that JSON cannot represent."""
SENSIBLE = 1e30
"""The largest number in a pack or a gate setting; with larger ones computations may overflow."""
NUMBER = f"a finite number, of {SENSIBLE:g} at most"
"""What a pack or a gate may set, for people."""


def exact(value: float) -> float:
    """Return *value* as Python's own int or float, without calling methods of a subclass."""
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def in_full(value: float) -> str:
    """Return *value* with the digits that tell it from any other number: 4, 0.3, 0.0000000001."""
    return format(Decimal(str(exact(value))), "f").removesuffix(".0")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether *value* is a finite number: no bool, no NaN, no integer beyond floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(exact(value))
    except OverflowError:  # an integer too large for a float
        return False


class Op(StrEnum):
    """A comparison, strict or not, exactly as it is written."""

    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    HAS = "has"

    def holds(self, value: float | tuple[str, ...], limit: float | str) -> bool:
        """Tell whether ``value <op> limit`` is true."""
        if isinstance(value, tuple) or isinstance(limit, str):
            return isinstance(value, tuple) and self is Op.HAS and limit in value
        match self:
            case Op.GT:
                return value > limit
            case Op.GE:
                return value >= limit
            case Op.LT:
                return value < limit
            case Op.LE:
                return value <= limit
            case _:  # `has`, of a number
                return False

    @property
    def negated(self) -> Op:
        """The comparison that is true exactly where this one is false."""
        return {Op.GT: Op.LE, Op.GE: Op.LT, Op.LT: Op.GE, Op.LE: Op.GT}[self]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that a pack knows.

    Args:
        name: Its key in a report's ``totals``.
        label: A short name for marker lines and tables.
        unit: The unit of its values, for people.
        kind: ``number``, ``shares`` (``{reason: {"count", "share"}}``, looked up as
            ``name.reason``) or ``labels`` (a list of words).
        least: The smallest valid value, or None.
        most: The largest valid value, or None.
        digits: Decimals shown to people.
        aliases: Other keys under which a report may give it, with the factor that converts them.
        words: The words that labels may have; empty if any.
    """

    name: str
    label: str
    unit: str = ""
    kind: str = "number"
    least: float | None = None
    most: float | None = None
    digits: int = 2
    aliases: tuple[tuple[str, float], ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of one report, after the check.

    Args:
        values: ``{metric: value}``; shares are flattened to ``metric.reason``.
        problems: ``{metric: what is wrong}`` for every known metric without a usable value.
        absent: The known metrics of which the report says nothing: no value, no count, no reason.
            A watcher may give these.
    """

    values: Mapping[str, Value]
    problems: Mapping[str, str]
    absent: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Make both read-only: no strategy can heal a metric."""
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "problems", MappingProxyType(dict(self.problems)))

    def lacking(self, required: Iterable[str]) -> dict[str, str]:
        """Return ``{metric: what is wrong}`` for each *required* metric without a usable value."""
        return {
            name: self.problems.get(name) or self.problems.get(name.partition(".")[0], "is missing")
            for name in required
            if self.values.get(name) is None
        }


def measure(
    totals: Mapping[str, object], counts: Mapping[str, object], metrics: Mapping[str, Metric]
) -> Measured:
    """Check a report's *totals* against the *metrics* that the pack knows.

    A value is a problem if it is missing, null, not finite, of the wrong type or out of its valid
    range, or if its ``n`` is 0 or no count. Such a value never becomes a number: nothing defaults
    to a healthy value.
    """
    values: dict[str, Value] = {}
    problems: dict[str, str] = {}
    absent = set()
    for metric in metrics.values():
        raw, found = _find(totals, metric)
        if not found and counts.keys().isdisjoint(_keys(metric)):
            absent.add(metric.name)
        problem = "" if found else f"is missing{_nearest(metric.name, totals, metrics)}"
        if found and raw is None:
            problem = "is null (undefined)"
        problem = problem or _count_problem(counts, metric)
        problem = problem or _READERS[metric.kind](metric, raw, values)
        if problem:
            problems[metric.name] = problem
            if found:
                values[metric.name] = None
    return Measured(values, problems, frozenset(absent))


def find_metric(name: str, metrics: Mapping[str, Metric]) -> Metric | None:
    """Return what is called *name*, a metric or a share, ``blocked.quota``; None if nothing is."""
    whole, dot, _ = name.partition(".")
    metric = metrics.get(whole)
    if metric is None or not dot:
        return metric
    return _share(name) if metric.kind == "shares" else None


def fact_fault(name: str, value: object, measured: Measured, metrics: Mapping[str, Metric]) -> str:
    """Return why a watcher may not give *value* for *name*, or an empty string if it may.

    A value for a metric is allowed if the report says nothing of it, and if it would be usable in
    a report. None means undefined. A name that is no metric may have any value.
    """
    metric = find_metric(name, metrics)
    if metric is None:
        return ""
    if name.partition(".")[0] not in measured.absent:
        return "the report itself has; allowed: facts, and metrics that the report lacks"
    if value is None:
        return ""
    if metric.kind == "shares":
        return f"is no share: {safe_repr(value)}; allowed: {name}.REASON, from 0 to 1"
    return _READERS[metric.kind](metric, list(value) if isinstance(value, tuple) else value, {})


def _nearest(name: str, totals: Mapping[str, object], metrics: Mapping[str, Metric]) -> str:
    """Return a hint at the name in *totals*, unknown to the pack, that is nearest to *name*."""
    strange = [key for key in map(str, totals) if key not in metrics]
    hint = did_you_mean(name, strange)
    return hint and f"; the report has a similar name{hint}"


def sensible(value: object) -> bool:
    """Tell whether *value* is a number that a pack or a gate may set."""
    return is_number(value) and abs(exact(value)) <= SENSIBLE


def count(value: object) -> int | None:
    """Return *value* as a count, a whole number from 0, or None if it is not one."""
    number = exact(value) if is_number(value) else -1
    return int(number) if number >= 0 and number == int(number) else None


def _keys(metric: Metric) -> tuple[str, ...]:
    """Return the keys under which a report may have *metric*."""
    return (metric.name, *(alias for alias, _ in metric.aliases))


def _share(name: str) -> Metric:
    return Metric(name, name, least=0, most=1)


def _count_problem(counts: Mapping[str, object], metric: Metric) -> str:
    for key in _keys(metric):
        if key in counts:
            n = count(counts[key])
            if n is None:
                return f"has an n that is no count: {safe_repr(counts[key])}"
            return "" if n else "rests on no observations (n = 0)"
    return ""


def _find(totals: Mapping[str, object], metric: Metric) -> tuple[object, bool]:
    if metric.name in totals:
        return totals[metric.name], True
    for alias, factor in metric.aliases:
        raw = totals.get(alias)
        if is_number(raw):
            return exact(raw) * factor, True
        if alias in totals:
            return raw, True
    return None, False


def _number(metric: Metric, raw: object, values: dict[str, Value]) -> str:
    named = isinstance(raw, str) and str.__str__(raw) in NOT_FINITE
    if not named and (isinstance(raw, bool) or not isinstance(raw, int | float)):
        return f"is not a number: {safe_repr(raw)}"
    if named or not is_number(raw):
        return f"is not finite: {raw if named else safe_repr(raw)}"
    value = exact(raw)
    if abs(value) > LARGEST:
        return f"is {safe_repr(value)}, larger than anything that is measured ({LARGEST:g})"
    if metric.least is not None and value < metric.least:
        return f"is {safe_repr(value)}, below {in_full(metric.least)}, the least that makes sense"
    if metric.most is not None and value > metric.most:
        return f"is {safe_repr(value)}, above {in_full(metric.most)}, the most that makes sense"
    values[metric.name] = value
    return ""


def _shares(metric: Metric, raw: object, values: dict[str, Value]) -> str:
    if not isinstance(raw, dict):
        return f"is not an object of shares: {safe_repr(raw)}"
    for reason, entry in raw.items():
        share = entry.get("share") if isinstance(entry, dict) else entry
        if share is None:
            continue
        problem = _number(_share(f"{metric.name}.{reason}"), share, values)
        if problem:
            return f"has a share that is none: {safe_text(str(reason))} {problem}"
    return ""


def _labels(metric: Metric, raw: object, values: dict[str, Value]) -> str:
    if not isinstance(raw, list) or not all(isinstance(word, str) for word in raw):
        return f"is not a list of words: {safe_repr(raw)}"
    for word in raw if metric.words else ():
        if word not in metric.words:
            known = ", ".join(metric.words)
            hint = did_you_mean(word, metric.words)
            return f"has the unknown word {safe_repr(word)}{hint}; there are: {known}"
    values[metric.name] = tuple(map(str.__str__, raw))
    return ""


_READERS = {"number": _number, "shares": _shares, "labels": _labels}
