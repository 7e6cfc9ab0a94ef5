"""The rows of the closing table, as small plain values that a worker can send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.model.chain import WHOLE_RUN
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.model.verdict import Verdict
from pytest_soak.store.records import verdict_to_json
from pytest_soak.views.text import (
    aligned,
    criteria_details,
    criteria_rows,
    not_passed_lines,
    number,
    stretch_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.model.chain import ChainVerdict
    from pytest_soak.model.decision import Decision
    from pytest_soak.model.verdict import RunJudgement

WHY = 600
"""How many characters of a problem are shown."""
EFFECTS = 12
"""For how many of the last applies the closing table shows the effects."""


def _header(name: str, loop: SoakLoop) -> dict[str, Any]:
    plan = loop.plan
    shown = [kpi.metric for kpi in plan.pack.kpis]
    shown += [column for column in plan.pack.columns if column not in shown]
    return {
        "chain": name,
        "columns": [
            [metric.name, metric.label, metric.digits] for metric in map(plan.pack.metric, shown)
        ],
        "title": (
            f"{plan.pack.name}/{plan.profile.name}  system {plan.system_name}/{plan.scenario}  "
            f"tuner {plan.tuner_names}  mode {plan.mode}  seed {plan.seed}"
            f"{f'  slot {number(plan.slot)} s' if plan.slot else ''}"
        ),
    }


def iteration_row(name: str, loop: SoakLoop, iteration: int) -> dict[str, Any]:
    """Return the row of one iteration: values with their verdicts, and the changes."""
    entry, judged = loop.controller.entries[iteration - 1], loop.controller.judged[iteration - 1]
    summary, decision = entry.summary, entry.decision
    words = {judgement.metric: judgement.verdict.name for judgement in judged.judgements}
    header = _header(name, loop)
    return {
        **header,
        "iteration": summary.iteration,
        "values": [
            [_plain(summary.metrics.get(column)), words.get(column, "")]
            for column, _, _ in header["columns"]
        ],
        "verdict": summary.verdict.name,
        "in_window": summary.in_window,
        "restarted": summary.restarted,
        "doubts": {name: str(word) for name, word in summary.doubts.items()},
        "applied": entry.applied,
        "skip_reason": decision.skip_reason if decision else "",
        "problems": list(map(str, summary.problems)),
        "changes": [
            [change.parameter, change.old, change.new, str(change.note), change.reason]
            for change in (decision.changes if decision else ())
        ]
        + _restored(decision),
    }


def _restored(decision: Decision | None) -> list[list[Any]]:
    """Return the changes of a rollback, in the form of other changes."""
    if decision is None or decision.rollback is None:
        return []
    reason = f"{decision.rollback.guard} to iteration {decision.rollback.to_iteration}"
    return [[name, old, new, "", reason] for name, (old, new) in decision.restored.items()]


def verdict_row(name: str, loop: SoakLoop, verdict: ChainVerdict) -> dict[str, Any]:
    """Return the row of a chain's end."""
    return {
        **_header(name, loop),
        "final": verdict.verdict.name,
        "stretch": stretch_lines(verdict_to_json(verdict), loop.plan.planned),
        "criteria": _worth_showing(verdict),
        "window": list(verdict.window),
        "reasons": list(verdict.reasons),
        "why": [problem.located for problem in verdict.problems],
        "slots": _slots(loop),
        "objective": loop.store.progress,
        "effects": _effects(loop),
        "folder": str(loop.store.folder),
        "head": loop.store.journal.head,
    }


def _worth_showing(verdict: ChainVerdict) -> list[list[str]]:
    """Return the rows of all criteria but limits and shares that hold in every iteration."""
    return [
        row
        for row, judged in _criteria(verdict)
        if judged.criterion not in QUIET or judged.verdict is not Verdict.PASS or judged.detail
    ]


def _criteria(verdict: ChainVerdict) -> Iterator[tuple[list[str], RunJudgement]]:
    """Yield the cells of each criterion, with what else it said, and its judgement."""
    ended = verdict_to_json(verdict)
    told = zip(criteria_rows(ended), criteria_details(ended), verdict.criteria, strict=True)
    for row, detail, judged in told:
        yield [safe_text(cell, WHY) for cell in (*row, detail)], judged


QUIET = ("limits", WHOLE_RUN)


def ending_row(name: str, loop: SoakLoop) -> dict[str, Any]:
    """Return the row of a chain that ended without its gate.

    It contains the last iteration, because the item of that may not have been reported.
    """
    return {
        **_header(name, loop),
        "judged": loop.finished,
        "last": iteration_row(name, loop, loop.done) if loop.done else None,
        "folder": str(loop.store.folder),
        "head": loop.store.journal.head,
    }


def _slots(loop: SoakLoop) -> str:
    """Return how many slots of an hours run were used, as text; empty for a run by count."""
    if loop.pace is None:
        return ""
    dropped = f", {loop.pace.dropped} dropped at the deadline" if loop.pace.dropped else ""
    return f"{loop.done} of {loop.plan.planned}{dropped}"


def _effects(loop: SoakLoop) -> list[list[Any]]:
    """Return, for each of the last applies, each KPI's change and whether it is beyond noise."""
    return [
        [
            row["iteration"],
            {name: [e["change"], e["beyond_noise"]] for name, e in row["kpis"].items()},
        ]
        for row in loop.store.effectiveness[-EFFECTS:]
    ]


def explanation(loop: SoakLoop, verdict: ChainVerdict) -> str:
    """Return why a chain does not pass: KPI, rule, value, n and iteration, as text."""
    lines = [f"KPI gate: {verdict.verdict.name}"]
    lines += [f"  {safe_text(problem.located, WHY)}" for problem in verdict.problems]
    ended = verdict_to_json(verdict)
    lines += (f"  {line}" for line in stretch_lines(ended, loop.plan.planned))
    rows = [row for row, _ in _criteria(verdict)]
    lines += (f"  {line}" for line in not_passed_lines(rows))
    unclear = [("KPI", "verdict", "value", "why", "n", "iteration")]
    window = set(verdict.window)
    for judged in loop.controller.judged:
        for judgement in judged.judgements if judged.iteration in window else ():
            if judgement.verdict is not Verdict.INCONCLUSIVE:
                continue
            unclear.append(
                (
                    safe_text(judgement.metric),
                    judgement.verdict.name,
                    "none" if judgement.value is None else number(judgement.value),
                    safe_text(judgement.rule or judgement.problem),
                    "" if judgement.n is None else str(judgement.n),
                    str(judged.iteration),
                )
            )
    if len(unclear) > 1:
        lines += (f"  {row}" for row in aligned(unclear))
    lines.append(f"  artifacts: {loop.store.folder}")
    return "\n".join(line.rstrip() for line in lines)


def _plain(value: object) -> float | str | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    return str(value)
