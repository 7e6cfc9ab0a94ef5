"""`pytest-soak baseline`: accept a run as what later runs are compared with, and forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.commands.selection import add_chain, choose_family
from pytest_soak.errors import SoakUsageError
from pytest_soak.gates.baseline import FEWEST_RUNS
from pytest_soak.store.anchors import (
    Anchor,
    accepted_families,
    read_anchor,
    remove_anchor,
    write_anchor,
)
from pytest_soak.store.cell import run_age
from pytest_soak.verify.earlier import (
    LAST_RUNS,
    NO_RUNS,
    RUN_NAMES,
    WORDS,
    choose_run,
    gather,
    is_path,
    recorded_runs,
    run_at,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_soak.store.anchors import RunSums
    from pytest_soak.verify.earlier import RecordedRun

HELP = "accept a run as the baseline of later ones, show what they are compared with, or forget it"
EXAMPLE = "accept latest"
ACCEPT, SHOW, FORGET = ACTIONS = ("accept", "show", "forget")
SOURCE = "baseline accept"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument(
        "accepted",
        metavar="RUN",
        nargs="?",
        help=f"the run to accept: {RUN_NAMES}",
    )
    add_chain(parser)


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Do what is asked; return the exit code and the lines to print."""
    action, given, soak_dir = arguments.action, arguments.accepted, arguments.soak_dir
    if (action == ACCEPT) is not bool(given):
        msg = f"baseline {action}: RUN is {'needed' if action == ACCEPT else 'not allowed'}"
        raise SoakUsageError(msg)
    runs, accepted = recorded_runs(soak_dir), accepted_families(soak_dir)
    if not runs and not accepted:
        msg = f"--soak-dir: there are no soaks in {soak_dir}"
        raise SoakUsageError(msg)
    if arguments.chain is not None:
        families = {one.family for one in choose_family(soak_dir, arguments.chain)}
        runs = [one for one in runs if one.family in families]
        accepted = [one for one in accepted if one in families]
    if action == ACCEPT:
        return 0, _accept(soak_dir, runs, given)
    return 0, (_show if action == SHOW else _forget)(soak_dir, runs, accepted)


def _accept(soak_dir: Path, runs: Sequence[RecordedRun], given: str) -> list[str]:
    """Accept the run called *given*, whatever its verdict: a change may be intended."""
    if given in WORDS:
        _refuse_several({one.family: one.family_name for one in runs})
    chosen = run_at(given, SOURCE) if is_path(given) else choose_run(runs, given, SOURCE)
    if not chosen.verdict:
        msg = f"{SOURCE}: run {chosen.run} has no verdict; allowed: a run that has ended"
        raise SoakUsageError(msg)
    family = [one for one in runs if one.family == chosen.family]
    spread = _spread(chosen, family, read_anchor(soak_dir, chosen.family))
    anchor = Anchor(
        v=1,
        family=chosen.family,
        chain=str(chosen.config.get("chain")),
        accepted=chosen.sums(),
        runs=spread,
    )
    path = write_anchor(soak_dir, anchor)
    few = f"; needed: {FEWEST_RUNS}, or as many later ones" if len(spread) < FEWEST_RUNS else ""
    return [
        f"accepted {chosen.run} ({chosen.verdict}) of {chosen.family_name}",
        f"{len(spread)} other runs tell how much runs differ{few}",
        f"written to {path}",
    ]


def _spread(
    chosen: RecordedRun, family: Sequence[RecordedRun], old: Anchor | None
) -> list[RunSums]:
    """Return the runs before *chosen* that tell how much runs of one level differ.

    Those since the run that was accepted before, because the level was another one before that;
    if they are too few, those that were taken then.
    """
    before = [one for one in family if run_age(one.run) < run_age(chosen.run)]
    if old is None or run_age(old["accepted"]["run"]) >= run_age(chosen.run):
        return gather(before, _never)[0]
    since = [one for one in before if run_age(one.run) >= run_age(old["accepted"]["run"])]
    runs, _ = gather(since, _never)
    return runs if len(runs) >= FEWEST_RUNS else old["runs"]


def _never(runs: Sequence[RunSums]) -> bool:
    """Tell that *runs* are not enough: as many are taken as are read at most."""
    del runs
    return False


def _show(soak_dir: Path, runs: Sequence[RecordedRun], accepted: Sequence[str]) -> list[str]:
    """List what the next run of each family is compared with."""
    families: dict[str, list[RecordedRun]] = {family: [] for family in accepted}
    for one in runs:
        families.setdefault(one.family, []).append(one)
    lines = []
    for family, members in families.items():
        anchor = read_anchor(soak_dir, family)
        lines.append(
            members[0].family_name if members else f"{anchor['chain'] if anchor else family}"
        )
        if anchor:
            level = anchor["accepted"]
            lines.append(f"  accepted {level['run']} {level['verdict']}")
            lines += (f"  spread   {one['run']} {one['verdict']}" for one in anchor["runs"])
            continue
        kept, damaged = gather(members, lambda found: len(found) >= LAST_RUNS)
        lines += [f"  kept     {one['run']} {one['verdict']}" for one in kept] or [f"  {NO_RUNS}"]
        lines += (f"  left out {one['run']}: {one['why']}" for one in damaged)
    return lines


def _forget(soak_dir: Path, runs: Sequence[RecordedRun], accepted: Sequence[str]) -> list[str]:
    """Remove the anchor of the only family that has one."""
    names = {one.family: one.family_name for one in reversed(runs)}
    _refuse_several({family: names.get(family, family) for family in accepted})
    if not accepted:
        return ["nothing to do: no run is accepted"]
    path = remove_anchor(soak_dir, accepted[0])
    return [f"forgot the accepted run of {names.get(accepted[0], accepted[0])}", f"removed {path}"]


def _refuse_several(families: dict[str, str]) -> None:
    if len(families) > 1:
        msg = f"--chain: needed, because there are several families: {'; '.join(families.values())}"
        raise SoakUsageError(msg)
