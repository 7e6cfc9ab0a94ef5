"""One thing that was found, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.files import line
from pytest_soak.store.folder import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN = 120
"""How many characters of a value are shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        where: The file, and the record or iteration in it.
        what: What is there, and what it should be.
        note: Whether it is only to be known: it does not make the run a bad one.
        missing: Whether the file is missing and can be made from the journal.
    """

    where: str
    what: str
    note: bool = False
    missing: bool = False

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{'NOTE   ' if self.note else 'FINDING'}  {self.where}: {self.what}"


def at(record: Mapping[str, Any]) -> str:
    """Return where *record* stands, for people."""
    kind = record["kind"]
    name = f"iteration {record['iteration']}" if kind == "iteration" else kind
    return f"{JOURNAL}, record {record['seq']} ({name})"


def as_json(value: object) -> str:
    """Return *value* as JSON, cut where it is long."""
    return shorten(line(value))


def shorten(text: str) -> str:
    """Return *text*, safe to show and cut where it is long."""
    return safe_text(text, SHOWN, 0)


def unlike(there: Mapping[str, object], said: Mapping[str, object]) -> str:
    """Return how two objects differ, field by field: ``workers is 9, not 8``."""
    parts = (
        f"{name} is {as_json(there[name]) if name in there else 'missing'}, "
        f"not {as_json(said[name]) if name in said else 'there'}"
        for name in sorted({*there, *said})
        if there.get(name) != said.get(name)
    )
    return ", ".join(parts)
