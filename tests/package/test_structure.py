"""Who may import whom: the directions of imports that docs/contributing.md shows as a table."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path, PurePath

import pytest

import pytest_soak
from pytest_soak.store.artifacts import TABLE

PACKAGE = Path(pytest_soak.__file__).parent
CONTRIBUTING = PACKAGE.parent / "docs" / "contributing.md"
HOME = pytest_soak._HOME
"""Where the root package takes its names from."""
STRATEGIES = {"gates", "guards", "tuners", "watchers"}
CONFIG = {"errors", "model", "packs", "store", "systems", "verify", *STRATEGIES}
ENGINE = {*CONFIG, "config"} - {"packs"}
TOP = {*CONFIG, "config", "engine", "schemas"}
ALLOWED = {
    "model": set(),
    "schemas": {"store"},
    "packs": {"errors", "model", "gates", "store"},
    "tuners": {"model"},
    "watchers": {"model"},
    "guards": {"model"},
    "gates": {"model"},
    "store": {"errors", "model"},
    "systems": {"errors", "model", "packs", "store"},
    "verify": {"errors", "model", "gates", "schemas", "store"},
    "config": CONFIG,
    "engine": ENGINE,
    "views": {"errors", "model", "store", "config", "engine"},
    "runner": {*TOP, "views"},
    "commands": {*TOP, "views"},
    "testing": TOP - {"verify"},
    "errors": {"model"},
    "hookspecs": {"model", "config", "engine", "systems", *STRATEGIES},
    "plugin": {"errors", "config", "hookspecs", "runner", "systems"},
    "__main__": {"commands"},
    "__init__": {"errors", "model", "config", "engine", "runner", "systems", *STRATEGIES},
}
"""What each room, and each module beside the rooms, may import of ours beside itself."""
OTHERS = {
    "pytest": ("hookspecs.py", "plugin.py", "config/", "runner/", "views/", "commands/"),
    "_pytest": (),
    "pluggy": (),
    "xdist": ("runner/distribute.py",),
    "execnet": (),
    # It could import anything; importlib.resources cannot. The plan looks for what is installed.
    "importlib": ("__init__.py", "config/plan.py"),
}
"""Who may import these modules of others; `__import__` counts as importlib."""
SIBLINGS = {
    "gates.criteria": ("gates.",),  # it lists all criteria
    "gates.trend": ("gates.slope",),
    "tuners.adaptive": ("tuners.beliefs", "tuners.response"),
    "tuners.beliefs": ("tuners.response",),
    "systems.http": ("systems.command",),
}
"""What a strategy, a file or a folder, may import of its own room beside the protocol: prefixes."""


def sources() -> dict[str, str]:
    """Return the text of each module, by its path in the package."""
    return {
        path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
        for path in PACKAGE.rglob("*.py")
    }


def module(path: str) -> str:
    """Return the name of the module at *path*: ``pytest_soak.model.pace`` of ``model/pace.py``."""
    parts = PurePath("pytest_soak", path).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module(path) for path in sources()}


def defined_in(name: str) -> str:
    """Return the module of ours in which the dotted *name* is defined; others stay as they are."""
    root, _, rest = name.partition(".")
    if root == "pytest_soak":
        name = f"{root}.{HOME.get(rest, rest)}"
        while name not in MODULES:
            name = name.rpartition(".")[0]
    return name


def imports(path: str, source: str) -> set[str]:
    """Return the modules that *source*, the text at *path*, imports anywhere, also for types.

    A text that is the dotted name of something of ours counts too: it can be imported by it.
    """
    package = ".".join(PurePath("pytest_soak", path).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            start = resolve_name(f"{'.' * node.level}{node.module or ''}", package)
            found |= {f"{start}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\Apytest_soak(?:\.\w+)+\Z", node.value))
        elif isinstance(node, ast.Name) and node.id == "__import__":
            found.add("importlib")
    return {defined_in(name) for name in found} - {module(path)}


def may_import(path: str, name: str) -> bool:
    """Tell whether the module at *path* may import the module *name*."""
    root, *parts = name.split(".")
    if root != "pytest_soak":
        allowed = OTHERS.get(root)
        return allowed is None or path.startswith(allowed) or parts[:1] == ["resources"]
    _, *own = module(path).split(".")
    room = own[0] if own else "__init__"
    if parts[:1] != [room]:
        return "".join(parts[:1]) in ALLOWED[room]
    strategy, other = ".".join(own[:2]), ".".join(parts[:2])
    if room not in {*STRATEGIES, "systems"} or strategy == other:
        return True
    return other.startswith((f"{room}.protocol", *SIBLINGS.get(strategy, ())))


def forbidden(path: str, source: str) -> list[str]:
    """Return the modules that *source* imports, and must not import at *path*."""
    return sorted(name for name in imports(path, source) if not may_import(path, name))


def without_rule(paths: set[str]) -> set[str]:
    """Return the rooms and modules in *paths* that have no rule, and rules without a module."""
    return {PurePath(path).with_suffix("").parts[0] for path in paths} ^ {*ALLOWED}


def without_init(paths: set[str]) -> set[str]:
    """Return the folders in *paths* that have no ``__init__.py``."""
    folders = {parent.as_posix() for path in paths for parent in PurePath(path).parents}
    return {each for each in folders if (PurePath(each) / "__init__.py").as_posix() not in paths}


@pytest.mark.parametrize("path", sources())
def test_a_module_imports_only_what_it_may(path: str) -> None:
    assert forbidden(path, sources()[path]) == []


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("model/pace.py", "from pytest_soak.runner.session import Soak", "runner.session"),
        ("model/pace.py", "def f():\n    from pytest_soak import Soak", "runner.session"),
        ("model/pace.py", "import pytest_soak", ""),
        ("model/pace.py", "from pytest_soak import Kept", ""),
        ("model/pace.py", "from ..runner import session", "runner.session"),
        ("guards/__init__.py", "from ..runner import session", "runner.session"),
        ("guards/caps.py", "from . import budget", "guards.budget"),
        ("model/pace.py", "load('pytest_soak.runner.session')", "runner.session"),
        ("model/pace.py", "from sys import modules\nmodules['pytest_soak.errors']", "errors"),
        ("errors.py", "from pytest_soak.store.files import line", "store.files"),
        ("hookspecs.py", "from pytest_soak.runner.session import Soak", "runner.session"),
        ("plugin.py", "from pytest_soak.commands import cli", "commands.cli"),
        ("__main__.py", "from pytest_soak.runner import session", "runner.session"),
        ("__init__.py", "from pytest_soak.commands import cli", "commands.cli"),
        ("runner/session.py", "from pytest_soak import plugin", "plugin"),
        ("runner/session.py", "from pytest_soak.commands import cli", "commands.cli"),
        ("guards/caps.py", "from pytest_soak.guards.budget import Budget", "guards.budget"),
        ("systems/mock.py", "import pytest_soak.systems.command", "systems.command"),
        ("systems/command/system.py", "from pytest_soak.systems.http import fetch", "systems.http"),
        ("gates/limits.py", "from pytest_soak.gates import criteria", "gates.criteria"),
    ],
)
def test_a_planted_import_of_ours_is_found(path: str, source: str, found: str) -> None:
    (name,) = forbidden(path, source)
    assert name.startswith(f"pytest_soak.{found}" if found else "pytest_soak")


@pytest.mark.parametrize("path", ["model/pace.py", "engine/loop.py", "store/files.py", "errors.py"])
@pytest.mark.parametrize(
    "source", ["import pytest", "from _pytest.config import Config", "import pluggy"]
)
def test_a_planted_import_of_pytest_is_found(path: str, source: str) -> None:
    assert len(forbidden(path, source)) == 1


@pytest.mark.parametrize("path", ["runner/session.py", "plugin.py"])
@pytest.mark.parametrize(
    "source",
    [
        "import xdist.dsession",
        "from xdist import dsession",
        "import execnet",
        "import importlib\nimportlib.import_module('xdist')",
        "from importlib import import_module\nimport_module('xdist')",
        "__import__('xdist')",
    ],
)
def test_a_planted_import_of_xdist_is_found(path: str, source: str) -> None:
    assert len(forbidden(path, source)) == 1


def test_what_is_allowed_is_not_found() -> None:
    assert not forbidden("systems/http/server.py", "from pytest_soak.systems.command import system")
    assert not forbidden("guards/caps.py", "from pytest_soak import Change\nimport json")
    assert not forbidden("schemas/__init__.py", "from importlib import resources")
    assert not forbidden("model/pace.py", "'pytest_soak.runner.session is another room'")


def test_every_room_has_its_rule_and_is_a_package() -> None:
    paths = {*sources()}
    assert without_rule(paths) == without_init(paths) == set()
    assert without_rule(paths | {"helpers/text.py", "text.py"}) == {"helpers", "text"}
    assert without_init(paths | {"helpers/text.py", "model/new/a.py"}) == {"helpers", "model/new"}


def test_the_table_in_contributing_is_the_same() -> None:
    shown: dict[str, set[str]] = {}
    text = CONTRIBUTING.read_text("utf-8")
    for first, last in re.findall(r"(?m)^\| (`.+`) \| .+ \| (.+) \|$", text):
        named = {*re.findall(r"`(\w+)`", last)}
        allowed = {*shown} - named if "all above" in last else named
        shown |= dict.fromkeys(re.findall(r"`(\w+)(?:/|\.py)`", first), allowed)
    assert shown == ALLOWED


def test_no_module_imports_one_that_imports_it() -> None:
    # The root package names what others define, and imports it when it is used.
    graph = {
        module(path): {name for name in imports(path, source) if name.startswith("pytest_soak.")}
        for path, source in sources().items()
        if path != "__init__.py"
    }
    assert list(TopologicalSorter(graph).static_order())  # a circle would raise CycleError


def artifacts_named(source: str) -> set[str]:
    """Return the artifacts whose file name is in a text of *source*; docstrings do not count."""
    nodes = list(ast.walk(ast.parse(source)))
    docs = {node.value for node in nodes if isinstance(node, ast.Expr)}
    texts = [each.value for each in nodes if isinstance(each, ast.Constant) and each not in docs]
    names = {PurePath(artifact.name).name.partition("{")[0] for artifact in TABLE}
    return {name for name in names for text in texts if isinstance(text, str) and name in text}


def test_only_the_store_names_the_files_of_artifacts() -> None:
    assert artifacts_named("""folder.glob(f"EDGE_REPORT_{'*'}")""") == {"EDGE_REPORT_"}
    assert not artifacts_named('''"""Writes ``TUNING_REPORT.json``."""''')
    found = {
        path: named for path, source in sources().items() if (named := artifacts_named(source))
    }
    assert set(found) == {"store/artifacts.py", "store/folder.py"}
    assert found["store/folder.py"] == {"journal.jsonl"}


def test_the_core_contains_no_trading_word() -> None:
    words = ("_bps", "market", "slippage", "inventory", "trading", "hedge", "order book")
    for file in PACKAGE.rglob("*.*"):
        if file.suffix in {".py", ".toml", ".json"}:
            found = [word for word in words if word in file.read_text("utf-8").lower()]
            assert not found, (file, found)
