"""The store: journal first, then the files made from it; each iteration once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_soak.model.patch import apply
from pytest_soak.store import files, store
from pytest_soak.store.files import StoreError, json_hash
from pytest_soak.store.journal import Journal, JournalError, read_journal
from pytest_soak.store.store import ChainStore, open_chain

if TYPE_CHECKING:
    from collections.abc import Iterator


BASE = {"workers": 2, "batch": 40, "spread": 0}


PLAN = {
    "chain": "test_x",
    "seed": 0,
    "profile": "default",
    "base": BASE,
    "kpis": {},
    "objective": None,
}


QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Opener:
    """Opens stores of one chain, and closes them when the test is over."""

    def __init__(self) -> None:
        self._opened: list[ChainStore] = []

    def __call__(self, folder: Path, run: str = "run-1", /, **seeded: float) -> ChainStore:
        chain = open_chain(folder, "test_x-1234", run)
        self._opened.append(chain)
        chain.start(PLAN, seeded, "option" if seeded else "profile")
        return chain

    def close(self) -> None:
        for chain in self._opened:
            chain.close()


@pytest.fixture
def opened() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close()


def body(**more: object) -> dict[str, Any]:
    """Return a minimal body of an iteration's record."""
    empty: dict[str, object] = {"metrics": {}, "n": {}, "parameters": {}, "doubts": {}}
    return {
        "report": None,
        "settles": None,
        "summary": {
            **empty,
            "problems": [],
            "verdict": "PASS",
            "in_window": False,
            "restarted": False,
        },
        "judgements": [],
        "decision": {
            "requests": [],
            "changes": [],
            "vetoes": [],
            "skip_reason": "",
            "asked": {},
            "notices": [],
            "rollback": None,
        },
        "applied": True,
        "system_state": "",
        **more,
    }


def contents(chain: ChainStore) -> list[dict[str, Any]]:
    return read_journal(chain.journal.path)


def test_the_overrides_file_holds_what_was_committed(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path, workers=2, batch=40)
    assert chain.readback() == {"workers": 2, "batch": 40}
    patch = chain.commit(1, body(note="slow"), {"workers": 4, "batch": 40})
    assert patch == ({"op": "replace", "path": "/workers", "value": 4},)
    assert chain.readback() == chain.overrides == {"workers": 4, "batch": 40}
    assert chain.overrides_path == tmp_path / "test_x-1234" / "runtime_overrides.json"


def test_a_record_holds_patch_inverse_and_the_hashes_of_both_states(
    opened: Opener, tmp_path: Path
) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(note="slow"), {"workers": 4, "batch": 35})
    started, record = contents(chain)
    before, after = {"workers": 2}, {"workers": 4, "batch": 35}
    assert started["state_after"] == record["state_before"] == json_hash(before)
    assert record["state_after"] == json_hash(after)
    assert apply(before, record["patch"]) == after
    assert apply(after, record["inverse"]) == before
    assert record["note"] == "slow"
    assert (record["kind"], record["iteration"]) == ("iteration", 1)


def test_the_start_records_where_the_overrides_came_from(opened: Opener, tmp_path: Path) -> None:
    (started,) = contents(opened(tmp_path, workers=2))
    assert started["kind"] == "run_started"
    assert started["overrides"] == {"workers": 2}
    assert started["overrides_source"] == "option"
    assert started["config"] == PLAN


def test_the_backup_holds_the_overrides_before_the_apply(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(), {"workers": 4})
    chain.commit(2, body(), {"workers": 4})
    chain.commit(3, body(), {"workers": 6})
    backups = sorted((chain.folder / "backups").iterdir())
    assert [json.loads(path.read_text("utf-8")) for path in backups] == [
        {"workers": 2},
        {"workers": 4},
    ]
    assert [path.name for path in backups] == [
        "runtime_overrides_backup_1.json",
        "runtime_overrides_backup_3.json",
    ]


def test_an_iteration_without_changes_is_recorded_and_touches_nothing(
    opened: Opener, tmp_path: Path
) -> None:
    chain = opened(tmp_path, workers=2)
    written = chain.overrides_path.stat().st_mtime_ns
    assert chain.commit(1, body(), dict(chain.overrides)) == ()
    assert contents(chain)[-1]["patch"] == []
    assert chain.overrides_path.stat().st_mtime_ns == written


def test_the_journal_is_synced_before_the_overrides_are_replaced(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = opened(tmp_path, workers=2)
    order: list[str] = []
    fsync, rename = os.fsync, os.replace

    def spy_fsync(fd: int) -> None:
        fsync(fd)
        order.append(f"fsync of {len(contents(chain))} records")

    def spy_replace(source: str, target: str) -> None:
        rename(source, target)
        order.append(f"replace {Path(target).name}")

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    chain.commit(1, body(), {"workers": 4})
    assert order == [
        "fsync of 2 records",
        "replace runtime_overrides_backup_1.json",
        "replace runtime_overrides.json",
        "replace ITER_SUMMARY_1.json",
    ]


class Crash(Exception):
    """The process was killed here."""


@pytest.mark.parametrize("survived", [0, 1, 2, 3])
def test_a_crash_between_any_two_steps_of_an_apply_is_repaired_by_reopening(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    chain = opened(tmp_path, workers=2)
    steps = 0
    write = files.write_text

    def crashing(path: str, text: str) -> None:
        nonlocal steps
        if steps == survived:
            raise Crash
        steps += 1
        write(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_text", crashing)
        if survived < 3:
            with pytest.raises(Crash):
                chain.commit(1, body(), {"workers": 4})
        else:
            chain.commit(1, body(), {"workers": 4})
    chain.close()
    again = opened(tmp_path, workers=2)
    assert again.overrides == again.readback() == {"workers": 4}
    assert [record["iteration"] for record in again.iterations] == [1]
    backup = again.folder / "backups" / "runtime_overrides_backup_1.json"
    assert json.loads(backup.read_text("utf-8")) == {"workers": 2}


def test_a_crash_before_the_record_is_on_disk_applies_nothing(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = opened(tmp_path, workers=2)

    def crashing(*args: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(chain.journal, "append", crashing)
        with pytest.raises(Crash):
            chain.commit(1, body(), {"workers": 4})
    assert chain.overrides == chain.readback() == {"workers": 2}
    assert list((chain.folder / "backups").iterdir()) == []


STATES = st.dictionaries(
    st.sampled_from(("workers", "batch", "spread")), st.integers(0, 9), max_size=3
)


@given(STATES, st.lists(STATES, max_size=6), st.data())
@QUICK
def test_reopening_at_any_time_changes_nothing(
    opened: Opener,
    tmp_path_factory: pytest.TempPathFactory,
    seeded: dict[str, int],
    states: list[dict[str, float]],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("soak")
    chain = opened(folder, "run-1", **seeded)
    for iteration, state in enumerate(states, 1):
        chain.commit(iteration, body(), state)
        if data.draw(st.booleans(), "reopen"):
            chain.close()
            chain = opened(folder, "run-1", **seeded)
        assert chain.overrides == chain.readback() == state
    assert len(contents(chain)) == 1 + len(states)
    chain.close()


def test_committing_an_iteration_twice_changes_nothing(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(), {"workers": 4})
    assert chain.commit(1, body(), {"workers": 6}) == ()
    assert chain.overrides == chain.readback() == {"workers": 4}
    assert [record["iteration"] for record in contents(chain)] == [0, 1]


def test_committing_an_iteration_again_after_reopening_changes_nothing(
    opened: Opener, tmp_path: Path
) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(), {"workers": 4})
    chain.close()
    again = opened(tmp_path, workers=2)
    assert again.commit(1, body(), {"workers": 6}) == ()
    assert again.overrides == again.readback() == {"workers": 4}
    assert [record["iteration"] for record in contents(again)] == [0, 1]


def test_the_same_step_in_two_iterations_is_applied_twice(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(deltas={"workers": 2}), {"workers": 4})
    chain.commit(2, body(deltas={"workers": 2}), {"workers": 6})
    assert chain.readback() == {"workers": 6}


def test_an_edited_file_is_rebuilt_from_the_journal(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(), {"workers": 4})
    chain.close()
    chain.overrides_path.write_text('{"workers": 99}', "utf-8")
    assert opened(tmp_path, workers=2).readback() == {"workers": 4}


def test_a_reopened_run_ignores_newly_seeded_overrides(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path, workers=2)
    chain.commit(1, body(), {"workers": 4})
    chain.close()
    again = opened(tmp_path, workers=9, batch=1)
    assert again.overrides == again.readback() == {"workers": 4}


def test_a_new_run_gets_an_empty_folder_and_earlier_files_are_kept(
    opened: Opener,
    tmp_path: Path,
) -> None:
    chain = opened(tmp_path, "run-1", workers=2)
    chain.commit(1, body(), {"workers": 4})
    chain.write("EDGE_REPORT_1.json", {"iteration": 1})
    chain.close()
    again = opened(tmp_path, "run-2")
    assert again.overrides == again.readback() == {}
    assert again.iterations == []
    assert not (again.folder / "EDGE_REPORT_1.json").exists()
    assert list((again.folder / "backups").iterdir()) == []
    earlier = again.folder / "runs" / "run-1"
    assert json.loads((earlier / "runtime_overrides.json").read_text("utf-8")) == {"workers": 4}
    assert json.loads((earlier / "EDGE_REPORT_1.json").read_text("utf-8")) == {"iteration": 1}
    assert (earlier / "backups" / "runtime_overrides_backup_1.json").exists()
    assert len(read_journal(earlier / "journal.jsonl")) == 2


def test_every_earlier_run_is_kept(opened: Opener, tmp_path: Path) -> None:
    for number in range(1, 4):
        opened(tmp_path, f"run-{number}", workers=number).close()
    kept = tmp_path / "test_x-1234" / "runs"
    assert sorted(path.name for path in kept.iterdir()) == ["run-1", "run-2"]


def test_two_leftovers_without_a_journal_do_not_overwrite_each_other(
    opened: Opener, tmp_path: Path
) -> None:
    folder = tmp_path / "test_x-1234"
    for text in ("one", "two"):
        folder.mkdir(exist_ok=True)
        (folder / "journal.jsonl").unlink(missing_ok=True)
        (folder / "leftover.txt").write_text(text, "utf-8")
        opened(tmp_path, text).close()
    texts = {path.read_text("utf-8") for path in folder.glob("runs/*/leftover.txt")}
    assert texts == {"one", "two"}


def test_latest_points_to_the_newest_chain(tmp_path: Path) -> None:
    for slug in ("first-1", "second-2", "first-1"):
        open_chain(tmp_path, slug, "run").close()
        assert (tmp_path / "latest").resolve() == (tmp_path / slug).resolve()
    assert (tmp_path / "latest").readlink() == Path("first-1")
    visible = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock")
    assert visible == ["first-1", "latest", "second-2"]


@pytest.mark.parametrize("state", [{"inventory": [1, 2]}, [], 0, "text"])
def test_a_systems_state_is_kept_for_its_iteration_alone(
    opened: Opener, tmp_path: Path, state: object
) -> None:
    chain = opened(tmp_path)
    digest = chain.save_state(3, state)
    assert chain.load_state(3, digest) == state
    with pytest.raises(
        JournalError, match="missing, or not the state whose hash is in the journal"
    ):
        chain.load_state(2, digest)
    assert digest == chain.save_state(3, state)
    assert digest != chain.save_state(3, [state])


def test_without_a_state_there_is_nothing_to_keep(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path)
    assert chain.save_state(1, None) == ""
    assert chain.load_state(1, "") is None


def test_the_newest_state_and_the_one_before_it_are_kept(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path)
    for iteration in range(1, 6):
        chain.save_state(iteration, {"at": iteration})
    left = sorted(path.name for path in chain.folder.glob("system_state_*"))
    assert left == ["system_state_4.json", "system_state_5.json"]


def test_an_edited_state_is_refused(opened: Opener, tmp_path: Path) -> None:
    chain = opened(tmp_path)
    digest = chain.save_state(1, {"inventory": 3})
    (chain.folder / "system_state_1.json").write_text('{"inventory": 4}', "utf-8")
    with pytest.raises(JournalError, match=r"system_state_1\.json: missing, or not the state"):
        chain.load_state(1, digest)


@pytest.mark.parametrize(
    ("text", "line"),
    [('{"a": 1, "a": 2}', "the key 'a' is there twice"), ("{", "Expecting property name")],
)
def test_a_state_that_is_no_json_or_says_two_things_is_refused(
    opened: Opener, tmp_path: Path, text: str, line: str
) -> None:
    chain = opened(tmp_path)
    (chain.folder / "system_state_1.json").write_text(text, "utf-8")
    with pytest.raises(JournalError, match=rf"system_state_1\.json: {line}"):
        chain.load_state(1, hashlib.sha256(text.encode()).hexdigest())


def test_a_state_has_a_largest_size(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = opened(tmp_path)
    monkeypatch.setattr(store, "MAX_RECORD", 20)
    chain.save_state(1, "x" * 10)
    with pytest.raises(StoreError, match="the state of the system is larger than 20 bytes"):
        chain.save_state(2, "x" * 20)


def test_a_systems_state_is_on_disk_before_the_journal_has_its_hash(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = opened(tmp_path)
    path = chain.folder / "system_state_1.json"
    synced: list[str] = []

    def spy_fsync(fd: int) -> None:
        which = path if os.path.samestat(os.fstat(fd), path.stat()) else path.parent
        assert os.path.samestat(os.fstat(fd), which.stat())
        synced.append(f"{which.name} with {path.read_text('utf-8')}")

    monkeypatch.setattr(os, "fsync", spy_fsync)
    chain.save_state(1, {"lots": 3})
    names = (path.name, path.parent.name)
    assert synced == [f'{name} with {{"lots": 3}}' for name in names]


def test_a_folder_that_cannot_be_synced_is_an_error(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = opened(tmp_path)
    fsync = os.fsync

    def fails(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreError, match=r"system_state_1\.json: cannot be written: Input/output"):
        chain.save_state(1, {"lots": 3})
    with pytest.raises(StoreError, match=r"new\.jsonl: cannot be written: Input/output"):
        Journal(tmp_path / "new.jsonl", "run-1")
