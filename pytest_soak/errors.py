"""The one error that a user's mistake becomes: told in a line, never as a traceback.

The core raises it; the plugin hands it on as pytest's own `UsageError`, which is exit code 4.
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
    """What a system raises to fail its iteration with a line of its own, and no traceback.

    ``open`` and ``run`` of a system may raise it: what it says is for people.
    """


def what_raised(error: BaseException, clean: Callable[[str], str] = str) -> str:
    """Return what a stranger's code raised, and where: type, words, file and line.

    Its words are made *clean* before they are shortened: half a secret is one too.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    try:
        words = safe_text(clean(str(error)))
    except Exception:  # noqa: BLE001 - an exception of a stranger may not be able to say itself
        words = safe_repr(error)
    return f"raised {type(error).__name__}: {words} ({frame.filename}:{frame.lineno})"


UNREADABLE = (OSError, ValueError, RecursionError)
"""What reading a file and parsing it may raise: a bad name, bytes that are no text, bad TOML."""


def why_unreadable(error: Exception) -> str:
    """Return why a file could not be read, without its name."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (error.strerror if isinstance(error, OSError) else None) or safe_text(str(error))


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return a hint at the *known* name that is nearest to *given*; empty if none is near."""
    close = difflib.get_close_matches(str(given), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, given: object, source: str, allowed: Iterable[str], hint: str = "") -> str:
    """Return the error for a name that does not exist.

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
