"""The report: what a system measured in one iteration, read once at the edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_soak.model.metrics import Measured, Metric, count, exact, is_number, measure
from pytest_soak.model.parameters import is_same
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.safe_repr import did_you_mean, safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROBLEM = 500
"""How many characters of a report's own ``problem`` are kept."""


@dataclass(frozen=True, slots=True)
class Report:
    """One iteration's report after reading.

    Args:
        measured: The metrics, with a problem for each one that is unusable.
        n: ``{metric: count}``, the number of observations behind a value.
        parameters: ``{field: number}`` that the system says it used, or None if it does not say.
        problem: Why the report as a whole cannot be used, or None.
        raw: The report as the system gave it.
    """

    measured: Measured
    n: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, float] | None = None
    problem: Problem | None = None
    raw: object = None

    def __post_init__(self) -> None:
        """Make the mappings read-only: a strategy cannot change what was measured."""
        object.__setattr__(self, "n", MappingProxyType(dict(self.n)))
        if self.parameters is not None:
            object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


def read_report(raw: object, iteration: int, metrics: Mapping[str, Metric]) -> Report:
    """Read what a system returned for *iteration*.

    A report of another iteration is stale. A problem is returned in the result and not raised: a
    bad report is a result of the soak (INCONCLUSIVE), and no error in the plugin.
    """
    try:
        return _read(raw, iteration, metrics)
    except Exception as error:  # noqa: BLE001 - an object of a foreign class may raise anything
        problem = Problem(Kind.REPORT_UNREADABLE, iteration, {"error": safe_repr(error)})
        return _unusable(raw, problem, metrics)


def _unusable(raw: object, problem: Problem, metrics: Mapping[str, Metric]) -> Report:
    return Report(Measured({}, dict.fromkeys(metrics, "is missing")), problem=problem, raw=raw)


def _misfit(raw: object, iteration: int) -> Problem | None:
    """Return why *raw* is no report of *iteration* that can be used, or None."""
    if raw is None:
        return Problem(Kind.NO_REPORT, iteration)
    if not isinstance(raw, dict):
        return Problem(Kind.REPORT_NOT_OBJECT, iteration, {"type": type(raw).__name__})
    given = safe_repr(raw["iteration"]) if "iteration" in raw else "iteration is missing"
    if type(raw.get("iteration")) is not int:
        return Problem(Kind.ITERATION_NOT_NUMBER, iteration, {"given": given})
    if raw["iteration"] != iteration:
        return Problem(Kind.REPORT_STALE, iteration, {"given": given})
    return _misfit_content(raw, iteration)


def _misfit_content(raw: Mapping[str, object], iteration: int) -> Problem | None:
    """Return the problem that a report states itself, or that its totals or parameters have."""
    own, totals, unusable = raw.get("problem"), raw.get("totals"), raw.get("unusable", {})
    if own is not None and not isinstance(own, str):
        return Problem(Kind.PROBLEM_NOT_TEXT, iteration, {"given": safe_repr(own)})
    if own:
        return Problem(Kind.SYSTEM, iteration, {"text": safe_text(own, PROBLEM)})
    if not isinstance(totals, dict):
        return Problem(Kind.TOTALS_NOT_OBJECT, iteration, {"given": safe_repr(totals)})
    texts = isinstance(unusable, dict) and all(isinstance(why, str) for why in unusable.values())
    if not texts:
        return Problem(Kind.UNUSABLE_NOT_TEXTS, iteration, {"given": safe_repr(unusable)})
    if "n" in raw and not isinstance(raw["n"], dict):
        return Problem(Kind.N_NOT_OBJECT, iteration, {"given": safe_repr(raw["n"])})
    return _misfit_parameters(raw.get("parameters"), iteration)


def _read(raw: Any, iteration: int, metrics: Mapping[str, Metric]) -> Report:  # noqa: ANN401 - JSON
    problem = _misfit(raw, iteration)
    if problem:
        return _unusable(raw, problem, metrics)
    totals = raw["totals"]
    counts = raw.get("n", {})
    n = {
        str.__str__(key): number
        for key, value in counts.items()
        if isinstance(key, str) and (number := count(value)) is not None
    }
    measured = _without(measure(totals, counts, metrics), raw.get("unusable", {}))
    return Report(measured, n, _parameters(raw.get("parameters")), raw=raw)


def _without(measured: Measured, unusable: Mapping[object, str]) -> Measured:
    """Return *measured* without the metrics that the system itself calls *unusable*."""
    why = {f"{name}": f"is unusable: {safe_text(why, PROBLEM)}" for name, why in unusable.items()}
    values = {
        name: value for name, value in measured.values.items() if name.partition(".")[0] not in why
    }
    told = {name.partition(".")[0] for name in why}
    return Measured(values, {**measured.problems, **why}, measured.absent - told)


def _misfit_parameters(raw: object, iteration: int) -> Problem | None:
    """Return why a report's parameters cannot be used, or None."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        return Problem(Kind.PARAMETERS_NOT_OBJECT, iteration, {"given": safe_repr(raw)})
    for name, value in raw.items():
        if not is_number(value):
            data = {"parameter": safe_text(str(name)), "given": safe_repr(value)}
            return Problem(Kind.PARAMETER_NOT_NUMBER, iteration, data)
    return None


def _parameters(raw: Mapping[object, Any] | None) -> dict[str, float] | None:
    if raw is None:
        return None
    return {str.__str__(name): exact(v) for name, v in raw.items() if isinstance(name, str)}


def ineffective(
    asked: Mapping[str, float], report: Report, iteration: int, precision: Mapping[str, float]
) -> list[Problem]:
    """Return the problems of parameters that the system did not use as *asked*, or made up.

    *precision* is as for `contradictions`.
    """
    wrong = [
        Problem(
            Kind.OVERRIDE_NOT_EFFECTIVE,
            iteration,
            {"parameter": name, "asked": asked[name], "used": used},
        )
        for name, used in contradictions(asked, report.parameters, precision).items()
        if used is not None
    ]
    unknown = [
        Problem(
            Kind.PARAMETER_UNKNOWN,
            iteration,
            {"parameter": safe_repr(name), "hint": did_you_mean(name, asked)},
        )
        for name in report.parameters or ()
        if name not in asked
    ]
    return wrong + unknown


def unusable(
    required: Iterable[str], facts: Mapping[str, Any], report: Report, iteration: int
) -> list[Problem]:
    """Return the problems of *required* metrics that neither *report* nor a watcher's fact has."""
    values = report.measured.values
    lacking = report.measured.lacking(required)
    undefined = dict.fromkeys(facts.keys() - values, "is undefined: a watcher gave None")
    return [
        Problem(
            Kind.METRIC_UNUSABLE,
            iteration,
            {"metric": metric, "fault": undefined.get(metric, fault)},
        )
        for metric, fault in lacking.items()
        if facts.get(metric) is None
    ]


def contradictions(
    asked: Mapping[str, float], used: Mapping[str, float] | None, precision: Mapping[str, float]
) -> dict[str, float | None]:
    """Compare the parameters *asked* for with those the system says it *used*.

    Args:
        asked: ``{field: value}``.
        used: The same of the report; None if it does not say.
        precision: ``{field: its grid}``, without the fields that have none.

    Returns:
        ``{field: the value it used instead}``, None for a field that the system did not report.
        Fields that it used as asked are left out.
    """
    used = used or {}
    return {
        name: used.get(name)
        for name, value in asked.items()
        if name not in used or not is_same(used[name], value, precision.get(name, 0))
    }


def end_of(raw: object) -> float | None:
    """Return the ``end`` of a report in seconds since 1970; None if it does not tell a time.

    A time without an offset counts as UTC.
    """
    text = raw.get("end") if isinstance(raw, dict) else None
    try:
        end = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if end is None:
        return None
    return (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp()
