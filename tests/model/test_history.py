"""The history: read-only, complete, and of fixed length once it was passed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.decision import Decision, Rollback
from pytest_soak.model.history import Entry, History
from pytest_soak.model.summary import Summary, Verified

INDICES = st.none() | st.integers(-9, 9)


def entries(count: int) -> list[Entry]:
    return [Entry(Summary(number, {}, {"latency": 1.5})) for number in range(1, count + 1)]


@given(st.integers(0, 6), st.integers(0, 4), INDICES, INDICES, st.sampled_from((None, 1, 2, -1)))
def test_slices_are_those_of_a_list_that_never_grew(
    count: int, later: int, start: int | None, stop: int | None, stride: int | None
) -> None:
    known = entries(count)
    history = History(known)
    frozen = tuple(known)
    known += entries(later)
    assert tuple(history[start:stop:stride]) == frozen[start:stop:stride]
    assert tuple(history) == frozen
    assert len(history) == count


@given(st.integers(0, 6), st.integers(0, 4), st.integers(-9, 9))
def test_indices_are_those_of_a_list_that_never_grew(count: int, later: int, index: int) -> None:
    known = entries(count)
    history = History(known)
    frozen = tuple(known)
    known += entries(later)
    if -count <= index < count:
        assert history[index] is frozen[index]
    else:
        with pytest.raises(IndexError):
            history[index]


def test_the_latest_summary_stays_the_same_when_more_follow() -> None:
    known = entries(2)
    history = History(known)
    known += entries(5)
    assert history.latest.iteration == 2


def test_before_the_first_iteration_there_is_no_latest() -> None:
    with pytest.raises(IndexError, match=r"^iteration index -1 of 0$"):
        _ = History().latest


def test_rollbacks_are_searched_for_unless_they_are_known() -> None:
    known = entries(3)
    known[1] = Entry(known[1].summary, Decision(2, rollback=Rollback("one", 1, {})), applied=True)
    assert History(known).rollbacks == (known[1],)
    assert History(known, known[:1]).rollbacks == (known[0],)
    assert History(known, ()).rollbacks == ()


def test_a_history_cannot_be_written_to() -> None:
    history = History(entries(1))
    assert not hasattr(history, "append")
    with pytest.raises(TypeError):
        history[0] = history[0]  # type: ignore[index]


@pytest.mark.parametrize("value", [None, ("fees",)])
def test_a_metric_that_is_no_number_is_a_key_error_and_no_number(
    value: tuple[str, ...] | None,
) -> None:
    summary = Summary(1, {}, {"latency": value, "rate": 0.0})
    with pytest.raises(KeyError, match="latency"):
        summary.number("latency")
    with pytest.raises(KeyError, match="unheard"):
        summary.number("unheard")
    assert summary.number("rate") == 0.0


def test_a_summary_is_inconclusive_until_it_was_judged() -> None:
    assert not Summary(1, {}, {}).verdict.good


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ((), Verified.TRUE),
        (("batch",), Verified.TRUE),
        (("batch", "backoff"), Verified.UNKNOWN),
        (("backoff", "workers"), Verified.FALSE),
    ],
)
def test_fields_were_seen_in_use_only_where_all_of_them_were(
    fields: tuple[str, ...], word: Verified
) -> None:
    doubts = {"workers": Verified.FALSE, "backoff": Verified.UNKNOWN}
    assert Summary(1, {}, {}, doubts=doubts).saw(fields) is word


def test_parameters_were_seen_in_use_unless_one_of_them_is_in_doubt() -> None:
    assert Summary(1, {"workers": 2}, {}).verified is Verified.TRUE
    for word in (Verified.UNKNOWN, Verified.FALSE):
        assert Summary(1, {"workers": 2}, {}, doubts={"workers": word}).verified is word
