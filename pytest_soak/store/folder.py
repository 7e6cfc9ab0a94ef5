"""The folder of a chain: its lock, the run in it, and earlier runs in ``runs/``."""

from __future__ import annotations

import shutil
import stat
from itertools import chain, count
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pytest_soak.errors import SoakUsageError, file_fault
from pytest_soak.store.files import StoreError, is_folder, make_folder, refuse_other
from pytest_soak.store.journal import first_and_last, journal_run

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "runs"
JOURNAL = "journal.jsonl"
LOCK_TIMEOUT_S = 2.0
"""Long enough for a process that locks the folder only to test whether it is free."""


class FolderBusy(StoreError):
    """Another process has locked the folder."""


def lock_path(folder: Path) -> Path:
    """Return the lock file of *folder*: beside it, because files inside may be moved."""
    return folder.parent / f".{folder.name}.lock"


def lock_folder(folder: Path, timeout: float = LOCK_TIMEOUT_S) -> FileLock:
    """Lock the chain's *folder*. The operating system releases the lock when the process ends.

    Args:
        folder: The chain's folder.
        timeout: How many seconds to wait for another process to release it.

    Raises:
        FolderBusy: Another process has locked it.
        OSError: The lock file cannot be opened, or is no regular file.
    """
    path = lock_path(folder)
    refuse_other(path)  # older releases of filelock follow a link, and truncate its target
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout, poll_interval=0.01)
    except Timeout:
        msg = f"{folder}: another soak or command holds this folder; wait for it, or use --soak-dir"
        raise FolderBusy(msg) from None
    return lock


def refuse_busy(folder: Path) -> None:
    """Check that the chain's *folder* can be used.

    Raises:
        SoakUsageError: Another process has locked it, or it is no folder.
    """
    try:
        refuse_other(folder, stat.S_IFDIR)
        if folder.exists():
            lock_folder(folder).release()
    except FolderBusy as error:
        raise SoakUsageError(str(error)) from None
    except OSError as error:
        msg = f"{file_fault(error)}; move it away"
        raise SoakUsageError(msg) from None


def clear_for(folder: Path, run_id: str) -> None:
    """Make *folder* contain the files of the run *run_id* and no others.

    Moves the files of another run to ``runs/<its run id>``, and moves those of *run_id* back from
    there. The journal is moved last when a run is put aside, and first when it is brought back, so
    the journal always marks where a run belongs. After a crash in between, the next call moves the
    remaining files.
    """
    earlier = journal_run(folder / JOURNAL)
    present = [path for path in folder.iterdir() if path.name != RUNS]
    if earlier != run_id and present:
        target = folder / RUNS / earlier
        if earlier not in runs_in(folder) or (target / JOURNAL).exists():
            target = _unused_folder(target)
        make_folder(folder / RUNS)
        make_folder(target)
        for path in sorted(present, key=_is_journal):
            shutil.move(path, target / path.name)
    aside = folder / RUNS / run_id
    if is_folder(aside) and (folder / JOURNAL).exists() != (aside / JOURNAL).exists():
        for path in sorted(aside.iterdir(), key=_is_journal, reverse=True):
            shutil.move(path, folder / path.name)
        aside.rmdir()


def _is_journal(path: Path) -> bool:
    return path.name == JOURNAL


def _unused_folder(path: Path) -> Path:
    """Return *path*, or the first of ``<path>-2``, ``<path>-3``, … that does not exist."""
    candidates = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(candidate for candidate in chain((path,), candidates) if not candidate.exists())


def point_latest(folder: Path) -> None:
    """Make ``latest`` a link to *folder*, atomically, because other workers do the same."""
    draft = folder.parent / f".latest-{folder.name}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name, target_is_directory=True)
    draft.replace(folder.parent / "latest")


def chains_in(soak_dir: Path) -> list[Path]:
    """Return the folders of the chains in *soak_dir*, by name."""
    return sorted(path for path in filter(is_folder, soak_dir.glob("*")) if runs_in(path))


def put_aside(folder: Path) -> list[Path]:
    """Return the folders of the earlier runs of the chain in *folder*."""
    if not is_folder(folder / RUNS):
        return []
    return [path for path in (folder / RUNS).iterdir() if is_folder(path)]


def runs_in(folder: Path) -> dict[str, Path]:
    """Return ``{run id: folder}`` of all resumable runs of the chain in *folder*, newest first."""
    found = {}
    for path in (folder, *put_aside(folder)):
        run = journal_run(path / JOURNAL)
        resumable = path in (folder, folder / RUNS / run)  # a folder of another name is not
        if resumable and first_and_last(path / JOURNAL) is not None:
            found[run] = path
    return {run: found[run] for run in sorted(found, key=run_age, reverse=True)}


def run_age(run: str) -> tuple[bool, str]:
    """Return the key that sorts runs by their ids, the oldest first.

    A run id begins with the time (UTC) at which the run started. Other names, which folders with an
    unreadable journal have, count as older.
    """
    return run[:1].isdigit(), run
