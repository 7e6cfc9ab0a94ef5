"""The error for users' mistakes, shown without a traceback: one line for each mistake.

The core raises it; the plugin raises pytest's own `UsageError` instead, which is exit code 4.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import did_you_mean, safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


MOST_LINES = 20
"""How many lines an error lists."""


class SoakUsageError(Exception):
    """Mistakes of the user's: what was given, from where, and what is allowed (exit 4)."""

    def __init__(self, *messages: str, head: str = "") -> None:
        """Tell all *messages*, each once.

        Args:
            messages: One for each mistake.
            head: Where they are, for the heading of several; empty if in several places.
        """
        super().__init__(*dict.fromkeys(messages))
        self.head = head

    def __str__(self) -> str:
        """Return one message as it is, and several as a heading with a line for each."""
        if len(self.args) == 1:
            return str(self.args[0])
        lines = [f"  {line}" for message in self.args for line in message.split("\n")]
        if len(lines) > MOST_LINES:
            lines[MOST_LINES:] = [f"  and {len(lines) - MOST_LINES} more"]
        return "\n".join((f"{self.head or 'pytest-soak'}: {len(self.args)} mistakes", *lines))


def refuse_all(messages: Iterable[str]) -> None:
    """Raise one error with all *messages*, if there are any.

    Raises:
        SoakUsageError: There are.
    """
    if told := tuple(messages):
        raise SoakUsageError(*told)


@contextmanager
def gathered(messages: list[str]) -> Iterator[None]:
    """Add the messages of a usage error raised in the block to *messages*, and go on after it."""
    try:
        yield
    except SoakUsageError as error:
        messages += [str(error)] if error.head else error.args


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
