"""`pytest-soak compare`: recorded soaks decided anew; the work is in `anew`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

HELP = "decide recorded soaks anew with other tuners, guard settings and gates"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what only this command takes."""
    parser.add_argument(
        "journals",
        metavar="JOURNAL",
        nargs="*",
        type=Path,
        help="a journal, or the folder it lies in; that of the run in the soak's folder",
    )
    parser.add_argument(
        "--tuner",
        metavar="NAME[,NAME]",
        action="append",
        default=[],
        help="decide by these; may be repeated. The recorded ones unless given",
    )
    parser.add_argument(
        "--gate", metavar="METRIC>=X", action="append", default=[], help="as --soak-gate"
    )
    parser.add_argument("--pack", metavar="NAME|FILE", help="the recorded one unless given")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of the pack, in TOML: guards.cooldown.iterations=1",
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Compare; return 1 where anything differs, and what to tell."""
    # pytest and what a soak needs; the other commands start without
    from pytest_soak.commands.plugins import with_plugins  # noqa: PLC0415
    from pytest_soak.commands.what_if import compare  # noqa: PLC0415

    return with_plugins(lambda plugins: compare(arguments, plugins))
