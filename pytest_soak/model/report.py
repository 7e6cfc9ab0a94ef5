"""The report: what a system measured in one iteration, read once at the edge."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_soak.model.metrics import Measured, Metric, count, exact, is_number, measure
from pytest_soak.model.safe_repr import safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping


PROBLEM = 500
"""How many letters of a report's own ``problem`` are told."""


@dataclass(frozen=True, slots=True)
class Report:
    """One iteration's report after reading.

    Args:
        measured: The metrics, with what is wrong with those that are not usable.
        n: ``{metric: count}``, how many observations a value rests on.
        parameters: ``{field: number}`` that the system says it used, or None where it is silent.
        problem: Why the report as a whole cannot be used, or an empty string.
        raw: The report as the system gave it.
    """

    measured: Measured
    n: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, float] | None = None
    problem: str = ""
    raw: object = None


def read_report(raw: object, iteration: int, metrics: Mapping[str, Metric]) -> Report:
    """Read what a system returned for *iteration*.

    A report of another iteration is stale. Whatever is wrong is told in the result, not raised:
    a system's bad report is an outcome of the soak (INCONCLUSIVE), not an error of the harness.
    """
    try:
        return _read(raw, iteration, metrics)
    except Exception as error:  # noqa: BLE001 - a stranger's object may raise whatever it is asked
        problem = f"the report cannot be read: {safe_repr(error)}"
        return _unusable(raw, problem, metrics)


def _unusable(raw: object, problem: str, metrics: Mapping[str, Metric]) -> Report:
    return Report(Measured({}, dict.fromkeys(metrics, "is missing")), problem=problem, raw=raw)


def _misfit(raw: object, iteration: int) -> str:
    """Return why *raw* is no report of *iteration* that can be used, or an empty string."""
    if raw is None:
        return "no report"
    if not isinstance(raw, dict):
        return f"the report is not an object but {type(raw).__name__}"
    if type(raw.get("iteration")) is not int or raw["iteration"] != iteration:
        return f"stale report: it is of iteration {safe_repr(raw.get('iteration'))}"
    totals: object = raw.get("totals")
    lacking = "" if isinstance(totals, dict) else "the report's totals are not an object: "
    return _told(raw.get("problem")) or (lacking and f"{lacking}{safe_repr(totals)}")


def _told(problem: object) -> str:
    """Return what the report's own ``problem`` says, or that it is no text."""
    if problem is None or isinstance(problem, str):
        return safe_text(problem or "", PROBLEM)
    return f"the report's problem is not a text: {safe_repr(problem)}"


def _read(raw: Any, iteration: int, metrics: Mapping[str, Metric]) -> Report:  # noqa: ANN401 - JSON
    problem = _misfit(raw, iteration)
    if problem:
        return _unusable(raw, problem, metrics)
    totals = raw["totals"]
    parameters, problem = _read_parameters(raw.get("parameters"))
    if problem:
        return _unusable(raw, problem, metrics)
    counts = raw.get("n")
    told = counts if isinstance(counts, dict) else {}
    n = {
        str.__str__(key): number
        for key, value in told.items()
        if isinstance(key, str) and (number := count(value)) is not None
    }
    return Report(measure(totals, told, metrics), n, parameters, raw=raw)


def _read_parameters(raw: object) -> tuple[dict[str, float] | None, str]:
    if raw is None:
        return None, ""
    if not isinstance(raw, dict):
        return None, f"the report's parameters are not an object: {safe_repr(raw)}"
    for name, value in raw.items():
        if not is_number(value):
            where = f"the report's parameter {safe_text(str(name))}"
            return None, f"{where} is not a number: {safe_repr(value)}"
    return {str.__str__(n): exact(v) for n, v in raw.items() if isinstance(n, str)}, ""


def contradictions(
    asked: Mapping[str, float], used: Mapping[str, float] | None
) -> dict[str, float | None]:
    """Compare the parameters *asked* for with those the system says it *used*.

    Values within a billionth of each other are the same number, written twice.

    Returns:
        ``{field: the value it used instead}``, None for a field that the system did not tell of;
        nothing for a field that it used as asked.
    """
    told = used or {}
    return {
        name: told.get(name)
        for name, value in asked.items()
        if name not in told or not math.isclose(told[name], value, rel_tol=1e-9, abs_tol=1e-9)
    }
