"""A run is resumed from a valid journal; any other is refused and left unchanged."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.config.request import Resume
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.errors import SoakUsageError
from pytest_soak.runner.resume import resume_chain
from pytest_soak.store.files import json_hash, line
from pytest_soak.store.folder import runs_in
from pytest_soak.store.journal import START, JournalError, first_and_last, journal_run
from pytest_soak.verify.load import check_run, load_validated
from tests.fuzz.chains import NAME, RUN, asked, core, planned
from tests.fuzz.harness import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LATER = "20260102T000000Z-0123ab"
Records = list[dict[str, Any]]


class Counting:
    keeps_state = True

    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> tuple[Any, Any]:
        totals = {"latency_p95_ms": 900 - iteration, "error_rate": 0.01, "throughput": 100}
        report = {"iteration": iteration, "parameters": parameters, "totals": totals}
        return report, {"at": iteration}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a chain with three of five iterations recorded."""
    plan = planned(asked(tmp_path, iterations=5), own=True)
    loop = SoakLoop(plan, core(), tmp_path)
    for iteration in range(1, 4):
        loop.run(iteration, Counting())
    loop.close()
    return loop.store.folder


def rewritten(folder: Path, change: Callable[[Records], object]) -> Path:
    """Change the records of the journal in *folder*, and recompute their hashes."""
    path = folder / "journal.jsonl"
    records = [json.loads(text) for text in path.read_text("utf-8").splitlines()]
    change(records)
    previous, lines = START, []
    for record in records:
        text = line({**record, "prev": previous}).encode()
        previous = hashlib.sha256(text).hexdigest()
        lines.append(text + b"\n")
    path.write_bytes(b"".join(lines))
    return path


def set_in(number: int, *keys: str | int, to: object) -> Callable[[Records], object]:
    """Return a function that sets one value in record *number*."""

    def change(records: Records) -> None:
        inner: Any = records[number]
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to

    return change


def test_a_journal_as_it_is_written_is_sound(folder: Path) -> None:
    check_run(folder, RUN)
    rewritten(folder, lambda records: None)
    records = list(load_validated(folder / "journal.jsonl"))
    assert [record["iteration"] for record in records] == [0, 1, 2, 3, 3]  # and its interruption


ABSURD: dict[str, tuple[Callable[[Records], object], str]] = {
    "version": (set_in(1, "v", to=3), "record 1: is of version 3 of the format"),
    "kind of no kind": (
        set_in(1, "kind", to=[]),
        "record 1: is not a valid record: $.kind",
    ),
    "shape": (
        set_in(2, "decision", to=None),
        "record 2: is not a valid record: $.decision",
    ),
    "too large": (
        set_in(1, "summary", "metrics", "throughput", to=10**400),
        "record 1: is not a valid record: $.summary.metrics.throughput",
    ),
    "too large, under a key of later": (
        set_in(1, "later", to={"most": [1, 10**400]}),
        "record 1: is not a valid record: 1000",
    ),
    "another run": (set_in(2, "run", to=LATER), f"record 2 (iteration 2): its run is {LATER}"),
    "iteration again": (
        lambda records: records.append({**records[3], "seq": 5}),
        "record 5 (iteration 3): its iteration is 3, expected 4",
    ),
    "a kind of later": (
        lambda records: records.append({**records[4], "seq": 5, "kind": "moved", "iteration": 9}),
        "record 5 (moved): its iteration is 9, expected 3",
    ),
    "settled before": (
        set_in(1, "settles", to={"iteration": 1, "verified": "true"}),
        "record 1 (iteration 1): its settles is ",
    ),
    "state": (set_in(2, "state_after", to="0" * 64), "its state_after is not the hash"),
    "patch": (set_in(2, "patch", 0, "value", to=77), "its patch does not fit"),
}


@pytest.mark.parametrize("absurd", ABSURD)
def test_an_invalid_record_is_refused_with_its_line_and_nothing_is_changed(
    folder: Path, absurd: str
) -> None:
    change, told = ABSURD[absurd]
    rewritten(folder, change)
    before = files(folder)
    plan = planned(asked(folder.parent, iterations=5), own=True)
    with pytest.raises(JournalError) as caught:
        SoakLoop(plan, core(), folder.parent)
    assert str(caught.value).startswith(f"{folder / 'journal.jsonl'}, record ")
    assert told in str(caught.value)
    assert files(folder) == before


def test_an_incomplete_last_record_is_accepted(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b'{"applied": tr')
    check_run(folder, RUN)


@pytest.mark.parametrize("damage", [None, b"", b'{"at": 4}', b"\xff"], ids=repr)
def test_a_damaged_state_is_refused_and_nothing_is_changed(
    folder: Path, damage: bytes | None
) -> None:
    state = folder / "system_state_3.json"
    state.unlink() if damage is None else state.write_bytes(damage)
    before = files(folder)
    plan = planned(asked(folder.parent, iterations=5), own=True)
    with pytest.raises(JournalError, match=r"system_state_3.json: missing, or not the state"):
        SoakLoop(plan, core(), folder.parent)
    assert files(folder) == before


def put_aside(folder: Path, name: str = RUN) -> Path:
    """Move the files in *folder* to the folder of an earlier run."""
    place = folder / "runs" / name
    place.mkdir(parents=True)
    for path in [path for path in folder.iterdir() if path.name != "runs"]:
        path.rename(place / path.name)
    return place


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"nonsense\n"], ids=repr)
def test_an_earlier_run_with_a_damaged_journal_is_not_moved(folder: Path, damage: bytes) -> None:
    place = put_aside(folder)
    (place / "journal.jsonl").write_bytes(damage)
    before = files(folder)
    plan = planned(asked(folder.parent, iterations=5), own=True)
    with pytest.raises(
        JournalError, match=r"journal\.jsonl(, record 0: is not JSON|: has no record)"
    ):
        SoakLoop(plan, core(), folder.parent)
    assert files(folder) == before


def test_a_run_in_the_folder_of_another_is_refused(folder: Path) -> None:
    assert list(runs_in(folder)) == [RUN]
    put_aside(folder, LATER)
    assert runs_in(folder) == {}
    with pytest.raises(JournalError, match=f"is of run {RUN}, but {LATER} is expected there"):
        check_run(folder, LATER)


@pytest.mark.parametrize(
    "first",
    [b"7", b"[]", b'{"run": "../../x"}', b'{"run": ""}', b'{"run": 7}', b"[" * 100_000, b"\xff"],
    ids=lambda text: repr(text[:9]),
)
def test_a_journal_without_a_valid_run_id_is_of_an_unknown_run(folder: Path, first: bytes) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(first + b"\n" + path.read_bytes())
    assert journal_run(path) == ("7" if b"7}" in first else "unknown")
    if b"7}" not in first:
        assert first_and_last(path) is None


def test_the_run_id_is_read_although_later_bytes_are_not_text(
    folder: Path,
) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b"\xff\n")
    assert journal_run(path) == RUN


@pytest.mark.parametrize(
    "last",
    [
        b"7",
        b'{"iteration": 3}',
        b'{"kind": "x", "iteration": "3"}',
        b'{"kind": "x", "iteration": -1}',
        b'{"kind": "x", "iteration": 1%s}' % (b"0" * 300),
    ],
    ids=range(5),
)
@pytest.mark.parametrize("resume", [Resume.YES, Resume.FORCE])
def test_a_resume_is_refused_if_the_last_line_is_not_a_record(
    folder: Path, last: bytes, resume: Resume
) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes() + last + b"\n")
    request = asked(folder.parent, iterations=5, run=LATER, resume=resume)
    with pytest.raises(
        SoakUsageError, match=r"journal\.jsonl: its first or its last line is no rec"
    ):
        resume_chain(planned(request, own=True), request, RUN)
    request = asked(folder.parent, iterations=5, run=LATER)
    plan, settled, told = resume_chain(planned(request, own=True), request, RUN)
    assert (plan.run_id, settled, told) == (LATER, 0, [])
    assert plan.name == NAME


@pytest.mark.parametrize("part", ["kind", "config", "overrides"])
def test_a_resume_is_refused_if_the_first_record_is_invalid(folder: Path, part: str) -> None:
    rewritten(folder, lambda records: records[0].update({part: "x"}))
    request = asked(folder.parent, iterations=5, run=LATER, resume=Resume.YES)
    with pytest.raises(SoakUsageError, match="without --soak-resume a new run puts it aside"):
        resume_chain(planned(request, own=True), request, RUN)


def test_a_long_setting_is_shortened_in_the_error(folder: Path) -> None:
    def changed(records: Records) -> None:
        records[0]["config"]["scenario"] = "x" * 100_000
        records[0]["config_hash"] = json_hash(records[0]["config"])

    rewritten(folder, changed)
    request = asked(folder.parent, iterations=5, run=LATER, resume=Resume.YES)
    with pytest.raises(SoakUsageError, match='scenario: "xxx') as caught:
        resume_chain(planned(request, own=True), request, RUN)
    assert len(str(caught.value)) < 1000
