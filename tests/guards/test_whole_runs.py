"""Every guard in a whole run: the parameters of the system show that the guard acted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_soak import guards
from tests.logged import CRASHES_ONCE, LoggedSoak


@pytest.mark.parametrize(
    ("start", "asked", "new"),
    [
        pytest.param(100, 5, 100, id="above, further up: held"),
        pytest.param(100, -30, 70, id="above, back: as far as asked"),
        pytest.param(1, -1, 1, id="below, further down: held"),
        pytest.param(1, 2, 3, id="below, up: as far as asked"),
        pytest.param(48, 5, 50, id="inside, up: cut"),
        pytest.param(6, -5, 5, id="inside, down: cut"),
    ],
)
def test_the_clamp_neither_turns_a_step_around_nor_enlarges_it(
    pytester: pytest.Pytester, start: int, asked: int, new: int
) -> None:
    logged = LoggedSoak(pytester, deltas=f"batch_size={asked}")
    seed = f'--soak-overrides={{"batch_size": {start}}}'
    logged.soak(3, "--auto-tune", "--soak-tuner=asks", seed)
    assert logged.ran("batch_size")[:2] == [start, new]
    tuning = logged.read("ITER_SUMMARY_1.json")["tuning"]
    assert tuning["effective"]["batch_size"] == new - start


GUARDS = {
    "observation_window": ("up", "pass", "", "observation_window", [4, 6, 8, 10, 10, 10]),
    "metrics_usable": ("up", "totals['error_rate'] = None", "", "inconclusive", [4, 4, 6, 8, 8, 8]),
    "conflict": ("up,down", "pass", "", "conflict", [2] * 6),
    "clamp": ("asks", "pass", "", "", [2] * 6),
    "drift": ("up", "pass", "", "drift", [4, 6, 8, 10, 10, 10]),  # warns, and stops nothing
    "cooldown": ("up", "pass", "guards.cooldown.iterations = 1", "cooldown", [4, 4, 6, 6, 6, 6]),
    "binding": (
        "up",
        "pass",
        "parameters.workers.binding = { metric = 'throughput', op = '<', value = 50 }",
        "binding",
        [2] * 6,
    ),
    "alarm": (
        "up",
        "pass",
        "guards.alarm.levels.workers = { warn = 3, pause = 5 }",
        "alarm",
        [4, 6, 6, 6, 6, 6],
    ),
    "freeze": (
        "up",
        "pass",
        """guards.freeze.parameters = ["workers"]
        guards.freeze.when = [{ metric = "throughput", op = ">", value = 50 }]""",
        "freeze",
        [4, 4, 4, 4, 4, 4],
    ),
    "caps": ("asks", "pass", "", "caps", [2] * 6),
    "oscillation": ("wiggles", "pass", "", "oscillation", [3, 2, 3, 3, 3, 3]),
    "confirmation": (
        "up",
        "pass",
        "guards.confirmation.iterations = 2",
        "confirmation",
        [2, 4, 6, 8, 8, 8],
    ),
    "smoothing": ("up", "pass", "guards.smoothing.alpha = 0.1", "smoothing", [2, 2, 3, 4, 4, 4]),
    "budget": ("up", "pass", "guards.budget.largest.workers = 3", "budget", [4, 5, 5, 5, 5, 5]),
}
"""``{guard: (tuners, code in iteration 2, pack, the reason, workers after each iteration)}``"""


OWN_RUN = {"restarted", "auto_rollback", "plain_rollback", "undone"}
"""Guards whose runs are below or in tests/guards/test_rollback.py."""


def test_every_guard_has_a_run_in_which_it_acts() -> None:
    """It is listed here, or has its own file beside this one."""
    folder = Path(next(iter(guards.__path__)))
    there = {path.stem for path in folder.glob("*.py")} - {"__init__", "protocol"}
    own = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert {*GUARDS, *OWN_RUN} <= there <= {*GUARDS, *OWN_RUN, *own}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_acts_on_what_the_system_runs_with(pytester: pytest.Pytester, guard: str) -> None:
    tuners, mischief, pack, reason, workers = GUARDS[guard]
    pytester.makepyprojecttoml(f"[tool.pytest-soak.packs.demo]\n{pack}\n" if pack else "")
    second = f"if iteration == 2:\n    {mischief}"
    logged = LoggedSoak(pytester, second, deltas="workers=-1")
    logged.soak(6, "--auto-tune", f"--soak-tuner={tuners}")
    assert logged.ran("workers") == [2, *workers[:-1]]
    assert logged.read("runtime_overrides.json").get("workers", 2) == workers[-1]
    report = logged.read("TUNING_REPORT.json")
    told = {**report["skip_reasons"], **report["notices"]}
    assert bool(told.get(reason)) is bool(reason)
    notes = logged.read("ITER_SUMMARY_1.json")["tuning"]["notes"]
    assert notes == ({"workers": "hold"} if guard in {"clamp", "caps"} else {})


def test_a_restarted_system_is_not_tuned_in_its_first_iteration(pytester: pytest.Pytester) -> None:
    logged = LoggedSoak(pytester, test=CRASHES_ONCE, more="\nLogging.keeps_state = False\n")
    logged.soak(6, "--auto-tune", "--soak-tuner=up", "-n2")
    assert logged.ran("workers") == [2, 4, 6, 8, 8, 8]  # not 10 after iteration 4; 5 and 6 are last
    assert logged.read("ITER_SUMMARY_4.json")["tuning"]["skip_reason"] == "restarted"
