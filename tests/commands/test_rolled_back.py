"""The commands on a run in which a guard rolled parameters back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.commands.explain import explained
from pytest_soak.commands.verify import examine
from tests.commands.conftest import only_chain, replay, soak
from tests.strategies import mock_system, tuner
from tests.support import linked, records, told

if TYPE_CHECKING:
    from pathlib import Path

GREEDY = mock_system(
    "cliff", after="report['totals']['throughput'] = 90 if parameters['workers'] > 4 else 100"
) + tuner('Proposal({"workers": 1, "batch_size": -9}, ("up",))', name="up")
PACK = """
[tool.pytest-soak.packs.demo]
objective = { metric = "throughput", better = "up" }
noise.throughput = 1.0
guards.budget = { window = 3, largest = { batch_size = 12 } }
"""
BACK = 3
"""The iteration to which the run goes back, after iteration 5."""


@pytest.fixture(scope="session")
def rolled_back(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a chain that a guard rolled back after its fifth iteration."""
    folder = tmp_path_factory.mktemp("rolled_back")
    (folder / "conftest.py").write_text(GREEDY)
    (folder / "pyproject.toml").write_text(PACK)
    (folder / "test_demo.py").write_text("def test_demo(soak):\n    soak.run()\n")
    run = ("--soak-iterations=9", "--auto-tune", "--soak-system=cliff", "--soak-tuner=up")
    soak(folder, *run, "--soak-dir=work", code=1)
    return only_chain(folder / "work")


def findings(found: list[dict[str, Any]]) -> list[str]:
    """Return the findings in a journal with the records *found*."""
    told_of, _ = examine(linked(found), "", None, lambda _: None)
    return [str(finding) for finding in told_of if not finding.note]


def changed(folder: Path, **rollback: object) -> list[str]:
    """Return the findings after changing the recorded rollback."""
    found = records(folder)
    found[5]["decision"]["rollback"] |= rollback
    return findings(found)


def test_verify_finds_nothing(rolled_back: Path) -> None:
    assert records(rolled_back)[5]["decision"]["rollback"]["to_iteration"] == BACK
    assert findings(records(rolled_back)) == []
    code, lines = told("verify", "--soak-dir", rolled_back.parent)
    assert (code, lines[-1].startswith("0 findings, 0 notes")) == (0, True)


def test_verify_finds_a_rollback_to_parameters_that_never_ran(rolled_back: Path) -> None:
    nowhere = {**records(rolled_back)[5]["decision"]["rollback"]["parameters"], "workers": 3.5}
    (line, *_) = changed(rolled_back, parameters=nowhere)
    assert "iteration 5): it rolls back to parameters that iteration 3 did not run with: {" in line


@pytest.mark.parametrize("other", [4, 77])
def test_verify_finds_that_the_patch_is_not_the_rollback(rolled_back: Path, other: int) -> None:
    lines = changed(rolled_back, to_iteration=other)
    assert f"it rolls back to parameters that iteration {other} did not run with" in lines[0]
    assert "its patch does not match its decision: " in lines[1]


def test_verify_treats_an_unapplied_rollback_as_no_change(rolled_back: Path) -> None:
    found = records(rolled_back)[:6]
    found[5]["applied"] = False
    (line, *_) = findings(found)
    assert "its patch does not match its decision: " in line


def test_explain_shows_the_rollback_and_its_effect(rolled_back: Path) -> None:
    code, lines = told("explain", "--iter", "5", "--soak-dir", rolled_back.parent)
    assert code == 0
    at = lines.index("guards")
    assert lines[at + 1].startswith("  auto_rollback: stopped everything: auto_rollback: throughp")
    at = lines.index("changes")
    assert [line.split() for line in lines[at + 1 : at + 4]] == [
        ["rolled", "back", "to", "the", "parameters", "of", "iteration", "3"],
        ["batch_size", "19", "→", "28", "(+9)", "auto_rollback", "to", "iteration", "3"],
        ["workers", "6", "→", "4", "(-2)", "auto_rollback", "to", "iteration", "3"],
    ]
    assert lines[lines.index("effect") + 1] == (
        "  the next report confirms that the system used the new values"
    )


def test_explain_shows_a_cut_once_with_its_guard(rolled_back: Path) -> None:
    lines = explained(records(rolled_back), 2)
    cut = [line for line in lines if "batch_size" in line and "cut" in line]
    assert cut == ["  budget: batch_size budget: -9 cut to -3: 9 of 12 used in 3 iterations"]
    assert not [line for line in lines if "a guard:" in line]


def test_replay_decides_the_rollback_again(
    rolled_back: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rolled_back.parent.parent)
    code, shown, _ = replay(rolled_back)
    assert code == 0, shown
    assert "up: as recorded" in shown
    off = "--set=guards.auto_rollback.enabled=false"
    code, shown, _ = replay(rolled_back, off)
    assert code == 1
    recorded = [line for line in shown.splitlines() if line.startswith("      recorded")]
    assert recorded[0].endswith("batch_size 19 → 28, workers 6 → 4")
