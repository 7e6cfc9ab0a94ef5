"""The verdicts: do they follow from what was recorded of the iterations?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_soak.model.verdict import (
    CLOSING,
    Verdict,
    closed_badly,
    judge_chain,
    not_passed,
    unfit_verdict,
    worst,
)
from pytest_soak.store.records import judged_from_json, verdict_to_json
from pytest_soak.verify.finding import Finding, at, unlike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.model.verdict import ChainVerdict

OF_ITERATION = re.compile(r"iteration (\d+): (.*)", re.DOTALL)
"""A problem of a chain's verdict that is one of its iterations'; others are the chain's own."""
NOT_PASSED = "its test did not pass"


def own_problems(record: Mapping[str, Any]) -> list[str]:
    """Return what befell the chain as a whole, as the *record* of its end tells."""
    return [problem for problem in record["problems"] if not OF_ITERATION.match(problem)]


def with_problem(verdict: ChainVerdict, problem: str) -> ChainVerdict:
    """Return *verdict* with a *problem* of the chain as a whole."""
    if problem.startswith(CLOSING):
        return closed_badly(verdict, problem.removeprefix(CLOSING))
    return unfit_verdict(verdict, problem)


def check_verdicts(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the verdicts that do not follow from what was recorded before them."""
    config: Mapping[str, Any] = {}
    iterations: list[Mapping[str, Any]] = []
    for record in records:
        if record["kind"] in ("run_started", "run_resumed"):
            config = record["config"]
        elif record["kind"] == "iteration":
            iterations.append(record)
            yield from _check_iteration(record)
        elif record["kind"] in ("run_ended", "run_interrupted"):
            due = _due(record, iterations, config)
            there = {name: record[name] for name in due}
            if there != due:
                yield Finding(at(record), f"does not follow: {unlike(there, due)}")


def _check_iteration(record: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding where an iteration's verdict is not that of its KPIs and problems."""
    summary = record["summary"]
    words = [Verdict[judged["verdict"]] for judged in record["judgements"]]
    due = Verdict.INCONCLUSIVE if summary["problems"] else worst(words)
    if summary["verdict"] != due.name:
        told = f"its verdict is {summary['verdict']}, its KPIs and problems give {due.name}"
        yield Finding(at(record), told)


def _due(
    record: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the verdict in *record* should be.

    Which tests did not pass, and what befell the chain as a whole, is in its problems alone: both
    can only make it worse. An hours run may end before the planned number of iterations.
    """
    own = own_problems(record)
    matches = filter(None, map(OF_ITERATION.match, record["problems"]))
    failed = {int(match[1]) for match in matches if match[2] == NOT_PASSED}
    last: int = config["iterations"]
    if config.get("slot") and record["window"]:
        last = record["window"][-1]
    counted = [
        not_passed(judged) if judged.iteration in failed else judged
        for judged in map(judged_from_json, iterations)
    ]
    window = range(max(1, last - config["observe"] + 1), last + 1)
    verdict = judge_chain(counted, last, window, config["max_inconclusive"])
    for problem in reversed(own):
        verdict = with_problem(verdict, problem)
    due = verdict_to_json(verdict)
    settled = filter(None, (iteration["settles"] for iteration in iterations))
    due["unverified"] = [told["iteration"] for told in settled if told["verified"] == "unknown"]
    return due
