"""The folder of a chain: who holds it, the run that lies in it, and the earlier ones beside."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pytest_soak.errors import SoakUsageError
from pytest_soak.store.files import StoreError
from pytest_soak.store.journal import first_and_last, journal_run

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "runs"
JOURNAL = "journal.jsonl"
PATIENCE = 2.0


class FolderBusy(StoreError):
    """Another process holds the folder."""


def lock_path(folder: Path) -> Path:
    """Return the lock of the chain's *folder*: beside it, as the folder's files are moved away."""
    return folder.parent / f".{folder.name}.lock"


def hold(folder: Path, patience: float = PATIENCE) -> FileLock:
    """Hold the chain's *folder*; the system lets go of it when the process ends, however it does.

    Args:
        folder: The chain's folder.
        patience: For how many seconds to wait for another process that holds it. One that only
            looks whether anybody does, such as another worker, lets go at once.

    Raises:
        FolderBusy: Another process holds it.
    """
    lock = FileLock(lock_path(folder))
    try:
        lock.acquire(timeout=patience, poll_interval=0.01)
    except Timeout:
        msg = f"{folder}: another soak or command holds this folder; wait for it, or use --soak-dir"
        raise FolderBusy(msg) from None
    return lock


def refuse_busy(folder: Path) -> None:
    """Refuse to start where another process holds the chain's *folder*.

    Raises:
        SoakUsageError: It does.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: is in the way: it is to become the folder of a chain"
        raise SoakUsageError(msg)
    if folder.exists():
        try:
            hold(folder).release()
        except FolderBusy as error:
            raise SoakUsageError(str(error)) from None


def clear_for(folder: Path, run_id: str) -> None:
    """Leave nothing in *folder* but what belongs to the run *run_id*, and that wherever it lay.

    An earlier run's files are moved to ``runs/<run id>``, so that nothing is mixed. A run lies
    where its journal is, which leaves a place last and comes to one first: a crash in between
    leaves files of one run in its two places, and whoever comes next moves the rest.
    """
    earlier = journal_run(folder / JOURNAL)
    rest = [path for path in folder.iterdir() if path.name != RUNS]
    if earlier != run_id and rest:
        place = folder / RUNS / earlier
        if earlier not in runs_in(folder) or (place / JOURNAL).exists():
            place = _free_place(place)
        place.mkdir(parents=True, exist_ok=True)
        for path in sorted(rest, key=_is_journal):
            shutil.move(path, place / path.name)
    put_aside = folder / RUNS / run_id
    if put_aside.exists() and (folder / JOURNAL).exists() != (put_aside / JOURNAL).exists():
        for path in sorted(put_aside.iterdir(), key=_is_journal, reverse=True):
            shutil.move(path, folder / path.name)
        put_aside.rmdir()


def _is_journal(path: Path) -> bool:
    return path.name == JOURNAL


def _free_place(place: Path) -> Path:
    number = 1
    while place.exists():
        number += 1
        place = place.with_name(f"{place.name.removesuffix(f'-{number - 1}')}-{number}")
    return place


def point_latest(folder: Path) -> None:
    """Let ``latest`` point to the chain's *folder*; in one step, as other workers do the same."""
    draft = folder.parent / f".latest-{folder.name}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name, target_is_directory=True)
    draft.replace(folder.parent / "latest")


def chains_in(soak_dir: Path) -> list[Path]:
    """Return the folders of the chains in *soak_dir*, by name."""
    found = (path for path in soak_dir.glob("*") if path.is_dir() and not path.is_symlink())
    return sorted(path for path in found if runs_in(path))


def runs_in(folder: Path) -> dict[str, Path]:
    """Return ``{run id: folder}`` of every run of the chain in *folder*, the newest first."""
    places = [folder, *folder.glob(f"{RUNS}/*")]
    found = {}
    for place in places:
        run = journal_run(place / JOURNAL)
        at_home = place in (folder, folder / RUNS / run)  # it cannot be resumed from elsewhere
        if at_home and first_and_last(place / JOURNAL) is not None:
            found[run] = place
    return {run: found[run] for run in sorted(found, key=run_age, reverse=True)}


def run_age(run: str) -> tuple[bool, str]:
    """Return the key that sorts runs by their ids, the oldest first.

    A run id begins with the time (UTC) at which the run started. A folder whose journal does not
    say which run it is of has another name, and counts as older.
    """
    return run[:1].isdigit(), run
