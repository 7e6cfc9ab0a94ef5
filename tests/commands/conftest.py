"""Recorded soaks for the tests of commands: run once, and copied for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.strategies import mock_system
from tests.support import DEMO

if TYPE_CHECKING:
    from pathlib import Path

STOPS = """
def test_demo(soak):
    assert soak.iteration != 4
    soak.run()
"""
TUNED = ("--soak-iterations=6", "--auto-tune")


def soak(folder: Path, *args: str, code: int = 0) -> None:
    """Run a soak in *folder*, in a separate process."""
    environ = {key: text for key, text in os.environ.items() if not key.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env=environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr


def replay(*args: object, name: str = "replay") -> tuple[int, str, str]:
    """Run the command `replay` in a process of its own; return exit code, output and errors."""
    environ = {key: text for key, text in os.environ.items() if not key.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest_soak", name, *map(str, args)],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="session")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with soaks: one ended, one interrupted, one with state."""
    folder = tmp_path_factory.mktemp("soaked")
    (folder / "test_demo.py").write_text(DEMO)
    soak(folder, *TUNED, "--soak-dir=ended")
    (folder / "test_demo.py").write_text(STOPS)
    soak(folder, *TUNED, "--soak-dir=broken", "-x", code=1)
    (folder / "test_demo.py").write_text(DEMO)
    keeps = mock_system("keeps", returns='report, {"ran": iteration}')
    (folder / "conftest.py").write_text(keeps)
    soak(folder, *TUNED, "--soak-dir=keeps", "--soak-system=keeps")
    return folder


@pytest.fixture
def workplace(soaked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folder with soaks, which is the current folder."""
    place = tmp_path / "workplace"
    shutil.copytree(soaked, place, symlinks=True)
    monkeypatch.chdir(place)
    return place


def only_chain(soak_dir: Path) -> Path:
    """Return the folder of the one chain in *soak_dir*."""
    (chain,) = (path for path in soak_dir.glob("test_*") if path.is_dir())
    return chain


@pytest.fixture
def ended(workplace: Path) -> Path:
    """Return the folder of a chain that ended with a verdict."""
    return only_chain(workplace / "ended")


@pytest.fixture
def broken(workplace: Path) -> Path:
    """Return the folder of a chain that was interrupted after its third iteration."""
    return only_chain(workplace / "broken")


@pytest.fixture
def keeps(workplace: Path) -> Path:
    """Return the folder of a chain whose system keeps state."""
    return only_chain(workplace / "keeps")
