"""`pytest-soak runs`: what is listed, and how much of the journals is read for it."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

from pytest_soak.commands.runs import facts_of, held, shortened
from pytest_soak.verify.earlier import recorded_runs
from tests.earlier import STEADY, rewrite, soaked
from tests.support import told

if TYPE_CHECKING:
    from pathlib import Path

FAMILY = "test_x.py::test_x (demo, default, fixture, {}, off)"


def listed(soak_dir: Path, *args: str) -> list[list[str]]:
    code, lines = told("runs", "--soak-dir", soak_dir, *args)
    assert code == 0
    return [line.split() for line in lines]


def test_it_lists_the_runs_of_each_family_the_newest_first(tmp_path: Path) -> None:
    soaked(tmp_path, 1, seed=7)
    soaked(tmp_path, 2, values=(100, 1000, 100, 1000), gates=("latency_p95_ms<=500",))
    unfinished = soaked(tmp_path, 3, values=STEADY[:3], ends=False, scenario="calm")
    rewrite(unfinished, lambda records: records[0]["config"].update(iterations=9))
    assert [" ".join(words) for words in listed(tmp_path)] == [
        FAMILY.format("calm"),
        "run begun (UTC) seed iter held verdict",
        f"20260103T000000Z-0123ab {began(tmp_path, 3)} 0 3/9 unfinished",
        FAMILY.format("busy"),
        "run begun (UTC) seed iter held verdict",
        f"20260102T000000Z-0123ab {began(tmp_path, 2)} 0 4 50 % FAIL",
        f"20260101T000000Z-0123ab {began(tmp_path, 1)} 7 8 100 % PASS",
    ]
    assert len(listed(tmp_path, "--chain", unfinished.store.folder.name)) == 3


def began(soak_dir: Path, day: int) -> str:
    (one,) = (run for run in recorded_runs(soak_dir) if run.run.startswith(f"202601{day:02}"))
    return one.began[:16].replace("T", " ")


def test_a_name_in_the_list_finds_its_run(tmp_path: Path) -> None:
    soaked(tmp_path, 1)
    soaked(tmp_path, 1, scenario="calm")
    soaked(tmp_path, 2)
    names = [row[0] for row in listed(tmp_path) if row[0][0].isdigit()]
    assert len(names) == 3
    for name in names:
        assert told("verify", "--soak-dir", tmp_path, "--run", name)[0] == 0
    assert min(map(len, names)) == len("20260102T000000Z-0123ab")


def test_ids_are_shortened_to_what_tells_them_apart() -> None:
    session = "20260101T000000Z-0123ab"
    assert shortened([f"{session}-aa11", f"{session}-aa22", f"{session}-b"]) == [
        f"{session}-aa1",
        f"{session}-aa2",
        f"{session}-b",
    ]
    assert shortened(["unknown", "unknown"]) == ["unknown", "unknown"]
    assert shortened([]) == []


def test_damaged_runs_are_listed_as_such(tmp_path: Path) -> None:
    cut = soaked(tmp_path, 1).store.folder / "journal.jsonl"
    gone = soaked(tmp_path, 2, scenario="calm").store.folder
    with cut.open("a", encoding="utf-8") as file:
        file.write("no record\n")
    (gone / "journal.jsonl").write_text("[]\n", "utf-8")
    words = listed(tmp_path)
    assert words[0] == FAMILY.format("busy").split()
    assert words[2][-2:] == ["/8", "damaged"]
    assert words[3] == [gone.name]
    assert words[5] == ["unknown", "damaged"]
    facts = json.loads("".join(told("runs", "--json", "--soak-dir", tmp_path)[1]))
    assert [fact["verdict"] for fact in facts] == [None, None]
    assert facts[0]["why"] == f"{cut}: its last line is no record"


def test_json_has_the_whole_id_and_what_is_not_shown(tmp_path: Path) -> None:
    loop = soaked(tmp_path, 1, seed=3)
    (fact,) = json.loads("".join(told("runs", "--json", "--soak-dir", tmp_path)[1]))
    (one,) = recorded_runs(tmp_path)
    assert fact == facts_of(one)
    assert fact == {
        "run": loop.plan.run_id,
        "began": one.began,
        "cell": loop.store.folder.name,
        "test": "test_x.py::test_x",
        "family": one.family,
        "seed": 3,
        "iterations": 8,
        "planned": 8,
        "held": 1.0,
        "verdict": "PASS",
        "why": "",
        "path": str(loop.store.folder),
    }


def test_a_verdict_of_an_earlier_version_says_no_share() -> None:
    assert held({"verdict": "PASS"}) is None
    assert held({"counts": {}}) is None


def test_only_the_ends_of_journals_are_read(tmp_path: Path) -> None:
    def took(loop_dir: Path) -> float:
        start = time.process_time()
        assert len(listed(loop_dir)) == 42
        return time.process_time() - start

    for name, times in (("short", 1), ("long", 12)):
        folder = soaked(tmp_path / name, 1, values=STEADY * times).store.folder
        text = (folder / "journal.jsonl").read_text("utf-8")
        for number in range(40):
            (folder / "runs" / str(number)).mkdir(parents=True)
            (folder / "runs" / str(number) / "journal.jsonl").write_text(text, "utf-8")
        (folder / "journal.jsonl").unlink()
        shutil.rmtree(folder / "reports", ignore_errors=True)
        for path in folder.glob("*.json"):
            path.unlink()
    took(tmp_path / "short")
    assert took(tmp_path / "long") < 3 * took(tmp_path / "short")
