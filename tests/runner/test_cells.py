"""Cells do not mix: each experiment has a folder, runs and a verdict of its own."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_soak.store import cell
from tests.support import DEMO, chain_folder, records, told

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def folders(soak_dir: Path) -> list[Path]:
    return sorted(path for path in soak_dir.glob("test_demo-*") if path.is_dir())


def began(folder: Path) -> str:
    return str(records(folder)[0]["run"])


def test_seeds_have_folders_of_their_own_and_copied_shards_keep_every_verdict(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    for shard, seed in (("one", 1), ("one", 2), ("two", 3)):
        options = (f"--soak-dir={shard}", f"--soak-seed={seed}")
        assert pytester.runpytest("--soak-iterations=2", *options).ret == 1
    together = pytester.path / "together"
    shutil.copytree(pytester.path / "one", together, symlinks=True)
    no_link = shutil.ignore_patterns("latest")
    shutil.copytree(pytester.path / "two", together, ignore=no_link, dirs_exist_ok=True)
    assert len(folders(together)) == 3
    runs = {records(folder)[0]["run"] for folder in folders(together)}
    assert {run.rpartition("-")[2] for run in runs} == {
        folder.name.rpartition("-")[2] for folder in folders(together)
    }
    code, lines = told("summary", "--soak-dir", together)
    assert code == 0
    assert [line for line in lines if line.startswith("## ")] == [
        r"## FAIL: test\_demo.py::test\_demo"
    ] * 3
    code, lines = told("verify", "--all-runs", "--soak-dir", together)
    assert code == 0, lines
    assert (together / "latest").resolve() in folders(together)
    code, (head, *_) = told("verify", "--soak-dir", together)
    assert (code, head.partition(",")[0]) == (0, max(folders(together), key=began).name)
    code, lines = told("summary", "--chain", "test_demo.py::test_demo", "--soak-dir", together)
    assert code == 4
    assert "'test_demo.py::test_demo' matches several: test_demo-" in lines[-1]


class Clock(datetime):
    """A clock that can be set."""

    shift = timedelta()

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override] # it has one time zone
        del tz
        return datetime.now(UTC) + cls.shift


def test_the_newest_run_is_resumed_though_the_clock_was_set_back(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "datetime", Clock)
    pytester.makepyfile(test_demo=f"{DEMO}    assert soak.iteration < 3\n")
    runs = []
    for days in (1, 0):
        monkeypatch.setattr(Clock, "shift", timedelta(days=days))
        assert pytester.runpytest("--soak-iterations=6", "--auto-tune", "-x").ret == 1
        runs.append(records(chain_folder(pytester))[0]["run"])
    resumed = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-resume")
    resumed.stdout.fnmatch_lines([f"| soak_resume | OK | RUN={runs[1]} SETTLED=3 |"])
    assert runs == sorted(runs)
