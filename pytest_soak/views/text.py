"""Text for people: numbers, columns, and characters that the terminal can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN = str.maketrans({"→": "->", "Δ": "d", "✗": "x", "·": "-", "●": "*", "…": "..."})


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
