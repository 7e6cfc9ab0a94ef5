"""The verdicts: do they follow from what was recorded of the iterations?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.model.verdict import (
    Verdict,
    judge_chain,
    last_iterations,
    not_passed,
    on_settled,
    with_problem,
    worst,
)
from pytest_soak.store.legacy import problems_once
from pytest_soak.store.records import judged_from_json, own_problems, verdict_to_json
from pytest_soak.verify.finding import Finding, at, unlike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


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
            there = {**{name: record[name] for name in due}, "problems": problems_once(record)}
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

    Which tests did not pass, and the problems of the chain as a whole, are in this record alone:
    both can only make the verdict worse. An hours run may end before the planned number of
    iterations.
    """
    failed = record["not_passed"]
    last: int = config["iterations"]
    if config.get("slot") and record["window"]:
        last = record["window"][-1]
    counted = [
        not_passed(judged) if judged.iteration in failed else judged
        for judged in map(judged_from_json, iterations)
    ]
    window = last_iterations(last, config["observe"])
    verdict = judge_chain(counted, last, window, config["max_inconclusive"])
    applied = (iteration["iteration"] for iteration in iterations if iteration["applied"])
    verdict = on_settled(verdict, config["observe"], max(applied, default=0))
    for problem in reversed(own_problems({"problems": problems_once(record)})):
        verdict = with_problem(verdict, problem)
    due = verdict_to_json(verdict)
    settled = filter(None, (iteration["settles"] for iteration in iterations))
    due["unverified"] = [told["iteration"] for told in settled if told["verified"] == "unknown"]
    return due
