"""How often verdicts are right: the short form of ``python -m tests.bench.verdict_rates``."""

from __future__ import annotations

import random
import re
import statistics
import sys

import pytest

from pytest_soak.gates.baseline import compare
from pytest_soak.gates.slope import rates
from pytest_soak.model.stretch import RunValues
from tests.bench import verdict_rates
from tests.bench.verdict_rates import BASELINE, LENGTHS, NOISES, ROWS, TREND, Share, white
from tests.docs.pages import ROOT

TABLE = ROOT / "docs" / "verdict-rates.md"


def figures(criterion: str, name: str, n: int, runs: int = 100) -> tuple[Share, Share]:
    case, noise = ROWS[criterion][name]
    told = case.figures(noise, n, runs, seed=3)
    assert told is not None
    return told


@pytest.mark.parametrize("noise", [name for name in NOISES if name != "daily waves"])
def test_a_trend_keeps_its_promises(noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_soak.gates.slope.rates", lambda *_: (0, 0))  # to save time
    alarms, found = figures("trend", noise, n=96)
    assert alarms.interval[0] <= 0.02
    assert found.interval[1] >= 0.9


@pytest.mark.parametrize("noise", ["runs differ by .5 sigma", "those of two KPIs do"])
def test_a_baseline_alarms_as_seldom_as_promised(noise: str) -> None:
    alarms, _ = figures("baseline", noise, n=8, runs=40)
    assert alarms.interval[0] <= 0.01


@pytest.mark.parametrize(("noise", "runs"), [("white", 40), ("one KPI", 200)])
def test_a_baseline_keeps_both_promises_where_runs_do_not_differ(noise: str, runs: int) -> None:
    alarms, found = figures("baseline", noise, n=8, runs=runs)
    assert alarms.interval[0] <= 0.01
    assert found.interval[1] >= 0.8


def test_a_budget_accepts_what_chance_does_to_a_long_run() -> None:
    without, _ = figures("limits", "white", n=288, runs=20)
    alarms, found = figures("limits, tolerate", "white", n=288, runs=20)
    assert without.count > 2
    assert alarms.count == 0
    assert found.count == 20


def test_the_short_form_sees_a_trend_that_alarms_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_soak.gates.slope.BLOCKS", 48)  # nearly all values one by one
    monkeypatch.setattr("pytest_soak.gates.slope.rates", lambda *_: (0, 0))  # which are kept
    assert figures("trend", "AR(1) .8", n=96, runs=100)[0].interval[0] > 0.02


def test_the_short_form_sees_a_baseline_that_alarms_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_soak.gates.baseline.ALARMS", 0.3)
    assert figures("baseline", "one KPI", n=8, runs=40)[0].interval[0] > 0.01


# ---- what a run says of its own rates


@pytest.mark.parametrize(("noise", "dependence"), [("white", 0), ("AR(1) .8", 0.8)])
def test_a_trend_tells_the_rates_that_are_measured(noise: str, dependence: float) -> None:
    for share, told in zip(figures("trend", noise, 96), rates(96, dependence), strict=True):
        low, high = share.interval
        assert low <= told <= high


def test_a_baseline_tells_the_rate_that_is_measured() -> None:
    numbers = random.Random(1)
    told = []
    for _ in range(200):
        runs = [RunValues.of("r", [numbers.gauss(0, 1) for _ in range(8)]) for _ in range(6)]
        told.append(compare(runs[0], runs[1:]).found)
    low, high = figures("baseline", "one KPI", n=8, runs=200)[1].interval
    assert low <= statistics.fmean(told) <= high


# ---- the command


def test_runs_that_are_too_short_have_no_figures() -> None:
    assert TREND.figures(white, 23, 2, seed=1) is None
    assert BASELINE.figures(white, 7, 2, seed=1) is None


def test_of_long_runs_fewer_are_compared_with_earlier_ones() -> None:
    told = BASELINE.figures(white, 25, 4, seed=1)
    assert told is not None
    assert told[0].runs == 1


def test_the_command_prints_the_table_of_the_documentation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = TABLE.read_text(encoding="utf-8").split("## The table")[1]
    assert f"| criterion | noise | {' | '.join(map(str, LENGTHS))} |" in page
    monkeypatch.setattr(verdict_rates, "LENGTHS", (8,))
    monkeypatch.setattr(sys, "argv", ["verdict_rates", "--runs", "2", "--seed", "7"])
    verdict_rates.main()
    first, _, *printed = capsys.readouterr().out.splitlines()
    assert first == "2 runs for each figure, seed 7"
    assert rows("\n".join(printed)) == rows(page)
    cell = r"(not judged|[\d.]+ \([\d.]+-[\d.]+\) / [\d.]+ \([\d.]+-[\d.]+\))"
    assert all(re.fullmatch(rf"\|[^|]+\|[^|]+\| {cell} \|", line) for line in printed[2:])


def test_the_command_prints_one_criterion_alone() -> None:
    assert rows("\n".join(verdict_rates.table(1, 1, "trend"))) == [
        ("criterion", "noise"),
        *(("trend", name) for name in NOISES),
    ]


def rows(text: str) -> list[tuple[str, str]]:
    """Return the first two cells of each row of the table of a *text*."""
    return re.findall(r"^\| ([a-z][^|]*) \| ([^|]*) \|", text, re.MULTILINE)
