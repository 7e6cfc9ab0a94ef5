"""`pytest-soak summary`: verdicts, KPIs and changes in Markdown, for the page of a CI job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.places import chains, choose_chain, choose_run
from pytest_soak.commands.records import trusted
from pytest_soak.errors import SoakUsageError, why_unreadable
from pytest_soak.model.safe_repr import one_line
from pytest_soak.store.artifacts import RunSummary
from pytest_soak.store.files import StoreError
from pytest_soak.store.records import problems_from_json
from pytest_soak.views.text import number

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.commands.places import Place

UNREADABLE = 4
"""The exit code where a run cannot be read, or there is none; its lines are for the page too."""
SHOWN = 24
"""Of how many iterations, the last ones, a row is told; GitHub takes one MiB from a step."""
HELP = "tell what became of all chains, in Markdown, as GitHub's step summary takes it"
ACTIVE = re.compile(r"([\\`*_{}\[\]<>|~#&@$!])")
"""The characters that Markdown, or GitHub's edition of it, may take for more than themselves."""


def add_arguments(_: ArgumentParser) -> None:
    """Add nothing: there is nothing to choose but the chain and the run."""


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Sum up; return the exit code and what to tell."""
    if arguments.chain is None and arguments.run is not None:
        msg = "--run: needs --chain, as each chain has runs of its own"
        raise SoakUsageError(msg)
    soak_dir = arguments.soak_dir
    try:
        everything = chains(soak_dir)
    except SoakUsageError as error:  # the page is all that many look at: it is not left empty
        return UNREADABLE, [f"## NO RUN: {plain(str(error))}", ""]
    chosen = [choose_chain(soak_dir, arguments.chain)] if arguments.chain else everything
    told = [_told_of(choose_run(chain, arguments.run)) for chain in chosen]
    return max(code for code, _ in told), [text for _, lines in told for text in lines]


def _told_of(place: Place) -> tuple[int, list[str]]:
    """Return the code and the lines of one run; one that cannot be read hides no other."""
    try:
        return 0, summed_up(trusted(place))
    except StoreError as error:
        why = str(error)
    except OSError as error:
        why = f"{error.filename}: {why_unreadable(error)}"
    return UNREADABLE, [f"## UNREADABLE: {plain(place.chain.name)}", "", plain(why), ""]


def summed_up(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what became of a run, line by line, in Markdown; numbers are those of its artifacts.

    Args:
        records: A sound journal's.
    """
    total = RunSummary()
    for record in records:
        total.take(record)
    ended, config = total.ended, total.config
    gate, rows = total.kpi_gate(), total.rows
    tuners = ", ".join(config["tuners"]) or "none"
    settled = [
        f"{config['pack']}/{config['profile']}",
        f"system {config['system']}/{config['scenario']}",
        f"tuner {tuners}",
        f"mode {config['mode']}",
        f"seed {config['seed']}",
        f"{len(rows)} of {config['iterations']} iterations",
        f"run {total.run}",
    ]
    return [
        f"## {gate['verdict'] if gate else 'No verdict'}: {plain(config['chain'])}",
        "",
        plain(", ".join(settled)),
        "",
        *_listing(_problems(ended)),
        *(_kpis(gate) if gate else ()),
        *_iterations(rows, list(config["kpis"])),
    ]


def plain(text: str) -> str:
    """Return *text* as Markdown that shows just these characters, in a table too."""
    return ACTIVE.sub(r"\\\1", one_line(text))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of *rows*, whose cells are plain text, with an empty line after it."""
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _problems(ended: Mapping[str, Any] | None) -> Iterator[str]:
    if ended is None or ended["kind"] != "run_ended":
        yield "The run was broken off before the gate; `--soak-resume` goes on with it."
    if ended is None:
        return
    yield from (plain(problem.located) for problem in problems_from_json(ended["problems"]))
    if ended["not_passed"]:
        yield f"The tests of these iterations did not pass: {_listed(ended['not_passed'])}"


def _listing(items: Iterator[str]) -> list[str]:
    lines = [f"- {item}" for item in items]
    return [*lines, ""] if lines else []


def _listed(iterations: Sequence[int]) -> str:
    return ", ".join(map(str, iterations))


def _kpis(gate: Mapping[str, Any]) -> list[str]:
    """Return the table of KPIs: limits, values in the observation window, and verdict."""
    rows = []
    for metric, limits in gate["thresholds"].items():
        judged = gate["kpis"].get(metric, ())
        values = ", ".join(_told(one["value"]) for one in judged)
        limit = [limits[word] or "" for word in ("warn", "fail")]
        rows.append((metric, *limit, values, gate["verdicts"].get(metric, "")))
    on = f"iteration {_listed(gate['window'])}"
    return table(("KPI", "WARN", "FAIL", on, "verdict"), rows)


def _iterations(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[str]:
    """Return the table of iterations: the KPIs' values, the verdict, and what was changed."""
    cells = [
        (
            str(row["iteration"]),
            *(_told(row["metrics"].get(metric)) for metric in metrics),
            row["verdict"],
            _changed(row),
        )
        for row in rows[-SHOWN:]
    ]
    head = ("iteration", *map(plain, metrics), "verdict", "changed after it")
    more = len(rows) - len(cells)
    before = [f"{more} earlier iterations are in the journal.", ""] if more else []
    return [*before, *(table(head, cells) if cells else ())]


def _changed(row: Mapping[str, Any]) -> str:
    """Return what was changed after an iteration and why, or why nothing was."""
    if not row["applied"]:
        return str(row["skip_reason"])
    moves = [
        f"{move['field']} {number(move['from'])} → {number(move['to'])}" for move in row["moves"]
    ]
    reasons = dict.fromkeys(move["reason"] for move in row["moves"])
    return f"{', '.join(moves)}: {', '.join(reasons)}"


def _told(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "undefined"
