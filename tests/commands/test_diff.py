"""`pytest-soak diff`: what is worse, better, the same, or cannot be told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_soak.commands.diff import word_of
from pytest_soak.gates.baseline import ALARMS, Effect
from tests.earlier import soaked
from tests.support import told

if TYPE_CHECKING:
    from pathlib import Path

GATES = ("latency_p95_ms<=500",)
LEVELS = (0.0, 0.4, -0.4, 0.2)


def diff(soak_dir: Path, *args: str) -> tuple[int, list[str]]:
    return told("diff", *args, "--soak-dir", soak_dir)


def word(lines: list[str], metric: str = "latency_p95_ms") -> str:
    (row,) = (text for text in lines if text.split()[:1] == [metric])
    return " ".join(row.split()).rpartition("]")[2] or row


def kept(folder: Path, *levels: float) -> None:
    """Run a soak for each of *levels*, after those that tell how much runs differ."""
    for day, level in enumerate((*LEVELS, *levels), 1):
        soaked(folder, day, level=level, gates=GATES)


@pytest.mark.parametrize(
    ("level", "code", "said"), [(30, 1, "worse"), (-30, 0, "better"), (0.1, 0, "cannot tell")]
)
def test_a_change_beyond_what_runs_differ_is_told(
    tmp_path: Path, level: float, code: int, said: str
) -> None:
    kept(tmp_path, 0, level)
    found, lines = diff(tmp_path, "previous", "latest")
    assert found == code
    assert word(lines).endswith(said), lines
    assert "4 other runs of the family of A tell how much runs differ" in lines
    assert lines[-1] == "configuration: no difference"


def test_later_runs_tell_how_much_runs_differ_where_there_are_no_earlier_ones(
    tmp_path: Path,
) -> None:
    kept(tmp_path, 0)
    _, lines = diff(tmp_path, "20260101", "20260102")
    assert "3 other runs of the family of A tell how much runs differ" in lines


def test_without_other_runs_nothing_is_told(tmp_path: Path) -> None:
    for day, level in ((1, 0), (2, 300)):
        soaked(tmp_path, day, level=level, gates=GATES)
    code, lines = diff(tmp_path, "previous", "latest")
    assert code == 0
    assert word(lines).endswith("cannot tell")
    assert "0 other runs of the family of A tell how much runs differ; needed: 3" in lines


def test_configuration_that_differs_is_listed_also_of_another_family(tmp_path: Path) -> None:
    soaked(tmp_path, 1, gates=GATES)
    soaked(tmp_path, 2, gates=("latency_p95_ms<=600",), scenario="calm")
    _, lines = diff(tmp_path, "20260101", "20260102")
    assert "B is of another family: test_x.py::test_x (demo, default, fixture, calm, off)" in lines
    assert '  scenario: "busy" → "calm"' in lines
    assert '  kpis.latency_p95_ms.fail: "> 500" → "> 600"' in lines


def test_a_run_without_a_verdict_is_refused(tmp_path: Path) -> None:
    unfinished = soaked(tmp_path, 1, ends=False)
    code, lines = diff(tmp_path, "20260101", "20260101")
    words = f"diff A: run {unfinished.plan.run_id} has no verdict; allowed: a run that has ended"
    assert (code, lines) == (4, [f"ERROR: {words}"])


def test_without_scipy_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(tmp_path, 0, 30)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    code, (line,) = diff(tmp_path, "previous", "latest")
    assert (code, line.startswith("ERROR: diff: ")) == (4, True)
    assert line.endswith("; install pytest-soak[stats]")


def effect(value: float, reach: float) -> Effect:
    return Effect(before=100, now=100 + value, reach=reach, sigma=1, found=0.5)


@pytest.mark.parametrize(
    ("kpi", "value", "reach", "said"),
    [
        ({"fail": "> 5"}, 3, 1, "worse"),
        ({"fail": "> 5"}, -3, 1, "better"),
        ({"fail": None, "warn": "< 5"}, 3, 1, "better"),
        ({}, 3, 1, "differs"),
        ({}, 0.2, 0.5, "same"),
        ({"fail": "> 5"}, 0.6, 0.7, "cannot tell"),
        ({"fail": "> 5", "baseline": {"fail": "> +10 %"}}, 3, 1, "same"),
        ({"baseline": {"fail": "< -2 %"}}, -3, 1, "worse"),
        ({"baseline": {"fail": "> +9 %", "warn": "> +2 %"}}, 3, 1, "worse"),
    ],
)
def test_the_word_follows_the_kpis_limits(
    kpi: dict[str, object], value: float, reach: float, said: str
) -> None:
    assert word_of(effect(value, reach), kpi) == said


def test_p_is_small_exactly_where_the_interval_has_no_zero(tmp_path: Path) -> None:
    kept(tmp_path, 0, *(0.5 * step for step in range(1, 8)))
    seen = set()
    for day in range(6, 13):
        _, lines = diff(tmp_path, "20260105", f"202601{day:02}")
        (row,) = (text for text in lines if "latency_p95_ms" in text and "[" in text)
        low, high = (float(one) for one in row.partition("[")[2].partition("]")[0].split(","))
        p = float(row.partition("]")[2].split()[0])
        assert (p < 2 * ALARMS) is (low > 0 or high < 0), row
        seen.add(p < 2 * ALARMS)
    assert seen == {True, False}
