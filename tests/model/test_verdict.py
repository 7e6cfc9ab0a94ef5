"""Verdicts: the worst one wins, and an iteration without a judgement never passes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.metrics import Op
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.verdict import (
    ChainVerdict,
    IterationVerdict,
    Judgement,
    Threshold,
    Verdict,
    closing_problem,
    judge_chain,
    last_iterations,
    not_passed,
    on_settled,
    with_problem,
    worst,
)

if TYPE_CHECKING:
    from random import Random

PASS, WARN, INCONCLUSIVE, FAIL = Verdict
WORDS = st.sampled_from(list(Verdict))


MISSING = Problem(Kind.METRIC_UNUSABLE, data={"metric": "latency", "fault": "is missing"})


def an_iteration(number: int, verdict: Verdict, metric: str = "latency") -> IterationVerdict:
    problems = (MISSING.of(number),) if verdict is INCONCLUSIVE else ()
    return IterationVerdict(number, verdict, (Judgement(metric, verdict),), problems)


def a_chain(*verdicts: Verdict, max_inconclusive: int = 0) -> ChainVerdict:
    """Judge a complete chain whose window is the last two iterations."""
    entries = [an_iteration(number, verdict) for number, verdict in enumerate(verdicts, 1)]
    planned = len(verdicts)
    return judge_chain(entries, planned, range(planned - 1, planned + 1), max_inconclusive)


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


@given(st.lists(WORDS, min_size=3, max_size=8))
def test_the_verdict_is_the_worst_of_the_window_alone(verdicts: list[Verdict]) -> None:
    before = [PASS if verdict is INCONCLUSIVE else verdict for verdict in verdicts[:-2]]
    assert a_chain(*before, *verdicts[-2:]).verdict is max(verdicts[-2:])


def test_a_failing_iteration_before_the_window_does_not_count() -> None:
    assert a_chain(FAIL, FAIL, PASS, PASS) == ChainVerdict(PASS, (3, 4))


def test_an_inconclusive_iteration_of_the_window_makes_the_chain_inconclusive() -> None:
    judged = a_chain(PASS, PASS, INCONCLUSIVE, PASS, max_inconclusive=9)
    assert judged.verdict is INCONCLUSIVE
    assert [one.located for one in judged.problems] == ["iteration 3: latency is missing"]


def test_a_missing_iteration_of_the_window_makes_the_chain_inconclusive() -> None:
    judged = judge_chain([an_iteration(n, PASS) for n in (1, 2, 4)], 4, (3, 4), 9)
    assert judged.verdict is INCONCLUSIVE
    assert [one.located for one in judged.problems] == ["iteration 3: did not run"]


def test_a_failing_window_fails_even_where_an_iteration_of_it_is_missing() -> None:
    judged = judge_chain([an_iteration(n, FAIL) for n in (1, 2, 3)], 4, (3, 4))
    assert judged.verdict is FAIL
    assert [one.located for one in judged.problems] == ["iteration 4: did not run"]


@pytest.mark.parametrize("window", [(), (1,), (5, 6)])
def test_a_chain_that_ran_no_iteration_cannot_pass(window: tuple[int, ...]) -> None:
    assert not judge_chain([], 6, window, 99).verdict.good


@pytest.mark.parametrize(
    ("most", "verdict"), [(0, INCONCLUSIVE), (1, INCONCLUSIVE), (2, PASS), (3, PASS)]
)
def test_more_than_max_inconclusive_before_the_window_make_the_chain_inconclusive(
    most: int, verdict: Verdict
) -> None:
    judged = a_chain(INCONCLUSIVE, PASS, INCONCLUSIVE, PASS, PASS, max_inconclusive=most)
    assert judged.verdict is verdict
    assert bool(judged.problems) is (verdict is INCONCLUSIVE)


def test_an_iteration_before_the_window_that_did_not_run_counts_as_inconclusive() -> None:
    ran = [an_iteration(n, PASS) for n in (2, 3, 4)]
    judged = judge_chain(ran, 4, (3, 4))
    assert judged.verdict is INCONCLUSIVE
    assert [one.located for one in judged.problems] == ["iteration 1: did not run"]
    assert judge_chain(ran, 4, (3, 4), 1).verdict is PASS


def test_an_inconclusive_iteration_after_the_window_counts_as_one_before_it() -> None:
    entries = [an_iteration(n, word) for n, word in enumerate((PASS, PASS, INCONCLUSIVE), 1)]
    judged = judge_chain(entries, 3, (1, 2))
    assert judged.verdict is INCONCLUSIVE
    assert [one.located for one in judged.problems] == ["iteration 3: latency is missing"]


def test_too_many_inconclusive_before_the_window_do_not_soften_a_failure() -> None:
    judged = a_chain(INCONCLUSIVE, FAIL, FAIL)
    assert judged.verdict is FAIL
    assert [one.located for one in judged.problems] == ["iteration 1: latency is missing"]


def test_the_reasons_are_the_metrics_with_the_worst_word_each_once() -> None:
    entries = [
        IterationVerdict(1, FAIL, (Judgement("latency", FAIL), Judgement("rate", WARN))),
        IterationVerdict(2, FAIL, (Judgement("errors", FAIL), Judgement("latency", FAIL))),
    ]
    assert judge_chain(entries, 2, (1, 2)).reasons == ("latency", "errors")


def test_a_passing_chain_has_no_reasons() -> None:
    assert a_chain(PASS, PASS).reasons == ()


def test_a_warning_names_what_warned() -> None:
    judged = a_chain(PASS, PASS, WARN)
    assert (judged.verdict, judged.reasons) == (WARN, ("latency",))


def test_what_warned_is_no_reason_of_an_inconclusive_chain() -> None:
    judged = a_chain(INCONCLUSIVE, PASS, WARN)
    assert (judged.verdict, judged.reasons) == (INCONCLUSIVE, ())


@given(st.lists(WORDS, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_iterations_are_given_does_not_matter(
    verdicts: list[Verdict], random: Random
) -> None:
    entries = [an_iteration(number, verdict) for number, verdict in enumerate(verdicts, 1)]
    shuffled = list(entries)
    random.shuffle(shuffled)
    window = (len(entries) - 1, len(entries))
    assert judge_chain(shuffled, len(entries), window) == judge_chain(entries, len(entries), window)


@pytest.mark.parametrize("verdict", Verdict)
def test_an_iteration_whose_test_did_not_pass_is_inconclusive_at_best(verdict: Verdict) -> None:
    judged = IterationVerdict(3, verdict, (Judgement("latency", verdict),), (MISSING.of(3),))
    after = not_passed(judged)
    assert after.verdict is max(verdict, INCONCLUSIVE)
    assert after.problems == (MISSING.of(3), Problem(Kind.TEST_NOT_PASSED, 3))
    assert (after.iteration, after.judgements) == (3, judged.judgements)


@given(st.integers(0, 30), st.integers(1, 10))
def test_the_last_iterations_are_as_many_as_the_window_or_all(ran: int, window: int) -> None:
    assert list(last_iterations(ran, window)) == list(range(1, ran + 1))[-window:]


@pytest.mark.parametrize("changed", range(7))
@pytest.mark.parametrize("verdict", Verdict)
def test_a_window_in_which_parameters_were_changed_is_inconclusive(
    verdict: Verdict, changed: int
) -> None:
    judged = ChainVerdict(verdict, (5, 6, 7), ("latency",))
    after = on_settled(judged, 3, changed)
    if changed <= 4:
        assert after is judged
    else:
        assert (after.verdict, after.reasons) == (INCONCLUSIVE, ())
        said = f"only {7 - changed} of 3 iterations ran on settled parameters"
        assert [one.located for one in after.problems] == [said]


NOT_RUN = Problem(Kind.NOT_RUN, 4)
PARTIAL = Problem(Kind.PARTIAL)


def test_an_iteration_whose_test_may_have_passed_is_inconclusive_and_says_why() -> None:
    judged = not_passed(an_iteration(3, PASS), untold={3})
    assert judged.verdict is INCONCLUSIVE
    assert judged.problems == (Problem(Kind.TEST_UNKNOWN, 3),)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_chain_that_was_not_seen_as_a_whole_is_inconclusive(verdict: Verdict) -> None:
    judged = ChainVerdict(verdict, (3, 4), ("latency",), (NOT_RUN,), (2,))
    due = ChainVerdict(INCONCLUSIVE, (3, 4), (), (PARTIAL, NOT_RUN), (2,))
    assert with_problem(judged, PARTIAL) == due
    assert with_problem(due, PARTIAL) == due  # a problem is added once


@pytest.mark.parametrize("verdict", Verdict)
def test_a_failed_closing_leaves_a_fail_and_its_reasons(verdict: Verdict) -> None:
    closing = closing_problem("still there\nat line 3\nat line 2")
    assert str(closing) == "closing: still there"
    judged = ChainVerdict(verdict, (3, 4), ("latency",), (NOT_RUN,))
    after = with_problem(judged, closing)
    assert after.problems == (closing, NOT_RUN)
    assert after.verdict is max(verdict, INCONCLUSIVE)
    assert after.reasons == (("latency",) if verdict is FAIL else ())


@pytest.mark.parametrize("verdict", Verdict)
def test_overrides_edited_after_the_last_iteration_leave_a_fail(verdict: Verdict) -> None:
    edited = Problem(Kind.OVERRIDES_EDITED, data={"found": "the file was gone"})
    after = with_problem(ChainVerdict(verdict, (3, 4), ("latency",)), edited)
    assert after.verdict is max(verdict, INCONCLUSIVE)
    assert after.problems == (edited,)
