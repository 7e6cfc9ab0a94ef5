"""`pytest-soak rollback`: the overrides as they were after an earlier iteration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.places import choose_chain, choose_run
from pytest_soak.commands.records import iterations, there_are, trusted
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.patch import diff, guarded
from pytest_soak.store.artifacts import OVERRIDES
from pytest_soak.store.files import document, line, write_text
from pytest_soak.store.folder import hold
from pytest_soak.store.store import ChainStore
from pytest_soak.verify.changes import replay
from pytest_soak.views.text import number

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.commands.places import Place

HELP = "restore the overrides exactly as they were after an iteration"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what only this command takes."""
    parser.add_argument(
        "--to-iter",
        metavar="N",
        type=int,
        required=True,
        help="the iteration after which the overrides were what they are to be; 0: the start",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the patch, and change nothing at all"
    )
    parser.add_argument(
        "--to-file",
        metavar="PATH",
        type=Path,
        help="write the overrides there too, for the next soak's --soak-overrides",
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Roll back; return the exit code and what to tell."""
    if arguments.dry_run and arguments.to_file:
        msg = "--dry-run changes nothing, and --to-file writes a file: give one of them"
        raise SoakUsageError(msg)
    chain = choose_chain(arguments.soak_dir, arguments.chain)
    place = choose_run(chain, arguments.run)
    if arguments.dry_run:
        records = trusted(place)
        now, then = states(records, arguments.to_iter)
        return 0, [place.title, *told(records, now, then, arguments.to_iter, dry=True)]
    _check_target(arguments.to_file, arguments.soak_dir)
    return 0, [place.title, *_roll_back(place, arguments.to_iter, arguments.to_file)]


def states(
    records: Sequence[Mapping[str, Any]], to: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the overrides after the last record, and those after iteration *to*.

    Raises:
        SoakUsageError: The journal has no such iteration.
    """
    after: dict[int, Mapping[str, float]] = {}
    now: Mapping[str, float] = {}
    for step in replay(records):
        now = step.after
        if step.record["kind"] in ("run_started", "iteration"):
            after[step.record["iteration"]] = now
    if to not in after:
        numbers = there_are(iterations(tuple(records)))
        msg = f"--to-iter: {to} is not in the journal; there are: 0 (the start), {numbers}"
        raise SoakUsageError(msg)
    return now, after[to]


def told(
    records: Sequence[Mapping[str, Any]],
    now: Mapping[str, float],
    then: Mapping[str, float],
    to: int,
    *,
    dry: bool = False,
) -> Iterator[str]:
    """Yield what changes from *now* to *then*, one line a parameter; of a dry run the patch too."""
    when = f"after iteration {to}" if to else "as the run started"
    if now == then:
        yield f"nothing to do: the overrides are those {when}"
        return
    yield f"{'would go' if dry else 'went'} back to the overrides {when}"
    if dry:
        yield "patch:"
        yield from (f"  {line(operation)}" for operation in guarded(diff(now, then), now))
    configs = (record["config"] for record in records if "config" in record)
    base: Mapping[str, float] = next(iter([*configs][::-1]))["base"]
    for name in sorted({*now, *then}):
        if now.get(name) != then.get(name):
            yield f"  {name}: {_value(name, now, base)} → {_value(name, then, base)}"


def _value(name: str, overrides: Mapping[str, float], base: Mapping[str, float]) -> str:
    if name in overrides:
        return number(overrides[name])
    return f"{number(base[name])} (base)" if name in base else "not set"


def _check_target(target: Path | None, soak_dir: Path) -> None:
    """Refuse to write into the folder of a chain, and to replace what is no regular file.

    In a chain's folder everything is the soak's; a device or pipe would give way to a file.
    """
    if target is None:
        return
    if os.path.lexists(target) and not target.is_file():
        msg = f"--to-file: {target} is no regular file; allowed: one, a link to one, or a new one"
        raise SoakUsageError(msg)
    if soak_dir.resolve() in target.resolve().parent.parents:
        msg = f"--to-file: {target} is in the folder of a chain, where a soak writes; elsewhere"
        raise SoakUsageError(msg)


def _roll_back(place: Place, to: int, target: Path | None) -> Iterator[str]:
    """Do it through the one actuator, while nobody else may work in the chain's folder."""
    held = hold(place.chain)
    try:
        records = trusted(place)
        now, then = states(records, to)
        store = ChainStore(place.folder, str(records[0]["run"]), held)
        try:
            store.take_up()
            if target:  # before the journal: a rollback that fails here has not taken place
                write_text(os.path.realpath(target), document(then))  # a link stays one
            store.roll_back(to, then)
        finally:
            store.close()
    finally:
        held.release()
    yield from told(records, now, then, to)
    if store.put_back:
        yield f"the file had been edited: {store.put_back}"
    yield f"overrides in {place.folder / OVERRIDES}"
    if target:
        yield f"written to {target}"
    yield f"journal head {store.journal.head}"
