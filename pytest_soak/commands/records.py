"""Helpers for commands that read the records of a run."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from pytest_soak.gates.limits import NO_LIMITS
from pytest_soak.store.files import line
from pytest_soak.store.journal import stream_journal
from pytest_soak.verify.load import load_validated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


def load_hashed(journal: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the complete records of a *journal*. Checks their hashes, but not their shape.

    Raises:
        JournalError: A hash is wrong, or there are no records.
    """
    records = tuple(stream_journal(journal, healing=True))
    return records or load_validated(journal)


def iterations(records: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Return ``{number: record}`` of the iterations among *records*."""
    return {record["iteration"]: record for record in records if record["kind"] == "iteration"}


def iteration_range(numbers: Mapping[int, object]) -> str:
    """Return which iterations exist, for an error message."""
    return f"1 to {max(numbers)}" if numbers else "none"


SKIPPED = (dict, bool)


def rules(kpis: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """Return what each criterion's key sets for each KPI as text, the keys of limits first.

    Tables and switches are left out: they are about runs, whose judgements show what they say.

    Args:
        kpis: What the criteria of each KPI describe, ``{metric: {key: value}}``.

    Returns:
        ``{key: {metric: text}}``, without the metrics for which that key is not set.
    """
    return {
        key: {
            metric: value if isinstance(value, str) else line(value)
            for metric, described in kpis.items()
            if not isinstance(value := described.get(key), (NoneType, *SKIPPED))
        }
        for key in dict.fromkeys((*NO_LIMITS, *_flat_keys(kpis)))
    }


def _flat_keys(kpis: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for kpi in kpis.values():
        yield from (key for key, value in kpi.items() if not isinstance(value, SKIPPED))
