"""`pytest-soak rollback`: restore the overrides of an earlier iteration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.records import iteration_range, iterations
from pytest_soak.commands.selection import add_selection, selected_run
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.patch import diff, guarded
from pytest_soak.store.artifacts import OVERRIDES
from pytest_soak.store.files import document, line, write_text
from pytest_soak.store.folder import lock_folder
from pytest_soak.store.store import ChainStore
from pytest_soak.verify.changes import iter_steps
from pytest_soak.verify.load import load_validated
from pytest_soak.views.text import number

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.verify.earlier import RecordedRun

HELP = "restore the overrides that were in force after an iteration"
EXAMPLE = "--to-iter 3 --dry-run"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_selection(parser)
    parser.add_argument(
        "--to-iter",
        metavar="N",
        type=int,
        required=True,
        help="restore the overrides after this iteration; 0: those at the start of the run",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the patch, but change nothing")
    parser.add_argument(
        "--to-file",
        metavar="PATH",
        type=Path,
        help="also write the overrides to this file, for --soak-overrides of the next soak",
    )


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Roll back; return the exit code and the lines to print."""
    if arguments.dry_run and arguments.to_file:
        msg = "--dry-run, --to-file: both given; allowed: one, because --dry-run writes no file"
        raise SoakUsageError(msg)
    selected = selected_run(arguments)
    if arguments.dry_run:
        records = load_validated(selected.journal)
        now, then = states(records, arguments.to_iter)
        return 0, [selected.title, *changes(records, now, then, arguments.to_iter, dry=True)]
    _check_target(arguments.to_file, arguments.soak_dir)
    return 0, [selected.title, *_roll_back(selected, arguments.to_iter, arguments.to_file)]


def states(
    records: Sequence[Mapping[str, Any]], to: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the overrides after the last record, and those after iteration *to*.

    Raises:
        SoakUsageError: The journal has no such iteration.
    """
    after: dict[int, Mapping[str, float]] = {}
    now: Mapping[str, float] = {}
    for step in iter_steps(records):
        now = step.after
        if step.record["kind"] in ("run_started", "iteration"):
            after[step.record["iteration"]] = now
    if to not in after:
        numbers = iteration_range(iterations(records))
        msg = f"--to-iter: {to} is not in the journal; there are: 0 (the start), {numbers}"
        raise SoakUsageError(msg)
    return now, after[to]


def changes(
    records: Sequence[Mapping[str, Any]],
    now: Mapping[str, float],
    then: Mapping[str, float],
    to: int,
    *,
    dry: bool = False,
) -> Iterator[str]:
    """Yield the changes from *now* to *then*, one line for each parameter.

    A dry run shows the patch too.
    """
    when = f"after iteration {to}" if to else "at the start of the run"
    if now == then:
        yield f"nothing to do: the overrides are already those {when}"
        return
    yield f"{'would restore' if dry else 'restored'} the overrides {when}"
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
    """Refuse a target in a chain's folder, and a target that is not a regular file.

    Soaks own the chain's folder. A device or a pipe would be replaced by a file.
    """
    if target is None:
        return
    if os.path.lexists(target) and not target.is_file():
        allowed = "a new file, a regular file, or a link to one"
        msg = f"--to-file: {target} is not a regular file; allowed: {allowed}"
        raise SoakUsageError(msg)
    if soak_dir.resolve() in target.resolve().parent.parents:
        msg = f"--to-file: {target} is in the folder of a chain; allowed: a path outside of it"
        raise SoakUsageError(msg)


def _roll_back(selected: RecordedRun, to: int, target: Path | None) -> Iterator[str]:
    """Record the rollback and write the overrides, while the chain's folder is locked."""
    held = lock_folder(selected.chain)
    try:
        records = load_validated(selected.journal)
        now, then = states(records, to)
        store = ChainStore(selected.folder, str(records[0]["run"]), held)
        try:
            store.load()
            if target:  # before the journal, so that a failure here leaves the run unchanged
                write_text(os.path.realpath(target), document(then))  # a link stays a link
            store.roll_back(to, then)
        finally:
            store.close()
    finally:
        held.release()
    yield from changes(records, now, then, to)
    if store.put_back:
        yield f"the overrides file had been edited: {store.put_back}"
    yield f"overrides in {selected.folder / OVERRIDES}"
    if target:
        yield f"written to {target}"
    yield f"journal head {store.journal.head}"
