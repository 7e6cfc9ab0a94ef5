"""The checks of the suite find the errors of a bad run, and none in a good one."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.faults import check
from tests.faults.check import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.check import Files

Change: TypeAlias = "Callable[[dict[str, bytes]], None]"


def lines(files: Files) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files["journal.jsonl"].splitlines()]


def relink(files: dict[str, bytes], records: list[dict[str, Any]]) -> None:
    """Write a journal with valid numbers and links around any records."""
    written = b""
    previous = check.START
    for number, record in enumerate(records):
        line = json.dumps({**record, "seq": number, "prev": previous}, sort_keys=True).encode()
        previous = hashlib.sha256(line).hexdigest()
        written += line + b"\n"
    files["journal.jsonl"] = written


def drop(number: int) -> Change:
    def change(files: dict[str, bytes]) -> None:
        records = lines(files)
        del records[number]
        relink(files, records)

    return change


def repeat(number: int) -> Change:
    def change(files: dict[str, bytes]) -> None:
        records = lines(files)
        relink(files, [*records[: number + 1], *records[number:]])

    return change


def alter(name: str, old: bytes, new: bytes) -> Change:
    def change(files: dict[str, bytes]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


def remove(name: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        del files[name]

    return change


def add(name: str, text: bytes) -> Change:
    def change(files: dict[str, bytes]) -> None:
        files[name] = files.get(name, b"") + text

    return change


@pytest.mark.parametrize(
    ("change", "kind", "what"),
    [
        (drop(4), Kind.LOST, "there is no record iteration 4"),
        (repeat(4), Kind.DOUBLED, "iteration 4 is recorded 2 times"),
        (repeat(0), Kind.DOUBLED, "the run has started twice"),
        (drop(-1), Kind.LOST, "there is no record run_ended 8"),
        (repeat(9), Kind.DOUBLED, "the run has ended twice, and was not resumed"),
        (alter("journal.jsonl", b'"PASS"', b'"WARN"'), Kind.UNREADABLE, "line 3 does not follow"),
        (add("journal.jsonl", b"nonsense\n"), Kind.UNREADABLE, "line 11 is no JSON"),
        (add("journal.jsonl", b"torn"), Kind.UNREADABLE, "a torn end"),
        (remove("journal.jsonl"), Kind.LOST, "journal.jsonl is missing"),
        (remove("EDGE_REPORT_3.json"), Kind.LOST, "EDGE_REPORT_3.json is missing"),
        (remove("runtime_overrides.json"), Kind.LOST, "runtime_overrides.json is missing"),
        (add("EDGE_REPORT_3.json", b"}"), Kind.UNREADABLE, "EDGE_REPORT_3.json is no JSON"),
        (add("x.json.tmp", b""), Kind.DIFFERENT, "x.json.tmp is left"),
        (
            alter("EDGE_REPORT_3.json", b'"ran": 3', b'"ran": 2'),
            Kind.DIFFERENT,
            "EDGE_REPORT_3.json is another",
        ),
        (
            alter("runtime_overrides.json", b'"workers": 8', b'"workers": 7'),
            Kind.LOST,
            "workers is 7 in the overrides, not 8",
        ),
        (
            alter("runtime_overrides.json", b'"workers": 8', b'"workers": 9'),
            Kind.DOUBLED,
            "workers is 9 in the overrides, not 8",
        ),
        (
            alter("KPI_GATE.json", b'"PASS"', b'"FAIL"'),
            Kind.DIFFERENT,
            "KPI_GATE.json is another",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_a_run_is_found(
    undisturbed: dict[str, Files], change: Change, kind: Kind, what: str
) -> None:
    files = dict(undisturbed["only"])
    change(files)
    findings = check.came_back(undisturbed["only"], files)
    assert [finding for finding in findings if finding.kind is kind and what in finding.what]


def test_a_record_that_says_something_else_is_found(undisturbed: dict[str, Files]) -> None:
    files = dict(undisturbed["only"])
    records = lines(files)
    records[3]["report"]["runtime"]["ran"] = 7
    relink(files, records)
    (finding,) = check.came_back(undisturbed["only"], files)
    assert finding == check.Finding(Kind.DIFFERENT, "the record iteration 3 is another")


def test_a_run_is_like_itself_and_like_another_at_another_time(
    undisturbed: dict[str, Files],
) -> None:
    files = dict(undisturbed["only"])
    assert check.came_back(undisturbed["only"], files) == []
    run = lines(files)[0]["run"].encode()
    later = {name: data.replace(run, b"20300101T000000Z-abcdef") for name, data in files.items()}
    time = "2030-01-01T00:00:00.000+00:00"
    relink(later, [{**record, "time": time} for record in lines(later)])
    assert check.came_back(files, later) == []


def test_a_torn_end_must_be_on_record(undisturbed: dict[str, Files]) -> None:
    torn = b'{"half of'
    (finding,) = check.came_back(undisturbed["only"], undisturbed["only"], [torn])
    assert finding == check.Finding(Kind.LOST, "no record tells of the torn end of 9 bytes")


def test_overrides_may_be_one_record_behind_the_journal_and_never_ahead(
    undisturbed: dict[str, Files],
) -> None:
    files = dict(undisturbed["only"])
    assert check.left_behind(files) == []
    whole = files["journal.jsonl"].splitlines(keepends=True)
    for left, good in ((8, True), (7, True), (6, False)):
        files["journal.jsonl"] = b"".join(whole[:left])
        findings = check.left_behind(files)
        assert (findings == []) == good
    assert findings[0].kind is Kind.LOST
    assert "which no record tells of" in findings[0].what


@pytest.mark.parametrize(
    ("settled", "counted", "findings"),
    [
        ([], [1, 2, 3], []),
        ([1, 2], [3, 4], []),
        ([1, 2], [2, 3], ["iteration 2 was settled, and ran again"]),
        ([1], [2, 2], ["iteration 2 ran 2 times in one life"]),
        (
            [1, 2],
            [1, 2, 3],
            ["iteration 1 was settled, and ran again", "iteration 2 was settled, and ran again"],
        ),
    ],
)
def test_an_iteration_that_was_settled_must_not_be_counted_again(
    settled: list[int], counted: list[int], findings: list[str]
) -> None:
    assert [finding.what for finding in check.recount(settled, counted)] == findings
