"""Text for people: numbers, columns, and characters that the terminal can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PLAIN = str.maketrans({"→": "->", "Δ": "d", "✗": "x", "·": "-", "●": "*", "↻": "R", "…": "..."})


def number(value: float) -> str:
    """Return *value* as people write it: 65, 0.14."""
    return f"{value:.10g}"


def fitting(text: str, encoding: str | None) -> str:
    """Return *text*, in ASCII if the *encoding* of the output cannot represent it."""
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return text.translate(PLAIN).encode("ascii", "replace").decode()
    return text


def aligned(rows: Sequence[Sequence[str]], right: int = 0) -> list[str]:
    """Return *rows* as lines of aligned columns.

    Args:
        rows: Cells; all rows have the same number.
        right: How many columns, after the first, are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if 0 < place <= right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def metric_value(value: object) -> str:
    """Return the value of a metric, which may be a number, labels or undefined, as text."""
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:.6g}" if isinstance(value, int | float) else "undefined"


def transition(old: float, new: float) -> str:
    """Return the change of a value as text: ``65 → 70``."""
    return f"{number(old)} → {number(new)}"


def numbered(iterations: Sequence[int]) -> str:
    """Return *iterations*, which rise, as text: ``3 to 12, 15``."""
    parts: list[list[int]] = []
    for one in iterations:
        if parts and one == parts[-1][-1] + 1:
            parts[-1].append(one)
        else:
            parts.append([one])
    return ", ".join(
        f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts
    )


def stretch_lines(ended: Mapping[str, Any], planned: int) -> list[str]:
    """Return what a verdict is based on, as text: the settled stretch, and how much was good.

    Args:
        ended: The verdict as JSON.
        planned: How many iterations were planned.
    """
    stretch, counts = ended["stretch"], ended["counts"]
    if not stretch["last"]:  # a verdict of 0.1.0
        return []
    n = stretch["last"] - stretch["first"] + 1
    where = numbered(range(stretch["first"], stretch["last"] + 1))
    total = sum(counts.values())
    bad = ", ".join(f"{count} {word}" for word, count in counts.items() if word != "PASS")
    settled = min(stretch["settled"], n)
    return [
        f"settled for {settled} of {planned} iterations; judged on {n}: {where}",
        f"{counts.get('PASS', 0)} of {total} iterations hold every limit{bad and f' ({bad})'}",
    ]


CRITERIA = ("criterion", "KPI", "verdict", "value", "rule", "n")
NOT_JUDGED = "not judged"


def criteria_rows(ended: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row of the table `CRITERIA` for each criterion of a verdict.

    Args:
        ended: The verdict as JSON.
    """
    return [
        (
            judged["criterion"],
            judged["metric"] or "all",
            judged["verdict"] or NOT_JUDGED,
            _with_interval(judged),
            judged["rule"],
            str(judged["n"]),
        )
        for judged in ended["criteria"]
    ]


def criteria_details(ended: Mapping[str, Any]) -> list[str]:
    """Return what else each criterion of a verdict said, as text; empty for nothing."""
    return [
        "; ".join(filter(None, (judged["problem"], judged["detail"], _where(judged))))
        for judged in ended["criteria"]
    ]


def not_judged_lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return what was not judged, in one line for each reason.

    Args:
        rows: Rows of `CRITERIA`, each with what else the criterion said.
    """
    reasons: dict[str, list[str]] = {}
    for criterion, metric, verdict, *_, detail in rows:
        if verdict == NOT_JUDGED:
            reasons.setdefault(detail, []).append(f"{criterion} {metric}")
    return [f"{NOT_JUDGED}: {', '.join(what)} ({why})" for why, what in reasons.items()]


def not_passed_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of the criteria that a run did not pass, and what was not judged.

    Args:
        rows: As for `not_judged_lines`.
    """
    bad = [row for row in rows if row[2] not in ("PASS", NOT_JUDGED)]
    table = aligned([CRITERIA, *(row[:-1] for row in bad)]) if bad else []
    lines = table[:1]
    for line, (*_, detail) in zip(table[1:], bad, strict=True):
        lines += [line, f"  {detail}"] if detail else [line]
    return [*lines, *not_judged_lines(rows)]


def _with_interval(judged: Mapping[str, Any]) -> str:
    if judged["value"] is None:
        return ""
    if judged["low"] is None or judged["high"] is None:
        return f"{judged['value']:.6g}"
    return f"{judged['value']:.4g} [{judged['low']:.4g}, {judged['high']:.4g}]"


def _where(judged: Mapping[str, Any]) -> str:
    listed = numbered(judged["iterations"])
    return listed and f"iteration{'s' if len(judged['iterations']) > 1 else ''} {listed}"
