"""JSON schemas (draft 2020-12) of everything that a soak writes, found by the file's name."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from pytest_soak.store.artifacts import TABLE, pattern


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of the artifact whose file is called *name*; for the journal, of a line.

    Raises:
        KeyError: No artifact is called so.
    """
    for artifact in TABLE:
        if pattern(artifact.name.rpartition("/")[2]).fullmatch(name):
            file = resources.files(__package__).joinpath(f"{artifact.schema}.schema.json")
            schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return schema
    raise KeyError(name)
