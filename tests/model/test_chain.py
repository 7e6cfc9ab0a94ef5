"""Chains: which iterations count, how often one may be bad, and what makes a run unclear.

A run is written as one letter for each iteration: P, W and F are PASS, WARN and FAIL, I has no
value, and U is a WARN of one KPI and INCONCLUSIVE by another one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product, takewhile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.chain import (
    COUNTING,
    WHOLE_RUN,
    ChainVerdict,
    Outcome,
    Rules,
    Span,
    WholeRun,
    closing_problem,
    hours_of,
    is_lost,
    judge_chain,
    judge_gates,
    judge_outcomes,
    judge_whole_run,
    last_iterations,
    not_passed,
    on_settled,
    span_of,
    stretches_of,
    with_problem,
)
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.stretch import NO_VALUE, Baseline, Reading, RunValues, Stretch
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import IterationVerdict, Judgement, RunJudgement, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.model.kpi import Kpi

PASS, WARN, INCONCLUSIVE, FAIL = Verdict
WORDS = st.sampled_from(list(Verdict))
VALUES = {"P": 200, "W": 260, "F": 310, "I": None, "U": 260}
READ = {"P": PASS, "W": WARN, "F": FAIL}
MISSING = Problem(Kind.METRIC_UNUSABLE, data={"metric": "latency", "fault": "is missing"})
NOT_RUN = Problem(Kind.NOT_RUN, 4)
PARTIAL = Problem(Kind.PARTIAL)
FIRST_PASS = WholeRun(0.5)
AFTER_WARM_UP = WholeRun(0.5, "warm_up")
LATENCY = make_kpi("latency", {"warn": "> 250", "fail": "> 300"})
RATE = make_kpi("rate", {"fail": "< 1", "min_n": 10})
KPIS = (LATENCY, RATE)


def tolerant(**budget: float) -> tuple[Kpi, Kpi]:
    return make_kpi("latency", {"fail": "> 300", "tolerate": budget}), RATE


def an_iteration(number: int, word: str, kpis: Sequence[Kpi] = KPIS) -> IterationVerdict:
    latency, rate = kpis
    judged = (latency.judge(VALUES[word], 50), rate.judge(5, 5 if word == "U" else 50))
    problems = (MISSING.of(number),) if word == "I" else ()
    return IterationVerdict(number, worst(one.verdict for one in judged), judged, problems)


def run_of(
    words: str,
    at: str = "",
    *,
    changed: bool = False,
    kpis: Sequence[Kpi] = KPIS,
    restarts: Sequence[int] = (),
) -> list[Outcome]:
    """Return a run with the parameters *at*, a letter for each iteration; the same for all if not.

    Args:
        words: The letters of its iterations.
        at: The letters of their parameters.
        changed: Whether parameters were changed after the last one.
        kpis: The KPIs.
        restarts: The iterations before which the system was restarted.
    """
    at = at or "A" * len(words)
    outcomes = []
    for number, (word, here) in enumerate(zip(words, at, strict=True), 1):
        judged = an_iteration(number, word, kpis)
        summary = Summary(
            number,
            {"place": ord(here)},
            {"latency": VALUES[word], "rate": 5},
            verdict=judged.verdict,
            problems=judged.problems,
            restarted=number in restarts,
        )
        moved = here != at[number] if number < len(at) else changed
        outcomes.append(Outcome(summary, judged, moved, number / 12))
    return outcomes


def judge_of(kpis: Sequence[Kpi]) -> Any:
    def judge(stretches: Mapping[str, Stretch]) -> Iterator[RunJudgement]:
        for kpi in kpis:
            yield from kpi.judge_run(stretches[kpi.metric])

    return judge


def judge(outcomes: Sequence[Outcome], kpis: Sequence[Kpi] = KPIS, **rules: Any) -> ChainVerdict:
    """Judge a run by *kpis*; its window is the last two iterations, all planned ones ran."""
    given = Rules(**{"window": 2, "planned": len(outcomes), **rules})
    metrics = [kpi.metric for kpi in kpis]
    return judge_outcomes(outcomes, given.planned, given, judge_of(kpis), metrics)


def located(verdict: ChainVerdict) -> list[str]:
    return [problem.located for problem in verdict.problems]


def expected(words: str, counts: Sequence[bool], warm_up: int, most: int) -> Verdict:
    """Return the verdict on a run that ran to its end, by the words of the specification."""
    judged = worst(
        READ[word] for word, each in zip(words, counts, strict=True) if each and word in "PWF"
    )
    strict = 2
    unclear = [word in "IU" and number > warm_up for number, word in enumerate(words, 1)]
    spoilt = any(unclear[-strict:]) or sum(unclear[:-strict]) > most
    return max(judged, INCONCLUSIVE) if spoilt else judged


# Which iterations count


@given(
    st.text("PWFI", min_size=1, max_size=9),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_an_untuned_run_is_judged_on_all_its_iterations_after_the_warm_up(
    words: str, warm_up: int, window: int, most: int
) -> None:
    warm_up = min(warm_up, len(words) - 1)
    counts = [number > warm_up for number in range(1, len(words) + 1)]
    judged = judge(run_of(words), warm_up=warm_up, window=window, max_inconclusive=most)
    assert judged.verdict is expected(words, counts, warm_up, most)
    judged_on = Span(warm_up + 1, len(words), len(words) - warm_up)
    assert judged.stretch == judged_on or window > len(words)


def test_a_failing_iteration_in_the_middle_of_the_night_fails() -> None:
    judged = judge(run_of("P" * 50 + "F" + "P" * 49))
    assert (judged.verdict, judged.reasons, judged.window) == (FAIL, ("latency",), (99, 100))
    assert judged.criteria[0].iterations == (51,)
    assert judged.counts == {"PASS": 99, "FAIL": 1}


@given(
    st.lists(st.tuples(st.sampled_from("PWFI"), st.sampled_from("AB")), min_size=1, max_size=9),
    st.booleans(),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_a_tuned_run_is_judged_on_all_that_ran_with_its_last_parameters_and_on_the_window(
    run: list[tuple[str, str]], changed: bool, warm_up: int, window: int, most: int
) -> None:
    words, at = ("".join(letters) for letters in zip(*run, strict=True))
    ran, warm_up = len(words), min(warm_up, len(words) - 1)
    rules = Rules(window, ran, warm_up, most, tuned=True)
    outcomes = run_of(words, at, changed=changed)
    tail = 0 if changed else len(list(takewhile(lambda here: here == at[-1], reversed(at))))
    first = max(min(ran - tail, max(ran - window, 0)), warm_up) + 1
    assert span_of(outcomes, ran, rules) == Span(first, ran, min(tail, ran - warm_up))
    counts = [
        number > warm_up and (number >= first or (not changed and here == at[-1]))
        for number, here in enumerate(at, 1)
    ]
    judged = judge(outcomes, warm_up=warm_up, window=window, max_inconclusive=most, tuned=True)
    assert judged.verdict is expected(words, counts, warm_up, most)


@pytest.mark.parametrize(
    ("words", "at", "verdict"),
    [
        ("FFFPPPP", "AAABBBB", PASS),  # before the last change
        ("PPPFPPP", "AAABBBB", FAIL),  # after it, before the window
        ("FPPPPPP", "BAABBBB", FAIL),  # an earlier visit
        ("PPPPPFP", "AAAAAAB", FAIL),  # in the window, before the last change
    ],
)
def test_what_counts_in_a_tuned_run(words: str, at: str, verdict: Verdict) -> None:
    assert judge(run_of(words, at), tuned=True).verdict is verdict


def test_iterations_that_did_not_run_belong_to_the_settled_stretch() -> None:
    rules = Rules(2, 6, tuned=True)
    assert span_of(run_of("PPP", "ABB"), 6, rules) == Span(2, 6, 5)
    assert span_of(run_of("PPP", "ABB", changed=True), 6, rules) == Span(4, 6, 3)
    assert span_of([], 6, rules) == Span(1, 6, 6)
    assert span_of([], 0, rules) == Span(1, 0, 0)


@given(st.text("PF", min_size=1, max_size=4), st.text("PF", min_size=2, max_size=5))
def test_iterations_of_the_warm_up_count_nowhere(cold: str, words: str) -> None:
    rule = WholeRun(0.3, "warm_up")
    warm = judge(run_of(words), whole_run=rule)
    judged = judge(run_of(cold + words), warm_up=len(cold), whole_run=rule)
    assert (judged.verdict, judged.counts) == (warm.verdict, warm.counts)
    n = [one.n for one in judged.criteria]
    assert n == [one.n for one in warm.criteria]
    unclear = judge(run_of("I" * len(cold) + words), warm_up=len(cold), whole_run=rule)
    assert (unclear.verdict, unclear.problems) == (warm.verdict, ())


@given(st.text("PWF", min_size=3, max_size=8))
def test_journals_of_0_1_0_look_at_the_window_alone(words: str) -> None:
    outcomes = run_of(words)
    judged = judge(outcomes, window_alone=True)
    assert judged.verdict is worst(READ[word] for word in words[-2:])
    assert judged.stretch.first == len(words) - 1
    assert judge(outcomes, window_alone=True, window=len(words)).verdict is judge(outcomes).verdict


@given(st.integers(0, 30), st.integers(1, 10))
def test_the_last_iterations_are_as_many_as_the_window_or_all(ran: int, window: int) -> None:
    assert list(last_iterations(ran, window)) == list(range(1, ran + 1))[-window:]


# What a metric was in them


def the_stretches(outcomes: Sequence[Outcome], **rules: Any) -> dict[str, Stretch]:
    given = Rules(**{"window": 2, "planned": len(outcomes), **rules})
    return stretches_of(
        ("latency", "rate"), outcomes, span_of(outcomes, given.planned, given), given
    )


def test_readings_skip_iterations_with_problems_and_metrics_that_are_unclear() -> None:
    stretches = the_stretches(run_of("PIUF"))
    latency, rate = stretches["latency"], stretches["rate"]
    assert [one.iteration for one in latency.settled] == [1, 3, 4]
    assert [one.iteration for one in rate.settled] == [1, 4]
    assert latency.settled[2] == Reading(4, 310, 50, 4 / 12)
    assert (latency.ran, latency.absent, rate.ran, rate.absent) == (3, 0, 3, 0)


def test_visits_are_the_settled_readings_and_the_earlier_ones_with_the_same_parameters() -> None:
    latency = the_stretches(run_of("PPPPPPP", "BBABABB"), tuned=True, warm_up=1)["latency"]
    assert [one.iteration for one in latency.settled] == [6, 7]
    assert [one.iteration for one in latency.visits] == [2, 4, 6, 7]
    assert (latency.first, latency.last, latency.metric) == (6, 7, "latency")


def test_a_stretch_is_cut_where_the_system_was_restarted() -> None:
    latency = the_stretches(run_of("PPPPPP", restarts=[2, 5]), warm_up=2)["latency"]
    assert latency.cuts == {2, 5}
    assert [[one.iteration for one in piece] for piece in latency.pieces] == [[3, 4], [5, 6]]
    assert latency.longest == 2


@pytest.mark.parametrize(("tuned", "due"), [(True, 2), (False, 7)])
def test_the_planned_length_is_the_window_if_tuned_and_else_all_after_the_warm_up(
    tuned: bool, due: int
) -> None:
    stretches = the_stretches(run_of("PPPP"), planned=8, warm_up=1, tuned=tuned)
    assert stretches["rate"].due == due


def test_an_absent_metric_is_counted_in_the_stretch_alone() -> None:
    outcomes = [
        one
        if one.summary.iteration < 4
        else replace(one, judged=replace(one.judged, judgements=one.judged.judgements[:1]))
        for one in run_of("PPPPPI", "BAABBB")
    ]
    rate = the_stretches(outcomes, tuned=True)["rate"]
    assert (rate.ran, rate.absent, rate.settled, rate.seen) == (2, 2, (), True)
    assert [one.iteration for one in rate.visits] == [1]


@pytest.mark.parametrize("rules", [{"tuned": True}, {"warm_up": 3}], ids=["tuned", "warm-up"])
@pytest.mark.parametrize(("there", "verdict"), [(0, PASS), (1, INCONCLUSIVE), (3, INCONCLUSIVE)])
def test_an_optional_metric_that_vanished_before_the_stretch_is_inconclusive(
    rules: dict[str, Any], there: int, verdict: Verdict
) -> None:
    kpis = (LATENCY, make_kpi("rate", {"fail": "< 1", "optional": True}))
    outcomes = [
        one
        if one.summary.iteration <= there
        else replace(one, judged=replace(one.judged, judgements=one.judged.judgements[:1]))
        for one in run_of("PPPPPP", "AAABBB", kpis=kpis)
    ]
    judged = judge(outcomes, kpis, **rules)
    assert judged.verdict is verdict
    assert judged.reasons == (("rate",) if there else ())


def test_a_stretch_has_the_baseline_of_its_metric_and_those_of_the_other_ones() -> None:
    values = RunValues("r", 9, 200, 5)
    runs = ({"latency": values, "rate": values}, {"latency": values})
    outcomes, rules = run_of("PP"), Rules(2, 2)
    span = Span(1, 2, 2)
    baseline = Baseline(runs, compared=("latency", "rate"), why="old")
    latency = stretches_of(["latency"], outcomes, span, rules, baseline)["latency"]
    assert (latency.earlier, latency.others) == ((values, values), ((values,),))
    assert latency.no_baseline == ""
    none = stretches_of(["latency"], outcomes, span, rules)["latency"]
    assert (none.earlier, none.no_baseline) == ((), "no baseline yet")


def test_a_stretch_has_the_run_that_is_the_level_and_without_it_nothing_is_compared() -> None:
    values = RunValues("r", 9, 200, 5)
    outcomes, rules, span = run_of("PP"), Rules(2, 2), Span(1, 2, 2)
    baseline = Baseline(({"latency": values, "rate": values},), level={"latency": values})
    found = stretches_of(["latency", "rate"], outcomes, span, rules, baseline)
    assert (found["latency"].earlier, found["latency"].level) == ((values,), values)
    assert (found["rate"].earlier, found["rate"].level) == ((), None)


# The word of plugins' gates


def gated(words: Sequence[Verdict]) -> list[Outcome]:
    return [
        replace(
            one,
            judged=replace(
                one.judged,
                judgements=(Judgement("disk", word, number, rule=f"> {number}", gate="mine"),),
            ),
        )
        for number, (one, word) in enumerate(zip(run_of("P" * len(words)), words, strict=True), 1)
    ]


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(1, 3))
def test_a_gate_of_a_plugin_is_judged_by_its_worst_word_in_the_stretch(
    words: list[Verdict], first: int
) -> None:
    told = judge_gates(gated(words), Span(first, len(words), len(words)))
    said = [word for word in words[first - 1 :] if word is not INCONCLUSIVE]
    assert [one.verdict for one in told] == ([max(said)] if said else [])
    assert all((one.criterion, one.metric, one.n) == ("mine", "disk", len(said)) for one in told)


def test_a_gate_tells_what_it_said_first_and_in_which_iterations() -> None:
    (told,) = judge_gates(gated([PASS, FAIL, WARN, FAIL]), Span(1, 4, 4))
    detail = "2 of 4 iterations"
    assert told == RunJudgement(
        "mine", "disk", FAIL, 2, n=4, rule="> 2", detail=detail, iterations=(2, 4)
    )
    (passed,) = judge_gates(gated([PASS, PASS]), Span(1, 2, 2))
    assert passed == RunJudgement("mine", "disk", PASS, n=2)


def test_a_gate_is_no_reading_of_a_kpi_and_fails_the_chain() -> None:
    judged = judge(gated([PASS, FAIL, PASS]))
    assert (judged.verdict, judged.reasons) == (FAIL, ("disk",))
    assert [one.problem for one in judged.criteria] == [NO_VALUE, NO_VALUE, ""]


# The share of all iterations


@given(
    st.text("PWFI", max_size=12),
    st.integers(0, 3),
    st.integers(0, 100),
    st.sampled_from(["warm_up", "first_pass"]),
)
def test_the_share_of_bad_iterations_of_the_whole_run(
    words: str, warm_up: int, percent: int, after: Any
) -> None:
    counted = words[warm_up:]
    told = judge_whole_run(
        run_of(words), Rules(2, warm_up=warm_up, whole_run=WholeRun(percent / 100, after))
    )
    assert told is not None
    if after == "first_pass":
        counted = counted.lstrip("FI")
        if not counted:
            assert told.verdict is None
            return
        counted = counted[1:]
    due = FAIL if 100 * counted.count("F") > percent * len(counted) else PASS
    assert (told.verdict, told.n) == (due, len(counted))
    assert told.criterion == WHOLE_RUN


def test_a_share_that_floats_cannot_hold_is_meant_as_written() -> None:
    words = "F" * 29 + "P" * 71  # 0.29 * 100 is 28.999999999999996
    told = judge_whole_run(run_of(words), Rules(2, whole_run=WholeRun(0.29, "warm_up")))
    assert told is not None
    assert (told.verdict, told.value) == (PASS, 0.29)


def test_a_tuner_that_cures_every_failure_an_iteration_late_fails_the_whole_run() -> None:
    outcomes = run_of("PFFFFFPP", "ABCDEFGG")
    assert judge(outcomes, tuned=True).verdict is PASS
    judged = judge(outcomes, tuned=True, whole_run=FIRST_PASS)
    assert (judged.verdict, judged.reasons) == (FAIL, (WHOLE_RUN,))
    told = judged.criteria[-1]
    assert (told.detail, told.iterations) == ("5 of 7 iterations FAIL", (2, 3, 4, 5, 6))
    assert told.rule == "at most 50 % FAIL after first pass"


def test_what_failed_before_the_first_good_iteration_is_no_part_of_the_whole_run() -> None:
    outcomes = run_of("FFFFPP", "AAAABB")
    assert judge(outcomes, tuned=True, whole_run=FIRST_PASS).verdict is PASS
    assert judge(outcomes, tuned=True, whole_run=AFTER_WARM_UP).verdict is FAIL
    assert judge_whole_run(outcomes, Rules(2)) is None


# What is unclear


@pytest.mark.parametrize("word", "IU")
@pytest.mark.parametrize("number", [4, 5])
def test_one_of_the_last_two_that_is_unclear_makes_the_run_inconclusive(
    word: str, number: int
) -> None:
    words = "".join(word if each == number else "P" for each in range(1, 6))
    judged = judge(run_of(words), max_inconclusive=9)
    assert judged.verdict is INCONCLUSIVE
    assert judged.reasons == ("latency" if word == "I" else "rate",)
    told = [f"iteration {number}: latency is missing"] if word == "I" else []
    assert located(judged) == told


@given(st.text("PIU", max_size=7), st.integers(0, 4), st.integers(2, 5))
def test_of_the_others_as_many_as_allowed_may_be_unclear(
    words: str, most: int, window: int
) -> None:
    judged = judge(run_of(words + "PP"), max_inconclusive=most, window=window)
    many = words.count("I") + words.count("U") > most
    assert judged.verdict is (INCONCLUSIVE if many else WARN if "U" in words else PASS)
    assert bool(judged.problems) is (many and "I" in words)


@pytest.mark.parametrize(
    ("words", "warm_up", "verdict"),
    [("PPIP", 0, INCONCLUSIVE), ("PPPI", 0, INCONCLUSIVE), ("PIPP", 0, PASS), ("PPIP", 3, PASS)],
)
def test_the_last_two_iterations_are_clear_whatever_the_window_but_for_the_warm_up(
    words: str, warm_up: int, verdict: Verdict
) -> None:
    judged = judge(run_of(words), window=1, max_inconclusive=1, warm_up=warm_up)
    assert (judged.verdict, bool(judged.problems)) == (verdict, verdict is INCONCLUSIVE)


@pytest.mark.parametrize(("ran", "verdict"), [(11, INCONCLUSIVE), (12, PASS)])
def test_a_run_that_is_cut_so_that_its_warm_up_takes_the_window_is_unsettled(
    ran: int, verdict: Verdict
) -> None:
    rules = Rules(2, planned=12, warm_up=10)  # in an hours run slots may be dropped
    metrics = [kpi.metric for kpi in KPIS]
    judged = judge_outcomes(run_of("P" * ran), ran, rules, judge_of(KPIS), metrics)
    assert on_settled(judged, rules.window).verdict is verdict


@pytest.mark.parametrize("run", [None, WholeRun(0.5)])
def test_a_run_without_a_word_on_any_kpi_does_not_pass(run: WholeRun | None) -> None:
    trend = make_kpi("latency", {"trend": {"fail": "> 1 / iteration", "least": 24}})
    kpis = (trend, make_kpi("rate", {"optional": True}))
    judged = judge(run_of("PPP", kpis=kpis), kpis, whole_run=run, tuned=True)
    assert judged.verdict is INCONCLUSIVE


def test_a_kpi_that_is_unclear_where_another_one_fails_is_still_unclear() -> None:
    kpis = (make_kpi("latency", {"fail": "> 250", "tolerate": {"share": 0.5}}), RATE)
    outcomes = run_of("PUPPP", kpis=kpis)
    assert outcomes[1].judged.verdict is FAIL
    assert outcomes[1].unclear
    judged = judge(outcomes, kpis)
    assert (judged.verdict, judged.reasons) == (INCONCLUSIVE, ("rate",))
    assert judge(outcomes, kpis, max_inconclusive=1).verdict is PASS


@given(st.text("PF", min_size=1, max_size=5), st.integers(1, 3), st.integers(1, 3))
def test_an_iteration_that_did_not_run_is_unclear(words: str, left: int, window: int) -> None:
    planned = len(words) + left
    judged = judge(run_of(words), planned=planned, window=window, max_inconclusive=planned)
    assert judged.verdict is (FAIL if "F" in words else INCONCLUSIVE)
    strict = range(planned, max(len(words), planned - 2), -1)
    assert located(judged) == [f"iteration {number}: did not run" for number in sorted(strict)]


def test_a_gap_in_a_run_counts_as_unclear() -> None:
    outcomes = [one for one in run_of("PPPP") if one.summary.iteration != 2]
    passed = [RunJudgement("limits", "latency", PASS)]
    span = Span(1, 4, 4)
    judged = judge_chain(outcomes, span, Rules(2), passed)
    assert (judged.verdict, located(judged)) == (INCONCLUSIVE, ["iteration 2: did not run"])
    assert judge_chain(outcomes, span, Rules(2, max_inconclusive=1), passed).verdict is PASS


@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 4), st.booleans())
def test_a_chain_that_ran_nothing_after_its_warm_up_cannot_pass(
    planned: int, window: int, warm_up: int, whole: bool
) -> None:
    rules: dict[str, Any] = {"window": window, "planned": planned, "max_inconclusive": 9}
    rules["whole_run"] = AFTER_WARM_UP if whole else None
    assert not judge([], warm_up=warm_up, **rules).verdict.good
    assert not judge(run_of("P" * planned), warm_up=planned, **rules).verdict.good


def test_unclear_iterations_do_not_soften_a_failure() -> None:
    judged = judge(run_of("IFFFP"))
    assert (judged.verdict, judged.reasons) == (FAIL, ("latency",))
    assert located(judged) == ["iteration 1: latency is missing"]


# The worst word of the criteria


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | WORDS), max_size=6))
def test_the_worst_criterion_counts_and_gives_the_reasons(
    given: list[tuple[str, Verdict | None]],
) -> None:
    criteria = [RunJudgement("limits", metric, verdict) for metric, verdict in given]
    judged = judge_chain(run_of("PP"), Span(1, 2, 2), Rules(2), criteria)
    assert judged.verdict is worst(word for _, word in given if word is not None)
    due = [metric for metric, word in given if word is judged.verdict is not PASS]
    assert judged.reasons == tuple(dict.fromkeys(due))
    assert judged.criteria == tuple(criteria)


def test_what_warned_is_no_reason_of_an_inconclusive_chain() -> None:
    judged = judge(run_of("UWPIP"), max_inconclusive=9)
    assert (judged.verdict, judged.reasons) == (INCONCLUSIVE, ("latency",))
    warned = judge(run_of("PWPP"))
    assert (warned.verdict, warned.reasons) == (WARN, ("latency",))


@given(st.text("PF", min_size=2, max_size=10), st.integers(0, 60), st.integers(1, 3))
def test_as_many_failures_as_tolerated_and_as_many_in_a_row(
    words: str, percent: int, row: int
) -> None:
    kpis = tolerant(share=percent / 100, in_a_row=row)
    spent = 100 * words.count("F") > percent * len(words) or "F" * (row + 1) in words
    judged = judge(run_of(words, kpis=kpis), kpis)
    assert judged.verdict is (FAIL if spent else PASS)


# The end before its time


@given(
    words=st.text("PFWI", min_size=1, max_size=5),
    at=st.text("AB", min_size=5, max_size=5),
    left=st.integers(0, 2),
    whole=st.sampled_from([None, FIRST_PASS, AFTER_WARM_UP, WholeRun(0.2), WholeRun(0, "warm_up")]),
    kpis=st.sampled_from([KPIS, tolerant(share=0.3), tolerant(share=0.5, in_a_row=1)]),
    state=st.sampled_from(["untuned", "tuned", "in the window"]),
    warm_up=st.integers(0, 2),
)
def test_a_run_is_lost_if_and_only_if_no_way_to_go_on_would_save_it(
    *,
    words: str,
    at: str,
    left: int,
    whole: WholeRun | None,
    kpis: Sequence[Kpi],
    state: str,
    warm_up: int,
) -> None:
    moves = state == "tuned" and left > 0
    at = "A" * len(words) if state == "untuned" else at[: len(words)]
    window = left if moves else left + 1
    planned = len(words) + left
    tuned = state != "untuned"
    rules = Rules(window, planned, min(warm_up, planned - 1), 9, whole, tuned=tuned)
    metrics = [kpi.metric for kpi in kpis]
    lost = is_lost(run_of(words, at, kpis=kpis), rules, judge_of(kpis), metrics, moves=moves)
    verdicts = []
    for more in product("PF", repeat=left):
        for there in (at[-1], "Z") if moves else (at[-1],):
            outcomes = run_of(words + "".join(more), at + there * left, kpis=kpis)
            verdict = judge_outcomes(outcomes, planned, rules, judge_of(kpis), metrics)
            verdicts.append(on_settled(verdict, window).verdict)
    assert lost is all(verdict is FAIL for verdict in verdicts)


@pytest.mark.parametrize(
    ("words", "moves", "whole", "lost"),
    [
        ("PF", False, None, True),  # an untuned run cannot lose the failure
        ("PF", True, None, False),  # a tuned one can go elsewhere
        ("PFFFF", True, WholeRun(0.3), True),  # 4 of 9 are too many wherever it goes
        ("PFF", True, WholeRun(0.3), False),
        ("FFFFF", True, WholeRun(0.3), False),  # nothing counts before the first good one
        ("FFFFF", True, WholeRun(0.3, "warm_up"), True),
    ],
)
def test_a_budget_that_is_spent_is_lost(
    words: str, moves: bool, whole: WholeRun | None, lost: bool
) -> None:
    rules = Rules(2, 10, whole_run=whole, tuned=moves)
    assert is_lost(run_of(words), rules, judge_of(KPIS), ["latency", "rate"], moves=moves) is lost


def test_only_what_counts_iterations_can_be_lost() -> None:
    trend = {"fail": "> 1 / iteration", "least": 24}
    kpis = (make_kpi("latency", {"fail": "> 900", "trend": trend}), RATE)
    outcomes = [
        replace(one, judged=replace(one.judged, judgements=(Judgement("latency", PASS, 9 * n),)))
        for n, one in enumerate(run_of("P" * 30), 1)
    ]
    assert judge(outcomes, kpis).verdict is FAIL
    assert not is_lost(outcomes, Rules(2, 80), judge_of(kpis), ["latency", "rate"], moves=False)
    assert COUNTING == ("limits", WHOLE_RUN)


# The time


@given(st.lists(st.none() | st.integers(0, 10**6), max_size=8), st.integers(1, 10**4))
def test_in_an_hours_run_the_time_follows_from_the_slots(
    ends: list[float | None], slot: int
) -> None:
    assert hours_of(ends, slot) == [n * slot / 3600 for n in range(1, len(ends) + 1)]


@given(st.lists(st.none() | st.integers(0, 40), max_size=8))
def test_otherwise_it_is_what_reports_tell_but_for_those_that_are_not_later_than_all_before(
    ends: list[float | None],
) -> None:
    hours = hours_of(ends, None)
    first = next((end for end in ends if end is not None), 0)
    for number, (end, hour) in enumerate(zip(ends, hours, strict=True)):
        later = end is not None and all(end > one for one in ends[:number] if one is not None)
        assert hour == ((end - first) / 3600 if end is not None and later else None)


def test_the_time_starts_where_the_first_iteration_ended() -> None:
    assert hours_of([7200, None, 10800], None) == [0, None, 1]


def test_a_clock_that_was_set_back_does_not_excuse_a_run_from_a_trend() -> None:
    hours = hours_of([3600.0 * number - 7200 * (number > 8) for number in range(20)], None)
    assert hours[7:12] == [7, 8, None, None, 9]
    leak = make_kpi("rss", {"trend": {"fail": "> 1 / h", "least": 8}})
    readings = tuple(Reading(n + 1, 5.0 * n, None, hour) for n, hour in enumerate(hours))
    (judged,) = leak.judge_run(Stretch(1, 20, readings, readings, due=20, metric="rss"))
    assert (judged.verdict, judged.n) == (FAIL, 18)


# What else a chain's verdict depends on


@given(WORDS, st.integers(0, 6), st.integers(1, 4))
def test_a_window_in_which_parameters_were_changed_is_inconclusive(
    verdict: Verdict, settled: int, window: int
) -> None:
    judged = ChainVerdict(verdict, (5, 6, 7), ("latency",), stretch=Span(1, 7, settled))
    after = on_settled(judged, window)
    if settled >= window:
        assert after is judged
    else:
        assert (after.verdict, after.reasons) == (INCONCLUSIVE, ())
        said = f"only {settled} of {window} iterations ran on settled parameters"
        assert located(after) == [said]


@pytest.mark.parametrize("verdict", Verdict)
def test_an_iteration_whose_test_did_not_pass_is_inconclusive_at_best(verdict: Verdict) -> None:
    judged = IterationVerdict(3, verdict, (Judgement("latency", verdict),), (MISSING.of(3),))
    after = not_passed(judged)
    assert after.verdict is max(verdict, INCONCLUSIVE)
    assert after.problems == (MISSING.of(3), Problem(Kind.TEST_NOT_PASSED, 3))
    assert (after.iteration, after.judgements) == (3, judged.judgements)


def test_an_iteration_whose_test_may_have_passed_is_inconclusive_and_says_why() -> None:
    judged = not_passed(an_iteration(3, "P"), untold={3})
    assert judged.verdict is INCONCLUSIVE
    assert judged.problems == (Problem(Kind.TEST_UNKNOWN, 3),)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_chain_that_was_not_seen_as_a_whole_is_inconclusive(verdict: Verdict) -> None:
    judged = ChainVerdict(verdict, (3, 4), ("latency",), (NOT_RUN,), (2,))
    due = ChainVerdict(INCONCLUSIVE, (3, 4), (), (PARTIAL, NOT_RUN), (2,))
    assert with_problem(judged, PARTIAL) == due
    assert with_problem(due, PARTIAL) == due  # a problem is added once


def test_of_a_closing_that_failed_the_first_line_is_told() -> None:
    assert str(closing_problem("still there\nat line 3\nat line 2")) == "closing: still there"


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize(
    "problem",
    [
        closing_problem("still there"),
        Problem(Kind.OVERRIDES_EDITED, data={"found": "the file was gone"}),
        Problem(Kind.ABORTED, data={"after": 4}),
    ],
    ids=lambda problem: str(problem.kind),
)
def test_what_came_after_all_was_measured_leaves_a_fail_and_its_reasons(
    verdict: Verdict, problem: Problem
) -> None:
    judged = ChainVerdict(verdict, (3, 4), ("latency",), (NOT_RUN,))
    after = with_problem(judged, problem)
    assert after.problems == (problem, NOT_RUN)
    assert after.verdict is max(verdict, INCONCLUSIVE)
    assert after.reasons == (("latency",) if verdict is FAIL else ())
