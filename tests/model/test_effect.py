"""Effects and noise: computed from iterations, and unknown without enough of them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.effect import Effect, effect
from pytest_soak.model.noise import Noise, measure_noise, noise_by_metric

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9)


@given(VALUES, VALUES)
def test_the_change_is_the_difference_of_the_means(before: list[float], after: list[float]) -> None:
    found = effect(before, after, None)
    assert (found.n_before, found.n_after) == (len(before), len(after))
    assert found.before == pytest.approx(sum(before) / len(before), abs=1e-6)
    assert found.change == pytest.approx(
        sum(after) / len(after) - sum(before) / len(before), abs=1e-6
    )
    assert found.after == pytest.approx(sum(after) / len(after), abs=1e-6)
    assert (found.noise, found.beyond_noise) == (None, None)
    assert effect(before, after, 2.5).noise == 2.5


@pytest.mark.parametrize(
    ("before", "after", "beyond"),
    [
        ([0], [2.82], False),  # two sigma of the difference of two single values: 2.828
        ([0], [2.83], True),
        ([0], [-2.83], True),
        ([0, 0], [1.99, 1.99], False),
        ([0, 0], [2, 2], False),  # exactly two sigma
        ([0, 0], [2.01, 2.01], True),
        ([50], [50.1], False),
        ([50], [-50], True),
    ],
)
def test_beyond_noise_is_more_than_two_sigma_of_the_difference(
    before: list[float], after: list[float], *, beyond: bool
) -> None:
    assert effect(before, after, 1.0).beyond_noise is beyond


@pytest.mark.parametrize(("before", "after"), [([], [1.0]), ([1.0], []), ([], [])])
def test_without_one_side_there_is_no_change(before: list[float], after: list[float]) -> None:
    found = effect(before, after, 1.5)
    first, last = before[0] if before else None, after[0] if after else None
    assert found == Effect(first, len(before), last, len(after), None, 1.5, None)


def test_noise_is_pooled_within_what_was_unchanged() -> None:
    noise = measure_noise(
        [("a", 1), ("a", 3), ("a", 2), ("b", 10), ("b", 14), ("b", 12), ("c", 99)]
    )
    assert noise is not None
    assert (noise.sigma, noise.n, noise.freedom) == (math.sqrt(10 / 4), 6, 4)
    assert noise.safe == pytest.approx(1.75 * noise.sigma)


def test_two_iterations_with_the_same_parameters_count_as_well_as_more() -> None:
    pairs = [(pair, value) for pair in "abcd" for value in (1, 3)]
    assert measure_noise(pairs) == Noise(math.sqrt(2), 8, 4)


def test_the_noise_of_each_metric_is_measured_where_it_is_a_number() -> None:
    iterations = [
        ("a", {"rate": float(n), "words": ("fees",), "flat": 1, "none": None}) for n in range(5)
    ]
    iterations += [("b", {"rate": 9.0, "late": 3.0}), ("b", {"late": 4.0})]
    found = noise_by_metric(iterations)
    assert found == {"flat": None, "late": None, "rate": Noise(math.sqrt(10 / 4), 5, 4)}
    assert list(found) == sorted(found)
    assert noise_by_metric([]) == {}


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [("a", 1), ("a", 2), ("a", 3), ("a", 4)],
        [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1), ("c", 2)],
        [("a", 5)] * 9,
        [(str(n), n) for n in range(99)],
    ],
    ids=["nothing", "four", "three pairs", "nothing varied", "always changed"],
)
def test_too_few_iterations_give_no_noise(samples: list[tuple[str, float]]) -> None:
    assert measure_noise(samples) is None


def test_with_many_iterations_the_estimate_is_correct() -> None:
    numbers = random.Random(1)
    noise = measure_noise((n // 5, n // 5 + numbers.gauss(0, 0.5)) for n in range(5000))
    assert noise is not None
    assert noise.sigma == pytest.approx(0.5, rel=0.05)
    assert noise.safe == pytest.approx(noise.sigma, rel=0.001)
