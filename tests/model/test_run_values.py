"""What a metric was in a run: a mean that a few outliers do not move."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.stretch import RunValues

STEADY = (10.0, 11.0, 9.0, 10.5, 9.5, 10.0, 10.2, 9.8)


@given(st.lists(st.floats(1, 2), min_size=1, max_size=30).filter(lambda values: max(values) < 1.9))
def test_values_without_outliers_give_their_mean_and_standard_deviation(
    values: list[float],
) -> None:
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    if all(abs(value - middle) <= 8 * spread for value in values):
        mean = statistics.fmean(values)
        sigma = statistics.stdev(values, mean) if len(values) > 1 else 0
        assert RunValues.of("r", values) == RunValues("r", len(values), mean, sigma)


@pytest.mark.parametrize("wrong", [-1e9, 20, 1e9])
def test_an_outlier_moves_neither_mean_nor_sigma(wrong: float) -> None:
    steady, one = RunValues.of("r", STEADY), RunValues.of("r", (*STEADY, wrong))
    assert one == RunValues("r", 9, steady.mean, steady.sigma)


def test_a_part_of_the_values_that_is_not_small_is_no_outlier() -> None:
    values = (*STEADY, 100.0, 101.0, 102.0)
    assert RunValues.of("r", values).mean == statistics.fmean(values)


def test_where_most_values_are_the_same_all_count() -> None:
    assert RunValues.of("r", (0, 0, 0, 0, 0, 0, 0, 8)).mean == 1


def test_values_that_are_few_all_count() -> None:
    assert RunValues.of("r", (1, 1.01, 500)).mean == pytest.approx(502.01 / 3)
    assert RunValues.of("r", (7,)) == RunValues("r", 1, 7, 0)
