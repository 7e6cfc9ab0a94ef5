"""Computes every verdict again: of each iteration from its report, of the chain from these."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_soak.gates.criteria import kpi_keys, make_kpi
from pytest_soak.gates.limits import parse_threshold
from pytest_soak.model.metrics import Metric
from pytest_soak.model.problem import Kind
from pytest_soak.model.report import ineffective, read_report, unusable
from pytest_soak.model.verdict import (
    Verdict,
    judge_chain,
    last_iterations,
    not_passed,
    on_settled,
    with_problem,
    worst,
)
from pytest_soak.store import legacy
from pytest_soak.store.files import jsonable
from pytest_soak.store.records import (
    judged_from_json,
    own_problems,
    problem_to_json,
    problems_from_json,
    verdict_to_json,
)
from pytest_soak.verify.decisions import decision_faults
from pytest_soak.verify.finding import Finding, as_json, field_differences, location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.model.problem import Problem
    from pytest_soak.model.verdict import Judgement

NO_RUN = {Kind.NOT_RUN, Kind.NEVER_CALLED}
"""Why there is no report; nothing else in a journal says which of them it was."""
SEEN_ONCE = {*NO_RUN, Kind.OVERRIDES_EDITED, Kind.STRATEGY_FAULT}
"""The problems of an iteration that nothing else in a journal shows."""
OF_CHAIN = {Kind.CLOSING, Kind.PARTIAL, Kind.OVERRIDES_EDITED, Kind.BROKEN_OFF, Kind.EARLIER_FORMAT}
"""The problems that a chain as a whole may have, beside those that follow from its iterations."""


def check_verdicts(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each verdict that does not follow from the records before it."""
    start: Mapping[str, Any] = {}
    iterations: list[Mapping[str, Any]] = []
    resumed = False
    for record in records:
        if record["kind"] in ("run_started", "run_resumed"):
            start, resumed = record, True
            if record["reading"] is None and record["v"] != legacy.FORMAT:
                yield Finding(location(record), "its reading is null, so no report can be read")
        elif record["kind"] == "iteration":
            iterations.append(record)
            if record["summary"]["restarted"] and not (resumed and len(iterations) > 1):
                yield Finding(location(record), "is marked as restarted, but was not resumed")
            resumed = False
            yield from (Finding(location(record), fault) for fault in _iteration(record, start))
        elif record["kind"] in ("run_ended", "run_interrupted"):
            yield from (
                Finding(location(record), fault) for fault in _end(record, iterations, start)
            )


def _iteration(record: Mapping[str, Any], start: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an iteration's facts, problems, judgements and verdict."""
    config, summary = start["config"], record["summary"]
    window = record["iteration"] > config["iterations"] - config["observe"]
    if not config["slot"] and summary["in_window"] != window:
        yield f"its in_window is {as_json(summary['in_window'])}, not {as_json(window)}"
    if start["reading"]:
        yield from _read_again(record, start)
    yield from _judged_again(record, start)
    yield from decision_faults(record, start)
    verdicts = [Verdict[judged["verdict"]] for judged in record["judgements"]]
    expected = Verdict.INCONCLUSIVE if summary["problems"] else worst(verdicts)
    if summary["verdict"] != expected.name:
        yield f"its verdict is {summary['verdict']}, its KPIs and problems give {expected.name}"


def _read_again(record: Mapping[str, Any], start: Mapping[str, Any]) -> Iterator[str]:
    """Yield how facts and problems of an iteration differ from those that its report gives."""
    number, summary, reading = record["iteration"], record["summary"], start["reading"]
    metrics = msgspec.convert(reading["metrics"], dict[str, Metric])
    report = read_report(record["report"], number, metrics)
    facts: dict[str, Any] = jsonable(dict(report.measured.values))
    if reading["watchers"]:  # their facts have names that are no metrics
        others = summary["metrics"].items()
        facts |= {name: fact for name, fact in others if name.partition(".")[0] not in metrics}
    for name, expected in (("metrics", facts), ("n", dict(report.n))):
        if summary[name] != expected:
            difference = field_differences(summary[name], expected)
            yield f"its {name} do not follow from its report: {difference}"
    given = problems_from_json(summary["problems"])
    kinds = {problem.kind for problem in given}
    missed = record["report"] is None and len(kinds & NO_RUN) == 1
    problems = [report.problem] if report.problem and not missed else []
    if not (problems or missed or Kind.OVERRIDES_EDITED in kinds):
        precision = start["config"].get("precision", {})
        problems = ineffective(summary["parameters"], report, number, precision)
        problems += unusable(reading["required"], summary["metrics"], report, number)
    once = SEEN_ONCE if missed else SEEN_ONCE - NO_RUN
    others = [problem.of(number) for problem in given if problem.kind in once]
    expected_all = _in_order(given, problems, others)
    if list(given) != expected_all:
        found, due = (as_json(list(map(problem_to_json, each))) for each in (given, expected_all))
        yield f"its problems do not follow from its report: they are {found}, not {due}"


def _in_order(
    given: Sequence[Problem], computed: Sequence[Problem], others: Sequence[Problem]
) -> list[Problem]:
    """Return *computed* and *others* in the order of *given*, what is not given at the end."""
    due = [*computed, *others]
    return sorted(due, key=lambda one: given.index(one) if one in given else len(given))


def _judged_again(record: Mapping[str, Any], start: Mapping[str, Any]) -> Iterator[str]:
    """Yield how judgements differ from those that KPIs and facts of their iteration give.

    Without the plugins that made them, the judgements of their gates cannot be computed, and those
    of their criteria only as far as they cannot be better than without these.
    """
    found: Sequence[Judgement] = judged_from_json(record).judgements
    summary, kpis = record["summary"], start["config"]["kpis"]
    fault = any(one["kind"] == Kind.STRATEGY_FAULT for one in summary["problems"])
    if fault and not found:  # a gate failed
        return
    of_kpis = {judged.metric: judged for judged in found[: len(kpis)]}
    for metric, table in kpis.items():
        recorded = of_kpis.get(metric)
        given = {key: value for key, value in table.items() if value is not None}
        expected = make_kpi(metric, given).judge(
            summary["metrics"].get(metric), summary["n"].get(metric)
        )
        if record["v"] == legacy.FORMAT and recorded and recorded.rule:
            recorded = replace(recorded, rule=str(parse_threshold(recorded.rule)))
        if recorded == expected:
            continue
        worse = recorded is not None and replace(
            expected, verdict=recorded.verdict, rule=recorded.rule, problem=recorded.problem
        )
        of_plugin = bool(given.keys() - kpi_keys())
        if worse and recorded == worse and of_plugin and recorded.verdict > expected.verdict:
            continue
        words = (_words(one) if one else {} for one in (recorded, expected))
        told = f"its judgement of {metric} does not follow from its report and criteria"
        yield f"{told}: {field_differences(*words)}"
    if len(found) > len(kpis) and start["reading"] and not start["reading"]["gates"]:
        yield f"has a judgement of {found[len(kpis)].metric}, for which there is no criterion"


def _words(judgement: Judgement) -> dict[str, Any]:
    return {**asdict(judgement), "verdict": judgement.verdict.name}


def _end(
    record: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], start: Mapping[str, Any]
) -> Iterator[str]:
    """Yield how a chain's verdict differs from the one that its iterations give."""
    expected = _expected(record, iterations, start["config"])
    found = {name: record[name] for name in expected} | {"problems": legacy.problems_once(record)}
    if found != expected:
        yield f"does not follow from the iterations: {field_differences(found, expected)}"
    kinds = {problem.kind for problem in own_problems(record)}
    unknown = sorted(kinds - OF_CHAIN)
    if unknown:
        yield f"its problem {unknown[0]} is none of a chain as a whole"
    if (Kind.BROKEN_OFF in kinds) != (record["kind"] == "run_interrupted"):
        yield "has the problem broken_off" if Kind.BROKEN_OFF in kinds else "lacks broken_off"


def _expected(
    record: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the verdict that *record* should have.

    Only this record has the tests that did not pass and the problems of the chain as a whole, so
    they are taken from it; both can only make the verdict worse. An hours run may end with fewer
    iterations than planned.
    """
    failed = record["not_passed"]
    last: int = config["iterations"]
    if config.get("slot") and record["window"] and record["window"][-1] == len(iterations):
        last = len(iterations)
    counted = [
        not_passed(judged, record["untold"]) if judged.iteration in failed else judged
        for judged in map(judged_from_json, iterations)
    ]
    window = last_iterations(last, config["observe"])
    verdict = judge_chain(counted, last, window, config["max_inconclusive"])
    applied = (iteration["iteration"] for iteration in iterations if iteration["applied"])
    verdict = on_settled(verdict, config["observe"], max(applied, default=0))
    for problem in reversed(own_problems({"problems": legacy.problems_once(record)})):
        verdict = with_problem(verdict, problem)
    settled = filter(None, (iteration["settles"] for iteration in iterations))
    unverified = [one["iteration"] for one in settled if one["verified"] == "unknown"]
    return {**verdict_to_json(verdict), "unverified": unverified}
