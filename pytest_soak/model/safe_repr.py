"""How text from outside is made safe to show: the one place that decides it.

Such text comes from systems, programs, plugins, files and settings. Shown raw, it could clear a
terminal, hide or reorder what stands beside it, look like a marker line in a log that people
search, or be taken for a workflow command by GitHub.
"""

from __future__ import annotations

import re

HEAD, TAIL = 150, 80
"""How many characters of the beginning and of the end of a long text are shown."""
READ = 10_000
"""How many characters at each end of a huge text are read at all."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U0001d159\U000e0100-\U000e01ef]"
)
"""Characters that show nothing, though `str.isprintable` is true for them."""
COMMAND = re.compile(
    r":(?=:(?i:add-mask|add-matcher|add-path|debug|echo|endgroup|error|group|notice|remove-matcher"
    r"|save-state|set-env|set-output|stop-commands|warning)(?: |::))|#(?=#\[)"
)
"""The first character of a workflow command of GitHub, ``::error::`` or ``##[error]``."""
MARKER = re.compile(r"(?<=kpi)_(?=gate)|(?:(?<=[a-z])|(?<=[a-z] ))\|(?= ?[A-Z])")
"""What makes a text look like a marker line: the name of the verdict's, or ``name | WORD``."""


MARKER_LINE = re.compile(r"(?<=kpi)_(?=gate)|(?m:^(?P<indent>[ \t]*(?:E +)?))\|(?= ?\w+ ?\|)")
"""What makes a line among others, such as those of a traceback, look like a marker line."""
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def _escape(character: str) -> str:
    escape = character.encode("unicode_escape").decode()
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8, as `surrogateescape` reads it
        return rf"\x{escape[4:]}"
    return escape if escape != character else f"\\x{ord(character):02x}"


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def printable(text: str, keep: str = "") -> str:
    """Return *text* with what no terminal should be sent as escapes.

    These are control, C1, bidi and invisible characters, line ends, halves of surrogate pairs, and
    the beginnings of workflow commands. For whole lines that we compose; what they contain of
    others goes through `one_line` or `safe_text` before.

    Args:
        text: Any text.
        keep: Characters that stay as they are, such as line ends.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)
    if not text.isascii():
        text = INVISIBLE.sub(_escaped, text)
    return COMMAND.sub(_escaped, text)


def safe_lines(text: str) -> str:
    """Return *text* of several lines, such as a program's output, safe to show line by line."""
    return MARKER.sub(_escaped, printable(text, "\n\t"))


def safe_report(text: str) -> str:
    """Return *text* of a report of pytest, such as a traceback or captured output, safe to show.

    It loses its colours. Only what would be a marker line is changed, as source code has
    ``int | None``.
    """
    text = printable(COLOUR.sub("", text), "\n\t")
    return MARKER_LINE.sub(lambda found: f"{found['indent'] or ''}{_escape(found[0][-1])}", text)


def one_line(text: str) -> str:
    """Return all of *text* on one line, safe to show.

    For text in which secrets are masked later: a part of a secret would not be found any more.
    """
    return MARKER.sub(_escaped, printable(" ".join(str.split(text))))


def trimmed(text: str) -> str:
    """Return *text*, without its middle if it is huge, so that reading it takes no time.

    Done before secrets are masked: what is shown later are its ends alone.
    """
    return text if str.__len__(text) <= 2 * READ else f"{text[:READ]} ... {text[-READ:]}"


def safe_text(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """Return *text* on one line, safe to show, without its middle where it is long.

    Args:
        text: Any text.
        head: How many characters of its beginning are shown.
        tail: How many characters of its end are shown.
    """
    line = one_line(trimmed(text))
    if len(line) <= head + tail:
        return line
    return f"{line[:head]} ... {line[-tail:]}" if tail else f"{line[:head]}…"


def safe_repr(value: object) -> str:
    """Return the repr of *value* for an error, also where it cannot make one."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an object of a plugin may raise anything
        return f"a {type(value).__name__} that cannot be shown"
    return safe_text(ADDRESS.sub("", text))
