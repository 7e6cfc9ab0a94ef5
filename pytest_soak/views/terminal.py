"""The table on the terminal at the end of a run."""

from __future__ import annotations

import io
from itertools import compress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_soak.model.safe_repr import printable, safe_text
from pytest_soak.store.artifacts import TUNING
from pytest_soak.views.protocol import View
from pytest_soak.views.rows import WHY, ending_row, iteration_row, verdict_row
from pytest_soak.views.screen import Screen
from pytest_soak.views.text import CRITERIA, NOT_JUDGED, not_judged_lines, number, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.model.chain import ChainVerdict

STYLES = {"FAIL": "bold red", "WARN": "yellow", "INCONCLUSIVE": "magenta", "PASS": "green"}
SIGNS = {"FAIL": "✗", "WARN": "!"}
SHOWN = 24
"""How many iterations the closing table shows: a third from the start, the rest from the end."""


class ClosingTable(View):
    """One table for each chain at the end of the run."""

    name = "terminal"
    _screen: Screen

    def __init__(self) -> None:
        """Start with nothing."""
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._left_out: dict[str, int] = {}
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._endings: dict[str, dict[str, Any]] = {}

    def reported(self, loop: SoakLoop, iteration: int) -> Sequence[Any]:
        """Return the row of an iteration."""
        return [iteration_row(loop.plan.name, loop, iteration)]

    def judged(self, loop: SoakLoop, verdict: ChainVerdict, *, again: bool) -> Sequence[Any]:
        """Return the row of a verdict."""
        del again
        return [verdict_row(loop.plan.name, loop, verdict)]

    def broken_off(self, loop: SoakLoop) -> Sequence[Any]:
        """Return the row of a chain without a verdict."""
        return [ending_row(loop.plan.name, loop)]

    def show(self, nodeid: str, parts: Sequence[Any]) -> None:
        """Keep rows for the table."""
        del nodeid
        for row in parts:
            if "iteration" in row:
                self._keep(row)
            elif "final" in row:
                self._verdicts[row["chain"]] = row
            else:
                if row["last"] is not None:
                    self._keep(row["last"])
                self._endings[row["chain"]] = row

    def _keep(self, row: dict[str, Any]) -> None:
        rows = self._rows.setdefault(row["chain"], [])
        rows[:] = [old for old in rows if old["iteration"] != row["iteration"]]
        rows.append(row)
        if len(rows) > SHOWN:
            del rows[SHOWN // 3]
            self._left_out[row["chain"]] = self._left_out.get(row["chain"], 0) + 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show one table for each chain."""
        self._screen = Screen(terminalreporter)
        names = dict.fromkeys((*self._rows, *self._verdicts, *self._endings))
        if names:
            terminalreporter.section("soak")
        for name in names:
            rows = self._rows.get(name, [])
            self._chain(name, rows, self._verdicts.get(name))

    def _chain(self, name: str, rows: list[dict[str, Any]], final: dict[str, Any] | None) -> None:
        ending = self._endings.get(name)
        header = rows[0] if rows else final or self._endings[name]
        self._screen.write(name, bold=True)
        self._screen.write(f"  {header['title']}")
        if rows:
            self._print(metrics_table(rows))
            if any(row["restarted"] for row in rows):
                self._screen.write("  ↻ the system was restarted before it, and lost its state")
            left_out = self._left_out.get(name)
            if left_out:
                self._screen.write(f"  {left_out} more iterations in {TUNING}")
            changes = list(change_rows(rows))
            if changes:
                self._print(changes_table(changes))
        if final is None:
            self._broken_off(ending)
            return
        word = final["final"]
        plural = "s" if len(final["window"]) > 1 else ""
        on = f"iteration{plural} {numbered(final['window'])}"
        reasons = f": {safe_text(', '.join(final['reasons']), WHY)}" if final["reasons"] else ""
        color = {"red": True} if word in ("FAIL", "INCONCLUSIVE") else {"green": True}
        self._screen.write(
            f"  verdict {word}{reasons} (observation window: {on})", bold=True, **color
        )
        self._based_on(final)
        if final["effects"]:
            self._print(effects_table(final["effects"], final["columns"]))
            self._screen.write(
                "  mean after less mean before each apply; * beyond noise, ? noise unknown"
            )
        if final["objective"] and final["objective"]["change"] is not None:
            line = objective_line(final["objective"], changed=bool(final["effects"]))
            self._screen.write(f"  {line}")
        for why in final["why"]:
            self._screen.write(f"    {safe_text(why, WHY)}")
        self._places(final)

    def _based_on(self, final: dict[str, Any]) -> None:
        """Show what a verdict is based on: the settled stretch, and the criteria."""
        for line in final["stretch"]:
            self._screen.write(f"  {line}")
        judged = [row for row in final["criteria"] if row[2] != NOT_JUDGED]
        if judged:
            self._print(criteria_table(judged))
            for kind, metric, *_, detail in judged:
                if detail:
                    self._screen.write(f"    {kind} {metric}: {detail}")
        for line in not_judged_lines(final["criteria"]):
            self._screen.write(f"  {line}")
        if final["slots"]:
            self._screen.write(f"  slots     {final['slots']}")

    def _broken_off(self, ending: dict[str, Any] | None) -> None:
        """Say that there is no verdict, and how to resume."""
        if ending is not None and ending["judged"]:
            self._screen.write("  the run was broken off once its verdict was recorded", red=True)
        else:
            self._screen.write("  no verdict: the run was broken off before the gate", red=True)
            self._screen.write("  --soak-resume goes on with it")
        if ending is not None:  # a worker that crashed sends nothing
            self._places(ending)

    def _places(self, row: dict[str, Any]) -> None:
        self._screen.write(f"  artifacts {row['folder']}")
        self._screen.write(f"  journal   head {row['head'][:16]}…")
        self._screen.write("")

    def _print(self, table: Table) -> None:
        """Let rich lay out *table* and write it through pytest's terminal."""
        terminal = self._screen.reporter
        width = terminal._tw.fullwidth  # noqa: SLF001 - the public width is not typed
        console = Console(
            file=io.StringIO(),
            width=max(width, 80),
            force_terminal=terminal.hasmarkup,
            color_system="standard" if terminal.hasmarkup else None,
            highlight=False,
        )
        console.print(table)
        text = console.file.getvalue()  # type: ignore[attr-defined] # the StringIO above
        for line in text.splitlines():
            self._screen.write_raw(line.rstrip())


def objective_line(objective: dict[str, Any], *, changed: bool) -> str:
    """Return how the objective changed, as text.

    Args:
        objective: Its first value, its mean in the window, and their difference.
        changed: Whether parameters were changed; without that, nothing was made better or worse.
    """
    better = (objective["change"] > 0) == (objective["better"] == "up")
    word = "better" if better else "worse"
    if not changed:
        word = "no parameter was changed"
    elif not objective["change"]:
        word = "unchanged"
    noise = {True: "more than noise", False: "within noise", None: "noise unknown"}
    return (
        f"objective {objective['metric']} {objective['first']:.4g} → {objective['last']:.4g} "
        f"({objective['change']:+.3g}, {word}, {noise[objective['beyond_noise']]})"
    )


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")


def _add_metric(table: Table, label: str) -> None:
    """Add a column for a metric; its *label* is broken at underscores, so that it is narrow."""
    table.add_column(Text(printable(label).replace("_", "\n")), justify="right", no_wrap=True)


def criteria_table(rows: list[list[str]]) -> Table:
    """Return the table of criteria: what each said of the run."""
    table = _table()
    for name in CRITERIA:
        table.add_column(f" {name}" if name == CRITERIA[0] else name, overflow="fold")
    for kind, metric, verdict, *others, _ in rows:
        word = Text(verdict, style=STYLES.get(verdict, ""))
        table.add_row(Text(f" {kind}"), Text(metric), word, *map(Text, others))
    return table


def metrics_table(rows: list[dict[str, Any]]) -> Table:
    """Return the table of metrics: one line for each iteration, with the verdicts on KPIs.

    A metric that has neither value nor verdict in any iteration is left out.
    """
    seen = zip(*(row["values"] for row in rows), strict=True)
    shown = [any(value is not None or word for value, word in each) for each in seen]
    table = _table()
    table.add_column(" iter", justify="right", no_wrap=True)
    for _, label, _ in compress(rows[0]["columns"], shown):
        _add_metric(table, label)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        columns = zip(compress(row["values"], shown), compress(row["columns"], shown), strict=True)
        cells = [_cell(value, word, digits) for (value, word), (_, _, digits) in columns]
        marks = (" ●" if row["in_window"] else "") + (" ↻" if row["restarted"] else "")
        verdict = row["verdict"] + marks
        number_cell = Text(str(row["iteration"]))
        table.add_row(number_cell, *cells, Text(verdict, style=STYLES[row["verdict"]]))
    return table


def effects_table(
    effects: list[tuple[int, dict[str, tuple[float | None, bool | None]]]],
    columns: list[tuple[str, str, int]],
) -> Table:
    """Return the table of effects: one line for each apply, with the change of each KPI.

    ``*`` marks a change beyond noise, ``?`` one whose noise is unknown.
    """
    table = _table()
    table.add_column("effect", justify="right", no_wrap=True)
    shown = [
        column
        for column in columns
        if any(cells.get(column[0], (None,))[0] is not None for _, cells in effects)
    ]
    for _, label, _ in shown:
        _add_metric(table, label)
    for iteration, cells in effects:
        words = []
        for metric, _, digits in shown:
            change, beyond = cells[metric]
            mark = {True: "*", False: " ", None: "?"}[beyond]
            words.append(Text("-" if change is None else f"{change:+.{digits}f}{mark}"))
        table.add_row(Text(str(iteration)), *words)
    return table


def _cell(value: object, word: str, digits: int) -> Text:
    shown = f"{value:.{digits}f}" if isinstance(value, int | float) else "-"
    return Text(f"{shown}{SIGNS.get(word, ' ')}", style=STYLES.get(word, ""))


def change_rows(rows: list[dict[str, Any]]) -> Iterable[tuple[str, str, str, str, str]]:
    """Yield each change: iteration, parameter, old and new value, outcome and reason."""
    doubts = {row["iteration"]: row["doubts"] for row in rows}
    for row in rows:
        after = str(row["iteration"])
        for parameter, old, new, note, reason in row["changes"]:
            moved = f"{number(old)} → {number(new)}"
            seen = doubts.get(row["iteration"] + 1, {parameter: "unknown"})
            outcome = _outcome(row, note, seen.get(parameter, "true"))
            yield after, parameter, moved, outcome, reason
            after = ""


def _outcome(row: dict[str, Any], note: str, seen: str) -> str:
    if note == "hold":
        return "held"
    if not row["applied"]:
        return "not applied"
    outcome = {"true": "verified", "false": "NOT EFFECTIVE", "unknown": "unverified"}[seen]
    return f"{outcome} [{note}]" if note else outcome


def changes_table(changes: list[tuple[str, str, str, str, str]]) -> Table:
    """Return the table of what was applied after which iteration, and why."""
    table = _table()
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("parameter", no_wrap=True)
    table.add_column("change", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in changes:
        table.add_row(*(Text(safe_text(cell)) for cell in row))
    return table
