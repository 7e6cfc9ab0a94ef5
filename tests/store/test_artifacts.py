"""The files of a run come from its journal alone, and not from earlier runs."""

from __future__ import annotations

import pytest

from pytest_soak.store.artifacts import rebuild
from tests.logged import LoggedSoak
from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, patches, read_json, records


def test_the_artifacts_are_those_that_the_journal_implies(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeconftest(mock_system(after="report = None if iteration == 2 else report"))
    pytester.runpytest("--soak-system=odd", "--soak-iterations=4", "--auto-tune")
    folder = chain_folder(pytester)
    implied = dict(rebuild(records(folder)))
    found = {str(path.relative_to(folder)): read_json(path) for path in folder.rglob("*.json")}
    assert found == implied
    assert "EDGE_REPORT_1.json" in found
    assert "EDGE_REPORT_2.json" not in found


def test_an_earlier_run_has_no_influence_on_a_new_one(pytester: pytest.Pytester) -> None:
    logged = LoggedSoak(pytester)
    exits, changes = [], []
    for iterations, args in ((8, ("--auto-tune",)), (6, ()), (8, ("--auto-tune",))):
        exits.append(int(logged.soak(iterations, *args).ret))
        changes.append(patches(logged.folder))
        assert logged.ran("workers")[0] == 2
        assert logged.ran("state") == [None, *({"seen": n} for n in range(1, iterations))]
        names = {path.name for path in logged.folder.iterdir()}
        assert (f"EDGE_REPORT_{iterations}.json" in names) is True
        assert (f"EDGE_REPORT_{iterations + 1}.json" in names) is False
    assert exits == [0, 1, 0]
    assert changes[0] == changes[2]
    assert changes[1] == [[]] * 6


METER = """
import os
from pathlib import Path

seen = {}

def pytest_soak_iteration(plan, result):
    files = written = 0
    (folder,) = Path("artifacts/soak").glob("test_demo-*")
    for entry in (*os.scandir(folder), *os.scandir(folder / "backups")):
        stat = entry.stat()
        before = seen.get(entry.path)
        now = seen[entry.path] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if now == before or entry.is_dir():
            continue
        appended = entry.name == "journal.jsonl" and before is not None and before[0] == now[0]
        files += 1
        written += now[2] - before[2] if appended else now[2]
    with open("cost", "a") as file:
        file.write(f"{files} {written}\\n")
"""


def test_an_iteration_writes_as_much_after_100_iterations_as_after_20(
    pytester: pytest.Pytester,
) -> None:
    logged = LoggedSoak(pytester, more=METER)
    costs = {}
    for iterations in (20, 100):
        logged.soak(iterations, "--auto-tune", "--soak-tuner=wiggles")
        lines = (pytester.path / "cost").read_text(encoding="utf-8").splitlines()
        (pytester.path / "cost").unlink()
        costs[iterations] = [tuple(map(int, line.split())) for line in lines]
        assert len(costs[iterations]) == iterations
    short, long = (costs[count][-10:-3] for count in (20, 100))  # before the window
    assert sum(files for files, _ in long) == sum(files for files, _ in short)
    assert sum(files for files, _ in short) > 2 * len(short)  # the meter sees something
    assert sum(size for _, size in long) < 1.05 * sum(size for _, size in short)


def test_a_file_where_the_folder_of_a_chain_belongs_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=1")
    folder = chain_folder(pytester)
    folder.rename(folder.with_suffix(".away"))
    folder.write_text("")
    result = pytester.runpytest("--soak-iterations=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{folder.name}: it is a file; allowed: a folder; move it away"])
