"""How errors show what strangers gave: short, on one line, and without trusting it."""

from __future__ import annotations

import re

LONGEST = 200
"""How many letters of a value an error shows."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def brief(text: str) -> str:
    """Return *text* on one line, cut where it is longer than anybody reads."""
    line = " ".join(text[: 2 * LONGEST].split())
    return line if len(line) <= LONGEST and len(text) <= 2 * LONGEST else f"{line[:LONGEST]}..."


def shown(value: object) -> str:
    """Return *value* as an error shows it, whatever it is: it may not even be able to say so."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a stranger's object may raise whatever it is asked
        return f"a {type(value).__name__} that cannot be shown"
    return brief(ADDRESS.sub("", text))
