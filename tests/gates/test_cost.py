"""To judge a run of 10,000 iterations takes a third of a second, with every criterion of the core.

The machine may be busy, and seven times as slow. So what is asserted is a ratio: to judge the
iterations one by one takes half a second.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.chain import Outcome, Rules, WholeRun, judge_outcomes
from pytest_soak.model.stretch import Baseline, RunValues
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import IterationVerdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_soak.model.stretch import Stretch
    from pytest_soak.model.verdict import RunJudgement

ITERATIONS = 10_000
TABLE = {
    "warn": "> 250",
    "fail": "> 300",
    "min_n": 10,
    "tolerate": {"share": 0.1, "in_a_row": 4},
    "trend": {"fail": "> 2 / h", "reaches": "600 within 72 h"},
    "baseline": {"fail": "worse by 10 %"},
}
NAMES = tuple("abcdefg")
KPIS = [make_kpi(name, TABLE) for name in NAMES]


def judge(stretches: Mapping[str, Stretch]) -> Iterable[RunJudgement]:
    return [judged for kpi in KPIS for judged in kpi.judge_run(stretches[kpi.metric])]


def outcomes(count: int) -> list[Outcome]:
    numbers = random.Random(0)
    found = []
    for number in range(1, count + 1):
        judged = tuple(
            judgement for kpi in KPIS for judgement in [kpi.judge(numbers.gauss(240, 20), 50)]
        )
        word = worst(each.verdict for each in judged)
        summary = Summary(number, {"workers": 1}, {}, verdict=word)
        found.append(Outcome(summary, IterationVerdict(number, word, judged), hours=number / 12))
    return found


def test_a_long_run_is_judged_about_as_fast_as_its_iterations() -> None:
    runs = [
        {name: RunValues(f"r{day}", 288, 240 + day / 9, 20) for name in NAMES} for day in range(5)
    ]
    baseline = Baseline(tuple(runs), NAMES, "")
    judge_outcomes(outcomes(100), 100, Rules(10, 100), judge, NAMES, baseline)  # imports a library
    rules = Rules(1000, ITERATIONS, whole_run=WholeRun(0.2))
    ratios = []
    for _ in range(3):
        start = time.process_time()
        given = outcomes(ITERATIONS)
        middle = time.process_time()
        verdict = judge_outcomes(given, ITERATIONS, rules, judge, NAMES, baseline)
        ratios.append((time.process_time() - middle) / (middle - start))
    assert min(ratios) < 2
    said = {judged.criterion for judged in verdict.criteria if judged.verdict is not None}
    assert said >= {"limits", "trend", "baseline", "whole_run"}
