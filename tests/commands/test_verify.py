"""`pytest-soak verify` finds every change, in one line, and nothing in an unchanged run."""

from __future__ import annotations

import copy
import hashlib
import os
import random
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_soak.commands.verify import examine
from pytest_soak.store.artifacts import rebuild
from pytest_soak.store.files import document, json_hash, line
from pytest_soak.store.folder import lock_folder, lock_path
from pytest_soak.store.journal import Journal, journal_run
from pytest_soak.store.store import ChainStore
from pytest_soak.verify.artifacts import difference, is_ours
from pytest_soak.verify.finding import Finding, field_differences, shorten
from tests.runs import RUNS
from tests.support import DEMO, ODD, linked, read_json, records, told, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDED = ("verify", "--soak-dir", "ended")
BROKEN = ("verify", "--soak-dir", "broken")
KEEPS = ("verify", "--soak-dir", "keeps")
LAST = ("KPI_GATE.json", "TUNING_REPORT.json")
"""The files that are written at the end of a run."""
STRAY = "does not belong to any record of the journal"


def told_of(findings: list[str]) -> list[str]:
    return [text for text in findings if text.startswith(("FINDING", "NOTE"))]


def findings(content: bytes, head: str = "") -> list[str]:
    """Return the findings in a journal without its files."""
    found, _ = examine(content, head, None, lambda _: None)
    return [str(finding) for finding in found if not finding.note]


def test_an_unchanged_run_has_no_findings_and_is_left_unchanged(workplace: Path) -> None:
    before = tree(workplace)
    for command, notes in ((ENDED, 0), (KEEPS, 0), (BROKEN, 2)):
        code, lines = told(*command)
        assert code == 0, lines
        assert len(told_of(lines)) == notes
        assert lines[-1].startswith(f"0 findings, {notes} notes; ")
    assert tree(workplace) == before


def test_an_interrupted_run_has_only_notes(broken: Path) -> None:
    code, lines = told(*BROKEN)
    assert code == 0
    no_end, seen_by_none = told_of(lines)
    assert seen_by_none == (
        "NOTE     journal.jsonl, record 3 (iteration 3): no report confirms its changes: "
        "it is the last iteration"
    )
    assert no_end == "NOTE     journal.jsonl: the run has not ended; --soak-resume continues it"
    assert broken.exists()


def test_the_last_line_shows_the_head_which_can_be_checked(ended: Path) -> None:
    last = (ended / "journal.jsonl").read_bytes().splitlines()[-1]
    head = hashlib.sha256(last).hexdigest()
    code, lines = told(*ENDED, "--head", f"{head[:16]}…")
    assert code == 0
    files = len(dict(rebuild(records(ended)))) + 1  # and the journal
    assert lines[-1].endswith(f"; 8 records, 6 iterations, {files} files; journal head {head}")
    assert told(*ENDED, "--head", head.upper())[0] == 0


def test_removed_records_at_the_end_are_detected_with_the_head(ended: Path) -> None:
    journal = ended / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    head = hashlib.sha256(lines[-1].rstrip()).hexdigest()[:16]
    cut = b"".join(lines[:-1])
    assert findings(cut) == []
    assert findings(cut, head) == [
        (
            f"FINDING  journal.jsonl: the last record does not have the hash {head} of --head: "
            "no record has it: the journal was changed, or its end cut off"
        )
    ]
    earlier = hashlib.sha256(lines[-2].rstrip()).hexdigest()[:16]
    assert findings(b"".join(lines), earlier) == [
        (
            f"FINDING  journal.jsonl: the last record does not have the hash {earlier} of --head: "
            "record 6 has it; records added after it: 1"
        )
    ]
    assert findings(b"", head) != []


@pytest.mark.parametrize("name", ["ended", "broken", "keeps"])
def test_a_changed_byte_in_any_file_is_found_without_a_traceback(
    workplace: Path, name: str
) -> None:
    (chain,) = (path for path in (workplace / name).glob("test_*") if path.is_dir())
    files = [path for path in chain.rglob("*") if path.is_file()]
    assert len(files) > 8
    chance = random.Random(name)
    for path in files:
        whole = path.read_bytes()
        last = whole.rstrip(b"\n").rfind(b"\n") if path.suffix == ".jsonl" else len(whole)
        at = {0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(4))}
        for place in sorted(at):
            byte = chance.choice([b for b in range(256) if b != whole[place]])
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            code, lines = told("verify", "--soak-dir", name)
            in_last_record = place > last
            if not in_last_record:
                assert code == 1, (path, place, byte)
                assert any(text.startswith("FINDING") for text in lines)
            else:
                head = hashlib.sha256(whole.splitlines()[-1]).hexdigest()
                assert told("verify", "--soak-dir", name, "--head", head)[0] == 1
        path.write_bytes(whole)
    assert told("verify", "--soak-dir", name)[0] == 0


def test_in_the_last_record_of_an_ended_run_only_a_changed_time_is_missed(
    ended: Path,
) -> None:
    path = ended / "journal.jsonl"
    whole = path.read_bytes()
    first = whole.rstrip(b"\n").rfind(b"\n") + 1
    time = records(ended)[-1]["time"].encode()
    begins = whole.rfind(time)
    unseen = set()
    for place in range(first, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if told(*ENDED)[0] == 0:
            unseen.add(place)
    assert unseen <= set(range(begins, begins + len(time)))


@pytest.mark.parametrize("name", ["ended", "broken"])
def test_a_missing_file_is_found_and_rebuilt(workplace: Path, name: str) -> None:
    (chain,) = (path for path in (workplace / name).glob("test_*") if path.is_dir())
    whole = {path: path.read_bytes() for path in chain.rglob("*") if path.is_file()}
    for path, content in whole.items():
        if path.name == "journal.jsonl":
            continue
        path.unlink()
        where = path.relative_to(chain)
        code, lines = told("verify", "--soak-dir", name)
        if path.name in LAST and name == "broken":  # its process may have been killed before that
            assert code == 0
            assert any(
                text.startswith(f"NOTE     {where}: is missing, as before") for text in lines
            )
        else:
            assert code == 1
            told_so = "is missing; verify --repair rebuilds it from the journal"
            if path.name == "KPI_GATE.json":  # the last to be written: a resume would do it as well
                told_so = (
                    "is missing, as before journal.jsonl, record 7 (run_ended): "
                    "the process may have been killed before it wrote the file; "
                    "--soak-resume writes it"
                )
            assert f"FINDING  {where}: {told_so}" in lines
        code, lines = told("verify", "--soak-dir", name, "--repair")
        assert code == 0
        assert f"NOTE     {where}: was missing, and was rebuilt from the journal" in lines
        assert path.read_bytes() == content
    for path in whole:
        if path.name != "journal.jsonl":
            path.unlink()
    (chain / "backups").rmdir()
    assert told("verify", "--soak-dir", name, "--repair")[0] == 0
    assert {path: path.read_bytes() for path in chain.rglob("*") if path.is_file()} == whole


def test_a_changed_file_is_found_and_left_unchanged(ended: Path) -> None:
    path = ended / "runtime_overrides.json"
    path.write_text(path.read_text().replace("8", "9"))
    (ended / "KPI_GATE.json").unlink()
    edited = path.read_bytes()
    for args in ((), ("--repair",)):
        code, lines = told(*ENDED, *args)
        assert code == 1
        assert (
            "FINDING  runtime_overrides.json: line 4, column 13: it has '9', the journal says '8'; "
            "move the file away, then run verify --repair"
        ) in lines
        assert path.read_bytes() == edited
    assert (ended / "KPI_GATE.json").exists()
    path.unlink()
    assert told(*ENDED, "--repair")[0] == 0
    assert read_json(path)["workers"] == 8


def test_a_repair_is_refused_while_the_folder_is_locked(ended: Path) -> None:
    (ended / "KPI_GATE.json").unlink()
    held = lock_folder(ended)
    try:
        code, (text,) = told(*ENDED, "--repair")
    finally:
        held.release()
    assert code == 4
    assert "another soak or command holds this folder" in text
    assert not (ended / "KPI_GATE.json").exists()


def test_nothing_is_rebuilt_from_a_damaged_journal(ended: Path) -> None:
    (ended / "KPI_GATE.json").unlink()
    journal = ended / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"busy"', b'"calm"', 1))
    code, lines = told(*ENDED, "--repair")
    assert code == 1
    assert not (ended / "KPI_GATE.json").exists()
    assert lines[-2] == ("NOTE     journal.jsonl: damaged, so everything else was left unchecked")


def test_an_incomplete_record_is_found_and_left_in_place(ended: Path) -> None:
    journal = ended / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"torn": ')
    torn = journal.read_bytes()
    for args in ((), ("--repair",)):
        code, lines = told(*ENDED, *args)
        assert code == 1
        assert told_of(lines) == [
            (
                "FINDING  journal.jsonl: ends with 9 bytes of an incomplete record; the next "
                "--soak-resume or rollback removes them, and records that"
            )
        ]
    assert journal.read_bytes() == torn


def test_a_removed_incomplete_record_is_a_note(ended: Path) -> None:
    with (ended / "journal.jsonl").open("ab") as file:
        file.write(b'{"torn": ')
    Journal(ended / "journal.jsonl", journal_run(ended / "journal.jsonl")).close()
    code, lines = told(*ENDED)
    assert code == 0
    assert told_of(lines) == [
        (
            "NOTE     journal.jsonl, record 8 (iteration 6): "
            "after a crash 9 bytes of an incomplete record were removed"
        )
    ]


def test_a_missing_journal_is_found(ended: Path) -> None:
    (ended / "journal.jsonl").unlink()
    code, lines = told(*ENDED)
    assert code == 1
    assert lines[0] == f"{ended.name}, run unknown"
    assert lines[1] == "FINDING  journal.jsonl: is missing, so the files cannot be checked"
    assert f"FINDING  KPI_GATE.json: {STRAY}" in lines


def test_a_run_killed_before_its_first_record_has_no_findings(ended: Path) -> None:
    for path in sorted(ended.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (ended / "journal.jsonl").touch()
    code, lines = told(*ENDED)
    assert code == 0
    assert lines[-1].startswith("0 findings, 1 note; 0 records, 0 iterations, 1 file; ")


def test_extra_files_with_the_name_of_an_artifact_are_found_and_others_are_ignored(
    ended: Path, keeps: Path
) -> None:
    shutil.copy(ended / "EDGE_REPORT_1.json", ended / "EDGE_REPORT_9.json")
    (ended / "backups" / "runtime_overrides_backup_6.json").write_text("{}\n")
    (ended / "system_state_7.json").write_text("{}\n")
    (ended / "system_state_2.json").write_text("{}\n")
    (ended / "KPI_GATE.json.tmp").write_text("{")
    for mine in ("notes.txt", "EDGE_REPORT_1.json.bak", "my_EDGE_REPORT_1.json"):
        (ended / mine).write_text("mine")
    code, lines = told(*ENDED)
    assert code == 1
    assert told_of(lines) == [
        f"FINDING  EDGE_REPORT_9.json: {STRAY}",
        "NOTE     KPI_GATE.json.tmp: was left by a process that was killed while it wrote",
        f"FINDING  backups/runtime_overrides_backup_6.json: {STRAY}",
        f"FINDING  system_state_2.json: {STRAY}",
        "NOTE     system_state_7.json: is of an iteration that was not recorded",
    ]
    (keeps / "system_state_8.json").write_text("{}\n")
    (keeps / "system_state_6.json").write_text("{}\n")
    (keeps / "system_state_5.json").unlink()
    assert told_of(told(*KEEPS)[1]) == [
        (
            "FINDING  system_state_5.json: is missing, and cannot be rebuilt: "
            "the journal has only its hash"
        ),
        "FINDING  system_state_6.json: is not the state whose hash is in the journal",
        f"FINDING  system_state_8.json: {STRAY}",
    ]


def test_a_state_of_an_unrecorded_iteration_is_a_note(keeps: Path) -> None:
    (keeps / "system_state_7.json").write_text("{}\n")
    (keeps / "system_state_5.json").unlink()
    code, lines = told(*KEEPS)
    assert code == 0
    assert told_of(lines) == [
        "NOTE     system_state_7.json: is of an iteration that was not recorded"
    ]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("EDGE_REPORT_12.json", True),
        ("journal.jsonl", True),
        ("backups/runtime_overrides_backup_3.json", True),
        ("runtime_overrides_backup_3.json", False),
        ("backups/EDGE_REPORT_12.json", False),
        ("EDGE_REPORT_x.json", False),
        ("runs", False),
    ],
)
def test_an_artifact_is_recognized_by_its_name_and_folder(name: str, ours: bool) -> None:
    assert is_ours(name) is ours


# Effects of a crash in a run without an end: notes, because a resume repairs them.


def cut(folder: Path, *, last: int) -> None:
    """Remove the records from *last* on from the journal in *folder*."""
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:last]))


def test_files_of_the_last_record_that_a_crash_left_unwritten_are_notes(workplace: Path) -> None:
    at_rest = workplace / "ended"
    (chain,) = (path for path in at_rest.glob("test_*") if path.is_dir())
    cut(chain, last=2)
    run = records(chain)[0]["run"]
    for path in chain.rglob("*"):
        if path.is_file() and path.name != "journal.jsonl":
            path.unlink()
    shutil.copytree(chain, workplace / "start")
    store = ChainStore(workplace / "start", run, lock_folder(workplace / "start"))
    cut(workplace / "start", last=1)
    store.close()
    store = ChainStore(workplace / "start", run, lock_folder(workplace / "start"))
    store.load()
    store.close()
    for name in ("runtime_overrides.json", "applied_profile.json"):
        shutil.copy(workplace / "start" / name, chain / name)
    code, lines = told(*ENDED)
    assert code == 0, lines
    undone = "before journal.jsonl, record 1 (iteration 1): the process may have been killed"
    for name in (
        "EDGE_REPORT_1.json",
        "ITER_SUMMARY_1.json",
        "backups/runtime_overrides_backup_1.json",
        "runtime_overrides.json",
        "applied_profile.json",
    ):
        (text,) = (text for text in lines if text.startswith(f"NOTE     {name}: "))
        assert undone in text
    code, lines = told(*ENDED, "--repair")
    assert code == 0
    assert "NOTE     EDGE_REPORT_1.json: was missing, and was rebuilt from the journal" in lines
    assert (chain / "EDGE_REPORT_1.json").exists()


def test_a_profile_from_the_start_of_a_run_that_was_killed_later_is_a_note(
    workplace: Path, ended: Path
) -> None:
    lines = (ended / "journal.jsonl").read_bytes().splitlines(keepends=True)
    run = records(ended)[0]["run"]
    start, later = workplace / "start", workplace / "later"
    for folder, whole in ((start, 1), (later, 5)):
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(b"".join(lines[:whole]))
        store = ChainStore(folder, run, lock_folder(folder))
        store.load()
        store.close()
    shutil.rmtree(ended)
    shutil.copytree(later, ended)
    assert told(*ENDED)[0] == 0
    shutil.copy(start / "applied_profile.json", ended)
    code, found = told(*ENDED)
    assert code == 0
    assert any(text.startswith("NOTE     applied_profile.json: is as it was") for text in found)
    (ended / "applied_profile.json").write_text("{}\n")
    code, found = told(*ENDED)
    assert code == 1
    assert any(text.startswith("FINDING  applied_profile.json: line 1") for text in found)


def test_reports_that_a_killed_process_did_not_write_are_found(
    workplace: Path, ended: Path
) -> None:
    run = records(ended)[0]["run"]
    start = workplace / "start"
    start.mkdir()
    first = (ended / "journal.jsonl").read_bytes().splitlines(keepends=True)[0]
    (start / "journal.jsonl").write_bytes(first)
    store = ChainStore(start, run, lock_folder(start))
    store.load()
    store.close()
    shutil.copy(start / "applied_profile.json", ended)
    for name in ("TUNING_REPORT.json", "KPI_GATE.json"):
        (ended / name).unlink()
    code, found = told(*ENDED)
    assert code == 1
    may = "the process may have been killed before it wrote the file; --soak-resume writes it"
    missing = f"is missing, as before journal.jsonl, record 7 (run_ended): {may}"
    as_it_was = f"is as it was before journal.jsonl, record 1 (iteration 1): {may}"
    assert told_of(found) == [
        f"FINDING  applied_profile.json: {as_it_was}",
        f"FINDING  TUNING_REPORT.json: {missing}",
        f"FINDING  KPI_GATE.json: {missing}",
    ]


def test_a_verdict_that_a_resume_cancelled_is_a_note(broken: Path) -> None:
    found = records(broken)
    resumed = {
        **found[-1],
        "kind": "run_resumed",
        "seq": len(found),
        "config": found[0]["config"],
        "reading": found[0]["reading"],
        "differences": ["seed: 0 then, 7 now"],
    }
    for name in ("verdict", "window", "reasons", "problems", "unverified", "untold"):
        del resumed[name]
    (broken / "journal.jsonl").write_bytes(linked([*found, resumed]))
    code, lines = told(*BROKEN)
    assert code == 0, lines
    where = f"journal.jsonl, record {len(found)}"
    assert f"NOTE     KPI_GATE.json: is outdated since {where} (run_resumed)" in "\n".join(lines)
    assert (
        f"NOTE     {where} (iteration 3): the run was resumed with other settings (forced): "
        "seed: 0 then, 7 now"
    ) in lines
    (broken / "KPI_GATE.json").unlink()
    (broken / "KPI_GATE.json").mkdir()
    code, lines = told(*BROKEN)
    assert code == 1
    assert "FINDING  KPI_GATE.json: does not belong to any record of the journal" in lines


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder"])
def test_what_is_no_regular_file_is_a_finding(
    workplace: Path, ended: Path, keeps: Path, kind: str
) -> None:
    for path in (ended / "EDGE_REPORT_2.json", keeps / "system_state_6.json"):
        path.unlink()
        ODD[kind](path)
        code, lines = told("verify", "--soak-dir", path.parent.parent)
        assert code == 1
        (finding,) = told_of(lines)
        assert finding.startswith(f"FINDING  {path.name}: it is {kind}; allowed: a regular file")
    ODD[kind](ended / "EDGE_REPORT_9.json")
    assert f"FINDING  EDGE_REPORT_9.json: {STRAY}" in told(*ENDED)[1]
    (ended / "journal.jsonl").rename(workplace / "victim")
    ODD[kind](ended / "journal.jsonl")
    code, lines = told(*ENDED, "--all-runs")
    assert (code, lines[1:]) == (
        1,
        [f"FINDING  journal.jsonl: it is {kind}; allowed: a regular file"],
    )
    assert told("summary", "--soak-dir", "ended")[0] == 4


def test_a_linked_folder_is_not_followed(workplace: Path, ended: Path) -> None:
    (ended / "backups").rename(workplace / "elsewhere")
    (ended / "backups").symlink_to(workplace / "elsewhere")
    for repair in ((), ("--repair",)):
        code, lines = told(*ENDED, *repair)
        assert code == (4 if repair else 1)
        assert "it is a link; allowed: a folder" in lines[-1 if repair else 1]


def test_a_file_that_is_too_large_is_a_finding(ended: Path) -> None:
    os.truncate(ended / "EDGE_REPORT_2.json", 2**40)
    code, lines = told(*ENDED)
    assert code == 1
    assert f"FINDING  EDGE_REPORT_2.json: it has {2**40} bytes; allowed: " in lines[1]


def test_while_a_soak_runs_the_files_are_not_compared(ended: Path) -> None:
    (ended / "KPI_GATE.json").unlink()
    with (ended / "journal.jsonl").open("ab") as file:
        file.write(b'{"coming": ')
    held = lock_folder(ended)
    try:
        code, lines = told(*ENDED)
    finally:
        held.release()
    assert code == 0
    assert [text[:7] for text in told_of(lines)] == ["NOTE   "] * 2
    assert "a soak is running in this folder: the other files were left unchecked" in lines[2]
    assert told(*ENDED)[0] == 1


def test_a_lock_that_cannot_be_opened_does_not_count_as_busy(
    ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_folder(ended).release()
    assert lock_path(ended).exists()

    def denied(_: object, timeout: float) -> None:
        raise PermissionError

    monkeypatch.setattr("pytest_soak.commands.verify.lock_folder", denied)
    assert told(*ENDED)[0] == 0


def test_all_runs_verifies_every_run_of_every_chain(workplace: Path, ended: Path) -> None:
    (ended / "runs").mkdir()
    (broken,) = (path for path in (workplace / "broken").glob("test_*") if path.is_dir())
    shutil.copytree(broken, ended / "runs" / "20990101T000000Z-aaaaaa")
    shutil.copytree(ended, ended.with_name("test_other-1"))
    code, lines = told(*ENDED, "--all-runs")
    assert code == 0
    assert sum(text.startswith("0 findings") for text in lines) == 4
    (ended / "runs" / "20990101T000000Z-aaaaaa" / "EDGE_REPORT_1.json").unlink()
    code, lines = told(*ENDED, "--all-runs")
    assert code == 1
    assert sum(text.startswith("1 finding,") for text in lines) == 1
    code, lines = told(*ENDED, "--all-runs", "--chain", "test_other-1")
    assert code == 0
    assert sum("findings, " in text for text in lines) == 2


# Contradictions in a journal with correct hashes: one example for each finding.


@dataclass(frozen=True)
class Forged:
    """A change of the records of an ended run, and the finding that it must give."""

    change: Callable[[list[dict[str, Any]]], object]
    says: str


def put(seq: int, *path: str | int, to: object) -> Callable[[list[dict[str, Any]]], object]:
    """Return a function that sets the value at *path* in record *seq*."""

    def change(found: list[dict[str, Any]]) -> None:
        data: Any = found[seq]
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = to

    return change


def with_iteration_3(change: Callable[[dict[str, Any]], object]) -> Callable[..., object]:
    return lambda found: change(found[3])


def used(workers: float | None) -> Callable[[list[dict[str, Any]]], object]:
    """Return a function that sets *workers* in the report of iteration 2."""

    def change(found: list[dict[str, Any]]) -> None:
        word = "unknown" if workers is None else "false"
        if workers is None:
            del found[2]["report"]["parameters"]["workers"]
        else:
            found[2]["report"]["parameters"]["workers"] = workers
        found[2]["summary"]["doubts"] = {"workers": word}
        found[2]["settles"]["verified"] = word

    return change


def a_problem(kind: str, iteration: int = 0) -> dict[str, Any]:
    return {"kind": kind, "iteration": iteration, "data": {}}


FORGED = {
    "seq": Forged(put(3, "seq", to=4), "record 4 (iteration 3): its seq is 4, expected 3"),
    "run": Forged(
        put(3, "run", to="20200101T000000Z-aaaaaa"),
        "record 3 (iteration 3): its run is 20200101T000000Z-aaaaaa, that of the first record 2",
    ),
    "no start": Forged(
        lambda found: found.pop(0),
        "record 1 (iteration 1): a journal must begin with run_started, and have only one",
    ),
    "order": Forged(
        lambda found: found.pop(3), "record 4 (iteration 4): its iteration is 4, expected 3"
    ),
    "version": Forged(
        put(3, "v", to=3),
        "record 3: is of version 3 of the format; this release of pytest-soak reads 1 and 2",
    ),
    "no record": Forged(lambda found: found[3].clear(), "record 3: is of version null of"),
    "shape": Forged(
        put(3, "summary", "n", to=7),
        "record 3: is not a valid record: $.summary.n: 7 is not of type 'object'",
    ),
    "kind": Forged(
        lambda found: found[3].pop("kind"),
        "record 3: is not a valid record: $: 'kind' is a required property",
    ),
    "start": Forged(
        put(0, "overrides", to={"workers": 3}),
        "record 0 (run_started): its state_after is not the hash of its overrides",
    ),
    "config": Forged(
        put(0, "config", "seed", to=1), "record 0 (run_started): its config_hash is not the hash of"
    ),
    "base": Forged(
        put(0, "overrides", to={"wrokers": 3}),
        "its overrides have fields that its base lacks: wrokers",
    ),
    "misfit": Forged(
        put(2, "patch", 0, "value", to=7), "its patch does not fit the overrides before it: "
    ),
    "pointer": Forged(
        put(2, "patch", 0, "path", to="/workers/x"),
        "its patch does not fit the overrides before it: ",
    ),
    "state": Forged(
        put(2, "state_after", to="0" * 64),
        "record 2 (iteration 2): its state_after is not the hash of the overrides {",
    ),
    "untested": Forged(
        with_iteration_3(lambda record: record["patch"].pop(0)),
        "record 3 (iteration 3): its patch does not test each old value first",
    ),
    "inverse": Forged(
        put(2, "inverse", 0, "value", to=7), "its inverse does not fit the overrides after it: "
    ),
    "not undone": Forged(
        with_iteration_3(lambda record: record["inverse"].pop()),
        "record 3 (iteration 3): its inverse does not undo its patch: workers is 8, not 6",
    ),
    "parameters": Forged(
        put(3, "summary", "parameters", "workers", to=5),
        "record 3 (iteration 3): its parameters are not base and overrides: workers is 5, not 6",
    ),
    "old": Forged(
        put(3, "decision", "changes", 2, "old", to=5),
        "record 3 (iteration 3): changes workers from 5, but it was 6",
    ),
    "decision": Forged(
        put(3, "decision", "changes", 2, "new", to=7),
        "record 3 (iteration 3): its patch does not match its decision: workers is 8, not 7",
    ),
    "not applied": Forged(
        put(3, "applied", to=False),
        "its patch does not match its decision: backoff_s is 0.5, not 0.4, "
        "batch_size is 25, not 30",
    ),
    "nothing applied": Forged(
        put(4, "applied", to=True),
        "record 4 (iteration 4): is marked as applied, but its decision changes nothing",
    ),
    "mode": Forged(
        put(0, "config", "mode", to="off"),
        "record 1 (iteration 1): is marked as applied, in mode off",
    ),
    "window": Forged(
        put(3, "summary", "in_window", to=True),
        "record 3 (iteration 3): is marked as applied, in the observation window",
    ),
    "doubts": Forged(
        put(3, "summary", "doubts", to={"workers": "false"}),
        'its doubts do not follow from its report: workers is "false", not there',
    ),
    "not effective": Forged(
        used(2),
        "record 1 (iteration 1): iteration 2 does not confirm its changes: "
        "workers was set to 4, the report says 2",
    ),
    "untold": Forged(
        used(None),
        "record 1 (iteration 1): iteration 2 does not confirm its changes: "
        "workers was set to 4, the report does not have it",
    ),
    "settles": Forged(
        put(2, "settles", "verified", to="unknown"),
        'record 2 (iteration 2): its settles is {"iteration": 1, "verified": "unknown"}, '
        'its report gives {"iteration": 1, "verified": "true"}',
    ),
    "settles first": Forged(
        put(1, "settles", to={"iteration": 1, "verified": "true"}),
        'record 1 (iteration 1): its settles is {"iteration": 1, "verified": "true"}, '
        "its report gives null",
    ),
    "no next": Forged(
        lambda found: found.__setitem__(slice(4, 8), [{**found[7], "seq": 4, "iteration": 3}]),
        "record 3 (iteration 3): no report confirms its changes: it is the last iteration",
    ),
    "verdict": Forged(
        put(1, "summary", "verdict", to="PASS"),
        "record 1 (iteration 1): its verdict is PASS, its KPIs and problems give FAIL",
    ),
    "problem": Forged(
        put(1, "summary", "problems", to=[a_problem("no_report", 1)]),
        "record 1 (iteration 1): its verdict is FAIL, its KPIs and problems give INCONCLUSIVE",
    ),
    "gate": Forged(
        put(7, "verdict", to="WARN"),
        'record 7 (run_ended): does not follow from the iterations: verdict is "WARN", not "PASS"',
    ),
    "gate's window": Forged(
        put(7, "window", to=[6]),
        "record 7 (run_ended): does not follow from the iterations: window is [6], not [5, 6]",
    ),
    "gate's test": Forged(
        put(7, "not_passed", to=[6]),
        'problems is [], not [{"data": {}, "iteration": 6, "kind": "test_not_passed"}]',
    ),
    "a test that is said to have passed": Forged(
        put(7, "problems", to=[a_problem("test_not_passed", 6)]),
        "does not follow from the iterations: problems is "
        '[{"data": {}, "iteration": 6, "kind": "test_not_passed"}], not []',
    ),
    "gate's part": Forged(
        put(7, "problems", to=[a_problem("partial")]),
        'does not follow from the iterations: verdict is "PASS", not "INCONCLUSIVE"',
    ),
    "unverified": Forged(put(7, "unverified", to=[1]), "unverified is [1], not []"),
    "iterations": Forged(
        put(0, "config", "iterations", to=8),
        'problems is [], not [{"data": {}, "iteration": 7, "kind": "not_run"}, '
        '{"data": {}, "iteration": 8, "kind": "not_run"}]',
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_contradiction_in_a_journal_with_correct_hashes_is_found(ended: Path, name: str) -> None:
    found = copy.deepcopy(records(ended))
    FORGED[name].change(found)
    (ended / "journal.jsonl").write_bytes(linked(found))
    code, lines = told(*ENDED)
    assert code == 1
    assert any(t.startswith("FINDING") and FORGED[name].says in t for t in lines), lines


def test_relinking_an_unchanged_journal_gives_the_same_bytes(ended: Path) -> None:
    journal = ended / "journal.jsonl"
    assert linked(records(ended)) == journal.read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace(b'"seq": 3', b'"seq":3'), "is not in the format of a journal"),
        (lambda text: text.replace(b'{"applied"', b'{{"applied"'), "record 1: is not JSON: "),
        (lambda text: b"[]\n" + text, "record 0: is not a record: []"),
        (lambda text: b"[" * 100_000 + b"\n" + text, "record 0: is not JSON: "),
        (
            lambda text: text.replace(b'"prev": "0000', b'"prev": "1111', 1),
            (
                "record 0 (run_started): its prev is 1111000000000000…, the line before it has "
                "the hash 0000000000000000…: one of the two was changed, or a line between them "
                "removed"
            ),
        ),
    ],
)
def test_an_invalid_line_is_found(ended: Path, change: Callable[[bytes], bytes], says: str) -> None:
    journal = ended / "journal.jsonl"
    journal.write_bytes(change(journal.read_bytes()))
    code, lines = told(*ENDED)
    assert code == 1
    assert any(says in text for text in told_of(lines)), lines


def test_keys_and_kinds_of_a_later_version_are_accepted(ended: Path) -> None:
    found = records(ended)
    later = {"later": [1]}
    for record in found:
        record.update(later)
    found[0]["config"] |= later
    found[0]["config_hash"] = hashlib.sha256(line(found[0]["config"]).encode()).hexdigest()
    found[1]["decision"]["changes"][0] |= later
    found[1]["judgements"][0] |= later
    found.append({**found[-1], "kind": "weather_noted", "seq": 8, "verdict": 7})
    code, lines = told_journal(linked(found))
    assert code == 0, lines
    assert lines == [
        (
            "NOTE     journal.jsonl, record 8 (weather_noted): is of a kind that this version does "
            "not know; it is ignored"
        ),
        (
            "NOTE     journal.jsonl: a soak is running in this folder: "
            "the other files were left unchecked"
        ),
    ]


def told_journal(content: bytes) -> tuple[int, list[str]]:
    found, _ = examine(content, "", None, lambda _: None)
    return any(not finding.note for finding in found), [str(finding) for finding in found]


def test_records_that_contradict_each_other_are_found_instead_of_comparing_files(
    ended: Path,
) -> None:
    found = records(ended)
    found[2]["patch"][0]["value"] = 7
    (ended / "journal.jsonl").write_bytes(linked(found))
    _, lines = told(*ENDED)
    assert any("journal.jsonl: its records contradict each other: " in text for text in lines)


def rolled(found: list[dict[str, Any]], **changed: object) -> list[dict[str, Any]]:
    """Return the records of an ended run that was rolled back to its iteration 2."""
    last, then = found[3], found[2]
    record = {
        "kind": "rolled_back",
        "seq": 8,
        "iteration": 6,
        "to_iteration": 2,
        "ended": True,
        "patch": last["inverse"],
        "inverse": last["patch"],
        "state_before": last["state_after"],
        "state_after": then["state_after"],
    }
    common = {name: found[7][name] for name in ("v", "run", "time")}
    return [*found, {**common, **record, **changed}]


def test_a_correct_rollback_is_a_note_and_a_wrong_one_is_found(ended: Path) -> None:
    found = records(ended)
    assert findings(linked(rolled(found))) == []
    where = "FINDING  journal.jsonl, record 8 (rolled_back):"
    (lie,) = findings(linked(rolled(found, to_iteration=1)))
    assert lie.startswith(f"{where} sets {{")
    assert '; the overrides after iteration 1 were {"backoff_s": 0.3' in lie
    (lie,) = findings(linked(rolled(found, to_iteration=9)))
    assert lie.endswith("the overrides after iteration 9 are not in the journal")
    assert findings(linked(rolled(found, ended=False))) == [
        f"{where} its ended is false, expected true"
    ]
    assert json_hash({}) == found[0]["state_after"]


def test_an_hours_run_may_end_before_the_planned_iterations(ended: Path) -> None:
    found = records(ended)
    found[0]["config"] |= {"slot": 10, "iterations": 9}
    found[0]["config_hash"] = hashlib.sha256(line(found[0]["config"]).encode()).hexdigest()
    assert findings(linked(found)) == []
    found[7]["window"] = []
    assert len(findings(linked(found))) == 1


# Helpers.


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_any_two_different_files_have_a_difference_in_one_line(one: bytes, other: bytes) -> None:
    if one != other:
        assert "\n" not in difference(one, other)


def test_a_difference_names_its_first_position() -> None:
    assert difference(b"a\nb\n", b"a\nc\n") == "line 2, column 1: it has 'b', the journal says 'c'"
    assert difference(b"a", b"a\nb") == "ends early compared with the journal, from line 2 on"
    assert difference(b"a\nb", b"a") == "has extra lines compared with the journal, from line 2 on"
    assert difference(b"\xff", b"a").endswith("column 1: it has '\\\\xff', the journal says 'a'")


def test_a_finding_is_one_line() -> None:
    assert str(Finding("a", "b")) == "FINDING  a: b"
    assert str(Finding("a", "b", note=True)) == "NOTE     a: b"
    assert shorten("x" * 500) == "x" * 120 + "…"
    assert field_differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == (
        "a is 1, not there, b is 2, not 3, c is missing, not 4"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_journal_never_gives_a_traceback_and_passes_only_if_it_gives_the_same_files(
    soaked: Path, data: st.DataObject
) -> None:
    (chain,) = (path for path in (soaked / "ended").glob("test_*") if path.is_dir())
    found = copy.deepcopy(records(chain))
    for _ in range(data.draw(st.integers(1, 3))):
        target: Any = data.draw(st.sampled_from(found))
        while isinstance(target, dict | list) and target:
            key = data.draw(
                st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target)))
            )
            if not isinstance(target[key], dict | list) or data.draw(st.booleans()):
                target[key] = data.draw(JSON)
                break
            target = target[key]
    content = linked(found)
    there = [str(path.relative_to(chain)) for path in chain.rglob("*") if path.is_file()]
    told, lines = examine(content, "", there, lambda name: (chain / name).read_bytes())
    if all(finding.note for finding in told):
        for name, said in rebuild(lines.records):
            assert (chain / name).read_text(encoding="utf-8") == document(said)


UNSEEN = {"silent": 1, "deaf": 1, "no report": 1}
"""The runs whose second report does not confirm the first change."""


@pytest.mark.parametrize("name", [*RUNS, "partial", "never run", "failing"])
def test_only_unconfirmed_changes_are_found_in_runs_of_every_kind(
    pytester: pytest.Pytester, name: str
) -> None:
    run = RUNS.get(name, RUNS["tuned"])
    pytester.makeconftest(run.conftest)
    bodies = {
        "never run": "def test_demo(soak):\n    soak.iteration == 2 or soak.run()\n",
        "failing": "def test_demo(soak):\n    soak.run()\n    assert soak.iteration != 6\n",
    }
    pytester.makepyfile(test_demo=bodies.get(name, DEMO))
    ids = [f"test_demo.py::test_demo[iter-0000{n}]" for n in (1, 3)] if name == "partial" else []
    pytester.runpytest("--soak-iterations=6", "--soak-system=odd", *run.args, *ids)
    code, lines = told("verify")
    found = [text for text in lines if text.startswith("FINDING")]
    if name in ("never run", "partial", *UNSEEN):
        unseen, *last = found
        assert code == 1
        assert "iteration 2 does not confirm its changes: " in unseen
        assert len(last) == (name == "partial")  # it ends with iteration 3
    else:
        assert (code, found) == (0, [])
