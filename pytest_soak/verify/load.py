"""Loads journals that passed all checks, and checks a run before it is resumed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.artifacts import STATE, report_name
from pytest_soak.store.files import line, read_bytes
from pytest_soak.store.folder import JOURNAL, RUNS
from pytest_soak.store.journal import MAX_JOURNAL, JournalError, journal_run
from pytest_soak.store.store import read_state
from pytest_soak.verify.changes import check_decisions, check_states, iter_steps
from pytest_soak.verify.finding import Finding, location
from pytest_soak.verify.parsed_journal import parse_journal
from pytest_soak.verify.verdicts import check_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


def load_validated(journal: Path, *, shape: bool = True) -> tuple[Mapping[str, Any], ...]:
    """Return the complete records of a *journal*, after checking them.

    Args:
        journal: The file.
        shape: Whether each record is compared with its schema, which takes most of the time.

    Raises:
        JournalError: A check failed, or there are no records.
        OSError: The file cannot be read.
        Exception: Any, if a record is not of the shape that was not checked.
    """
    parsed = parse_journal(read_bytes(journal, MAX_JOURNAL), shape=shape)
    found = chain(parsed.findings, _contradictions(parsed.records) if parsed.sound else ())
    fault = next((finding for finding in found if not finding.note), None)
    if fault:
        where = fault.where.removeprefix(f"{JOURNAL}, ")  # the file may have another name
        what = safe_text(fault.what)
        msg = f"{journal}, {where}: {what}; pytest-soak verify shows all findings"
        raise JournalError(msg)
    if not parsed.records:
        msg = f"{journal}: has no record: the run was killed before it began"
        raise JournalError(msg)
    return parsed.records


def _contradictions(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield what `pytest-soak verify` finds in valid records, but not what no report confirms."""
    steps = list(iter_steps(records))
    yield from check_states(steps)
    yield from _settled_too_early(records)
    yield from check_decisions(steps)
    yield from check_verdicts(records)


def _settled_too_early(records: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding if the first iteration confirms changes of an earlier one."""
    first = next((record for record in records if record["kind"] == "iteration"), None)
    if first and first["settles"]:
        yield Finding(
            location(first),
            f"its settles is {line(first['settles'])}, but no iteration was before it",
        )


def check_run(folder: Path, run_id: str) -> Sequence[Mapping[str, Any]]:
    """Check that the run *run_id* in a chain's *folder* can be resumed. Writes nothing.

    Returns:
        The records of its journal; none if it has not begun.

    Raises:
        JournalError: It cannot be resumed; the message names the file and the reason.
    """
    aside = folder / RUNS / run_id
    found: Sequence[Mapping[str, Any]] = ()
    for place in (folder, aside):
        journal = place / JOURNAL
        if not journal.exists() or (place == folder and journal_run(journal) != run_id):
            continue
        records = load_validated(journal)
        if records[0]["run"] != run_id:
            msg = f"{journal}: is of run {records[0]['run']}, but {run_id} is expected there"
            raise JournalError(msg)
        ran = (record for record in reversed(records) if record["kind"] == "iteration")
        last = next(ran, records[0])
        _refuse_cut(journal, last.get("iteration", 0))
        digest = last.get("system_state")
        name = STATE.format(last.get("iteration"))
        # A crash while the run was moved leaves its files in two folders.
        state = place / name if (place / name).exists() else aside / name
        if digest:
            read_state(state, digest)
        found = found or records
    return found


def _refuse_cut(journal: Path, done: int) -> None:
    """Refuse a journal whose folder has reports of iterations after its end: records were removed.

    A crash cannot cause that, because a record is synced before its report is written. Only the
    last record may be lost, by a disk that reports data as synced too early.
    """
    report = journal.with_name(report_name(done + 2))
    if report.exists():
        msg = (
            f"{journal}: ends with iteration {done}, but {report.name} exists: its end is missing; "
            "see pytest-soak verify, or start a new run without --soak-resume"
        )
        raise JournalError(msg)
