"""`pytest-soak replay`: decide recorded soaks again. The work is done in `what_if`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.commands.selection import add_selection
from pytest_soak.verify.earlier import RUN_NAMES

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

HELP = "decide a recorded soak again with other tuners, settings or gates, and show what differs"
EXAMPLE = "--set guards.cooldown.iterations=1"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_selection(parser)
    parser.add_argument(
        "journals",
        metavar="RUN",
        nargs="*",
        help=f"a journal, its folder, or {RUN_NAMES} (default: the run that --chain and --run "
        "select)",
    )
    parser.add_argument(
        "--tuner",
        metavar="NAME[,NAME]",
        action="append",
        default=[],
        help="the tuners that decide; 'none' for no tuning; repeat the option to compare several "
        "choices (default: the recorded tuners)",
    )
    parser.add_argument(
        "--gate",
        metavar="METRIC>=X",
        action="append",
        default=[],
        help="a limit, as in --soak-gate; can be repeated",
    )
    parser.add_argument("--pack", metavar="NAME|FILE", help="the pack (default: the recorded one)")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of the pack, in TOML, such as guards.cooldown.iterations=1; can be "
        "repeated",
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Decide again; return 1 if anything differs, and the lines to print."""
    # These imports load pytest; the other commands start faster without it.
    from pytest_soak.commands.plugins import with_plugins  # noqa: PLC0415
    from pytest_soak.commands.what_if import replay  # noqa: PLC0415

    return with_plugins(lambda plugins: replay(arguments, plugins))
