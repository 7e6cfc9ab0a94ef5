"""How errors show what strangers gave: short, on one line, and without trusting it."""

from __future__ import annotations

import re

HEAD, TAIL = 150, 80
"""How many letters an error shows of the beginning and of the end of something long."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def safe_text(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """Return *text* on one line, without its middle where it is longer than anybody reads."""
    line = " ".join(text.split())
    return line if len(line) <= head + tail else f"{line[:head]} ... {line[-tail:]}"


def safe_repr(value: object) -> str:
    """Return *value* as an error shows it, whatever it is: it may not even be able to say so."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a stranger's object may raise whatever it is asked
        return f"a {type(value).__name__} that cannot be shown"
    return safe_text(ADDRESS.sub("", text))
