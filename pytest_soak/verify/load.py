"""What may be relied on: the records of a sound journal, and the run that can go on from them."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_soak.store.artifacts import STATE, report_name
from pytest_soak.store.files import line
from pytest_soak.store.folder import JOURNAL, RUNS
from pytest_soak.store.journal import JournalError, journal_run
from pytest_soak.verify.changes import check_states, replay
from pytest_soak.verify.finding import Finding, at
from pytest_soak.verify.parsed_journal import parse_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


def load_validated(journal: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a *journal*, without what a crash left of a further one.

    Raises:
        JournalError: They are not what a soak has written, or there are none.
        OSError: The file cannot be read.
    """
    lines = parse_journal(journal.read_bytes())
    sound = chain(check_states(replay(lines.records)), _settled_too_early(lines.records))
    found = chain(lines.findings, sound if lines.sound else ())
    fault = next((finding for finding in found if not finding.note), None)
    if fault:
        where = fault.where.removeprefix(f"{JOURNAL}, ")  # the file may be called otherwise
        msg = f"{journal}, {where}: {fault.what}; all of it: pytest-soak verify"
        raise JournalError(msg)
    if not lines.records:
        msg = f"{journal}: has no record: the run ended before it began"
        raise JournalError(msg)
    return lines.records


def _settled_too_early(records: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the first iteration, where it says how changes before it were seen."""
    first = next((record for record in records if record["kind"] == "iteration"), None)
    if first and first["settles"]:
        yield Finding(at(first), f"its settles is {line(first['settles'])}, nothing was before it")


def check_run(folder: Path, run_id: str) -> None:
    """Make sure that what there is of the run *run_id* in a chain's *folder* can be taken up.

    Reads only, and as a whole, before anything is touched.

    Raises:
        JournalError: It cannot; the line names the file, and what is wrong in it.
    """
    aside = folder / RUNS / run_id
    for place in (folder, aside):
        journal = place / JOURNAL
        if not journal.exists() or (place == folder and journal_run(journal) != run_id):
            continue
        records = load_validated(journal)
        if records[0]["run"] != run_id:
            msg = f"{journal}: is of run {records[0]['run']}, in the place of {run_id}"
            raise JournalError(msg)
        ran = (record for record in reversed(records) if record["kind"] == "iteration")
        last = next(ran, records[0])
        _refuse_cut(journal, last.get("iteration", 0))
        digest = last.get("system_state")
        name = STATE.format(last.get("iteration"))
        # A crash while the run was put aside or brought back leaves it in two places.
        state = place / name if (place / name).exists() else aside / name
        kept = state.read_bytes() if digest and state.exists() else b""
        if digest and hashlib.sha256(kept).hexdigest() != digest:
            msg = f"{state}: not the system's state that the journal knows of"
            raise JournalError(msg)


def _refuse_cut(journal: Path, done: int) -> None:
    """Refuse a journal that does not know of reports beside it: several records were cut off.

    A crash cannot do that, because a record is on the disk before its report is written. Of the
    last one alone a disk may have lost what it said it had.
    """
    report = journal.with_name(report_name(done + 2))
    if report.exists():
        msg = (
            f"{journal}: ends with iteration {done}, and {report.name} lies beside it: cut off; "
            "pytest-soak verify tells more, without --soak-resume a new run puts all aside"
        )
        raise JournalError(msg)
