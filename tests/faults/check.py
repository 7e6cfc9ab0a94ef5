"""Checks the files of a soak: pure functions from file contents to a list of findings.

It reads the journal with code of its own, so that a mistake in the product's reader cannot hide.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from jsonpatch import JsonPatchException, apply_patch
from jsonschema import Draft202012Validator

from pytest_soak.schemas import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Files: TypeAlias = "Mapping[str, bytes]"
"""Every file below a chain's folder: ``{path relative to it: content}``."""

JOURNAL = "journal.jsonl"
OVERRIDES = "runtime_overrides.json"
GATE = "KPI_GATE.json"
RECORD = Draft202012Validator(schema_of(JOURNAL))
START = "0" * 64
TIMES = {"time", "ts", "run", "prev", "head", "seq"}
"""What differs from run to run: times, run ids, hashes over both; and the number of a record."""


class Kind(StrEnum):
    """The kinds of errors in a run that was killed and resumed."""

    LOST = "lost"
    DOUBLED = "doubled"
    UNREADABLE = "unreadable"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Finding:
    """One error that was found."""

    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal, parsed by this module.

    Args:
        records: Its whole lines.
        overrides: The overrides after each, beginning with those the run started from.
        torn: What follows the last of them.
        faults: What is wrong with its lines.
    """

    records: tuple[dict[str, Any], ...] = ()
    overrides: tuple[dict[str, float], ...] = ()
    torn: bytes = b""
    faults: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """The run's id, empty if it has not begun."""
        return str(self.records[0]["run"]) if self.records else ""

    @property
    def iterations(self) -> list[int]:
        """The settled iterations; one that is recorded twice appears twice."""
        return [r["iteration"] for r in self.records if r["kind"] == "iteration"]


def read_journal(data: bytes) -> Journal:
    """Parse a journal and check its lines, links, numbers, schema and patches."""
    whole, torn = data[: data.rfind(b"\n") + 1], data[data.rfind(b"\n") + 1 :]
    records: list[dict[str, Any]] = []
    overrides: list[dict[str, float]] = []
    faults = []
    previous = START
    for number, line in enumerate(whole.splitlines()):
        where = f"{JOURNAL}, line {number + 1}"
        try:
            record = json.loads(line)
        except ValueError:
            faults.append(f"{where} is no JSON")
            break
        if record["prev"] != previous or record["seq"] != number:
            faults.append(f"{where} does not follow the line before it")
        faults += [f"{where}: {error.message}" for error in RECORD.iter_errors(record)]
        previous = hashlib.sha256(line).hexdigest()
        records.append(record)
        before = overrides[-1] if overrides else record.get("overrides", {})
        try:
            overrides.append(apply_patch(before, record.get("patch", [])))
        except JsonPatchException:
            faults.append(f"{where}: its patch does not fit the overrides before it")
            break
    return Journal(tuple(records), tuple(overrides), torn, tuple(faults))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a chain and its files.

    Args:
        place: What their names begin with: nothing, or ``runs/<name>/``.
        journal: Its journal.
        over: Whether it has ended, and its reports say so.
    """

    place: str = ""
    journal: Journal = field(default_factory=Journal)
    over: bool = False


def runs(files: Files) -> list[Run]:
    """Return every run in a chain's folder that has begun, the newest last."""
    found = []
    for name, data in files.items():
        place = name.removesuffix(JOURNAL)
        if place == name:
            continue
        journal = read_journal(data)
        if journal.records:
            found.append(Run(place, journal, is_over(journal, files.get(f"{place}{GATE}", b"{}"))))
    return sorted(found, key=lambda run: run.journal.run)


def is_over(journal: Journal, gate: bytes) -> bool:
    """Return whether the run of *journal* has ended and its *gate* report has the same verdict."""
    marks = [r for r in journal.records if r["kind"] in ("run_ended", "run_resumed")]
    if journal.torn or not marks or marks[-1]["kind"] != "run_ended":
        return False
    told = json.loads(gate)
    return all(told.get(key) == marks[-1][key] for key in ("verdict", "window", "problems"))


def to_go_on_with(files: Files) -> Run | None:
    """Return the run that a resume must go on with: the newest unfinished one."""
    unfinished = [run for run in runs(files) if not run.over]
    return unfinished[-1] if unfinished else None


def settled(files: Files) -> list[int]:
    """Return the iterations that a resume must not run again."""
    run = to_go_on_with(files) or (runs(files) or [Run()])[-1]
    return run.journal.iterations


def left_behind(files: Files) -> list[Finding]:
    """Check the files that a killed process left.

    The journal is whole but for a torn end, and the overrides are those after its last record or
    the one before: never ahead of what is recorded.
    """
    data = files.get(JOURNAL, b"")
    journal = read_journal(data)
    findings = [Finding(Kind.UNREADABLE, fault) for fault in journal.faults]
    if journal.faults or OVERRIDES not in files or not journal.records:
        return findings
    found, last = json.loads(files[OVERRIDES]), journal.overrides[-1]
    if found not in journal.overrides[-2:]:
        what = f"{OVERRIDES} hold {found}, which no record tells of: the last one says {last}"
        findings.append(Finding(Kind.LOST, what))
    return findings


def came_back(undisturbed: Files, recovered: Files, torn: Iterable[bytes] = ()) -> list[Finding]:
    """Compare a run that was killed and resumed with the *undisturbed* one.

    Args:
        undisturbed: The files of a run with the same seed that was not killed.
        recovered: Those of the run that went on.
        torn: The torn ends that its journal had in between.
    """
    names = {name for name in undisturbed if not name.startswith("runs/")}
    others = {name for name in recovered if not name.startswith("runs/")}
    findings = [Finding(Kind.LOST, f"{name} is missing") for name in sorted(names - others)]
    findings += [Finding(Kind.DIFFERENT, f"{name} is left") for name in sorted(others - names)]
    for name in sorted(names & others - {JOURNAL, OVERRIDES}):
        try:
            same = timeless(json.loads(recovered[name])) == timeless(json.loads(undisturbed[name]))
        except ValueError:
            findings.append(Finding(Kind.UNREADABLE, f"{name} is no JSON"))
        else:
            if not same:
                findings.append(Finding(Kind.DIFFERENT, f"{name} is another"))
    expected, journal = (
        read_journal(files.get(JOURNAL, b"")) for files in (undisturbed, recovered)
    )
    findings += compare_journals(expected, journal, torn)
    if OVERRIDES in names & others and expected.records:
        base = expected.records[0]["config"]["base"]
        wanted, found = (json.loads(files[OVERRIDES]) for files in (undisturbed, recovered))
        findings += compare_overrides(base, wanted, found)
    return findings


def compare_journals(expected: Journal, found: Journal, torn: Iterable[bytes]) -> list[Finding]:
    """Check a journal: every iteration once and the same, every torn end recorded."""
    findings = [Finding(Kind.UNREADABLE, fault) for fault in found.faults]
    if found.torn:
        findings.append(Finding(Kind.UNREADABLE, f"{JOURNAL} has a torn end"))
    times = Counter(found.iterations)
    findings += [
        Finding(Kind.DOUBLED, f"iteration {iteration} is recorded {count} times")
        for iteration, count in times.items()
        if count > 1
    ]
    findings += compare_records(expected, found)
    told = {r["sha256"] for r in found.records if r["kind"] == "damage_found"}
    for end in torn:
        if hashlib.sha256(end).hexdigest() not in told:
            what = f"no record tells of the torn end of {len(end)} bytes"
            findings.append(Finding(Kind.LOST, what))
    return findings


def compare_records(expected: Journal, found: Journal) -> list[Finding]:
    """Compare the records that every run has, the last of each kind and iteration."""
    findings = []
    wanted, there = (
        {
            (record["kind"], record["iteration"]): timeless(record)
            for record in journal.records
            if record["kind"] in ("run_started", "iteration", "run_ended")
        }
        for journal in (expected, found)
    )
    for (kind, iteration), record in wanted.items():
        if (kind, iteration) not in there:
            findings.append(Finding(Kind.LOST, f"there is no record {kind} {iteration}"))
        elif record != there[kind, iteration]:
            findings.append(Finding(Kind.DIFFERENT, f"the record {kind} {iteration} is another"))
    kinds = [record["kind"] for record in found.records]
    if kinds.count("run_started") > 1:
        findings.append(Finding(Kind.DOUBLED, "the run has started twice"))
    marks = [kind for kind in kinds if kind in ("run_ended", "run_resumed")]
    if ("run_ended", "run_ended") in pairwise(marks):
        findings.append(Finding(Kind.DOUBLED, "the run has ended twice, and was not resumed"))
    return findings


def compare_overrides(
    base: Mapping[str, float], wanted: Mapping[str, float], found: Mapping[str, float]
) -> list[Finding]:
    """Check the overrides: a missing step is lost, an extra one doubled."""
    findings = []
    for name in sorted({*wanted, *found}):
        value, due = found.get(name, base[name]), wanted.get(name, base[name])
        if value != due:
            nearer = abs(value - base[name]) < abs(due - base[name])
            kind = Kind.LOST if nearer else Kind.DOUBLED
            findings.append(Finding(kind, f"{name} is {value:g} in the overrides, not {due:g}"))
    return findings


def recount(settled: Iterable[int], counted: Iterable[int]) -> list[Finding]:
    """Check the system's counter over the life of one process.

    Args:
        settled: The iterations in the journal before it.
        counted: Those that the system ran in it.
    """
    times = Counter(counted)
    done = set(settled)
    findings = [
        Finding(Kind.DOUBLED, f"iteration {iteration} was settled, and ran again")
        for iteration in sorted(done & set(times))
    ]
    findings += [
        Finding(Kind.DOUBLED, f"iteration {iteration} ran {count} times in one life")
        for iteration, count in sorted(times.items())
        if count > 1
    ]
    return findings


def timeless(value: Any) -> Any:
    """Return *value* without the parts that differ from run to run."""
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [timeless(entry) for entry in value]
    return value
