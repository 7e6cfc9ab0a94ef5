"""`pytest-soak runs`: list the runs that are kept."""

from __future__ import annotations

import json
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.selection import add_chain, matching_cells
from pytest_soak.errors import file_fault
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.cell import session_of
from pytest_soak.store.files import StoreError
from pytest_soak.verify.earlier import newest_first
from pytest_soak.views.text import aligned

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping, Sequence

    from pytest_soak.verify.earlier import RecordedRun

HELP = "list the runs that are kept, the newest first"
EXAMPLE = "--chain test_queue"
UNFINISHED, DAMAGED = "unfinished", "damaged"
"""What stands in place of a verdict."""
HEAD = ("run", "begun (UTC)", "seed", "iter", "held", "verdict")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_chain(parser)
    parser.add_argument("--json", action="store_true", help="print the runs as JSON")


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """List the runs; return the exit code and the lines to print."""
    cells = matching_cells(arguments.soak_dir, arguments.chain)
    runs = newest_first(one for found in cells.values() for one in found)
    facts = [facts_of(one) for one in runs]
    if arguments.json:
        return 0, json.dumps(facts, indent=1).splitlines()
    short = dict(zip([one.run for one in runs], shortened([one.run for one in runs]), strict=True))
    families: dict[str, list[Sequence[str]]] = {}
    for one, fact in zip(runs, facts, strict=True):
        name = one.family_name if one.config else one.chain.name
        families.setdefault(name, []).append(_row(short[one.run], fact))
    lines = []
    for name, rows in families.items():
        lines += [safe_text(name), *(f"  {text}" for text in aligned([HEAD, *rows]))]
    return 0, lines


def facts_of(one: RecordedRun) -> dict[str, Any]:
    """Return what the first and the last line of a run's journal say of it.

    Returns:
        ``run``, ``began``, ``cell`` (the folder), ``test``, ``family``, ``seed``, ``iterations``,
        ``planned``, ``held``: the share of iterations that held every limit, ``verdict``, ``why``
        it is damaged, and ``path``. None stands for what is not known.
    """
    found: dict[str, Any] = {
        "run": one.run,
        "began": one.began,
        "cell": one.chain.name,
        "test": one.test,
        "family": one.family,
        "seed": one.config.get("seed"),
        "iterations": None,
        "planned": one.config.get("iterations"),
        "held": None,
        "verdict": None,
        "why": "",
        "path": str(one.folder),
    }
    try:
        found["iterations"], ending = one.last["iteration"], one.ending
    except (StoreError, OSError) as error:
        return {**found, "why": file_fault(error)}
    if ending:
        found |= {"held": held(ending), "verdict": str(ending.get("verdict"))}
    return found


def held(ending: Mapping[str, Any]) -> float | None:
    """Return which share of a run's iterations held every limit; None if the verdict lacks that."""
    counts: Mapping[str, int] = ending.get("counts") or {}
    total = sum(counts.values())
    return counts.get("PASS", 0) / total if total else None


def shortened(runs: Sequence[str]) -> list[str]:
    """Return for each of the ids *runs* a beginning that no other has, at least its session."""
    ordered = sorted(set(runs))
    needed = dict.fromkeys(ordered, 0)
    for one, other in pairwise(ordered):
        shared = _shared(one, other) + 1
        needed[one], needed[other] = max(needed[one], shared), shared
    return [run[: max(needed[run], len(session_of(run)))] for run in runs]


def _shared(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)


def _row(name: str, fact: Mapping[str, Any]) -> list[str]:
    done, planned = fact["iterations"], fact["planned"]
    share = "" if fact["held"] is None else f"{100 * fact['held']:.0f} %"
    instead = DAMAGED if fact["why"] or not fact["test"] else UNFINISHED
    return [
        safe_text(name),
        safe_text(fact["began"][:16].replace("T", " ")),
        _known(fact["seed"]),
        _known(done) if done == planned else f"{_known(done)}/{_known(planned)}",
        share,
        safe_text(fact["verdict"] or instead),
    ]


def _known(value: object) -> str:
    return "" if value is None else safe_text(str(value))
