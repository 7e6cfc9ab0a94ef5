"""`pytest-soak summary`: verdicts, KPIs and changes in Markdown, for the page of a CI job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.records import rules
from pytest_soak.commands.selection import (
    add_selection,
    all_cells,
    selected_run,
)
from pytest_soak.errors import SoakUsageError, file_fault
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.artifacts import RunSummary
from pytest_soak.store.files import StoreError
from pytest_soak.store.records import problems_from_json
from pytest_soak.verify.load import load_validated
from pytest_soak.views.text import (
    CRITERIA,
    criteria_details,
    criteria_rows,
    metric_value,
    stretch_lines,
    transition,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pytest_soak.verify.earlier import RecordedRun

UNREADABLE = 4
"""The exit code if a run cannot be read, or if there is none; the page shows both."""
SHOWN = 24
"""How many iterations, the last ones, have a row; GitHub accepts one MiB from a step."""
LONGEST = 1000
"""How many characters a cell or a problem shows; GitHub shows no page beyond its limit."""
RESTARTED = ", after a restart of the system"
HELP = "print verdicts, KPIs and changes of all chains as Markdown, for a CI job's summary"
EXAMPLE = '>>"$GITHUB_STEP_SUMMARY"'
add_arguments = add_selection
ACTIVE = re.compile(r"([\\`*_{}\[\]<>|~#&@$!])")
"""The characters that have a meaning in Markdown, or in GitHub's version of it."""


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Summarize; return the exit code and the lines to print."""
    try:
        cells = all_cells(arguments.soak_dir)
    except SoakUsageError as error:  # an empty page would look like a success
        return UNREADABLE, [f"## NO RUN: {escaped(str(error))}", ""]
    if arguments.run or arguments.chain:
        chosen = [selected_run(arguments)]
    else:
        chosen = [runs[0] for runs in cells.values()]
    pages = [_page(one) for one in chosen]
    return max(code for code, _ in pages), [text for _, lines in pages for text in lines]


def _page(selected: RecordedRun) -> tuple[int, list[str]]:
    """Return the exit code and the lines of one run; an unreadable run does not stop the others."""
    try:
        return 0, summed_up(load_validated(selected.journal))
    except (StoreError, OSError) as error:
        why = file_fault(error)
    return UNREADABLE, [f"## UNREADABLE: {escaped(selected.chain.name)}", "", escaped(why), ""]


def summed_up(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the summary of a run in Markdown, as lines; its numbers are those of the artifacts.

    Args:
        records: The records of a valid journal.
    """
    total = RunSummary()
    restarted = set()
    for record in records:
        total.take(record)
        if record["kind"] == "iteration" and record["summary"]["restarted"]:
            restarted.add(record["iteration"])
    ended, config = total.ended, total.config
    gate, rows = total.kpi_gate(), total.rows
    tuners = ", ".join(config["tuners"]) or "none"
    facts = [
        f"{config['pack']}/{config['profile']}",
        f"system {config['system']}/{config['scenario']}",
        f"tuner {tuners}",
        f"mode {config['mode']}",
        f"seed {config['seed']}",
        f"{len(rows)} of {config['iterations']} iterations",
        f"run {total.run}",
    ]
    return [
        f"## {gate['verdict'] if gate else 'No verdict'}: {escaped(config['chain'])}",
        "",
        escaped(", ".join(facts)),
        "",
        *_listing(_problems(ended)),
        *_listing(iter(_based_on(ended, config["iterations"]))),
        *_criteria(ended),
        *(_kpis(gate) if gate else ()),
        *_iterations(rows, list(config["kpis"]), restarted),
    ]


def escaped(text: str) -> str:
    """Return *text* with Markdown's special characters escaped, so that it is shown as it is."""
    return ACTIVE.sub(r"\\\1", safe_text(text, LONGEST))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table of *rows* of plain text, followed by an empty line."""
    lines = [head, ["---"] * len(head), *([escaped(cell) for cell in row] for row in rows)]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _problems(ended: Mapping[str, Any] | None) -> Iterator[str]:
    if ended is None or ended["kind"] != "run_ended":
        yield "The run was interrupted before the gate; `--soak-resume` continues it."
    if ended is None:
        return
    yield from (escaped(problem.located) for problem in problems_from_json(ended["problems"]))
    if ended["not_passed"]:
        yield f"The tests of these iterations did not pass: {_listed(ended['not_passed'])}"


def _criteria(ended: Mapping[str, Any] | None) -> list[str]:
    """Return the table of criteria, with what else each said."""
    if not ended or not ended["criteria"]:
        return []
    told = zip(criteria_rows(ended), criteria_details(ended), strict=True)
    return table((*CRITERIA, "what else"), [(*row, detail) for row, detail in told])


def _based_on(ended: Mapping[str, Any] | None, planned: int) -> list[str]:
    return list(map(escaped, stretch_lines(ended, planned))) if ended else []


def _listing(items: Iterator[str]) -> list[str]:
    lines = [f"- {item}" for item in items]
    return [*lines, ""] if lines else []


def _listed(iterations: Sequence[int]) -> str:
    return ", ".join(map(str, iterations))


def _kpis(gate: Mapping[str, Any]) -> list[str]:
    """Return the table of KPIs: criteria, values in the observation window, and verdict."""
    rows, criteria = [], rules(gate["thresholds"])
    for metric in gate["thresholds"]:
        judged = gate["kpis"].get(metric, ())
        values = ", ".join(metric_value(one["value"]) for one in judged)
        limits = [texts.get(metric, "") for texts in criteria.values()]
        rows.append((metric, *limits, values, gate["verdicts"].get(metric, "")))
    on = f"iteration {_listed(gate['window'])}"
    return table(("KPI", *(escaped(key.upper()) for key in criteria), on, "verdict"), rows)


def _iterations(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], restarted: Collection[int]
) -> list[str]:
    """Return the table of iterations: the KPIs' values, the verdict, and the changes."""
    cells = [
        (
            str(row["iteration"]),
            *(metric_value(row["metrics"].get(metric)) for metric in metrics),
            row["verdict"] + RESTARTED * (row["iteration"] in restarted),
            _changed(row),
        )
        for row in rows[-SHOWN:]
    ]
    head = ("iteration", *map(escaped, metrics), "verdict", "changed after it")
    more = len(rows) - len(cells)
    before = [f"{more} earlier iterations are in the journal.", ""] if more else []
    return [*before, *(table(head, cells) if cells else ())]


def _changed(row: Mapping[str, Any]) -> str:
    """Return the changes after an iteration with their reasons, or why there were none."""
    if not row["applied"]:
        return str(row["skip_reason"])
    moves = [f"{move['field']} {transition(move['from'], move['to'])}" for move in row["moves"]]
    reasons = dict.fromkeys(move["reason"] for move in row["moves"])
    return f"{', '.join(moves)}: {', '.join(reasons)}"
