"""Two recorded soaks of the market are the regression tests of the shipped tuners."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded"
TUNERS = ("iter-watcher", "trigger-table", "age-relief", "driver-aware", "adaptive")
ITERATIONS = 12


def soak(pytester: pytest.Pytester, name: str) -> pytest.RunResult:
    shutil.copytree(RECORDED, pytester.path, dirs_exist_ok=True)
    return pytester.runpytest(
        f"--soak-iterations={ITERATIONS}",
        "--auto-tune",
        f"--soak-replay={name}.jsonl",
        "recorded_soak.py",
        f"-k={name}_on",
    )


@pytest.mark.parametrize(("name", "failed"), [("converging", 1), ("stuck", len(TUNERS))])
def test_each_shipped_tuner_decides_as_it_did(
    pytester: pytest.Pytester, name: str, failed: int
) -> None:
    """Under driver-aware, which changes nothing, the bad start of the recording counts too."""
    outcomes = soak(pytester, name).parseoutcomes()
    passed = len(TUNERS) * (ITERATIONS + 1) - failed
    deselected = outcomes["deselected"]
    assert outcomes == {"passed": passed, "deselected": deselected, "failed": failed}


def test_every_tuner_moves_something_in_one_of_them() -> None:
    """All but driver-aware: in neither is there a loss, or a third of quotes blocked."""
    for tuner in (name for name in TUNERS if name != "driver-aware"):
        found = RECORDED.rglob(f"*_on-{tuner}*.json")
        recorded = [json.loads(path.read_text("utf-8")) for path in found]
        assert len(recorded) == 2
        assert any(patch for chain in recorded for patch in chain.values()), tuner


def test_a_rule_with_another_step_is_seen(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        "[tool.pytest-soak.packs.market-maker.tuners.trigger-table.step_cap]\n"
        "base_spread_bps_delta = 0.01\n"
    )
    result = soak(pytester, "stuck")
    result.stdout.fnmatch_lines(["FAILED recorded_soak.py::test_stuck_on?trigger-table-iter-0*"])
