"""`pytest-soak baseline`: what it says, and what it refuses."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from pytest_soak.schemas import schema_of
from tests.earlier import rewrite, soaked
from tests.support import read_json, told

if TYPE_CHECKING:
    from pathlib import Path

PACK = "demo, default, fixture"
BUSY = f"test_x.py::test_x ({PACK}, busy, off)"
CALM = f"test_x.py::test_x ({PACK}, calm, off)"


def baseline(folder: Path, *args: str) -> tuple[int, list[str]]:
    return told("baseline", *args, "--soak-dir", folder)


def test_it_lists_what_the_runs_of_each_family_are_compared_with(tmp_path: Path) -> None:
    runs = [soaked(tmp_path, day).plan.run_id for day in (1, 2)]
    damaged = soaked(tmp_path, 3)
    soaked(tmp_path, 4, level=1000, scenario="calm")
    rewrite(damaged, lambda records: records.pop(2))
    code, lines = baseline(tmp_path, "show")
    assert code == 0
    shown = [line.partition(": ")[0] for line in lines]
    assert sorted(shown[:2]) == sorted([CALM, "  no baseline yet"])
    assert shown[2:] == [
        BUSY,
        *(f"  kept     {run} PASS" for run in runs),
        f"  left out {damaged.plan.run_id}",
    ]


def test_it_lists_an_accepted_run_and_its_spread_also_when_no_run_is_left(tmp_path: Path) -> None:
    runs = [soaked(tmp_path, day).plan.run_id for day in (1, 2, 3)]
    code, lines = baseline(tmp_path, "accept", "latest")
    (path,) = (tmp_path / "baselines").iterdir()
    assert code == 0
    assert lines == [
        f"accepted {runs[2]} (PASS) of {BUSY}",
        "2 other runs tell how much runs differ; needed: 3, or as many later ones",
        f"written to {path}",
    ]
    rest = [f"  accepted {runs[2]} PASS", *(f"  spread   {run} PASS" for run in runs[:2])]
    assert baseline(tmp_path, "show") == (0, [BUSY, *rest])
    for folder in tmp_path.glob("test_x-*"):
        shutil.rmtree(folder)
    assert baseline(tmp_path, "show") == (0, ["test_x.py::test_x", *rest])
    assert baseline(tmp_path, "forget")[0] == 0
    assert baseline(tmp_path, "forget")[0] == 4  # nothing is left in the folder


def test_the_file_is_what_its_schema_says(tmp_path: Path) -> None:
    for day in (1, 2):
        soaked(tmp_path, day)
    baseline(tmp_path, "accept", "latest")
    (path,) = (tmp_path / "baselines").iterdir()
    anchor = read_json(path)
    validator = Draft202012Validator(schema_of(path.name))
    assert list(validator.iter_errors(anchor)) == []
    assert list(validator.iter_errors({**anchor, "v": 2}))
    assert len(anchor["runs"]) == 1
    assert anchor["accepted"]["values"].keys() == {"latency_p95_ms", "error_rate", "throughput"}


def test_with_several_families_one_is_to_be_chosen(tmp_path: Path) -> None:
    soaked(tmp_path, 1)
    calm = soaked(tmp_path, 2, scenario="calm")
    needed = "ERROR: --chain: needed, because there are several families: "
    assert baseline(tmp_path, "accept", "latest") == (4, [f"{needed}{CALM}; {BUSY}"])
    chain = ("--chain", calm.store.folder.name)
    assert baseline(tmp_path, "accept", "latest", *chain)[0] == 0
    assert baseline(tmp_path, "accept", "20260101")[0] == 0
    code, lines = baseline(tmp_path, "forget")
    assert (code, lines[0].startswith(needed)) == (4, True)
    code, lines = baseline(tmp_path, "forget", *chain)
    assert (code, lines[0]) == (0, f"forgot the accepted run of {CALM}")
    assert baseline(tmp_path, "forget", *chain) == (0, ["nothing to do: no run is accepted"])
    assert len(list((tmp_path / "baselines").iterdir())) == 1


def test_a_run_that_is_unknown_unfinished_or_damaged_is_not_accepted(tmp_path: Path) -> None:
    unfinished = soaked(tmp_path, 1, ends=False)
    good = soaked(tmp_path, 2)
    known = f"there are: {unfinished.plan.run_id}, {good.plan.run_id}"
    refused = {
        "1999": f"unknown run '1999'; {known}",
        "20260101": f"run {unfinished.plan.run_id} has no verdict; allowed: a run that has ended",
        "2026": "'2026' matches several runs: ",
    }
    for given, words in refused.items():
        code, (line,) = baseline(tmp_path, "accept", given)
        assert (code, line.startswith(f"ERROR: baseline accept: {words}")) == (4, True), line
    rewrite(good, lambda records: records.pop(2))
    code, (line,) = baseline(tmp_path, "accept", "20260102")
    assert (code, "journal.jsonl, record 3" in line) == (4, True), line
    assert not (tmp_path / "baselines").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("accept",), "baseline accept: RUN is needed"),
        (("show", "latest"), "baseline show: RUN is not allowed"),
        (("forget", "latest"), "baseline forget: RUN is not allowed"),
        (("show",), "--soak-dir: there are no soaks in "),
        (("keep",), "argument action: invalid choice: 'keep'"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, args: tuple[str, ...], words: str) -> None:
    code, lines = baseline(tmp_path, *args)
    assert code == 4
    assert words in lines[-1]
