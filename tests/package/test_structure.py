"""Who may import whom: the direction of knowledge that docs/contributing.md tells of."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_soak"
ALLOWED = {
    "model": set(),
    "schemas": {"store"},
    "packs": {"errors", "model", "gates"},
    "tuners": {"model"},
    "watchers": {"model"},
    "guards": {"model"},
    "gates": {"model"},
    "store": {"errors", "model"},
    "systems": {"errors", "model", "packs", "store"},
    "verify": {"errors", "model", "schemas", "store"},
    "config": {
        *("errors", "model", "packs", "tuners", "watchers", "guards", "gates"),
        *("store", "systems", "verify"),
    },
    "engine": {
        *("errors", "model", "tuners", "watchers", "guards", "gates"),
        *("store", "systems", "verify", "config"),
    },
    "views": {"errors", "model", "store", "config", "engine"},
}
"""What each room may import beside itself. `runner`, `commands` and `testing` are at the top."""
AT_THE_TOP = {
    "runner": {"commands", "testing"},
    "commands": {"runner", "testing"},
    "testing": {"runner", "commands", "views", "verify"},
}
"""What the rooms at the top must not import."""


def imports(file: Path) -> set[str]:
    """Return the modules of pytest_soak that *file* imports, also those for types alone."""
    tree = ast.parse(file.read_text("utf-8"))
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{name.name}" for name in node.names]
            names += [name for name in inside if module(name)] or [node.module]
        elif isinstance(node, ast.Import):
            names += [name.name for name in node.names]
    return {name for name in names if name.partition(".")[0] == "pytest_soak"}


def module(name: str) -> bool:
    """Tell whether *name* is a module of ours."""
    place = PACKAGE.parent.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or place.is_dir()


def rooms(file: Path) -> set[str]:
    """Return the rooms that *file* imports from."""
    return {name.split(".")[1] for name in imports(file) if "." in name}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_knows_only_what_it_may(room: str) -> None:
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        assert rooms(file) <= ALLOWED[room] | {room}, file


@pytest.mark.parametrize("room", AT_THE_TOP)
def test_the_rooms_at_the_top_do_not_know_each_other(room: str) -> None:
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        assert not rooms(file) & {*AT_THE_TOP[room], "plugin"}, file


def test_every_folder_has_its_rule() -> None:
    there = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert there == {*ALLOWED, *AT_THE_TOP}


def test_no_module_imports_one_that_imports_it() -> None:
    graph = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name != "pytest_soak":  # it names what others define, and imports it when it is used
            graph[name] = imports(file) - {name, "pytest_soak"}
    assert list(TopologicalSorter(graph).static_order())  # a circle would raise CycleError


def test_nothing_imports_the_plugin_and_one_file_alone_knows_xdist() -> None:
    for file in PACKAGE.rglob("*.py"):
        assert "plugin" not in rooms(file), file
        knows = "import xdist" in (text := file.read_text("utf-8")) or "from xdist" in text
        assert knows is (file.name == "distribute.py"), file


def test_the_core_contains_no_trading_word() -> None:
    words = ("_bps", "market", "slippage", "inventory", "trading", "hedge", "order book")
    for file in PACKAGE.rglob("*.*"):
        if file.suffix in {".py", ".toml", ".json"}:
            found = [word for word in words if word in file.read_text("utf-8").lower()]
            assert not found, (file, found)
