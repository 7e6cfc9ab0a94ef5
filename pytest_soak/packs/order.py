"""Sorts the mistakes of a pack by their place in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_soak.model.settings import Mistake


def within(where: str, other: str) -> bool:
    """Return whether the key *where* is *other*, or is inside it."""
    return where == other or where.startswith(f"{other}.")


def in_order(mistakes: list[Mistake], data: Mapping[str, Any]) -> list[Mistake]:
    """Return *mistakes* in the order of the file, without duplicates; rules are named by id."""
    named = dict.fromkeys(
        replace(mistake, where=called(mistake.where, data)) for mistake in mistakes
    )
    return sorted(named, key=lambda mistake: _place(mistake.where, data))


def _place(where: str, data: object) -> list[int]:
    """Return the place of the key *where* in *data*: an index for each level of tables."""
    entries: Iterable[tuple[str, object]] = data.items() if isinstance(data, Mapping) else ()
    if isinstance(data, list):
        entries = [(_id_of(entry, index), entry) for index, entry in enumerate(data)]
    for index, (key, entry) in enumerate(entries):
        if within(where, str(key)):
            return [index, *_place(where[len(str(key)) + 1 :], entry)]
    return []


def called(where: str, data: Mapping[str, Any]) -> str:
    """Return *where* for messages: a rule has its id instead of its number."""
    parts = where.split(".")
    rules = data.get("rule")
    if parts[0] == "rule" and len(parts) > 1 and parts[1].isdigit() and isinstance(rules, list):
        parts[1] = _id_of(rules[int(parts[1])], int(parts[1]))
    return ".".join(parts) or "the top level"


def _id_of(entry: object, index: int) -> str:
    """Return the id of a rule, or its *index* if it has none."""
    name = entry.get("id") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else str(index)
