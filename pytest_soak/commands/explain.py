"""`pytest-soak explain`: why an iteration changed parameters, from the journal alone."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.records import iteration_range, iterations, rules
from pytest_soak.commands.selection import add_selection, selected_run
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.parameters import overlay
from pytest_soak.model.safe_repr import safe_lines
from pytest_soak.model.summary import Verified
from pytest_soak.store.artifacts import moves
from pytest_soak.store.journal import ending_of
from pytest_soak.store.records import problems_from_json
from pytest_soak.verify.changes import iter_steps, verified_in
from pytest_soak.verify.load import load_validated
from pytest_soak.views.text import (
    NOT_JUDGED,
    aligned,
    criteria_details,
    criteria_rows,
    metric_value,
    not_passed_lines,
    number,
    stretch_lines,
    transition,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.verify.changes import Step

WIDTH = 90
"""The maximum length of a line that lists base values."""
HELP = "show why an iteration changed parameters or did not, and the effect"
EXAMPLE = "--iter 3"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_selection(parser)
    parser.add_argument(
        "--iter", metavar="N", type=int, required=True, help="the iteration to explain"
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Explain; return the exit code and the lines to print."""
    selected = selected_run(arguments)
    lines = explained(load_validated(selected.journal), arguments.iter)
    return 0, [selected.title, *map(safe_lines, lines)]


def explained(records: Sequence[Mapping[str, Any]], iteration: int) -> list[str]:
    """Return as lines what *iteration* measured, what was decided after it, and the effect.

    Args:
        records: The records of a valid journal.
        iteration: The number of the iteration.

    Raises:
        SoakUsageError: The journal has no such iteration.
    """
    numbers = iterations(records)
    if iteration not in numbers:
        msg = f"--iter: {iteration} is not in the journal; there are: {iteration_range(numbers)}"
        raise SoakUsageError(msg)
    step = next(step for step in iter_steps(records) if step.record is numbers[iteration])
    record, later = step.record, records[step.record["seq"] + 1 :]
    following, ended = numbers.get(iteration + 1), ending_of(records)
    return [
        *_head(step, ended),
        *_parameters(step),
        *_metrics(record, step.config, following),
        *_section("problems", list(map(str, problems_from_json(record["summary"]["problems"])))),
        *_section("tuners", _tuners(record, step.config)),
        *_section("guards", _guards(record["decision"])),
        *_section("changes", _changes(record)),
        *_section("effect", _effect(step, following, later)),
        *_section("what the run did not pass", _not_passed(ended)),
    ]


def _section(title: str, lines: Iterator[str] | Sequence[str]) -> list[str]:
    indented = [f"  {line}" for line in lines]
    return [title, *indented] if indented else []


def _head(step: Step, ended: Mapping[str, Any] | None) -> Iterator[str]:
    record, summary = step.record, step.record["summary"]
    yield f"iteration {record['iteration']} of {step.config['iterations']}, {record['time']}"
    extra = ", in the observation window" if summary["in_window"] else ""
    extra += ", the system was restarted before it" if summary["restarted"] else ""
    yield f"verdict {summary['verdict']}{extra}; {_run(ended, step.config['iterations'])}"


def _parameters(step: Step) -> list[str]:
    """Return its parameters: overridden ones with their base, the others in one line."""
    base = step.config["base"]
    rows = [
        (f"  {name}", number(value), f"base {number(base[name])}" if name in base else "no base")
        for name, value in overlay({}, step.before).items()
    ]
    rest = ", ".join(f"{name} {number(base[name])}" for name in base if name not in step.before)
    bare = wrap(f"base values: {rest}" if rest else "", WIDTH)
    return ["ran with", *(aligned(rows, right=1) if rows else ()), *(f"  {part}" for part in bare)]


def _metrics(
    record: Mapping[str, Any], config: Mapping[str, Any], following: Mapping[str, Any] | None
) -> list[str]:
    """Return the metrics, KPIs first, with their values in the iteration after it."""
    values, counts = record["summary"]["metrics"], record["summary"]["n"]
    judged = {one["metric"]: one for one in record["judgements"]}
    criteria = rules(config["kpis"])
    head = ["  metric", "value", "n", *criteria, "verdict", ""]
    if following:
        head[-1] = f"in iteration {following['iteration']}"
    rows = [head]
    for name in dict.fromkeys((*judged, *values)):
        verdict = judged[name]["verdict"] if name in judged else ""
        problem = judged[name]["problem"] if name in judged else ""
        then = metric_value(following["summary"]["metrics"].get(name)) if following else ""
        rows.append(
            [
                f"  {name}",
                metric_value(values.get(name)),
                str(counts.get(name, "")),
                *(texts.get(name, "") for texts in criteria.values()),
                f"{verdict} ({problem})" if problem else verdict,
                f"→ {then}" if then else "",
            ]
        )
    return ["measured", *aligned(rows, right=2)]


def _tuners(record: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each tuner proposed."""
    if config["mode"] == "off":
        yield "none: tuning was off"
        return
    answered = [answer["tuner"] for answer in record["proposals"]]
    for answer in record["proposals"]:
        requests = [
            request
            for request in record["decision"]["requests"]
            if request["tuner"] == answer["tuner"]
        ]
        reasons = ", ".join(answer["reasons"])
        yield f"{answer['tuner']}: {reasons or 'proposed nothing'}"
        for request in requests:
            what = f"{request['parameter']} {request['delta']:+.10g}"
            yield f"  asked for {what}: {request['reason']}"
        yield from (f"  withheld: {word}" for word in answer["withheld"])
    for tuner in config["tuners"]:
        if tuner not in answered:
            yield f"{tuner}: not asked, or its proposal was unusable"


def _guards(decision: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each guard did; the journal omits guards that did nothing."""
    quiet = "none"
    for veto in decision["vetoes"]:
        what = f"stopped {veto['parameter'] or 'everything'}: {veto['reason']}"
        yield f"{veto['guard']}: {what}{': ' if veto['detail'] else ''}{veto['detail']}"
        quiet = "no other guard"
    notices = decision["notices"]
    cut = {notice["parameter"] for notice in notices if notice["cut"]}
    for change in decision["changes"]:
        explained_below = change["parameter"] in cut and not change["note"]
        if change["effective"] != change["requested"] and not explained_below:
            who = "clamp" if change["note"] else "a guard"
            became = f"{change['requested']:+.10g} became {change['effective']:+.10g}"
            note = f" [{change['note']}]" if change["note"] else ""
            yield f"{who}: {change['parameter']} {became}{note}"
            quiet = "no other guard"
    for notice in notices:
        words = f"{notice['parameter']} {notice['reason']}".strip()
        yield f"{notice['guard']}: {words}{': ' if notice['detail'] else ''}{notice['detail']}"
        quiet = "no other guard"
    yield f"{quiet} did anything"


def _changes(record: Mapping[str, Any]) -> Iterator[str]:
    decision = record["decision"]
    back = decision["rollback"]
    if record["applied"] and back:
        yield f"rolled back to the parameters of iteration {back['to_iteration']}"
    elif record["applied"]:
        yield "applied"
    else:
        yield f"not applied: {decision['skip_reason'] or 'no change was left'}"
    rows = [
        (
            change["parameter"],
            transition(change["old"], change["new"]),
            f"({change.get('effective', change['new'] - change['old']):+.10g})",
            change["reason"],
        )
        for change in (moves(record) if back else decision["changes"])
    ]
    yield from (f"  {line}" for line in (aligned(rows) if rows else ()))


def _effect(
    step: Step,
    following: Mapping[str, Any] | None,
    later: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Yield whether the next report confirms the changes, and its verdict."""
    record, undone = step.record, False
    for rolled in later:
        if rolled["kind"] == "rolled_back" and rolled["to_iteration"] < record["iteration"]:
            back = f"those of iteration {rolled['to_iteration']}"
            yield f"after iteration {rolled['iteration']} the overrides were rolled back to {back}"
            undone = undone or rolled["iteration"] == record["iteration"]
    if following is None:
        yield "unknown: this is the last iteration"
        return
    if record["applied"] and not undone:
        word, detail = verified_in(record, following, step.precision)
        how = {
            Verified.TRUE: "the next report confirms that the system used the new values",
            Verified.FALSE: f"NOT EFFECTIVE: {detail}",
            Verified.UNKNOWN: f"unverified: {detail}",
        }
        yield how[word]
    verdicts = f"{record['summary']['verdict']} → {following['summary']['verdict']}"
    yield f"verdict {verdicts} in iteration {following['iteration']}, metrics as above"


def _run(ended: Mapping[str, Any] | None, planned: int) -> str:
    """Return the verdict of the run, and what it is taken on."""
    if ended is None or ended["kind"] != "run_ended":
        return "the run has no verdict"
    based_on = stretch_lines(ended, planned)[:1]
    told = ", ".join((f"the run is {ended['verdict']}", *based_on))
    untold = sum(judged["verdict"] is None for judged in ended["criteria"])
    return f"{told}; {untold} {NOT_JUDGED}" if untold else told


def _not_passed(ended: Mapping[str, Any] | None) -> list[str]:
    """Return what the run did not pass, and what was not judged; nothing if it is PASS."""
    if ended is None or ended["verdict"] == "PASS":
        return []
    told = zip(criteria_rows(ended), criteria_details(ended), strict=True)
    return not_passed_lines([(*row, detail) for row, detail in told])
