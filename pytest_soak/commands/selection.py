"""Which cell, and which run of it, a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_soak.config.options import DEFAULT_DIR
from pytest_soak.errors import SoakUsageError, listed, unknown
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.store.cell import run_age
from pytest_soak.verify.earlier import (
    RUN_NAMES,
    WORDS,
    cells_in,
    choose_run,
    is_path,
    newest_first,
    run_at,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Mapping

    from pytest_soak.verify.earlier import RecordedRun

    Cells = Mapping[Path, list[RecordedRun]]


def add_selection(parser: ArgumentParser) -> None:
    """Add the options that select a run."""
    add_chain(parser)
    parser.add_argument(
        "--run",
        metavar="R",
        help=f"{RUN_NAMES} (default: the run in the cell's folder)",
    )


def add_chain(parser: ArgumentParser) -> None:
    """Add the options that select a cell."""
    add_soak_dir(parser)
    parser.add_argument(
        "--chain",
        metavar="C",
        help="a cell: its test, its folder, or any part of either that no other cell has "
        "(default: the cell of the only test that ran last)",
    )


def add_soak_dir(parser: ArgumentParser) -> None:
    """Add the option that selects the folder of the soaks."""
    parser.add_argument(
        "--soak-dir",
        metavar="PATH",
        type=Path,
        default=Path(DEFAULT_DIR),
        help=f"the folder with the artifacts of soaks (default: {DEFAULT_DIR})",
    )


def all_cells(soak_dir: Path) -> Cells:
    """Return ``{folder: its runs}`` of all cells in *soak_dir*, damaged ones included.

    Raises:
        SoakUsageError: There is none.
    """
    found = cells_in(soak_dir)
    if not found:
        msg = f"--soak-dir: there are no soaks in {soak_dir}"
        raise SoakUsageError(msg)
    return found


def selected_run(arguments: Namespace) -> RecordedRun:
    """Return the run that ``--soak-dir``, ``--chain`` and ``--run`` select.

    Raises:
        SoakUsageError: No cell or run matches, or several do.
    """
    soak_dir, chain = arguments.soak_dir, arguments.chain
    if arguments.run is None:
        return choose_cell(soak_dir, chain)[0]
    return named_run(soak_dir, chain, arguments.run, "--run", ended=False)


def named_run(
    soak_dir: Path, chain: str | None, given: str, source: str, *, ended: bool = True
) -> RecordedRun:
    """Return the run that is called *given*: by its id, by a word, or by its path.

    Args:
        soak_dir: The folder of the soaks.
        chain: What names its cell, or several cells of one family; None for any.
        given: The name of the run.
        source: Where it was given.
        ended: Whether the words pass over runs without a verdict.

    Raises:
        SoakUsageError: No run or cell matches, or several do.
    """
    if is_path(given):
        return run_at(given, source)
    if given in WORDS:
        runs = choose_family(soak_dir, chain)
    else:
        cells = matching_cells(soak_dir, chain)
        runs = newest_first(one for found in cells.values() for one in found)
    return choose_run(runs, given, source, ended=ended)


def choose_cell(soak_dir: Path, given: str | None) -> list[RecordedRun]:
    """Return the runs of the cell that matches *given*: first the one in its folder.

    Args:
        soak_dir: The folder of the soaks.
        given: What names the cell; None for that of the only test, which ran last.

    Raises:
        SoakUsageError: No cell matches, or several do; the message lists them.
    """
    cells = matching_cells(soak_dir, given)
    if given is None:
        _refuse_several_tests(soak_dir, cells)
        return max(cells.values(), key=lambda runs: run_age(runs[0].run))
    if len(cells) > 1:
        raise SoakUsageError(_several(given, cells))
    return next(iter(cells.values()))


def choose_family(soak_dir: Path, given: str | None) -> list[RecordedRun]:
    """Return the runs of the cells that match *given*, which are of one family, the newest first.

    Args:
        soak_dir: The folder of the soaks.
        given: What names the cells; None for the family of the only test, which ran last.

    Raises:
        SoakUsageError: No cell matches, or those of several families do; the message lists them.
    """
    cells = matching_cells(soak_dir, given)
    families = {chain: _first(one.family for one in runs) for chain, runs in cells.items()}
    if given is None:
        last = choose_cell(soak_dir, given)[0].chain
        cells = {chain: cells[chain] for chain in cells if families[chain] == families[last]}
    elif len(set(families.values())) > 1:
        raise SoakUsageError(_several(given, cells))
    return newest_first(one for runs in cells.values() for one in runs)


def matching_cells(soak_dir: Path, given: str | None) -> Cells:
    """Return the cells that *given* names; all if it is None.

    These are the cell with that folder, or else those of that test, or else those whose folder
    begins with it, or else those that have it in the name of the folder or the test.

    Raises:
        SoakUsageError: There is none; the message lists all.
    """
    cells = all_cells(soak_dir)
    if given is None:
        return cells
    tests = {chain: _first(one.test for one in runs) for chain, runs in cells.items()}
    for matches in (
        lambda chain: chain.name == given,
        lambda chain: tests[chain] == given,
        lambda chain: chain.name.startswith(given),
        lambda chain: given in chain.name or given in tests[chain],
    ):
        if found := {chain: cells[chain] for chain in filter(matches, cells)}:
            return found
    raise SoakUsageError(unknown("chain", given, "--chain", _names(cells)))


def _refuse_several_tests(soak_dir: Path, cells: Cells) -> None:
    tests = {_first(one.test for one in runs) or chain.name for chain, runs in cells.items()}
    if len(tests) > 1:
        names = listed(_names(cells))
        msg = f"--chain: needed, because {soak_dir} has several chains: {names}"
        raise SoakUsageError(msg)


def _several(given: str, cells: Cells) -> str:
    return f"--chain: {safe_repr(given)} matches several: {listed(_names(cells))}"


def _names(cells: Cells) -> list[str]:
    return [chain.name for chain in cells]


def _first(texts: Iterable[str]) -> str:
    """Return the first of *texts* that is not empty; empty if there is none."""
    return next(filter(None, texts), "")
