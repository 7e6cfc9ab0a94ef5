"""Who may import whom: the direction of knowledge that docs/contributing.md tells of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "pytest_soak"
ALLOWED = {
    "model": {"model"},
    "tuners": {"model", "tuners"},
    "watchers": {"model", "watchers"},
    "guards": {"model", "guards"},
    "gates": {"model", "gates"},
    "store": {"errors", "model", "store"},
    "packs": {"errors", "model", "packs"},
    "systems": {"errors", "model", "store", "systems"},
    "checks": {"errors", "model", "schemas", "store", "checks"},
}
"""Every room whose imports are bounded, with all of ours that it may import."""


def imports(file: Path) -> set[str]:
    """Return what of pytest_soak *file* imports: the rooms and the modules beside them."""
    tree = ast.parse(file.read_text("utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    ]
    return {part[1] for name in names if (part := name.split("."))[0] == "pytest_soak" and part[1:]}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_knows_only_what_it_may(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert imports(file) <= ALLOWED[room], file


def test_nothing_imports_the_plugin_and_one_file_alone_knows_xdist() -> None:
    for file in ROOT.rglob("*.py"):
        assert "plugin" not in imports(file), file
        knows = "import xdist" in (text := file.read_text("utf-8")) or "from xdist" in text
        assert knows is (file.name == "distribute.py"), file


def test_the_core_contains_no_trading_word() -> None:
    words = ("_bps", "market", "slippage", "inventory", "trading", "hedge", "order book")
    for file in ROOT.rglob("*.*"):
        if file.suffix in {".py", ".toml", ".json"}:
            found = [word for word in words if word in file.read_text("utf-8").lower()]
            assert not found, (file, found)
