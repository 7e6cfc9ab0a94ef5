"""`pytest-soak rollback` restores overrides through the journal, and changes nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_soak.runner.resume import newest_unfinished
from tests.commands.conftest import TUNED, only_chain, soak
from tests.strategies import SLOW
from tests.support import (
    DEMO,
    linked,
    read_json,
    records,
    told,
    tree,
    unlike_journal,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDED = ("--soak-dir", "ended")
BROKEN = ("--soak-dir", "broken")
AFTER = {
    0: {},
    1: {"backoff_s": 0.3, "batch_size": 35, "workers": 4},
    2: {"backoff_s": 0.4, "batch_size": 30, "workers": 6},
    3: {"backoff_s": 0.5, "batch_size": 25, "workers": 8},
}


def overrides(folder: Path) -> dict[str, float]:
    return read_json(folder / "runtime_overrides.json")


@pytest.mark.parametrize("to", [0, 1, 2])
def test_a_rollback_restores_the_overrides_after_an_iteration_and_is_recorded(
    ended: Path, to: int
) -> None:
    before = records(ended)
    code, lines = told("rollback", "--to-iter", to, *ENDED)
    assert code == 0
    assert overrides(ended) == AFTER[to]
    *same, record = records(ended)
    assert same == before
    assert (record["kind"], record["to_iteration"], record["ended"]) == ("rolled_back", to, True)
    assert (
        lines[1]
        == f"restored the overrides {f'after iteration {to}' if to else 'at the start of the run'}"
    )
    assert f"  workers: 8 → {AFTER[to].get('workers', '2 (base)')}" in lines
    assert lines[-2] == f"overrides in ended/{ended.name}/runtime_overrides.json"
    head = lines[-1].removeprefix("journal head ")
    assert told("verify", *ENDED, "--head", head)[0] == 0


def test_an_ended_run_keeps_its_verdict_and_stays_ended(ended: Path) -> None:
    kept = {
        path: path.read_bytes()
        for path in ended.rglob("*")
        if path.is_file()
        and path.name not in ("journal.jsonl", "runtime_overrides.json", "applied_profile.json")
    }
    assert ended / "KPI_GATE.json" in kept
    told("rollback", "--to-iter", "1", *ENDED)
    assert {path: path.read_bytes() for path in kept} == kept
    profile = read_json(ended / "applied_profile.json")
    assert profile["applied"] == {**profile["base"], **AFTER[1]}
    back = [
        (adjusted["field"], adjusted["from"], adjusted["to"])
        for adjusted in profile["runtime_adjustments"]
        if adjusted["reason"] == "rollback_to_iter_1"
    ]
    assert back == [("backoff_s", 0.5, 0.3), ("batch_size", 25, 35), ("workers", 8, 4)]
    assert newest_unfinished(ended) is None
    with (ended / "journal.jsonl").open("ab") as file:
        file.write(b'{"torn"')
    code, lines = told("rollback", "--to-iter", "1", *ENDED)
    assert (code, lines[1]) == (
        0,
        "nothing to do: the overrides are already those after iteration 1",
    )
    assert records(ended)[-1]["kind"] == "damage_found"
    assert newest_unfinished(ended) is None


def test_back_and_forth_leaves_the_overrides_as_they_were(ended: Path) -> None:
    for to in (0, 3, 2, 3):
        assert told("rollback", "--to-iter", to, *ENDED)[0] == 0
        assert overrides(ended) == AFTER[to]
    assert told("verify", *ENDED)[0] == 0
    assert unlike_journal(ended) == []


def test_a_rollback_to_the_current_overrides_records_nothing(ended: Path) -> None:
    before = {name: content for name, (_, content) in tree(ended).items()}
    for to in (3, 4, 6):
        code, lines = told("rollback", "--to-iter", to, *ENDED)
        assert code == 0
        assert lines[1] == f"nothing to do: the overrides are already those after iteration {to}"
    assert {name: content for name, (_, content) in tree(ended).items()} == before


def test_manual_edits_of_the_overrides_are_shown_and_undone(ended: Path) -> None:
    (ended / "runtime_overrides.json").write_text('{"workers": 99}')
    code, lines = told("rollback", "--to-iter", "1", *ENDED)
    assert code == 0
    assert any(
        "the overrides file had been edited: " in text and "workers was 99" in text
        for text in lines
    )
    assert overrides(ended) == AFTER[1]


def test_a_dry_run_shows_the_patch_and_changes_nothing(workplace: Path, ended: Path) -> None:
    with (ended / "journal.jsonl").open("ab") as file:
        file.write(b'{"torn": ')
    before = tree(workplace)
    code, lines = told("rollback", "--to-iter", "1", "--dry-run", *ENDED)
    assert code == 0
    assert tree(workplace) == before
    assert lines[1:3] == ["would restore the overrides after iteration 1", "patch:"]
    patch = [json.loads(text) for text in lines[3:9]]
    assert lines[9:] == ["  backoff_s: 0.5 → 0.3", "  batch_size: 25 → 35", "  workers: 8 → 4"]
    assert told("rollback", "--to-iter", "1", *ENDED)[0] == 0
    assert records(ended)[-1]["patch"] == patch
    assert records(ended)[-2]["kind"] == "damage_found"
    code, lines = told("rollback", "--to-iter", "1", "--dry-run", *ENDED)
    assert lines[1:] == ["nothing to do: the overrides are already those after iteration 1"]


def test_an_earlier_run_is_rolled_back_in_its_own_folder(workplace: Path) -> None:
    soak(workplace, *TUNED, "--soak-dir=broken")
    chain = only_chain(workplace / "broken")
    (aside,) = (chain / "runs").iterdir()
    newest = {name: content for name, (_, content) in tree(chain).items() if "/runs/" not in name}
    code, lines = told("rollback", "--to-iter", "1", *BROKEN, "--run", aside.name)
    assert code == 0
    assert lines[-2] == f"overrides in {(aside / 'runtime_overrides.json').relative_to(workplace)}"
    assert overrides(aside) == AFTER[1]
    there = {name: content for name, (_, content) in tree(chain).items() if "/runs/" not in name}
    assert there == newest
    assert told("verify", *BROKEN, "--all-runs")[0] == 0


def test_a_resume_continues_from_the_restored_overrides(workplace: Path, broken: Path) -> None:
    applied = overrides(broken)
    assert applied == AFTER[3]
    assert told("rollback", "--to-iter", "1", *BROKEN)[0] == 0
    (workplace / "test_demo.py").write_text(DEMO)
    soak(workplace, *TUNED, "--soak-dir=broken", "--soak-resume", code=1)  # iteration 4 is FAIL
    found = {r["iteration"]: r for r in records(broken) if r["kind"] == "iteration"}
    fourth = found[4]["summary"]["parameters"]
    assert {name: fourth[name] for name in AFTER[1]} == AFTER[1]
    assert found[4]["settles"] is None
    assert read_json(broken / "ITER_SUMMARY_3.json")["tuning"]["verified"] is None
    assert records(broken)[-1]["kind"] == "run_ended"
    code, lines = told("verify", *BROKEN)
    assert code == 0, lines
    assert [text.partition(": ")[2] for text in lines if text.startswith("NOTE")] == [
        "the overrides were rolled back to those after iteration 1",
        "the run was resumed",
        "its changes were rolled back before a report could confirm them",
    ]
    code, lines = told("explain", "--iter", "3", *BROKEN)
    assert "  after iteration 3 the overrides were rolled back to those of iteration 1" in lines
    assert not any("next report" in text for text in lines)


def test_the_file_of_to_file_can_start_the_next_soak(workplace: Path, ended: Path) -> None:
    target = workplace / "from here.json"
    code, lines = told("rollback", "--to-iter", "2", *ENDED, "--to-file", target)
    assert code == 0
    assert f"written to {target}" in lines
    assert read_json(target) == AFTER[2]
    soak(workplace, *TUNED, "--soak-dir=next", "--soak-overrides", str(target))
    start = records(only_chain(workplace / "next"))[0]
    assert (start["overrides"], start["overrides_source"]) == (AFTER[2], "option")
    target.unlink()
    code, lines = told("rollback", "--to-iter", "2", *ENDED, "--to-file", target)
    assert (code, lines[1][:13]) == (0, "nothing to do")
    assert read_json(target) == AFTER[2]
    assert ended.exists()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("ended/{chain}/journal.jsonl", "is in the folder of a chain; allowed: a path outside"),
        ("ended/{chain}/runs/x.json", "is in the folder of a chain; allowed: a path outside"),
        ("nowhere/x.json", "nowhere/x.json: cannot be written: No such file or directory"),
        (
            "ended",
            "--to-file: ended is not a regular file; allowed: a new file, a regular file, or a",
        ),
    ],
)
def test_an_invalid_target_is_refused_and_nothing_is_rolled_back(
    ended: Path, target: str, says: str
) -> None:
    before = {name: content for name, (_, content) in tree(ended).items()}
    path = target.format(chain=ended.name)
    code, (text,) = told("rollback", "--to-iter", "2", *ENDED, "--to-file", path)
    assert code == 4
    assert says in text
    assert {name: content for name, (_, content) in tree(ended).items()} == before


def test_a_pipe_or_a_broken_link_is_refused_and_left_unchanged(
    ended: Path, workplace: Path
) -> None:
    pipe, to_pipe, astray = (workplace / name for name in ("pipe", "to-pipe", "astray"))
    os.mkfifo(pipe)
    to_pipe.symlink_to(pipe)
    astray.symlink_to(workplace / "nothing")
    before = {name: content for name, (_, content) in tree(ended).items()}
    for target in (pipe, to_pipe, astray):
        code, lines = told("rollback", "--to-iter", "2", *ENDED, "--to-file", target)
        assert (code, len(lines)) == (4, 1)
        assert f"--to-file: {target} is not a regular file; allowed: " in lines[0]
    assert pipe.is_fifo()
    assert to_pipe.readlink() == pipe
    assert astray.readlink() == workplace / "nothing"
    assert {name: content for name, (_, content) in tree(ended).items()} == before


@pytest.mark.usefixtures("ended")
def test_a_link_to_a_file_is_followed(workplace: Path) -> None:
    target, link = workplace / "target.json", workplace / "link.json"
    target.write_text("{}")
    link.symlink_to(target)
    assert told("rollback", "--to-iter", "2", *ENDED, "--to-file", link)[0] == 0
    assert link.readlink() == target
    assert read_json(target) == AFTER[2]


def test_a_full_disk_is_one_error_line_and_nothing_is_changed(
    ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: content for name, (_, content) in tree(ended).items()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, (text,) = told("rollback", "--to-iter", "2", *ENDED)
    assert code == 4
    assert text.endswith("journal.jsonl: cannot be written: No space left on device")
    assert {name: content for name, (_, content) in tree(ended).items()} == before


@pytest.mark.parametrize("command", [("rollback", "--to-iter", "2"), ("explain", "--iter", "2")])
def test_a_damaged_journal_is_refused_with_the_reason(
    ended: Path, command: tuple[str, ...]
) -> None:
    journal = ended / "journal.jsonl"
    whole = journal.read_bytes()
    found = records(ended)
    found[3]["state_after"] = "0" * 64
    for content, says in (
        (whole.replace(b'"busy"', b'"calm"', 1), "record 1 (iteration 1): its prev is "),
        (linked(found), "record 3 (iteration 3): its state_after is not the hash of the"),
        (b"", "has no record: the run was killed before it began"),
    ):
        journal.write_bytes(content)
        for dry in ((), ("--dry-run",)) if "rollback" in command else ((),):
            code, (text,) = told(*command, *ENDED, *dry)
            assert code == 4
            assert says in text
        assert journal.read_bytes() == content
    journal.unlink()
    code, (text,) = told(*command, *ENDED)
    assert code == 4
    assert text.endswith("journal.jsonl: No such file or directory")


@pytest.fixture
def at_work(workplace: Path) -> Iterator[Path]:
    """Start a soak that waits in its third iteration; return its chain's folder."""
    (workplace / "conftest.py").write_text(SLOW)
    args = (*TUNED, "--soak-system=slow", "--soak-dir=work", "-p", "no:randomly")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *args], cwd=workplace, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: any(workplace.glob("reached-*")) or process.poll() is not None)
        yield only_chain(workplace / "work")
    finally:
        process.kill()
        process.wait()


def test_while_a_soak_runs_a_rollback_is_refused(at_work: Path) -> None:
    def command(*args: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest_soak", *args, "--soak-dir=work"],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
        assert "Traceback" not in ran.stderr
        return ran.returncode, ran.stdout + ran.stderr

    before = tree(at_work)
    code, text = command("rollback", "--to-iter", "1")
    assert code == 4
    assert text.startswith("ERROR: work/test_demo-")
    assert "another soak or command holds this folder" in text
    code, text = command("rollback", "--to-iter", "1", "--dry-run")
    assert (code, "  workers: 6 → 4" in text) == (0, True)
    code, text = command("verify")
    assert (code, "a soak is running in this folder" in text) == (0, True)
    assert tree(at_work) == before


def test_after_a_soak_was_killed_rollback_verify_and_resume_work(
    at_work: Path, workplace: Path
) -> None:
    pid = next(workplace.glob("reached-*")).name.partition("-")[2]
    os.kill(int(pid), 9)
    work = ("--soak-dir", "work")
    wait_for(lambda: told("rollback", "--to-iter", "1", *work)[0] == 0)
    assert overrides(at_work) == AFTER[1]
    code, lines = told("verify", *work)
    assert code == 0, lines
    (workplace / "conftest.py").write_text(SLOW.replace("iteration == 3", "False"))
    soak(workplace, *TUNED, "--soak-system=slow", *work, "--soak-resume")
    assert told("verify", *work)[0] == 0
    assert overrides(at_work) == AFTER[3]


def test_a_soak_under_xdist_can_be_rolled_back(workplace: Path) -> None:
    soak(workplace, *TUNED, "--soak-dir=two", "-n1")
    assert told("rollback", "--to-iter", "1", "--soak-dir", "two")[0] == 0
    assert overrides(only_chain(workplace / "two")) == AFTER[1]
    shutil.rmtree(workplace / "two")


def test_unchanged_overrides_are_not_listed(
    workplace: Path,
) -> None:
    soak(workplace, *TUNED, "--soak-dir=seeded", '--soak-overrides={"backoff_s": 0.7}')
    code, lines = told("rollback", "--to-iter", "0", "--soak-dir", "seeded")
    assert code == 0
    assert [text.partition(":")[0].strip() for text in lines[2:-2]] == ["batch_size", "workers"]
    chain = only_chain(workplace / "seeded")
    assert overrides(chain) == {"backoff_s": 0.7}
    adjusted = read_json(chain / "applied_profile.json")["runtime_adjustments"]
    back = [change["field"] for change in adjusted if change["reason"] == "rollback_to_iter_0"]
    assert back == ["batch_size", "workers"]
