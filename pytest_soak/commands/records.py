"""The records of a run that a command may rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.store.journal import stream_journal
from pytest_soak.verify.load import load_validated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.commands.places import Place


def trusted(place: Place) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a run, as for `load_validated`."""
    return load_validated(place.journal)


def linked(journal: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the whole records of a *journal* whose hashes are right; their shape is not checked.

    Raises:
        JournalError: They do not follow each other, or there are none.
    """
    records = tuple(stream_journal(journal, healing=True))
    return records or load_validated(journal)


def iterations(records: tuple[Mapping[str, Any], ...]) -> dict[int, Mapping[str, Any]]:
    """Return ``{number: record}`` of the iterations among *records*."""
    return {record["iteration"]: record for record in records if record["kind"] == "iteration"}


def there_are(numbers: Mapping[int, object]) -> str:
    """Return which iterations there are, for an error."""
    return f"1 to {max(numbers)}" if numbers else "none"
