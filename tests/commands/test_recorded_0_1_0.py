"""Soaks that release 0.1.0 recorded: every command can read them without changing them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.support import DEMO, chain_folder_in, problems, read_json, records, told

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded_0_1_0"
NAMES = sorted(path.name for path in RECORDED.iterdir())
STUCK = """
from pytest_soak import SystemFailure
from pytest_soak.systems.mock import MockSystem

class Stuck(MockSystem):
    def close(self):
        raise SystemFailure("the port is still open")

def pytest_soak_systems():
    return {"stuck": Stuck}
"""
RESUME = ("--soak-iterations=4", "--auto-tune", "--soak-system=stuck", "--soak-resume=force")
"""By force, because the demo pack of this release may not be that of 0.1.0."""


@pytest.fixture
def soak_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of the recorded soak that the test names."""
    return Path(shutil.copytree(RECORDED / request.param, tmp_path / "soak"))


def digests(soak_dir: Path) -> dict[str, str]:
    """Return the hash of every file of a soak, except for locks."""
    files = (path for path in soak_dir.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def journal(soak_dir: Path) -> Path:
    return chain_folder_in(soak_dir, "test_demo") / "journal.jsonl"


@pytest.mark.parametrize("soak_dir", NAMES, indirect=True)
def test_every_reading_command_works_and_changes_nothing(soak_dir: Path) -> None:
    before = digests(soak_dir)
    code, lines = told("verify", "--soak-dir", soak_dir)
    assert code == 0, lines
    last = records(journal(soak_dir).parent)[-1]["iteration"]
    for number in range(1, last + 1):
        code, lines = told("explain", "--iter", number, "--soak-dir", soak_dir)
        assert code == 0, lines
    code, lines = told("summary", "--soak-dir", soak_dir)
    assert code == 0, lines
    code, lines = told("rollback", "--to-iter=0", "--dry-run", "--soak-dir", soak_dir)
    assert code == 0, lines
    assert digests(soak_dir) == before


@pytest.mark.parametrize(
    ("soak_dir", "code", "last"),
    [
        ("tuned", 0, "as recorded"),
        ("untuned", 0, "as recorded"),
        ("rolled_back", 0, "as recorded"),
        ("interrupted", 0, "as recorded"),
        # No system was closed this time.
        ("resumed", 1, "the verdict differs: recorded INCONCLUSIVE, replayed WARN"),
    ],
    indirect=["soak_dir"],
)
def test_replay_decides_them_as_recorded(soak_dir: Path, code: int, last: str) -> None:
    found, lines = told("replay", journal(soak_dir))
    assert (found, lines[-1].partition(": ")[2]) == (code, last), lines


@pytest.mark.parametrize("soak_dir", ["problems"], indirect=True)
def test_their_problems_are_shown_as_0_1_0_worded_them(soak_dir: Path) -> None:
    _, lines = told("summary", "--soak-dir", soak_dir)
    page = "\n".join(lines).replace("\\", "")
    for text in (
        "- iteration 2: error_rate is null (undefined)",
        "- iteration 3: the database was away",
        "- iteration 4: override_not_effective: workers asked=4 used=1",
        "- iteration 7: its test did not pass",
        "- iteration 8: did not run",
    ):
        assert text in page
    _, lines = told("explain", "--iter=6", "--soak-dir", soak_dir)
    cuts = [text for text in lines if "cut to" in text or "became" in text]
    assert cuts == ["  budget: workers budget: +2 cut to +1: 2 of 3 used in 4 iterations"]


@pytest.mark.parametrize("soak_dir", NAMES, indirect=True)
def test_a_rollback_adds_a_line_and_leaves_earlier_lines_unchanged(soak_dir: Path) -> None:
    path = journal(soak_dir)
    before = path.read_bytes()
    code, lines = told("rollback", "--to-iter=1", "--soak-dir", soak_dir)
    assert code == 0, lines
    after = path.read_bytes()
    assert after.startswith(before)
    changed = len(after) > len(before)
    assert changed == (
        lines[1] != "nothing to do: the overrides are already those after iteration 1"
    )
    if changed:
        assert json.loads(after.splitlines()[-1])["v"] == 2
    code, lines = told("verify", "--soak-dir", soak_dir)
    assert code == 0, lines


@pytest.mark.parametrize("soak_dir", ["tuned"], indirect=True)
def test_a_lost_file_is_rebuilt_unchanged(soak_dir: Path) -> None:
    before = digests(soak_dir)
    for path in journal(soak_dir).parent.glob("*.json"):
        path.unlink()
    code, lines = told("verify", "--repair", "--soak-dir", soak_dir)
    assert code == 0, lines
    assert digests(soak_dir) == before


def test_an_interrupted_one_resumes_and_its_lines_stay_unchanged(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(STUCK)
    pytester.makepyfile(test_demo=DEMO)
    soak_dir = pytester.path / "artifacts" / "soak"
    shutil.copytree(RECORDED / "interrupted", soak_dir)
    path = journal(soak_dir)
    before = path.read_bytes()
    result = pytester.runpytest(*RESUME)
    assert result.ret == 1  # the system cannot be closed, as before
    assert path.read_bytes().startswith(before)
    lines = records(path.parent)
    assert [(r["v"], r["iteration"]) for r in lines if r["kind"] == "iteration"] == [
        *((1, 1), (1, 2)),
        *((2, 3), (2, 4)),
    ]
    gate = read_json(path.parent / "KPI_GATE.json")
    assert problems(gate) == ["closing: system stuck: the port is still open"]
    code, found = told("verify", "--soak-dir", soak_dir)
    assert code == 0, found


def test_an_ended_one_can_be_replayed_in_a_new_soak(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    recorded = journal(RECORDED / "tuned")
    replay = ("--soak-system=replay", f"--soak-replay={recorded}")
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", *replay)
    assert result.ret == 0
    last = recorded.read_bytes().splitlines()[-1]
    folder = chain_folder_in(pytester.path / "artifacts" / "soak", "test_demo")
    config = records(folder)[0]["config"]
    assert config["recording"] == hashlib.sha256(last).hexdigest()


@pytest.mark.parametrize("soak_dir", ["problems"], indirect=True)
def test_a_changed_line_is_found_by_its_hash(soak_dir: Path) -> None:
    path = journal(soak_dir)
    path.write_bytes(
        path.read_bytes().replace(b"the database was away", b"the database was here", 1)
    )
    code, lines = told("verify", "--soak-dir", soak_dir)
    assert code == 1
    assert any("one of the two was changed" in text for text in lines), lines


@pytest.mark.parametrize("soak_dir", ["problems"], indirect=True)
@pytest.mark.parametrize("summary", ["null", '{"problems": [7]}', '{"problems": 7}', "{}"])
def test_an_invalid_record_is_refused_with_its_line(soak_dir: Path, summary: str) -> None:
    path = journal(soak_dir)
    lines = path.read_bytes().splitlines()
    record = {**json.loads(lines[1]), "summary": json.loads(summary)}
    lines[1] = json.dumps(record, sort_keys=True).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    code, found = told("verify", "--soak-dir", soak_dir)
    assert code == 1
    assert any("record 1: is not a valid record" in text for text in found), found
    code, found = told("summary", "--soak-dir", soak_dir)
    assert code == 4
