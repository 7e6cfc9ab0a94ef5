"""The response of a metric: priors hold until measurements correct them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.tuners.response import Belief, Response, backward, cholesky, forward

SHARES = st.floats(-1, 1)
POINTS = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=6)


def belief(**changed: float | tuple[float, ...]) -> Belief:
    parts = {"effects": (2.0, 0.0), "spreads": (1.0, 1.0), "bend": 0.1, "noise": 0.1, "scale": 10.0}
    return Belief(**{**parts, **changed})  # type: ignore[arg-type] # one table for all fields


@given(st.lists(st.lists(st.floats(-3, 3), min_size=4, max_size=4), min_size=4, max_size=4))
def test_the_factor_times_its_transpose_is_the_matrix_and_solving_inverts_it(
    rows: list[list[float]],
) -> None:
    n = range(4)
    matrix = [[sum(map(float.__mul__, rows[i], rows[j])) + (i == j) for j in n] for i in n]
    factor = cholesky([row[: i + 1] for i, row in enumerate(matrix)])
    for i in n:
        for j in range(i + 1):
            product = sum(a * b for a, b in zip(factor[i], factor[j], strict=False))
            assert math.isclose(product, matrix[i][j], abs_tol=1e-9)
    wanted = [1.0, -2.0, 0.5, 3.0]
    right = [sum(map(float.__mul__, row, wanted)) for row in matrix]
    solved = backward(factor, forward(factor, right))
    assert solved == pytest.approx(wanted, abs=1e-6)


def test_before_a_second_point_the_declared_effect_is_expected() -> None:
    response = Response(belief(), [(0.0, 0.0)], [5.0])
    assert response.predict((0.0, 0.0))[0] == pytest.approx(5.0, abs=0.01)
    assert response.predict((0.5, 0.0))[0] == pytest.approx(6.0, abs=0.01)
    assert response.predict((0.0, 0.5))[0] == pytest.approx(5.0, abs=0.01)


def test_uncertainty_grows_with_the_distance_from_measured_points() -> None:
    response = Response(belief(), [(0.0, 0.0)], [5.0])
    sigmas = [response.predict((x, 0.0))[1] for x in (0.0, 0.1, 0.3, 0.9)]
    assert sigmas == sorted(sigmas)
    assert sigmas[0] == pytest.approx(0.1 * math.sqrt(2), rel=0.01)  # the noise, seen twice
    assert sigmas[-1] > 0.9


def test_a_wrong_effect_is_corrected_by_measurements() -> None:
    points = [(0.1 * i, 0.0) for i in range(8)]
    response = Response(belief(bend=0.0), points, [5.0 - 3.0 * x for x, _ in points])
    mean, _ = response.predict((1.0, 0.0))
    assert mean == pytest.approx(2.0, abs=0.2)


def test_repeating_a_point_averages_its_noise() -> None:
    once = Response(belief(bend=0.0), [(0.0, 0.0)], [5.0]).predict((0.0, 0.0))
    often = Response(belief(bend=0.0), [(0.0, 0.0)] * 9, [4.9, 5.1, 5.0] * 3).predict((0.0, 0.0))
    assert often[0] == pytest.approx(5.0, abs=0.001)
    assert often[1] == pytest.approx(0.1 * math.sqrt(1 + 1 / 9), rel=0.01)
    assert often[1] < once[1]


@given(POINTS, st.data())
def test_a_surprise_is_the_distance_of_a_value_from_its_expectation(
    points: list[tuple[float, float]], data: st.DataObject
) -> None:
    values = [data.draw(st.floats(-20, 20)) for _ in points]
    surprises = Response(belief(), points, values).surprises
    for i in range(1, len(points)):
        mean, sigma = Response(belief(), points[:i], values[:i]).predict(points[i])
        assert surprises[i] == pytest.approx((values[i] - mean) / sigma, abs=1e-3, rel=1e-3)
