"""The contents of the artifacts: projections of what was recorded, never read back to decide."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_soak.seeding import REASON, Seeding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import Entry, Verified
    from pytest_soak.model.verdict import ChainVerdict, IterationVerdict
    from pytest_soak.plan import ChainPlan


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seeded_adjustments(seeding: Seeding) -> list[dict[str, Any]]:
    """Return what a person or CI laid over the base, as adjustments."""
    ts = _now()
    return [
        {"ts": ts, "field": name, "from": seeded.base, "to": seeded.value, "reason": REASON}
        for name, seeded in sorted(seeding.fields.items())
    ]


def adjustments(decision: Decision) -> list[dict[str, Any]]:
    """Return the moves of an applied *decision*, as adjustments."""
    ts = _now()
    return [
        {
            "ts": ts,
            "field": change.parameter,
            "from": change.old,
            "to": change.new,
            "reason": change.reason,
            "iteration": decision.iteration,
        }
        for change in decision.moves
    ]


def applied_profile(
    plan: ChainPlan, overrides: Mapping[str, float], adjusted: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return ``applied_profile.json``: the base, what was laid over it and why, the result."""
    return {
        "profile": plan.profile.name,
        "base": dict(plan.profile.fields),
        "overrides_runtime": dict(overrides),
        "runtime_adjustments": list(adjusted),
        "applied": plan.effective(overrides),
    }


def iter_summary(
    entry: Entry, judged: IterationVerdict, verified: Verified | None
) -> dict[str, Any]:
    """Return ``ITER_SUMMARY_N.json``.

    ``tuning.verified`` is null until the next report has told; where nothing was applied there
    is nothing to verify, and it stays null.
    """
    summary, decision = entry.summary, entry.decision
    tuning: dict[str, Any] = {
        "deltas": {},
        "effective": {},
        "applied": entry.applied,
        "verified": str(verified) if entry.applied and verified else None,
        "reasons": [],
        "skip_reason": "",
    }
    if decision is not None:
        asked = {wish.parameter: wish.delta for wish in decision.requests}
        tuning["deltas"] = {**asked, **{c.parameter: c.requested for c in decision.changes}}
        tuning["effective"] = {change.parameter: change.effective for change in decision.changes}
        tuning["reasons"] = list(dict.fromkeys(wish.reason for wish in decision.requests))
        tuning["skip_reason"] = decision.skip_reason
        tuning["vetoes"] = [
            {"guard": veto.guard, "reason": veto.reason, "parameter": veto.parameter}
            for veto in decision.vetoes
        ]
        tuning["notes"] = {c.parameter: str(c.note) for c in decision.changes if c.note}
    return {
        "iteration": summary.iteration,
        "summary": {
            "metrics": dict(summary.metrics),
            "n": dict(summary.n),
            "parameters": dict(summary.parameters),
            "parameters_verified": str(summary.verified),
            "verdict": summary.verdict.name,
            "problems": list(summary.problems),
            "observation_window": summary.in_window,
            "kpis": {judgement.metric: judgement.verdict.name for judgement in judged.judgements},
        },
        "tuning": tuning,
    }


def tuning_report(
    plan: ChainPlan, entries: Sequence[Entry], verdict: ChainVerdict
) -> dict[str, Any]:
    """Return ``TUNING_REPORT.json``: every iteration in a line, and the counts of skip reasons."""
    skips: Counter[str] = Counter()
    rows = []
    for entry in entries:
        decision = entry.decision
        moves = decision.moves if decision else ()
        if decision:
            skips.update(veto.reason for veto in decision.vetoes)
        rows.append(
            {
                "iteration": entry.summary.iteration,
                "verdict": entry.summary.verdict.name,
                "metrics": dict(entry.summary.metrics),
                "applied": entry.applied,
                "skip_reason": decision.skip_reason if decision else "",
                "moves": [
                    {"field": c.parameter, "from": c.old, "to": c.new, "reason": c.reason}
                    for c in moves
                ],
            }
        )
    return {
        **plan.describe(),
        "run": plan.run_id,
        "verdict": verdict.verdict.name,
        "skip_reasons": dict(skips),
        "rows": rows,
    }


def kpi_gate(
    plan: ChainPlan, judged: Sequence[IterationVerdict], verdict: ChainVerdict
) -> dict[str, Any]:
    """Return ``KPI_GATE.json``: the verdict and, for each KPI, limits and values in the window."""
    window = set(verdict.window)
    values: dict[str, list[dict[str, Any]]] = {}
    for entry in judged:
        for judgement in entry.judgements if entry.iteration in window else ():
            values.setdefault(judgement.metric, []).append(
                {
                    "iteration": entry.iteration,
                    "value": judgement.value,
                    "n": judgement.n,
                    "verdict": judgement.verdict.name,
                    "rule": judgement.rule,
                }
            )
    return {
        "verdict": verdict.verdict.name,
        "reasons": list(verdict.reasons),
        "problems": list(verdict.problems),
        "unverified": list(verdict.unverified),
        "window": list(verdict.window),
        "thresholds": plan.describe()["kpis"],
        "kpis": values,
    }
