"""Summaries and decisions as plain JSON, and back."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from pytest_soak.model.decision import Change, Decision, Notice, Request, Rollback, Veto
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.summary import Summary, Verified
from pytest_soak.model.verdict import ChainVerdict, IterationVerdict, Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed import DataclassInstance

    from pytest_soak.model.proposal import Proposal


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """Return *decision* without its parameters, which the record has already."""
    return {
        "requests": [_flat(Request, request) for request in decision.requests],
        "changes": [_flat(Change, change) for change in decision.changes],
        "vetoes": [_flat(Veto, veto) for veto in decision.vetoes],
        "skip_reason": decision.skip_reason,
        "asked": dict(decision.asked),
        "notices": [_flat(Notice, notice) for notice in decision.notices],
        "rollback": _rollback_to_json(decision.rollback),
    }


def _rollback_to_json(rollback: Rollback | None) -> dict[str, Any] | None:
    if rollback is None:
        return None
    return {
        "guard": rollback.guard,
        "to_iteration": rollback.to_iteration,
        "parameters": dict(rollback.parameters),
        "detail": rollback.detail,
    }


def decision_from_json(
    data: Mapping[str, Any], iteration: int, parameters: Mapping[str, float]
) -> Decision:
    """Return the decision that *data* was written from."""
    requests = (
        {**_known(Request, raw), "corridor": Corridor(raw["corridor"])} for raw in data["requests"]
    )
    changes = (
        {
            **_known(Change, raw),
            "corridor": Corridor(raw["corridor"]),
            "note": Note(raw["note"]),
        }
        for raw in data["changes"]
    )
    return Decision(
        iteration,
        parameters,
        tuple(Request(**raw) for raw in requests),
        tuple(Change(**raw) for raw in changes),
        tuple(Veto(**_known(Veto, raw)) for raw in data["vetoes"]),
        data["skip_reason"],
        data["asked"],
        tuple(Notice(**_known(Notice, raw)) for raw in data["notices"]),
        Rollback(**_known(Rollback, data["rollback"])) if data["rollback"] else None,
    )


def _known(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *data* a *kind* of ours has room for.

    A later version may have said more, and an earlier one less: then the default holds.
    """
    return {
        field.name: data[field.name]
        for field in fields(kind)
        if field.name in data or field.default is MISSING
    }


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """Return *problem* as JSON."""
    return {
        "kind": str(problem.kind),
        "iteration": problem.iteration,
        "data": dict(problem.data),
    }


def problems_from_json(data: Iterable[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """Return the problems that *data* was written from."""
    return tuple(Problem(Kind(raw["kind"]), raw["iteration"], raw["data"]) for raw in data)


def own_problems(ending: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return the problems of the chain as a whole that the record of its end names.

    Those that follow from its iterations are left out, as they are found again.
    """
    return tuple(
        problem
        for problem in problems_from_json(ending["problems"])
        if not problem.iteration and problem.kind is not Kind.UNSETTLED
    )


def proposals_to_json(answers: Iterable[tuple[str, Proposal]]) -> list[dict[str, Any]]:
    """Return what each tuner, by name, answered; its requests are in the decision."""
    return [
        {
            "tuner": tuner,
            "reasons": list(proposal.reasons),
            "withheld": list(proposal.withheld),
        }
        for tuner, proposal in answers
    ]


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """Return *summary* as JSON; the verdict by its name."""
    return {
        "parameters": dict(summary.parameters),
        "metrics": dict(summary.metrics),
        "n": dict(summary.n),
        "verdict": summary.verdict.name,
        "problems": list(map(problem_to_json, summary.problems)),
        "doubts": {name: str(word) for name, word in summary.doubts.items()},
        "in_window": summary.in_window,
        "restarted": summary.restarted,
    }


def summary_from_json(data: Mapping[str, Any], iteration: int) -> Summary:
    """Return the summary that *data* was written from."""
    metrics = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data["metrics"].items()
    }
    return Summary(
        iteration,
        data["parameters"],
        metrics,
        data["n"],
        Verdict[data["verdict"]],
        problems_from_json(data["problems"]),
        {name: Verified(word) for name, word in data["doubts"].items()},
        data["in_window"],
        data["restarted"],
    )


def _flat(kind: type[DataclassInstance], value: object) -> dict[str, Any]:
    """Return the fields of a dataclass that holds no other, in a tenth of the time of `asdict`."""
    return {name: getattr(value, name) for name in kind.__dataclass_fields__}


def judgements_to_json(judged: IterationVerdict) -> list[dict[str, Any]]:
    """Return the judgements of one iteration as JSON."""
    return [
        {**_flat(Judgement, judgement), "verdict": judgement.verdict.name}
        for judgement in judged.judgements
    ]


def verdict_to_json(verdict: ChainVerdict) -> dict[str, Any]:
    """Return a chain's *verdict* as JSON."""
    return {
        "verdict": verdict.verdict.name,
        "window": list(verdict.window),
        "reasons": list(verdict.reasons),
        "problems": list(map(problem_to_json, verdict.problems)),
        "unverified": list(verdict.unverified),
    }


def judged_from_json(record: Mapping[str, Any]) -> IterationVerdict:
    """Return what an iteration's *record* says of its verdict."""
    return IterationVerdict(
        record["iteration"],
        Verdict[record["summary"]["verdict"]],
        tuple(
            Judgement(**{**_known(Judgement, raw), "verdict": Verdict[raw["verdict"]]})
            for raw in record["judgements"]
        ),
        problems_from_json(record["summary"]["problems"]),
    )
