"""`pytest-soak replay`: recorded soaks decided again; `what_if` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

HELP = "decide recorded soaks again with other tuners, guard settings and gates"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what only this command takes."""
    parser.add_argument(
        "journals",
        metavar="JOURNAL",
        nargs="*",
        type=Path,
        help="a journal or its folder (default: the newest run of the chain)",
    )
    parser.add_argument(
        "--tuner",
        metavar="NAME[,NAME]",
        action="append",
        default=[],
        help="tuners to decide with; may be repeated (default: the recorded ones)",
    )
    parser.add_argument(
        "--gate", metavar="METRIC>=X", action="append", default=[], help="as --soak-gate"
    )
    parser.add_argument("--pack", metavar="NAME|FILE", help="the pack (default: the recorded one)")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of the pack, in TOML: guards.cooldown.iterations=1",
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Decide again; return 1 if anything differs, and the lines to show."""
    # These need pytest; the other commands start faster without it.
    from pytest_soak.commands.plugins import with_plugins  # noqa: PLC0415
    from pytest_soak.commands.what_if import replay  # noqa: PLC0415

    return with_plugins(lambda plugins: replay(arguments, plugins))
