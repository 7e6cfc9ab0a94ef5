"""Losses: what counts as one, from which baseline it is measured, and what is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.decision import Decision, Rollback
from pytest_soak.model.history import Entry, History
from pytest_soak.model.loss import BLOCK, Loss, Point, find_loss, points
from pytest_soak.model.pack import Objective
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.summary import Summary

if TYPE_CHECKING:
    from typing import Any

RATE = Objective("rate", "up")


def loss(text: str) -> Loss | None:
    """Return the loss in iterations such as ``a100 b90``: parameters, and the objective."""
    told = [Point(n, float(word[1:]), word[0]) for n, word in enumerate(text.split(), 1)]
    return find_loss(told, 1.0)


def an_entry(number: int, rate: object = 100.0, **more: Any) -> Entry:
    return Entry(Summary(number, {"workers": 2}, {"rate": rate}, **more))  # type: ignore[dict-item]


def test_a_loss_tells_its_figures() -> None:
    found = loss("a100 a100 a100 b90 b94")
    assert found is not None
    assert (found.good, found.baseline, found.n, found.since, found.count) == (3, 100, 3, 92, 2)
    assert found.sum == pytest.approx(16 / (1 + 1 / 3) ** 0.5 - 2 * 0.9)
    assert found.limit == pytest.approx(1.8 + 4.5 / 3)


@pytest.mark.parametrize(
    ("text", "good", "baseline", "n"),
    [
        ("a100 b90 b90", 1, 100, 1),
        ("a100 a100 b90 b90", 2, 100, 2),
        ("a100 a99 a101 b90 b90", 3, 100, 3),
        ("a100 a100 b120 b120 c110 c110", 4, 120, 2),
        ("a100 a100 b108 b108 c100 c100", 4, 108, 2),
        ("a100 a100 b101.5 b107 b107 c100 c100", 5, 315.5 / 3, 3),
        ("a100 a100 b103 b103 c95 c95", 4, 101.5, 4),
        ("a100 a100 b120 b120 c125 c125 d115 d115", 6, 122.5, 4),
        ("a100 a100 a111.5 b100 b100", 3, 311.5 / 3, 3),
        ("a100 a100 a90 a90 b80 b80", 4, 90, 2),
    ],
    ids=[
        "the first iteration alone",
        "two iterations",
        "noise belongs to it",
        "a gain starts a new one",
        "a gain is measured from what came before it",
        "a gain may come slowly",
        "a small gain joins it",
        "after a gain a small one joins it too",
        "one lucky iteration starts none",
        "a loss without a change starts a new one",
    ],
)
def test_the_baseline_of_a_loss(text: str, good: int, baseline: float, n: int) -> None:
    found = loss(text)
    assert found is not None
    assert found.baseline == pytest.approx(baseline)
    assert (found.good, found.n, found.count) == (good, n, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a100",
        "a100 b90",
        "a100 a100 b90 b90 b100 b100",
        "a100 a100 b90 b100 b90 b100",
        "a100 b95 b95",
        "a100 b100 b90 b90",
        "a100 a100 b90 a90",
    ],
    ids=[
        "nothing",
        "one iteration",
        "one bad iteration",
        "it was made up for",
        "never two in a row",
        "less than the limit of a short baseline",
        "no change came before it",
        "half of it has the good parameters",
    ],
)
def test_no_loss(text: str) -> None:
    assert loss(text) is None


def test_less_is_better_where_the_pack_says_so() -> None:
    (point,) = points(History([an_entry(1)]), Objective("rate", "down"))
    assert point == Point(1, -100, (("workers", 2),))


@given(st.integers(1, 200))
def test_the_last_one_or_two_blocks_are_looked_at(length: int) -> None:
    told = points(History([an_entry(n) for n in range(1, length + 1)]), RATE)
    assert [point.iteration for point in told] == list(range(told[0].iteration, length + 1))
    assert len(told) == length if length < 2 * BLOCK else BLOCK <= len(told) < 2 * BLOCK
    assert (told[0].iteration - 1) % BLOCK == 0


@pytest.mark.parametrize(
    "left_out",
    [
        {"rate": None},
        {"rate": ("word",)},
        {"problems": (Problem(Kind.NO_REPORT),)},
        {"restarted": True},
    ],
    ids=["no value", "no number", "a problem", "restarted"],
)
def test_an_iteration_that_measured_something_else_is_left_out(left_out: dict[str, Any]) -> None:
    history = History([an_entry(1), an_entry(2, **left_out), an_entry(3)])
    assert [point.iteration for point in points(history, RATE)] == [1, 3]


@pytest.mark.parametrize(("applied", "kept"), [(True, [1, 2, 5]), (False, [1, 2, 3, 4, 5])])
def test_what_a_rollback_has_undone_is_left_out(applied: bool, kept: list[int]) -> None:
    entries = [an_entry(number) for number in range(1, 6)]
    back = Decision(4, rollback=Rollback("auto_rollback", 2, {"workers": 2}))
    entries[3] = Entry(entries[3].summary, back, applied)
    entries[0] = Entry(entries[0].summary, Decision(1), applied=True)
    assert [point.iteration for point in points(History(entries), RATE)] == kept
