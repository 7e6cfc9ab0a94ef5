"""The records of a run that a command may rely on."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.checks.changes import check_states, replay
from pytest_soak.commands.checks.lines import read_lines
from pytest_soak.store.journal import JournalError, stream_journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.commands.places import Place


def trusted(place: Place) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a run, as for `trusted_file`."""
    return trusted_file(place.journal)


def trusted_file(journal: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a *journal*; what a crash left of one more is not among them.

    Raises:
        JournalError: They are not what a soak has written, or there are none.
    """
    lines = read_lines(journal.read_bytes())
    found = chain(lines.findings, check_states(replay(lines.records)) if lines.sound else ())
    fault = next((finding for finding in found if not finding.note), None)
    if fault:
        msg = f"{journal.parent}: {fault.where}: {fault.what}; all of it: pytest-soak verify"
        raise JournalError(msg)
    if not lines.records:
        msg = f"{journal}: has no record: the run ended before it began"
        raise JournalError(msg)
    return lines.records


def linked(journal: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a *journal* whose hashes are right; their shape is not checked.

    Raises:
        JournalError: They do not follow each other, or there are none.
    """
    records = tuple(stream_journal(journal, healing=True))
    return records or trusted_file(journal)


def iterations(records: tuple[Mapping[str, Any], ...]) -> dict[int, Mapping[str, Any]]:
    """Return ``{number: record}`` of the iterations among *records*."""
    return {record["iteration"]: record for record in records if record["kind"] == "iteration"}


def there_are(numbers: Mapping[int, object]) -> str:
    """Return which iterations there are, for an error."""
    return f"1 to {max(numbers)}" if numbers else "none"
