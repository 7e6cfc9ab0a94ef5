"""`pytest-soak explain`: why an iteration changed what it changed, from the journal alone."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.places import choose_chain, choose_run
from pytest_soak.commands.records import iterations, there_are, trusted
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.parameters import overlay
from pytest_soak.model.summary import Verified
from pytest_soak.store.artifacts import moves
from pytest_soak.store.records import problems_from_json
from pytest_soak.verify.changes import replay, seen
from pytest_soak.views.text import aligned, number

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.verify.changes import Step

WIDTH = 90
"""How long a line of mere values may be."""
HELP = "tell why an iteration changed what it changed, and what came of it"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what only this command takes."""
    parser.add_argument(
        "--iter", metavar="N", type=int, required=True, help="the iteration to explain"
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Explain; return the exit code and what to tell."""
    place = choose_run(choose_chain(arguments.soak_dir, arguments.chain), arguments.run)
    return 0, [place.title, *explained(trusted(place), arguments.iter)]


def explained(records: Sequence[Mapping[str, Any]], iteration: int) -> list[str]:
    """Return, line by line, what *iteration* saw, what was decided after it, and what came of it.

    Args:
        records: A sound journal's.
        iteration: The number of the iteration.

    Raises:
        SoakUsageError: The journal has no such iteration.
    """
    numbers = iterations(tuple(records))
    if iteration not in numbers:
        msg = f"--iter: {iteration} is not in the journal; there are: {there_are(numbers)}"
        raise SoakUsageError(msg)
    step = next(step for step in replay(records) if step.record is numbers[iteration])
    record, later = step.record, records[step.record["seq"] + 1 :]
    following = numbers.get(iteration + 1)
    return [
        *_head(step),
        *_parameters(step),
        *_metrics(record, step.config, following),
        *_section("problems", list(map(str, problems_from_json(record["summary"]["problems"])))),
        *_section("tuners", _tuners(record, step.config)),
        *_section("guards", _guards(record["decision"])),
        *_section("changes", _changes(record)),
        *_section("what came of it", _outcome(record, following, later)),
    ]


def _section(title: str, lines: Iterator[str] | Sequence[str]) -> list[str]:
    told = [f"  {line}" for line in lines]
    return [title, *told] if told else []


def _head(step: Step) -> Iterator[str]:
    record, summary = step.record, step.record["summary"]
    yield f"iteration {record['iteration']} of {step.config['iterations']}, {record['time']}"
    extra = ", in the observation window" if summary["in_window"] else ""
    extra += ", the system was restarted before it" if summary["restarted"] else ""
    yield f"verdict {summary['verdict']}{extra}"


def _parameters(step: Step) -> list[str]:
    """Return what it ran with: the overridden ones with their base, the others in a line."""
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
    """Return the metrics, those that are judged first, with the values they had next."""
    values, counts = record["summary"]["metrics"], record["summary"]["n"]
    judged = {one["metric"]: one for one in record["judgements"]}
    head = ["  metric", "value", "n", "warn", "fail", "verdict", ""]
    if following:
        head[-1] = f"in iteration {following['iteration']}"
    rows = [head]
    for name in dict.fromkeys((*judged, *values)):
        limits = config["kpis"].get(name, {})
        verdict = judged[name]["verdict"] if name in judged else ""
        problem = judged[name]["problem"] if name in judged else ""
        then = _told(following["summary"]["metrics"].get(name)) if following else ""
        rows.append(
            [
                f"  {name}",
                _told(values.get(name)),
                str(counts.get(name, "")),
                limits.get("warn") or "",
                limits.get("fail") or "",
                f"{verdict} ({problem})" if problem else verdict,
                f"→ {then}" if then else "",
            ]
        )
    return ["measured", *aligned(rows, right=2)]


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:.6g}" if isinstance(value, int | float) else "undefined"


def _tuners(record: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each tuner answered."""
    if config["mode"] == "off":
        yield "none asked: the run was not to be tuned"
        return
    answered = [answer["tuner"] for answer in record["proposals"]]
    for answer in record["proposals"]:
        requests = [
            request
            for request in record["decision"]["requests"]
            if request["tuner"] == answer["tuner"]
        ]
        reasons = ", ".join(answer["reasons"])
        yield f"{answer['tuner']}: {reasons or 'saw no reason to change anything'}"
        for request in requests:
            asked = f"{request['parameter']} {request['delta']:+.10g}"
            yield f"  asked for {asked}: {request['reason']}"
        yield from (f"  withheld: {word}" for word in answer["withheld"])
    for tuner in config["tuners"]:
        if tuner not in answered:
            yield f"{tuner}: not asked, or its answer could not be used"


def _guards(decision: Mapping[str, Any]) -> Iterator[str]:
    """Yield what every guard did; a journal does not name those that did nothing."""
    other = "none"
    for veto in decision["vetoes"]:
        what = f"stopped {veto['parameter'] or 'everything'}: {veto['reason']}"
        yield f"{veto['guard']}: {what}{': ' if veto['detail'] else ''}{veto['detail']}"
        other = "no other"
    notices = decision["notices"]
    cut = {notice["parameter"] for notice in notices if notice["cut"]}
    for change in decision["changes"]:
        told = change["parameter"] in cut and not change["note"]
        if change["effective"] != change["requested"] and not told:
            who = "clamp" if change["note"] else "a guard"
            became = f"{change['requested']:+.10g} became {change['effective']:+.10g}"
            note = f" [{change['note']}]" if change["note"] else ""
            yield f"{who}: {change['parameter']} {became}{note}"
            other = "no other"
    for notice in notices:
        words = f"{notice['parameter']} {notice['reason']}".strip()
        yield f"{notice['guard']}: {words}{': ' if notice['detail'] else ''}{notice['detail']}"
        other = "no other"
    yield f"{other} had anything to say"


def _changes(record: Mapping[str, Any]) -> Iterator[str]:
    decision = record["decision"]
    back = decision["rollback"]
    if record["applied"] and back:
        yield f"rolled back to the parameters of iteration {back['to_iteration']}"
    elif record["applied"]:
        yield "applied"
    else:
        yield f"not applied: {decision['skip_reason'] or 'nothing was left to change'}"
    rows = [
        (
            change["parameter"],
            f"{number(change['old'])} → {number(change['new'])}",
            f"({change.get('effective', change['new'] - change['old']):+.10g})",
            change["reason"],
        )
        for change in (moves(record) if back else decision["changes"])
    ]
    yield from (f"  {line}" for line in (aligned(rows) if rows else ()))


def _outcome(
    record: Mapping[str, Any],
    following: Mapping[str, Any] | None,
    later: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Yield whether the next report shows the changes, and how it was judged."""
    unseen = False
    for rolled in later:
        if rolled["kind"] == "rolled_back" and rolled["to_iteration"] < record["iteration"]:
            back = f"those of iteration {rolled['to_iteration']}"
            yield f"after iteration {rolled['iteration']} the overrides were rolled back to {back}"
            unseen = unseen or rolled["iteration"] == record["iteration"]
    if following is None:
        yield "no iteration came after it"
        return
    if record["applied"] and not unseen:
        word, told = seen(record, following)
        how = {
            Verified.TRUE: "the next report says that the system used the new values",
            Verified.FALSE: f"NOT EFFECTIVE: {told}",
            Verified.UNKNOWN: f"unverified: {told}",
        }
        yield how[word]
    verdicts = f"{record['summary']['verdict']} → {following['summary']['verdict']}"
    yield f"verdict {verdicts} in iteration {following['iteration']}, metrics as above"
