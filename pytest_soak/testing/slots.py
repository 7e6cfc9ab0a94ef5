"""What can happen in one iteration: good, bad, missing or stale reports, and other tuners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from pytest_soak.model.metrics import is_number
from pytest_soak.model.mode import Mode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pytest_soak.model.metrics import Metric
    from pytest_soak.model.pack import Condition, Pack
    from pytest_soak.model.parameters import Parameter

OTHERS = ("other-apply", "other-limits")
"""The tuners beside the one under test: one for each corridor."""
ECHOES = {
    "all": "",
    "nothing": "without parameters",
    "one not": "without one parameter",
    "other": "with a wrong parameter",
}
"""What the history of a broken promise says of the parameters in a report."""
NAN = float("nan")
ODD: tuple[Any, ...] = ("missing", None, NAN, "fast", True, -1e308, float("inf"), [], "n=0")
"""What can replace a value; ``missing`` drops the metric, ``n=0`` sets its count to 0."""


@dataclass(frozen=True)
class Slot:
    """What happens in one iteration.

    Args:
        kind: ``usable``, or why there is no usable report.
        metrics: ``{metric: value}`` as in a report's totals.
        odd: A metric and what replaces its value.
        echo: Which parameters the report contains: ``all``, ``nothing``, ``one not`` (all but
            one), or ``other`` (one with a wrong value).
        requests: ``{tuner: {parameter: delta}}``: what the other tuners ask for.
    """

    kind: str = "usable"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    odd: tuple[str, Any] | None = None
    echo: str = "all"
    requests: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def report(self, iteration: int, parameters: Mapping[str, float], pack: Pack) -> Any:  # noqa: ANN401 - JSON
        """Return the report of *iteration*, as a system would write it."""
        if self.kind == "no report":
            return None
        totals, n = dict(self.metrics), dict.fromkeys(self.metrics, 1000)
        if self.odd is not None:
            name, value = self.odd
            totals[name] = value
            if value == "missing":
                del totals[name], n[name]
            elif value == "n=0":
                totals[name], n[name] = self.metrics[name], 0
        used: dict[str, float] = dict(parameters)
        name = next(iter(pack.parameters))
        if self.echo == "one not":
            del used[name]
        elif self.echo == "other":
            used[name] += pack.parameters[name].precision
        return {
            "iteration": iteration - (self.kind == "stale report"),
            "parameters": None if self.echo == "nothing" else used,
            "totals": None if self.kind == "no totals" else totals,
            "n": n,
        }

    def __str__(self) -> str:
        """Return it as text, for the history of a broken promise."""
        words = [self.kind if self.kind != "usable" else ""]
        if self.kind == "usable":
            odd = dict([self.odd]) if self.odd else {}
            words += [f"{name}={_brief(value)}" for name, value in {**self.metrics, **odd}.items()]
        words.append(ECHOES[self.echo])
        return " ".join(filter(None, words))


def _brief(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Start:
    """What a chain starts from.

    Args:
        strict: Whether a small budget and an early freeze replace the pack's.
        mode: What happens to proposals.
        seeds: ``{parameter: value}``: the overrides at the start.
        accompanied: Whether other tuners propose too.
    """

    strict: bool = False
    mode: Mode = Mode.APPLY
    seeds: Mapping[str, float] = field(default_factory=dict)
    accompanied: bool = False


def strict_guards(pack: Pack) -> dict[str, Any]:
    """Return settings with which the budget and the freeze of every parameter act early."""
    budget = {
        name: one.quantize((one.limits.hi - one.limits.lo) / 4 + one.precision / 2)
        for name, one in pack.parameters.items()
    }
    when = [
        {"metric": kpi.metric, "op": str(limit.op.negated), "value": limit.value}
        for kpi in pack.kpis
        for _, limit in kpi.limits[-1:]
    ][:1]
    freeze = {"when": when, "parameters": tuple(pack.parameters) if when else (), "iterations": 3}
    return {"budget": {"window": 3, "largest": budget}, "freeze": freeze}


def starts(pack: Pack) -> st.SearchStrategy[Start]:
    """Return ways to start a chain of *pack*."""
    values = {
        name: st.sampled_from([one.limits.lo, one.limits.hi, one.apply.lo, one.apply.hi])
        for name, one in pack.parameters.items()
    }
    return st.builds(
        Start,
        st.booleans(),
        st.sampled_from([Mode.APPLY] * 8 + [Mode.RECOMMEND, Mode.OFF]),
        st.one_of(st.just({}), st.fixed_dictionaries({}, optional=values)),
        st.booleans(),
    )


def slots(pack: Pack, facts: Collection[str] = ()) -> st.SearchStrategy[Slot]:
    """Return what can happen in one iteration of a chain of *pack*; no report has *facts*."""
    values = {
        name: _values(pack, metric) for name, metric in pack.metrics.items() if name not in facts
    }
    metrics = st.fixed_dictionaries(values)
    names = st.sampled_from(tuple(values)) if values else st.nothing()
    odd = st.tuples(names, st.sampled_from(ODD))
    deltas = {name: st.sampled_from(_deltas(one)) for name, one in pack.parameters.items()}
    request = st.fixed_dictionaries({}, optional=deltas)
    return st.builds(
        Slot,
        st.sampled_from(["usable"] * 12 + ["no report", "stale report", "no totals"]),
        metrics,
        st.one_of(st.none(), st.none(), st.none(), odd),
        st.sampled_from(["all"] * 9 + ["nothing", "one not", "other"]),
        st.fixed_dictionaries({name: request for name in OTHERS}),  # noqa: C420 - drawn for each alone
    )


def _deltas(parameter: Parameter) -> list[float]:
    """Return small, usual, vanishing and huge steps of *parameter*, up and down."""
    usual = parameter.quantize((parameter.limits.hi - parameter.limits.lo) / 10)
    sizes = (parameter.precision, usual or parameter.precision, parameter.precision * 0.4, 1e9)
    return [sign * size for size in sizes for sign in (1, -1)]


def steady(pack: Pack) -> dict[str, Any]:
    """Return the totals of a report that breaks every limit of *pack*."""
    empty: dict[str, Any] = {"labels": [], "shares": {}}
    return {
        name: _numbers(pack, metric)[0] if metric.kind == "number" else empty[metric.kind]
        for name, metric in pack.metrics.items()
    }


def _values(pack: Pack, metric: Metric) -> st.SearchStrategy[Any]:
    if metric.kind == "number":
        numbers = _numbers(pack, metric)
        lo, hi = min(numbers), max(numbers)
        return st.one_of(st.sampled_from(numbers), st.floats(lo, hi))
    words = _words(pack, metric.name)
    if metric.kind == "labels":
        return st.lists(st.sampled_from(words), unique=True)
    share = st.sampled_from([0.0, 0.1, 0.5, 1.0]).map(lambda value: {"count": 10, "share": value})
    return st.dictionaries(st.sampled_from(words), share)


def _numbers(pack: Pack, metric: Metric) -> Sequence[float]:
    """Return values of *metric* near the limits and conditions in *pack*, a bad one first."""
    found: list[float] = []
    for kpi in pack.kpis:
        for _, limit in reversed(kpi.limits):
            if kpi.metric == metric.name:
                away = max(abs(limit.value) * 0.2, 0.01)
                bad = away if limit.broken_by(limit.value + away) else -away
                found += [limit.value + bad, limit.value, limit.value - bad]
    for condition in _conditions(pack):
        if condition.metric == metric.name and is_number(condition.value):
            away = max(abs(condition.value) * 0.05, 0.01)
            found += [condition.value + away, condition.value - away, condition.value]
    for systems in pack.scenarios.values():
        start = systems.get("mock", {}).get(metric.name)
        found += [start] if is_number(start) else []
    found = found or [1.0, 0.0, 2.0]
    lo = metric.least if metric.least is not None else min(found)
    hi = metric.most if metric.most is not None else max(found)
    return [float(min(max(one, lo), hi)) for one in found]


def _words(pack: Pack, metric: str) -> list[str]:
    """Return the labels, or the reasons of shares, that conditions in *pack* name."""
    words = {"other"}
    for condition in _conditions(pack):
        name, _, reason = condition.metric.partition(".")
        if name == metric:
            words.add(reason or str(condition.value))
    return sorted(words)


def _conditions(pack: Pack) -> Iterator[Condition]:
    """Yield every condition of the tables of *pack*."""
    for table in pack.tables.values():
        for rule in table.rules:
            yield from (*rule.all, *rule.any)
