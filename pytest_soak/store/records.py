"""Converts summaries, decisions and verdicts to JSON and back."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pytest_soak.model.chain import ChainVerdict, Rules, Span, WholeRun
from pytest_soak.model.decision import Change, Decision, Notice, Request, Rollback, Veto
from pytest_soak.model.mode import Mode
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.stretch import Baseline, RunValues
from pytest_soak.model.summary import Summary, Verified
from pytest_soak.model.verdict import IterationVerdict, Judgement, RunJudgement, Verdict
from pytest_soak.store import legacy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed import DataclassInstance

    from pytest_soak.model.proposal import Proposal


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """Return *decision* as JSON, without its parameters, which the record has elsewhere."""
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
    """Return the decision that *data* contains."""
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
    """Return the fields of *kind* in *data*, where a later version may have added others."""
    return {field.name: data[field.name] for field in fields(kind)}


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """Return *problem* as JSON."""
    return {
        "kind": str(problem.kind),
        "iteration": problem.iteration,
        "data": dict(problem.data),
    }


def problems_from_json(data: Iterable[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """Return the problems that *data* contains."""
    return tuple(Problem(Kind(raw["kind"]), raw["iteration"], raw["data"]) for raw in data)


def own_problems(ending: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return the problems that the record of a chain's end has for the chain as a whole.

    Leaves out problems that are computed again from the iterations.
    """
    return tuple(
        problem
        for problem in problems_from_json(ending["problems"])
        if not problem.iteration and problem.kind is not Kind.UNSETTLED
    )


def proposals_to_json(answers: Iterable[tuple[str, Proposal]]) -> list[dict[str, Any]]:
    """Return the proposal of each tuner, by name, without its requests: the decision has them."""
    return [
        {
            "tuner": tuner,
            "reasons": list(proposal.reasons),
            "withheld": list(proposal.withheld),
        }
        for tuner, proposal in answers
    ]


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """Return *summary* as JSON, with the name of its verdict."""
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
    """Return the summary that *data* contains."""
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
    """Return the fields of a flat dataclass, ten times as fast as `asdict`."""
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
        "stretch": _flat(Span, verdict.stretch),
        "criteria": list(map(run_judgement_to_json, verdict.criteria)),
        "counts": dict(verdict.counts),
    }


def run_judgement_to_json(judged: RunJudgement) -> dict[str, Any]:
    """Return the judgement of a criterion on a run as JSON."""
    verdict = None if judged.verdict is None else judged.verdict.name
    iterations = list(judged.iterations)
    return {**_flat(RunJudgement, judged), "verdict": verdict, "iterations": iterations}


def run_judgement_from_json(raw: Mapping[str, Any]) -> RunJudgement:
    """Return the judgement of a criterion on a run that *raw* contains."""
    verdict = None if raw["verdict"] is None else Verdict[raw["verdict"]]
    known = _known(RunJudgement, raw)
    return RunJudgement(**{**known, "verdict": verdict, "iterations": tuple(raw["iterations"])})


def verdict_from_json(ending: Mapping[str, Any]) -> ChainVerdict:
    """Return the verdict that the record of a run's end contains."""
    return ChainVerdict(
        Verdict[ending["verdict"]],
        tuple(ending["window"]),
        tuple(ending["reasons"]),
        problems_from_json(ending["problems"]),
        tuple(ending["unverified"]),
        Span(**_known(Span, ending["stretch"])),
        tuple(map(run_judgement_from_json, ending["criteria"])),
        ending["counts"],
    )


def judged_from_json(record: Mapping[str, Any]) -> IterationVerdict:
    """Return the verdict that an iteration's *record* contains."""
    return IterationVerdict(
        record["iteration"],
        Verdict[record["summary"]["verdict"]],
        tuple(
            Judgement(**{**_known(Judgement, raw), "verdict": Verdict[raw["verdict"]]})
            for raw in record["judgements"]
        ),
        problems_from_json(record["summary"]["problems"]),
    )


def rules_from_json(start: Mapping[str, Any]) -> Rules:
    """Return what the verdict of a run is based on, by the record of its *start* or resume.

    In a run of 0.1.0 it is the observation window alone.
    """
    config = start["config"]
    run = config.get("whole_run")
    return Rules(
        config["observe"],
        config["iterations"],
        config.get("warm_up", 0),
        config["max_inconclusive"],
        WholeRun(**run) if run else None,
        tuned=config["mode"] == Mode.APPLY,
        window_alone=start["v"] == legacy.FORMAT,
    )


def baseline_from_json(told: Mapping[str, Any] | None) -> Baseline:
    """Return the runs that a run is compared with, which *told* contains; none if it is None."""
    if told is None:
        return Baseline()
    level = told["level"]
    return Baseline(
        tuple(map(_values_from_json, told["runs"])),
        tuple(told["metrics"]),
        told["why"],
        told["required"],
        None if level is None else _values_from_json(level),
    )


def _values_from_json(sums: Mapping[str, Any]) -> dict[str, RunValues]:
    """Return what each metric was in a run."""
    return {name: RunValues(sums["run"], **values) for name, values in sums["values"].items()}
