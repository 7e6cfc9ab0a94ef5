"""Checks that the verdicts follow from the records of the iterations."""

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
from pytest_soak.verify.finding import Finding, field_differences, location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def check_verdicts(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each verdict that does not follow from the records before it."""
    config: Mapping[str, Any] = {}
    iterations: list[Mapping[str, Any]] = []
    for record in records:
        if record["kind"] in ("run_started", "run_resumed"):
            config = record["config"]
        elif record["kind"] == "iteration":
            iterations.append(record)
            yield from _check_iteration(record)
        elif record["kind"] in ("run_ended", "run_interrupted"):
            expected = _expected(record, iterations, config)
            found = {**{name: record[name] for name in expected}, "problems": problems_once(record)}
            if found != expected:
                what = f"does not follow from the iterations: {field_differences(found, expected)}"
                yield Finding(location(record), what)


def _check_iteration(record: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding if an iteration's verdict does not follow from its KPIs and problems."""
    summary = record["summary"]
    verdicts = [Verdict[judged["verdict"]] for judged in record["judgements"]]
    expected = Verdict.INCONCLUSIVE if summary["problems"] else worst(verdicts)
    if summary["verdict"] != expected.name:
        what = f"its verdict is {summary['verdict']}, its KPIs and problems give {expected.name}"
        yield Finding(location(record), what)


def _expected(
    record: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the verdict that *record* should have.

    Only this record has the tests that did not pass and the problems of the chain as a whole, so
    they are taken from it; both can only make the verdict worse. An hours run may end before the
    planned number of iterations.
    """
    failed = record["not_passed"]
    last: int = config["iterations"]
    if config.get("slot") and record["window"]:
        last = record["window"][-1]
    counted = [
        not_passed(judged, record["untold"]) if judged.iteration in failed else judged
        for judged in map(judged_from_json, iterations)
    ]
    window = last_iterations(last, config["observe"])
    verdict = judge_chain(counted, last, window, config["max_inconclusive"])
    applied = (iteration["iteration"] for iteration in iterations if iteration["applied"])
    verdict = on_settled(verdict, config["observe"], max(applied, default=0))
    for problem in reversed(own_problems({"problems": problems_once(record)})):
        verdict = with_problem(verdict, problem)
    settled = filter(None, (iteration["settles"] for iteration in iterations))
    unverified = [one["iteration"] for one in settled if one["verified"] == "unknown"]
    return {**verdict_to_json(verdict), "unverified": unverified}
