"""The journal: linked records, synced before they take effect; an incomplete one is removed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_soak.store import journal as module
from pytest_soak.store.files import StoreError, line
from pytest_soak.store.journal import (
    START,
    Journal,
    JournalError,
    first_and_last,
    has_line,
    journal_run,
    read_journal,
)
from tests.support import ODD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.jsonl", "run-1")
    yield made
    made.close()


def test_records_are_numbered_and_each_is_linked_to_the_one_before(journal: Journal) -> None:
    for iteration in range(3):
        journal.append("iteration", iteration, {"report": {"totals": {}}})
    records = read_journal(journal.path)
    assert [record["seq"] for record in records] == [0, 1, 2]
    assert records[0]["prev"] == START
    assert len({record["prev"] for record in records}) == 3
    assert {record["run"] for record in records} == {"run-1"}
    assert {record["v"] for record in records} == {2}


def test_a_record_has_its_body_but_cannot_set_the_common_keys(journal: Journal) -> None:
    journal.append("iteration", 4, {"note": "x", "kind": "run_ended", "seq": 99, "prev": "0"})
    (record,) = read_journal(journal.path)
    assert (record["note"], record["iteration"]) == ("x", 4)
    assert (record["kind"], record["seq"], record["prev"]) == ("iteration", 0, START)


@pytest.mark.parametrize("number", range(4))
def test_a_changed_record_is_detected(journal: Journal, number: int) -> None:
    for iteration in range(5):
        journal.append("iteration", iteration, {"spread": 0.25})
    lines = journal.path.read_text("utf-8").splitlines(keepends=True)
    lines[number] = lines[number].replace("0.25", "0.26")
    journal.path.write_text("".join(lines), "utf-8")
    with pytest.raises(JournalError, match=rf"line {number + 2}: does not follow"):
        read_journal(journal.path)


@pytest.mark.parametrize("number", range(4))
def test_a_removed_record_is_detected(journal: Journal, number: int) -> None:
    for iteration in range(5):
        journal.append("iteration", iteration, {})
    lines = journal.path.read_text("utf-8").splitlines(keepends=True)
    del lines[number]
    journal.path.write_text("".join(lines), "utf-8")
    with pytest.raises(JournalError, match=rf"line {number + 1}: does not follow"):
        read_journal(journal.path)


def test_records_that_were_swapped_are_found_out(journal: Journal) -> None:
    for iteration in range(3):
        journal.append("iteration", iteration, {})
    first, second, third = journal.path.read_text("utf-8").splitlines(keepends=True)
    journal.path.write_text(first + third + second, "utf-8")
    with pytest.raises(JournalError, match="line 2"):
        read_journal(journal.path)


@pytest.mark.parametrize("text", ["{", "[]\n", "nonsense\n", "3\n", "\n"])
def test_what_is_no_record_is_refused_with_file_and_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(JournalError, match="line 1") as caught:
        read_journal(path)
    assert str(path) in str(caught.value)


def test_where_there_is_no_file_there_are_no_records(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal.jsonl") == []
    assert journal_run(tmp_path / "journal.jsonl") == "unknown"


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)


@given(TEXT)
@QUICK
def test_whatever_text_a_system_reports_its_journal_can_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path, "run-1")
    journal.append("iteration", 1, {"text": text})
    journal.append("run_ended", 1, {})
    journal.close()
    assert read_journal(path)[0]["text"] == text


def test_a_reopened_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for number in range(3):
        journal = Journal(path, "run-1")
        assert len(journal.records) == number
        journal.append("iteration", number, {})
        journal.close()
    assert [record["seq"] for record in read_journal(path)] == [0, 1, 2]


def test_a_record_is_on_disk_before_append_returns(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def record_synced(fd: int) -> None:
        seen.append([entry["kind"] for entry in read_journal(journal.path)])

    monkeypatch.setattr(os, "fsync", record_synced)
    journal.append("run_started", 0, {})
    journal.append("iteration", 1, {})
    assert seen == [["run_started"], ["run_started", "iteration"]]


def test_the_folder_of_a_new_journal_is_synced_once_and_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    synced: list[str] = []

    def spy(fd: int) -> None:
        folder = os.path.samestat(os.fstat(fd), tmp_path.stat())
        synced.append(f"{'folder' if folder else 'file'} with {path.read_text().count(chr(10))}")
        assert path.exists()

    monkeypatch.setattr(os, "fsync", spy)
    for number in range(2):
        with closing(Journal(path, "run-1")) as journal:
            journal.append("iteration", number, {})
    assert synced == ["folder with 0", "file with 1", "file with 2"]


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_a_torn_last_record_is_cut_off_and_the_damage_recorded(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "run-1")) as first:
        first.append("run_started", 0, {})
        first.append("iteration", 1, {"note": "settled"})
    whole = path.read_bytes()
    with closing(Journal(path, "run-1")) as second:
        second.append("iteration", 2, {"note": "being written"})
    torn = path.read_bytes()[len(whole) : len(whole) + kept]
    path.write_bytes(whole + torn)
    with closing(Journal(path, "run-1")) as healed:
        healed.append("iteration", 2, {"note": "again"})
    kinds = [(record["kind"], record["iteration"]) for record in read_journal(path)]
    damage = [("damage_found", 1)] if kept else []
    assert kinds == [("run_started", 0), ("iteration", 1), *damage, ("iteration", 2)]
    if kept:
        found = read_journal(path)[2]
        assert found["bytes"] == kept
        assert found["sha256"] == hashlib.sha256(torn).hexdigest()


class Killed(Exception):
    """The process was killed here."""


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_record_of_a_damage_outlives_a_crash_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "run-1")) as journal:
        journal.append("run_started", 0, {})
    torn = '{"note": "\u00e4'.encode()[:-1]
    path.write_bytes(path.read_bytes() + torn)

    def crashing(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, call, crashing)
        with pytest.raises(Killed):
            Journal(path, "run-1")
    Journal(path, "run-1").close()
    assert [record["kind"] for record in read_journal(path)] == ["run_started", "damage_found"]
    assert read_journal(path)[1]["sha256"] == hashlib.sha256(torn).hexdigest()


def test_a_damage_that_cannot_be_recorded_is_told_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "run-1")) as journal:
        journal.append("run_started", 0, {})
    path.write_bytes(path.read_bytes() + b"{")
    before = path.read_bytes()

    def refused(source: str, target: str) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refused)
        with pytest.raises(StoreError, match=r"journal\.jsonl: cannot be written: Permission"):
            Journal(path, "run-1")
    assert path.read_bytes() == before


def test_a_torn_end_is_left_alone_where_there_is_damage_before_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"prev": "not the start"}\n{"torn')
    with pytest.raises(JournalError, match="line 1"):
        Journal(path, "run-1")
    assert path.read_bytes().endswith(b'{"torn')


def test_where_the_first_record_was_torn_there_was_no_run(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind": "run_st')
    with closing(Journal(path, "run-1")) as journal:
        journal.append("run_started", 0, {})
    assert [record["seq"] for record in read_journal(path)] == [0]


def test_damage_in_the_middle_is_not_healed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "run-1")) as journal:
        for iteration in range(3):
            journal.append("iteration", iteration, {})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    before = path.read_bytes()
    with pytest.raises(JournalError, match="line 2"):
        Journal(path, "run-1")
    assert path.read_bytes() == before


def test_half_a_surrogate_pair_is_written_and_read_again() -> None:
    text = line({"why": "\ud800"})
    assert text.isascii()
    assert json.loads(text) == {"why": "\ud800"}


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_record_that_cannot_be_written_is_taken_back_and_no_other_is_taken(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    journal.append("run_started", 0, {})
    before = journal.path.read_bytes()
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:50])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, step, half if step == "write" else full)
        with pytest.raises(StoreError, match="cannot be written: No space left on device"):
            journal.append("iteration", 1, {})
    assert journal.path.read_bytes() == before
    with pytest.raises(StoreError, match="No space left on device; nothing is recorded after that"):
        journal.append("iteration", 1, {})
    assert journal.path.read_bytes() == before


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_record_that_was_interrupted_does_not_count_and_the_next_one_follows(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    journal.append("run_started", 0, {})

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append("iteration", 1, {"lost": True})
    journal.append("iteration", 1, {"lost": False})
    assert [record.get("lost") for record in read_journal(journal.path)] == [None, False]


def test_a_record_has_a_largest_size_for_those_who_write_and_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "run-a")) as journal:
        journal.append("run_started", 0, {})
        whole = path.read_bytes()
        for limit in ("MAX_RECORD", "MAX_JOURNAL"):
            with monkeypatch.context() as patched:
                patched.setattr(module, limit, len(whole) + 100)
                told = "a record of .* bytes is too large; allowed: "
                with pytest.raises(StoreError, match=told):
                    journal.append("iteration", 1, {"report": "x" * 100})
        assert path.read_bytes() == whole
        journal.append("run_ended", 0, {"kept": True})
    monkeypatch.setattr(module, "MAX_RECORD", len(whole) - 1)
    with pytest.raises(JournalError, match=f"line 1: has more than {len(whole) - 1} bytes"):
        read_journal(path)
    assert first_and_last(path) is None
    assert has_line(path)


@pytest.mark.parametrize("number", [0, 1])
def test_a_record_that_has_a_key_twice_is_read_by_nobody(tmp_path: Path, number: int) -> None:
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "run-a")) as journal:
        journal.append("run_started", 0, {"config": {}, "overrides": {}})
        journal.append("run_ended", 0, {})
    assert first_and_last(path)
    texts = path.read_text("utf-8").splitlines(keepends=True)
    texts[number] = texts[number].replace("{", '{"run": "run-b", ', 1)
    path.write_text("".join(texts), "utf-8")
    assert first_and_last(path) is None
    assert journal_run(path) == ("run-a" if number else "unknown")
    with pytest.raises(JournalError, match=f"line {number + 1}: the key 'run' is there twice"):
        read_journal(path)


@pytest.mark.parametrize("kind", ODD)
def test_a_journal_that_is_no_regular_file_is_neither_read_nor_written(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "journal.jsonl"
    ODD[kind](path)
    assert first_and_last(path) is None
    assert journal_run(path) == "unknown"
    for use in (read_journal, has_line, lambda path: Journal(path, "run-a")):
        with pytest.raises(OSError, match=f"it is {kind}; allowed: a regular file"):
            use(path)


def test_a_link_to_nothing_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="it is a link"):
        Journal(path, "run-a")
    assert not (tmp_path / "target").exists()


def test_a_journal_of_another_version_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f'{{"v": 3, "prev": "{START}"}}\n')
    told = r"line 1: is of version 3 of the format; this release of pytest-soak reads 1 and 2"
    with pytest.raises(JournalError, match=told):
        read_journal(path)
    path.write_text(f'{{"v": 1, "prev": "{START}"}}\n')
    with pytest.raises(JournalError, match=r"line 1: does not have the shape of a record"):
        read_journal(path)
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(JournalError, match=r"journal\.jsonl, line 1: "):
        read_journal(path)
