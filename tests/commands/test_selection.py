"""How runs and cells are called: the same names in every command."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from pytest_soak.commands.cli import parser
from pytest_soak.commands.selection import named_run, selected_run
from pytest_soak.errors import SoakUsageError
from tests.earlier import soaked
from tests.support import told

if TYPE_CHECKING:
    from pathlib import Path


def chosen(soak_dir: Path, *args: str) -> str:
    """Return the id of the run that a command works on."""
    given = parser().parse_args(["calibrate", "--soak-dir", str(soak_dir), *args])
    return selected_run(given).run


def refused(soak_dir: Path, *args: str) -> str:
    with pytest.raises(SoakUsageError) as raised:
        chosen(soak_dir, *args)
    return str(raised.value)


@pytest.fixture
def nights(tmp_path: Path) -> dict[int, str]:
    """Return ``{day: run id}`` of runs with seeds of their own; day 3 FAILs, day 4 is unfinished.

    The first two are in one cell.
    """
    seeds = {1: 0, 2: 0, 3: 3, 4: 4}
    return {
        day: soaked(
            tmp_path,
            day,
            level=1000 * (day == 3),
            ends=day != 4,
            seed=seed,
            gates=("latency_p95_ms<=500",),
        ).plan.run_id
        for day, seed in seeds.items()
    }


def test_words_go_by_the_family_whatever_the_seed(tmp_path: Path, nights: dict[int, str]) -> None:
    for word, day in {"latest": 4, "previous": 3, "last-pass": 2}.items():
        assert chosen(tmp_path, "--run", word) == nights[day]
    for word, day in {"latest": 3, "previous": 2, "last-pass": 2}.items():
        assert named_run(tmp_path, None, word, "A").run == nights[day]


def test_a_run_is_found_in_any_cell_by_its_id_its_beginning_or_its_path(
    tmp_path: Path, nights: dict[int, str]
) -> None:
    for day, run in nights.items():
        assert chosen(tmp_path, "--run", run) == run
        assert chosen(tmp_path, "--run", f"202601{day:02}") == run
    aside = next(tmp_path.glob(f"*/runs/{nights[1]}"))
    for path in (aside, aside / "journal.jsonl"):
        assert chosen(tmp_path / "elsewhere", "--run", str(path)) == nights[1]
    found = named_run(tmp_path, None, str(aside), "A")
    assert found.title == f"{aside.parent.parent.name}, run {nights[1]}"
    assert found.chain == aside.parent.parent


def test_a_cell_is_named_by_its_test_or_any_part_that_no_other_cell_has(
    tmp_path: Path, nights: dict[int, str]
) -> None:
    calm = soaked(tmp_path, 9, scenario="calm")
    name = calm.store.folder.name
    for part in (name, name[-5:], name[3:]):
        assert chosen(tmp_path, "--chain", part) == calm.plan.run_id
    assert chosen(tmp_path, "--chain", name, "--run", "latest") == calm.plan.run_id
    for part in ("test_x.py::test_x", "x.py", "test"):
        several = refused(tmp_path, "--chain", part)
        assert several.startswith(f"--chain: {part!r} matches several: test_x-")
        assert several.count("test_x-") == 4
        assert refused(tmp_path, "--chain", part, "--run", "latest") == several
    unknown = refused(tmp_path, "--chain", "nothing", "--run", nights[1])
    assert unknown.startswith("--chain: unknown chain 'nothing'; there are: test_x-")


def test_a_chain_bounds_where_a_run_is_looked_for(tmp_path: Path, nights: dict[int, str]) -> None:
    cell = next(tmp_path.glob(f"*/runs/{nights[1]}")).parent.parent.name
    assert chosen(tmp_path, "--chain", cell, "--run", "latest") == nights[2]
    assert chosen(tmp_path, "--chain", cell, "--run", "previous") == nights[1]
    assert chosen(tmp_path, "--chain", "test_x", "--run", "previous") == nights[3]
    there = refused(tmp_path, "--chain", cell, "--run", nights[4])
    assert there.endswith(f"there are: {nights[1]}, {nights[2]}")


def test_what_fits_no_run_or_several_lists_what_there_is(
    tmp_path: Path, nights: dict[int, str]
) -> None:
    listed = ", ".join(nights[day] for day in (4, 3, 2, 1))
    assert refused(tmp_path, "--run", "2026") == f"--run: '2026' matches several runs: {listed}"
    unknown = refused(tmp_path, "--run", "1999")
    assert unknown == f"--run: unknown run '1999'; there are: {', '.join(nights.values())}"
    path = f"no{os.sep}where"
    assert refused(tmp_path, "--run", path).startswith(
        f"--run: {path!r}: there is no journal; allowed: a run's id or its beginning, latest, "
    )


def test_with_several_tests_a_word_needs_a_chain(tmp_path: Path, nights: dict[int, str]) -> None:
    cell = next(tmp_path.glob(f"*/runs/{nights[1]}")).parent.parent
    other = shutil.copytree(cell, tmp_path / "test_y-1") / "journal.jsonl"
    other.write_text(other.read_text("utf-8").replace("test_x.py::test_x", "test_y.py::test_y"))
    assert "--chain: needed, because " in refused(tmp_path, "--run", "latest")
    assert chosen(tmp_path, "--chain", "y.py", "--run", "latest") == nights[2]


def test_the_names_work_in_every_command_that_takes_a_run(
    tmp_path: Path, nights: dict[int, str]
) -> None:
    name = ("--soak-dir", tmp_path, "--run", "previous")
    for command in (
        ("verify",),
        ("explain", "--iter=1"),
        ("rollback", "--to-iter=0", "--dry-run"),
    ):
        code, lines = told(*command, *name)
        assert (code, nights[3] in lines[0]) == (0, True), lines
    assert any(nights[3] in line for line in told("summary", *name)[1])
    assert told("baseline", "accept", "previous", "--soak-dir", tmp_path)[1][0].startswith(
        f"accepted {nights[2]} (PASS)"
    )
    path = str(next(tmp_path.glob(f"*/runs/{nights[1]}")))
    assert told("baseline", "accept", path, "--soak-dir", tmp_path)[1][0].startswith(
        f"accepted {nights[1]} (PASS)"
    )
