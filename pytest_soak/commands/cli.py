"""The command `pytest-soak`: what was asked for, and how it is told. The work is in `commands`.

Exit codes: 0 done, and nothing found; 1 something found; 4 a mistake of the user's, or what
cannot be read or written.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from pytest_soak.commands import calibrate, explain, rollback, summary, verify
from pytest_soak.commands import replay as compare
from pytest_soak.config.options import DEFAULT_DIR
from pytest_soak.errors import SoakUsageError, why_unreadable
from pytest_soak.model.safe_repr import printable
from pytest_soak.store.files import StoreError
from pytest_soak.views.text import fitting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

USAGE_ERROR = 4
INTERRUPTED = 2
COMMANDS = {
    "rollback": rollback,
    "verify": verify,
    "explain": explain,
    "compare": compare,
    "calibrate": calibrate,
    "summary": summary,
}


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, with the exit code that pytest has for it."""

    def error(self, message: str) -> NoReturn:
        """Tell it and end."""
        _write([f"ERROR: {self.prog}: {message} (see {self.prog} --help)"], sys.stderr)
        raise SystemExit(USAGE_ERROR)


def parser() -> Parser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="pytest-soak",
        description="Looks at what a soak has left, and puts its overrides back.",
        allow_abbrev=False,
    )
    commands = whole.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name, help=command.HELP, description=command.HELP, allow_abbrev=False
        )
        own.add_argument(
            "--soak-dir",
            metavar="PATH",
            type=Path,
            default=Path(DEFAULT_DIR),
            help=f"where the soaks are; {DEFAULT_DIR} unless given",
        )
        own.add_argument(
            "--chain",
            metavar="C",
            help="a chain's folder or the beginning of it, or its node id; the only one there is",
        )
        own.add_argument(
            "--run",
            metavar="R",
            help="a run's id or the beginning of it; the one in the chain's folder",
        )
        command.add_arguments(own)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code.

    Args:
        arguments: The command line without the program; that of the process unless given.

    Raises:
        SystemExit: The command line cannot be read, or its help was asked for.
    """
    given = parser().parse_args(arguments)
    code: int
    stream = sys.stderr
    try:
        code, lines = COMMANDS[given.command].run(given)
        stream = sys.stdout
    except (SoakUsageError, StoreError) as error:
        code, lines = _refused(str(error))
    except OSError as error:
        code, lines = _refused(": ".join(filter(None, (error.filename, why_unreadable(error)))))
    except KeyboardInterrupt:
        code, lines = INTERRUPTED, ["ERROR: interrupted"]
    _write(lines, stream)
    return code


def _refused(told: str) -> tuple[int, list[str]]:
    return USAGE_ERROR, [f"ERROR: {told}"]


def _write(lines: Iterable[str], stream: TextIO) -> None:
    """Write *lines*, each as one, in characters that the *stream* can take."""
    text = "".join(f"{printable(line)}\n" for line in lines)
    try:
        stream.write(fitting(text, stream.encoding))
        stream.flush()
    except BrokenPipeError:  # whoever read it has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
