"""The command line of `pytest-soak`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from pytest_soak.commands import (
    baseline,
    calibrate,
    diff,
    explain,
    replay,
    rollback,
    runs,
    schema,
    summary,
    verify,
)
from pytest_soak.errors import SoakUsageError, file_fault
from pytest_soak.model.safe_repr import printable
from pytest_soak.store.files import StoreError
from pytest_soak.views.text import fitting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

USAGE_ERROR = 4
INTERRUPTED = 2
COMMANDS = {
    "runs": runs,
    "diff": diff,
    "rollback": rollback,
    "verify": verify,
    "explain": explain,
    "replay": replay,
    "calibrate": calibrate,
    "summary": summary,
    "baseline": baseline,
    "schema": schema,
}


EXIT_CODES = (
    "Exit codes: 0 done; 1 verify or replay found something, or diff a metric that is worse; "
    "2 interrupted; 4 wrong usage, or a file that cannot be read or written."
)
RENAMED = {"compare": "replay"}
"""Names of commands in version 0.1.0, which work for one more release."""


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line, with pytest's exit code for usage errors."""

    def error(self, message: str) -> NoReturn:
        """Print *message* and exit."""
        _write([f"ERROR: {self.prog}: {message} (see {self.prog} --help)"], sys.stderr)
        raise SystemExit(USAGE_ERROR)


def parser() -> Parser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="pytest-soak",
        description="Inspect the artifacts of soaks, and restore overrides.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    commands = whole.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            epilog=f"Example: pytest-soak {name} {command.EXAMPLE}. {EXIT_CODES}",
            allow_abbrev=False,
        )
        command.add_arguments(own)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code.

    Args:
        arguments: The command line without the program name (default: that of the process).

    Raises:
        SystemExit: The command line is wrong, or it asks for help.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in RENAMED:
        new = RENAMED[words[0]]
        note = f"NOTE: `pytest-soak {words[0]}` is now `pytest-soak {new}`"
        _write([f"{note}; the next release removes the old name"], sys.stderr)
        words[0] = new
    given = parser().parse_args(words)
    code: int
    stream = sys.stderr
    try:
        code, lines = COMMANDS[given.command].run(given)
        stream = sys.stdout
    except (SoakUsageError, StoreError, OSError) as error:
        code, lines = _error(file_fault(error))
    except KeyboardInterrupt:
        code, lines = INTERRUPTED, ["ERROR: interrupted"]
    _write(lines, stream)
    return code


def _error(message: str) -> tuple[int, list[str]]:
    return USAGE_ERROR, [f"ERROR: {message}"]


def _write(lines: Iterable[str], stream: TextIO) -> None:
    """Write *lines*, with characters that the *stream* can encode."""
    text = "".join(f"{printable(line)}\n" for line in lines)
    try:
        stream.write(fitting(text, stream.encoding))
        stream.flush()
    except BrokenPipeError:  # a reader such as `head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
