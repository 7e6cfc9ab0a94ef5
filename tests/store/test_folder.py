"""The folder of a chain: the files of a run stay together when they are moved."""

from __future__ import annotations

import shutil
import threading
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from pytest_soak.errors import SoakUsageError
from pytest_soak.store.folder import clear_for, lock_folder, lock_path, refuse_busy, runs_in
from pytest_soak.store.journal import Journal
from tests.support import ODD

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("EDGE_REPORT_1.json", "system_state_1.json", "zebra.json")


def make_run(folder: Path, run: str) -> None:
    """Create the files of a run in *folder*; each contains the run id."""
    journal = Journal(folder / "journal.jsonl", run)
    journal.append("run_started", 0, {"config": {}, "overrides": {}})
    journal.close()
    for name in FILES:
        (folder / name).write_text(run, "utf-8")
    (folder / "backups").mkdir()
    (folder / "backups" / "one").write_text(run, "utf-8")


def whole(folder: Path, run: str) -> bool:
    """Return whether *folder* has all files of *run*, and no others."""
    names = {path.name for path in folder.iterdir() if path.name != "runs"}
    return names == {*FILES, "journal.jsonl", "backups"} and all(
        (folder / name).read_text("utf-8") == run for name in (*FILES, "backups/one")
    )


class Killed(Exception):
    """The process was killed here."""


def clear_and_die(folder: Path, run: str, moves: int, patch: pytest.MonkeyPatch) -> None:
    """Clear *folder* for *run*, and raise after *moves* moves."""
    move = shutil.move
    left = iter(range(moves))

    def dying(source: Path, target: Path) -> None:
        if next(left, None) is None:
            raise Killed
        move(source, target)

    with patch.context() as patched:
        patched.setattr(shutil, "move", dying)
        with pytest.raises(Killed):
            clear_for(folder, run)


@pytest.fixture(params=[False, True], ids=["as listed", "the other way round"])
def listing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """List folders in both orders: a file system may choose."""
    iterdir = Path.iterdir
    monkeypatch.setattr(
        Path, "iterdir", lambda self: iter(sorted(iterdir(self), reverse=request.param))
    )


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize(("moves", "then"), [*product(range(5), ["old", "new"])])
def test_a_run_stays_complete_if_the_process_is_killed_while_moving_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int, then: str
) -> None:
    make_run(tmp_path, "old")
    clear_and_die(tmp_path, "new", moves, monkeypatch)
    clear_for(tmp_path, then)
    assert whole(tmp_path if then == "old" else tmp_path / "runs" / "old", "old")
    clear_for(tmp_path, "old")
    assert whole(tmp_path, "old")


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize(("moves", "then"), [*product(range(5), ["old", "new", "other"])])
def test_a_run_stays_complete_if_the_process_is_killed_while_moving_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int, then: str
) -> None:
    make_run(tmp_path, "old")
    clear_for(tmp_path, "new")
    make_run(tmp_path, "new")
    clear_and_die(tmp_path, "old", 5 + moves, monkeypatch)
    clear_for(tmp_path, then)
    for run in ("old", "new"):
        place = tmp_path / "runs" / run
        assert whole(tmp_path if run == then else place, run)
        assert place.exists() == (run != then)


@pytest.mark.parametrize("take", [refuse_busy, lambda folder: lock_folder(folder).release()])
def test_a_short_test_of_the_lock_does_not_block_others(
    tmp_path: Path, take: Callable[[Path], None]
) -> None:
    looking = FileLock(lock_path(tmp_path), thread_local=False)
    looking.acquire(timeout=0)
    let_go = threading.Timer(0.2, looking.release)
    let_go.start()
    take(tmp_path)
    let_go.join()
    assert not looking.is_locked


def test_files_without_a_run_are_never_overwritten(tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "journal.jsonl").write_text('{"torn', "utf-8")
        (tmp_path / "leftover").write_text(text, "utf-8")
        clear_for(tmp_path, "new")
        (tmp_path / "runs" / "unknown" / "journal.jsonl").unlink(missing_ok=True)
    assert {path.read_text("utf-8") for path in tmp_path.glob("runs/*/leftover")} == {"one", "two"}


@pytest.mark.parametrize("kind", ["a link", "a pipe"])
def test_a_folder_or_lock_that_is_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "chain"
    ODD[kind](folder)
    with pytest.raises(SoakUsageError, match=f"chain: it is {kind}; allowed: a folder; move it aw"):
        refuse_busy(folder)
    folder.unlink()
    folder.mkdir()
    ODD[kind](lock_path(folder))
    with pytest.raises(SoakUsageError, match=f"chain.lock: it is {kind}; allowed: a regular file"):
        refuse_busy(folder)


def test_linked_folders_of_earlier_runs_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    chain, other = tmp_path / "soak" / "chain", tmp_path / "soak" / "other"
    for folder in (elsewhere / "old", chain, other / "runs"):
        folder.mkdir(parents=True)
    make_run(elsewhere / "old", "old")
    make_run(chain, "new")
    (chain / "runs").symlink_to(elsewhere)
    (other / "runs" / "old").symlink_to(elsewhere / "old")
    assert list(runs_in(chain)) == ["new"]
    assert runs_in(other) == {}
    with pytest.raises(OSError, match=r"it is a link; allowed: a folder: .*runs"):
        clear_for(chain, "newer")
    clear_for(other, "old")
    assert whole(elsewhere / "old", "old")
    assert whole(chain, "new")
