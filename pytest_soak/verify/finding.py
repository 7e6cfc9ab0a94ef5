"""A finding of a check, and the text that describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.files import line
from pytest_soak.store.folder import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN = 120
"""How many characters of a value a finding shows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference that a check found, or a note.

    Args:
        where: The file, and the record or iteration in it.
        what: What is there, and what is expected.
        note: Whether it is for information only, and does not fail the check.
        missing: Whether the file is missing and can be rebuilt from the journal.
    """

    where: str
    what: str
    note: bool = False
    missing: bool = False

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{'NOTE   ' if self.note else 'FINDING'}  {self.where}: {self.what}"


def location(record: Mapping[str, Any]) -> str:
    """Return the position of *record* in the journal, for people."""
    kind = record["kind"]
    name = f"iteration {record['iteration']}" if kind == "iteration" else kind
    return f"{JOURNAL}, record {record['seq']} ({name})"


def as_json(value: object) -> str:
    """Return *value* as JSON, shortened if it is long."""
    return shorten(line(value))


def shorten(text: str) -> str:
    """Return *text*, safe to show and shortened if it is long."""
    return safe_text(text, SHOWN, 0)


def field_differences(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    """Return the differences of two mappings, field by field: ``workers is 9, not 8``."""
    parts = (
        f"{name} is {as_json(found[name]) if name in found else 'missing'}, "
        f"not {as_json(expected[name]) if name in expected else 'there'}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    )
    return ", ".join(parts)
