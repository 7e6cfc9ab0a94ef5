"""The records of a run that a command may rely on."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.checks.changes import check_states, replay
from pytest_soak.commands.checks.lines import read_lines
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.commands.places import Place


def trusted(place: Place) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a run; what a crash left of a further one is not among them.

    Raises:
        JournalError: They are not what a soak has written, or there are none.
    """
    lines = read_lines(place.journal.read_bytes())
    found = chain(lines.findings, check_states(replay(lines.records)) if lines.sound else ())
    fault = next((finding for finding in found if not finding.note), None)
    if fault:
        msg = f"{place.folder}: {fault.where}: {fault.what}; all of it: pytest-soak verify"
        raise JournalError(msg)
    if not lines.records:
        msg = f"{place.folder / JOURNAL}: has no record: the run ended before it began"
        raise JournalError(msg)
    return lines.records


def iterations(records: tuple[Mapping[str, Any], ...]) -> dict[int, Mapping[str, Any]]:
    """Return ``{number: record}`` of the iterations among *records*."""
    return {record["iteration"]: record for record in records if record["kind"] == "iteration"}


def there_are(numbers: Mapping[int, object]) -> str:
    """Return which iterations there are, for an error."""
    return f"1 to {max(numbers)}" if numbers else "none"
