"""The error for a user's mistake, shown in one line and without a traceback.

The core raises it; the plugin raises pytest's own `UsageError` instead, which is exit code 4.
"""

from __future__ import annotations

import difflib
import traceback
from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class SoakUsageError(Exception):
    """A mistake of the user's: what was given, from where, and what is allowed (exit 4)."""


class SystemFailure(Exception):
    """What a system raises to fail its iteration with a message, and without a traceback.

    Its ``open``, ``run`` and ``close`` may raise it. The message is written for people.
    """


def what_raised(error: BaseException, clean: Callable[[str], str] = str) -> str:
    """Return what a plugin's code raised, and where: type, message, file and line.

    *clean* masks the message before it is shortened, because half a secret is a secret too.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    try:
        words = safe_text(clean(str(error)))
    except Exception:  # noqa: BLE001 - its __str__ may raise
        words = safe_repr(error)
    return f"raised {type(error).__name__}: {words} ({frame.filename}:{frame.lineno})"


UNREADABLE = (OSError, ValueError, RecursionError)
"""What reading and parsing a file may raise: a bad name, bytes that are no text, bad TOML."""


def why_unreadable(error: Exception) -> str:
    """Return why a file could not be read, without its name."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (error.strerror if isinstance(error, OSError) else None) or safe_text(str(error))


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return a hint at the *known* name closest to *given*; empty if none is close."""
    close = difflib.get_close_matches(str(given), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, given: object, source: str, allowed: Iterable[str], hint: str = "") -> str:
    """Return the message for a name that does not exist.

    Args:
        kind: What was looked for, such as ``tuner``.
        given: The name that was given.
        source: Where it was given, such as ``--soak-tuner``.
        allowed: The names that exist.
        hint: What else the user may want to know.
    """
    known = sorted(allowed)
    there = "installed" if hint else "there are"
    near = did_you_mean(given, known)
    names = ", ".join(known) or "none"
    line = f"{source}: unknown {kind} {safe_repr(given)}{near}; {there}: {names}"
    return f"{line} ({hint})" if hint else line
