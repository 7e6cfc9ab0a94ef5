"""JSON schemas (draft 2020-12) of everything that a soak writes, found by the file's name."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from pytest_soak.store.artifacts import TABLE, pattern

ANCHOR = re.compile(r"[0-9a-f]{12}\.json"), "baseline"
"""The form of the name of an accepted baseline's file, and its schema."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of the file called *name*: of an artifact, a journal's line, or an anchor.

    Raises:
        KeyError: No artifact is called so.
    """
    known = [(pattern(one.name.rpartition("/")[2]), one.schema) for one in TABLE]
    for form, schema_name in (*known, ANCHOR):
        if form.fullmatch(name):
            file = resources.files(__package__).joinpath(f"{schema_name}.schema.json")
            schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return schema
    raise KeyError(name)
