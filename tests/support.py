"""What several tests need: running a soak in a fresh folder, and reading what it left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DEMO = """
def test_demo(soak):
    soak.run()
"""


def chain_folder(pytester: pytest.Pytester, name: str = "test_demo") -> Path:
    """Return the folder of the chain whose slug begins with *name*."""
    (folder,) = (pytester.path / "artifacts" / "soak").glob(f"{name}-*")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*."""
    data = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the records of the journal in *folder*."""
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def patches(folder: Path) -> list[list[dict[str, Any]]]:
    """Return the patch of each iteration, without the tests of old values."""
    return [
        [operation for operation in record["patch"] if operation["op"] != "test"]
        for record in records(folder)
        if record["kind"] == "iteration"
    ]
