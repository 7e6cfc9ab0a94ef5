"""Looking back: newest first, no farther than asked for, and only at what was applied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.decision import Change, Decision
from pytest_soak.model.history import Entry, History
from pytest_soak.model.lookback import (
    LOOKBACK,
    applied,
    asked,
    change_of,
    decisions,
    earlier,
    sign,
)
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.summary import Summary


def a_change(step: float, parameter: str = "workers") -> Change:
    return Change(parameter, 2, step, step, 2 + step, Note.NONE, "slow", "one", Corridor.APPLY)


def a_history(length: int) -> History:
    """Return iterations that asked for as many workers as their number, every second applied."""
    return History(
        [
            Entry(
                Summary(n, {}, {}),
                Decision(n, changes=(a_change(n), a_change(0, "batch")), asked={"workers": n}),
                applied=n % 2 == 0,
            )
            for n in range(1, length)
        ]
        + [Entry(Summary(length, {}, {}))]
    )


@given(st.integers(1, 120), st.integers(0, 60))
def test_earlier_iterations_come_newest_first_and_without_the_one_decided_on(
    length: int, most: int
) -> None:
    history = a_history(length)
    seen = list(range(length - 1, 0, -1))[:most]
    assert [entry.summary.iteration for entry in earlier(history, most)] == seen
    assert [decision.iteration for decision in decisions(history, most)] == seen
    assert list(asked(history, "workers", most)) == seen
    assert list(asked(history, "batch", most)) == [0] * len(seen)
    assert [change.requested for change in applied(history, most)] == [
        number for number in seen if number % 2 == 0
    ]


def test_by_default_nobody_looks_farther_back_than_the_cost_of_a_run_allows() -> None:
    history = a_history(LOOKBACK + 10)
    assert len(earlier(history)) == len(list(decisions(history))) == LOOKBACK
    assert len(list(asked(history, "workers"))) == LOOKBACK
    assert len(list(applied(history))) == LOOKBACK // 2


def test_a_held_change_is_found_and_one_that_was_not_asked_for_is_not() -> None:
    (first, _) = a_history(2)
    assert first.decision is not None
    assert change_of(first.decision, "batch") == a_change(0, "batch")
    assert change_of(first.decision, "backoff") is None


@pytest.mark.parametrize(("number", "due"), [(0.1, 1), (3, 1), (0, 0), (-0.0, 0), (-2, -1)])
def test_the_sign_of_a_number(number: float, due: int) -> None:
    assert sign(number) == due
