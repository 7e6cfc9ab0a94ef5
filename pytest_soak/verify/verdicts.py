"""Computes every verdict again: of each iteration from its report, of the chain from these."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_soak.errors import what_raised
from pytest_soak.gates.criteria import CRITERIA, extra_of, kpi_keys, make_kpi
from pytest_soak.gates.limits import parse_threshold
from pytest_soak.model.chain import (
    Outcome,
    hours_of,
    judge_outcomes,
    not_passed,
    on_settled,
    with_problem,
)
from pytest_soak.model.metrics import Metric, fact_fault
from pytest_soak.model.problem import EARLY, Kind
from pytest_soak.model.report import end_of, ineffective, read_report, unusable
from pytest_soak.model.verdict import Verdict, worst
from pytest_soak.store import legacy
from pytest_soak.store.files import jsonable
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import JournalError
from pytest_soak.store.records import (
    baseline_from_json,
    judged_from_json,
    own_problems,
    problem_to_json,
    problems_from_json,
    rules_from_json,
    run_judgement_from_json,
    summary_from_json,
    verdict_to_json,
)
from pytest_soak.verify.decisions import decision_faults
from pytest_soak.verify.finding import Finding, as_json, field_differences, location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.problem import Problem
    from pytest_soak.model.stretch import Stretch
    from pytest_soak.model.verdict import Judgement, RunJudgement

NO_RUN = {Kind.NOT_RUN, Kind.NEVER_CALLED}
"""Why there is no report; nothing else in a journal says which of them it was."""
CORE = tuple(kind.name for kind in CRITERIA)
CALCULATED = {kind.name for kind in CRITERIA if kind.needs}
"""The criteria that calculate with a library, of which each version may round otherwise."""
CLOSE = 1e-5
"""By how much, relative to it, a number of theirs may differ: by one in the last of 6 digits."""
CLOSE_IN_TEXT = 1e-2
"""The same in a text, where numbers have 3 digits. So a count of runs may not differ."""
NUMBER = re.compile(r"(?<![\w.-])([-+]?\d+(?:\.\d+)?(?:e[+-]\d+)?)(?![\w-])( %)?")
"""A number in a text, which is no part of a run's id."""
SEEN_ONCE = {*NO_RUN, Kind.OVERRIDES_EDITED, Kind.STRATEGY_FAULT}
"""The problems of an iteration that nothing else in a journal shows."""
OF_CHAIN = {
    *EARLY,
    Kind.CLOSING,
    Kind.PARTIAL,
    Kind.OVERRIDES_EDITED,
    Kind.BROKEN_OFF,
    Kind.EARLIER_FORMAT,
}
"""The problems that a chain as a whole may have, beside those that follow from its iterations."""


@dataclass(frozen=True)
class Start:
    """The start or the resume of a run, and what its settings mean."""

    record: Mapping[str, Any]

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings."""
        config: Mapping[str, Any] = self.record["config"]
        return config

    @property
    def reading(self) -> Mapping[str, Any]:
        """How reports are read; empty if the journal does not say."""
        return self.record["reading"] or {}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name."""
        return msgspec.convert(self.reading["metrics"], dict[str, Metric])

    @cached_property
    def kpis(self) -> list[Kpi]:
        """The KPIs, with the criteria of the core alone."""
        return [
            make_kpi(metric, {key: value for key, value in table.items() if value is not None})
            for metric, table in self.config["kpis"].items()
        ]

    def keys_of_plugins(self, metric: str) -> list[str]:
        """Return what the KPI of *metric* sets of criteria that the core does not know."""
        table = self.config["kpis"].get(metric, {})
        return [key for key in table.keys() - kpi_keys() if table[key] is not None]

    @property
    def foreign(self) -> list[str]:
        """The keys of criteria and the gates that the core does not know, for people."""
        given = (
            f"{key!r} of {metric}"
            for metric in self.config["kpis"]
            for key in sorted(self.keys_of_plugins(metric))
        )
        return [*given, *(f"gate {name!r}" for name in self.reading.get("gates", ()))]


def check_verdicts(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each verdict that does not follow from the records before it."""
    start = Start({})
    iterations: list[Mapping[str, Any]] = []
    resumed = False
    for record in records:
        if record["kind"] in ("run_started", "run_resumed"):
            start, resumed = Start(record), True
            if record["reading"] is None and record["v"] != legacy.FORMAT:
                yield Finding(location(record), "its reading is null, so no report can be read")
            if record["kind"] == "run_started" and start.foreign:
                left = "words of plugins are left as they were recorded"
                told = (
                    f"{left}: {', '.join(start.foreign)}; pytest-soak replay asks the plugins again"
                )
                yield Finding(location(record), told, note=True)
        elif record["kind"] == "iteration":
            iterations.append(record)
            if record["summary"]["restarted"] and not (resumed and len(iterations) > 1):
                yield Finding(location(record), "is marked as restarted, but was not resumed")
            resumed = False
            faults = _iteration(record, start)
            yield from (Finding(location(record), fault) for fault in _told(faults))
        elif record["kind"] in ("run_ended", "run_interrupted"):
            faults = _end(record, iterations, start)
            yield from (Finding(location(record), fault) for fault in _told(faults))


def _told(faults: Iterator[str]) -> Iterator[str]:
    """Yield the *faults*; and that nothing can be judged by settings that no run has."""
    try:
        yield from faults
    except ImportError as error:  # of a library that a criterion calculates with
        module = str(error.name).partition(".")[0]
        msg = f"{JOURNAL}: its verdict needs {module}; install {extra_of(module)}"
        raise JournalError(msg) from None
    except Exception as error:  # noqa: BLE001 - settings of any shape
        yield f"cannot be judged by its settings: it {what_raised(error)}"


def _iteration(record: Mapping[str, Any], start: Start) -> Iterator[str]:
    """Yield what is wrong with an iteration's facts, problems, judgements and verdict."""
    config, summary = start.config, record["summary"]
    window = record["iteration"] > config["iterations"] - config["observe"]
    if not config["slot"] and summary["in_window"] != window:
        yield f"its in_window is {as_json(summary['in_window'])}, not {as_json(window)}"
    if start.reading:
        yield from _read_again(record, start)
    yield from _judged_again(record, start)
    yield from decision_faults(record, start.record)
    verdicts = [Verdict[judged["verdict"]] for judged in record["judgements"]]
    expected = Verdict.INCONCLUSIVE if summary["problems"] else worst(verdicts)
    if summary["verdict"] != expected.name:
        yield f"its verdict is {summary['verdict']}, its KPIs and problems give {expected.name}"


def _read_again(record: Mapping[str, Any], start: Start) -> Iterator[str]:
    """Yield how facts and problems of an iteration differ from those that its report gives."""
    number, summary, reading = record["iteration"], record["summary"], start.reading
    metrics = start.metrics
    report = read_report(record["report"], number, metrics)
    facts: dict[str, Any] = jsonable(dict(report.measured.values))
    given = problems_from_json(summary["problems"])
    kinds = {problem.kind for problem in given}
    if reading["watchers"] and not (report.problem or Kind.OVERRIDES_EDITED in kinds):
        facts |= {
            name: fact
            for name, fact in summary["metrics"].items()
            if not fact_fault(name, fact, report.measured, metrics)
        }
    for name, expected in (("metrics", facts), ("n", dict(report.n))):
        if summary[name] != expected:
            difference = field_differences(summary[name], expected)
            yield f"its {name} do not follow from its report: {difference}"
    missed = record["report"] is None and len(kinds & NO_RUN) == 1
    problems = [report.problem] if report.problem and not missed else []
    if not (problems or missed or Kind.OVERRIDES_EDITED in kinds):
        precision = start.config.get("precision", {})
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


def _judged_again(record: Mapping[str, Any], start: Start) -> Iterator[str]:
    """Yield how judgements differ from those that KPIs and facts of their iteration give.

    Without the plugins that made them, the judgements of their gates cannot be computed, and those
    of their criteria only as far as they cannot be better than without these.
    """
    found: Sequence[Judgement] = judged_from_json(record).judgements
    summary = record["summary"]
    fault = any(one["kind"] == Kind.STRATEGY_FAULT for one in summary["problems"])
    if fault and not found:  # a gate failed
        return
    of_kpis = {judged.metric: judged for judged in reversed(found) if not judged.gate}
    for kpi in start.kpis:
        recorded = of_kpis.pop(kpi.metric, None)
        if recorded is None and not kpi.expects(summary["metrics"]):
            continue
        expected = kpi.judge(summary["metrics"].get(kpi.metric), summary["n"].get(kpi.metric))
        if record["v"] == legacy.FORMAT and recorded and recorded.rule:
            recorded = replace(recorded, rule=str(parse_threshold(recorded.rule)))
        if recorded == expected:
            continue
        worse = recorded is not None and replace(
            expected, verdict=recorded.verdict, rule=recorded.rule, problem=recorded.problem
        )
        foreign = start.keys_of_plugins(kpi.metric)
        if worse and recorded == worse and foreign and recorded.verdict > expected.verdict:
            continue
        words = (_words(one) if one else {} for one in (recorded, expected))
        told = f"its judgement of {kpi.metric} does not follow from its report and criteria"
        yield f"{told}: {field_differences(*words)}"
    gates = start.reading.get("gates", ())
    others = [judged for judged in found if judged.gate and judged.gate not in gates]
    others += of_kpis.values() if start.reading else ()
    if others:
        yield f"has a judgement of {others[0].metric}, for which there is no criterion"


def _words(judgement: Judgement) -> dict[str, Any]:
    return {**asdict(judgement), "verdict": judgement.verdict.name}


def _end(
    record: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], start: Start
) -> Iterator[str]:
    """Yield how a chain's verdict differs from the one that its iterations give."""
    expected = _expected(record, iterations, start)
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
    record: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], start: Start
) -> dict[str, Any]:
    """Return the verdict that *record* should have.

    Only this record has the tests that did not pass and the problems of the chain as a whole, so
    they are taken from it; both can only make the verdict worse. An hours run may end with fewer
    iterations than planned.
    """
    failed = record["not_passed"]
    config, rules = start.config, rules_from_json(start.record)
    own = own_problems({"problems": legacy.problems_once(record)})
    stopped = any(problem.kind in EARLY for problem in own)
    last: int = config["iterations"]
    if stopped or (
        config.get("slot") and record["window"] and record["window"][-1] == len(iterations)
    ):
        last = len(iterations)
    ends = [end_of(iteration["report"]) for iteration in iterations]
    outcomes = [
        Outcome(
            summary_from_json(one["summary"], one["iteration"]),
            not_passed(judged, record["untold"]) if judged.iteration in failed else judged,
            one["applied"],
            hours,
        )
        for one, judged, hours in zip(
            iterations,
            map(judged_from_json, iterations),
            hours_of(ends, config.get("slot")),
            strict=True,
        )
    ]
    judge = partial(_criteria, start, record)
    baseline = baseline_from_json(config.get("baseline"))
    verdict = judge_outcomes(outcomes, last, rules, judge, list(config["kpis"]), baseline)
    if not stopped:
        verdict = on_settled(verdict, rules.window)
    for problem in reversed(own):
        verdict = with_problem(verdict, problem)
    settled = filter(None, (iteration["settles"] for iteration in iterations))
    unverified = [one["iteration"] for one in settled if one["verified"] == "unknown"]
    expected = {**verdict_to_json(verdict), "unverified": unverified}
    return {key: expected[key] for key in legacy.keys_of(record, [*expected])}


def _criteria(
    start: Start, record: Mapping[str, Any], stretches: Mapping[str, Stretch]
) -> Iterator[RunJudgement]:
    """Yield the judgements of all criteria; those of plugins as they are recorded."""
    computed = {
        (judged.metric, judged.criterion): judged
        for kpi in start.kpis
        for judged in kpi.judge_run(stretches[kpi.metric])
    }
    gates = start.reading.get("gates", ())
    for given in map(run_judgement_from_json, record["criteria"]):
        judged = computed.pop((given.metric, given.criterion), None)
        foreign = given.criterion not in (*CORE, *gates) and start.keys_of_plugins(given.metric)
        if judged and judged.criterion in CALCULATED and _agree(given, judged):
            yield given
        elif judged or foreign:
            yield judged or given
    yield from computed.values()


def _agree(one: RunJudgement, other: RunJudgement) -> bool:
    """Tell whether two judgements are the same but for how their numbers are rounded."""
    numbers = [(getattr(one, name), getattr(other, name)) for name in ("value", "low", "high")]
    texts = [NUMBER.sub(r"#\2", text) for text in (one.detail, other.detail)]
    told = zip(NUMBER.findall(one.detail), NUMBER.findall(other.detail), strict=False)
    same = replace(other, value=one.value, low=one.low, high=one.high, detail=one.detail)
    return (
        same == one
        and all(a == b or (a and b and math.isclose(a, b, rel_tol=CLOSE)) for a, b in numbers)
        and texts[0] == texts[1]
        and all(_alike(a, b, share=bool(per_cent)) for (a, per_cent), (b, _) in told)
    )


def _alike(one: str, other: str, *, share: bool) -> bool:
    """Tell whether two numbers are the same but for rounding.

    A simulated *share*, which has no sign, may differ by one in its last digit, whatever its size.
    """
    a, b = Decimal(one), Decimal(other)
    last = Decimal(1).scaleb(max(_exponent(a), _exponent(b)))
    rate = share and one[0].isdigit() and other[0].isdigit()
    return math.isclose(a, b, rel_tol=CLOSE_IN_TEXT) or (rate and abs(a - b) <= last)


def _exponent(number: Decimal) -> int:
    """Return the place of its last digit, as a power of 10."""
    return int(number.as_tuple().exponent)
