"""A pytest run without a soak imports next to nothing of ours, and pays nothing per item."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.plugin import NoSoak

if TYPE_CHECKING:
    from pathlib import Path

OURS = {
    *("pytest_soak", "pytest_soak.plugin", "pytest_soak.hookspecs"),
    *("pytest_soak.config", "pytest_soak.config.options"),
}
CONFTEST = """
import sys

def pytest_unconfigure():
    print("IMPORTED", *sorted(sys.modules))
"""


def imported(folder: Path, *args: str) -> set[str]:
    """Return the modules that a pytest run in *folder* has imported when it ends."""
    # An ini file, not a TOML file: pytest would import `tomllib` itself.
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_plain.py").write_text(
        "def test_plain(): pass\n\ndef test_soaked(soak): soak.run()\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-sq", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env={
            **{name: text for name, text in os.environ.items() if not name.startswith("COV")},
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        check=False,  # the verdict of a soak is not the question here
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("IMPORTED")]
    return set(lines[0].split()[1:])


def test_without_a_soak_only_these_modules_are_imported(tmp_path: Path) -> None:
    ordinary = imported(tmp_path, "--deselect=test_plain.py::test_soaked")
    assert imported(tmp_path, "-p", "pytest_soak.plugin") - ordinary == OURS


def test_a_soak_imports_more(tmp_path: Path) -> None:
    """The check above sees what is imported: a soak does not pass it."""
    found = imported(tmp_path, "-p", "pytest_soak.plugin", "-p", "syrupy", "--soak-iterations=2")
    assert found > {"pytest_soak.config.request", "jsonschema", "msgspec", "rich"}


def test_a_parent_is_asked_once_for_all_its_items() -> None:
    asked: list[str] = []
    parent = SimpleNamespace(get_closest_marker=asked.append)
    items: Any = [
        SimpleNamespace(parent=parent, fixturenames=["request"], own_markers=[]) for _ in range(500)
    ]
    NoSoak().pytest_collection_modifyitems(items)
    assert asked == ["soak"]


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.soak\ndef test_a(): pass",
        "@pytest.mark.soak\nclass TestA:\n    def test_a(self): pass",
        "@pytest.mark.parametrize('n', [pytest.param(1, marks=pytest.mark.soak)])\ndef test(n): 0",
        "def test_a(soak): pass",
        "pytestmark = pytest.mark.soak\ndef test_a(): pass",
    ],
)
def test_a_soak_is_skipped_wherever_its_mark_stands(pytester: pytest.Pytester, test: str) -> None:
    pytester.makepyfile(f"import pytest\n\n{test}\n\ndef other(): pass\n")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*a soak: run it with --soak-iterations=N*"])
