"""Verdicts: the worst one wins, and an iteration without a judgement never passes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.metrics import Op
from pytest_soak.model.verdict import Judgement, Threshold, Verdict, worst

INCONCLUSIVE = Verdict.INCONCLUSIVE
WORDS = st.sampled_from(list(Verdict))


def test_the_four_words_are_ordered_from_best_to_worst() -> None:
    assert [verdict.name for verdict in Verdict] == ["PASS", "WARN", "INCONCLUSIVE", "FAIL"]
    assert all(better < worse for better, worse in pairwise(Verdict))


def test_only_pass_and_warn_are_good() -> None:
    assert [verdict.good for verdict in Verdict] == [True, True, False, False]


def test_of_nothing_the_worst_is_inconclusive() -> None:
    assert worst(()) is INCONCLUSIVE


@given(st.lists(WORDS, min_size=1))
def test_the_worst_word_is_one_of_them_and_no_better_than_any(verdicts: list[Verdict]) -> None:
    assert worst(verdicts) in verdicts
    assert all(verdict <= worst(verdicts) for verdict in verdicts)


@pytest.mark.parametrize(
    ("threshold", "broken"),
    [
        (Threshold(Op.LT, 2.5), [True, False, False]),
        (Threshold(Op.LE, 2.5), [True, True, False]),
        (Threshold(Op.GT, 2.5), [False, False, True]),
        (Threshold(Op.GE, 2.5), [False, True, True]),
    ],
    ids=str,
)
def test_a_threshold_is_strict_as_written(threshold: Threshold, broken: list[bool]) -> None:
    assert [threshold.broken_by(value) for value in (2.499, 2.5, 2.501)] == broken


def test_a_threshold_reads_as_people_write_it() -> None:
    assert str(Threshold(Op.LT, 2.5)) == "< 2.5"


@given(st.sampled_from(list(Op)), st.lists(st.integers(-9, 9), min_size=1), st.integers(-9, 9))
def test_if_any_value_is_beyond_a_threshold_the_worst_one_is(
    op: Op, values: list[int], limit: int
) -> None:
    threshold = Threshold(op, limit)
    assert threshold.worst(values) in values
    assert threshold.broken_by(threshold.worst(values)) is any(map(threshold.broken_by, values))


def test_a_judgement_of_a_kpis_own_criteria_names_no_gate() -> None:
    judged = Judgement("latency", Verdict.PASS, 3)
    assert (judged.n, judged.rule, judged.problem, judged.gate) == (None, "", "", "")
