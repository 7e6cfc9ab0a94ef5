"""The error for users' mistakes, shown without a traceback: one line for each mistake.

The core raises it; the plugin raises pytest's own `UsageError` instead, which is exit code 4.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import did_you_mean, safe_lines, safe_repr, safe_text, trimmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self


MOST_LINES = 20
"""How many lines an error lists."""


class SoakUsageError(Exception):
    """Mistakes of the user's: what was given, from where, and what is allowed (exit 4)."""

    def __init__(self, *messages: str, head: str = "", lines: Sequence[str] = ()) -> None:
        """Tell all *messages*, each once.

        Args:
            messages: One for each mistake; or a `Block`, which may hold a mistake of another one.
            head: Where they are, for the heading of several; empty if in several places.
            lines: The messages with the place of each, see `Block`.
        """
        told = dict.fromkeys(messages)
        each = [line for one in told for line in getattr(one, "lines", (one,))]
        super().__init__(*(told if len({*each}) == len(each) else dict.fromkeys(each)))
        self.head = head
        self.lines = lines

    def __str__(self) -> str:
        """Return one message as it is, and several as a heading with a line for each."""
        if len(self.args) == 1:
            return str(self.args[0])
        lines = [f"  {line}" for message in self.args for line in message.split("\n")]
        if len(lines) > MOST_LINES:
            lines[MOST_LINES:] = [f"  and {len(lines) - MOST_LINES} more"]
        return "\n".join((f"{self.head or 'pytest-soak'}: {len(self.args)} mistakes", *lines))


class Block(str):
    """An error as one message of several.

    Its ``lines`` are its mistakes, each with its place: they are told instead of the block if
    another error has one of them too, such as that of a pack that extends the same one.
    """

    __slots__ = ("lines",)
    lines: Sequence[str]

    def __new__(cls, error: SoakUsageError) -> Self:
        """Make the message of *error*."""
        block = super().__new__(cls, str(error))
        block.lines = error.lines or error.args
        return block


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
        messages += [Block(error)] if error.head else error.args


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
        words = safe_text(clean(trimmed(str(error))))
    except Exception:  # noqa: BLE001 - its __str__ may raise
        words = safe_repr(error)
    return f"raised {type(error).__name__}: {words} ({frame.filename}:{frame.lineno})"


def failure_text(failure: SystemFailure, clean: Callable[[str], str]) -> str:
    """Return the message of a *failure*, which may have several lines; *clean* masks it."""
    return safe_lines(clean(trimmed(str(failure))))


@contextmanager
def cleaned(clean: Callable[[str], str]) -> Iterator[None]:
    """Mask, with *clean*, the messages of a usage error raised in the block."""
    try:
        yield
    except SoakUsageError as error:
        raise SoakUsageError(*map(clean, error.args), head=error.head) from None


UNREADABLE = (OSError, ValueError, RecursionError)
"""What reading and parsing a file may raise: a bad name, bytes that are no text, bad TOML."""


def why_unreadable(error: Exception) -> str:
    """Return why a file could not be read, without its name."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
    return (error.strerror if isinstance(error, OSError) else None) or safe_text(str(error))


def file_fault(error: Exception) -> str:
    """Return what went wrong with a file, with its name."""
    if not isinstance(error, OSError):
        return str(error)
    return ": ".join(filter(None, (error.filename, why_unreadable(error))))


LISTED = 20
"""How many names a message lists."""


def listed(names: Iterable[str]) -> str:
    """Return *names* for a message: the first `LISTED`, and how many more there are."""
    known = [*names]
    more = [f"and {len(known) - LISTED} more"] if len(known) > LISTED else []
    return ", ".join(known[:LISTED] + more) or "none"


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
    names = listed(known)
    line = f"{source}: unknown {kind} {safe_repr(given)}{near}; {there}: {names}"
    return f"{line} ({hint})" if hint else line
