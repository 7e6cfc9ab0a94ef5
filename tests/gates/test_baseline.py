"""The criterion `baseline`: a run against earlier runs. Worse is what limit and test both say."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_soak.errors import SoakUsageError
from pytest_soak.gates.baseline import SIDED, WRITTEN, Baseline, BaselineSettings, compare
from pytest_soak.gates.criteria import kpi_table, make_kpi, read_gate
from pytest_soak.model.metrics import NUMBER
from pytest_soak.model.stretch import Reading, RunValues, Stretch
from pytest_soak.model.verdict import RunJudgement, Verdict
from pytest_soak.packs.check import check
from pytest_soak.packs.loader import build_pack
from tests.support import DEMO

RUNS = (119.0, 121.0, 119.5, 120.5, 120.0)
"""The means of five earlier runs; their mean is 120."""


def stretch(mean: float, before: tuple[float, ...] = RUNS, n: int = 8, **more: Any) -> Stretch:
    """Return a run of *n* iterations around *mean*, after runs with the means *before*."""
    noise = [0.5 if number % 2 else -0.5 for number in range(n)]
    readings = tuple(Reading(i, mean + each) for i, each in enumerate(noise, 1))
    earlier = tuple(
        RunValues.of(f"r{i}", [each + one for one in noise]) for i, each in enumerate(before, 1)
    )
    return replace(Stretch(1, n, readings, readings, due=n, earlier=earlier), **more)


def judge(where: Stretch, limits: str | None = "> 300", **given: Any) -> RunJudgement:
    """Judge a run, by default of a metric of which more is worse."""
    table = {"fail": limits} if limits else {}
    kpi = make_kpi("latency", {**table, "baseline": given or {"fail": "worse by 10 %"}})
    return kpi.judge_run(where)[-1]


def test_a_run_that_is_worse_fails_and_tells_what_it_was_compared_with() -> None:
    found = judge(stretch(138))
    assert found.verdict is Verdict.FAIL
    assert found.rule == "worse by 10 %"
    assert found.value == pytest.approx(15)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 15 < found.high
    assert found.detail == (
        "worse: against 5 runs, the last r5: 120 -> 138, "
        f"+15 % [{found.low:+.3g}, {found.high:+.3g}]; "
        "expected: 0.95 % false alarms over all KPIs, finds a loss of 2 sigma (1.07) in 1 %"
    )


@pytest.mark.parametrize(
    ("mean", "verdict", "word"),
    [
        (120.5, "PASS", "same"),
        (125, "PASS", "cannot tell"),  # the interval reaches beyond 5 %
        (127.2, "WARN", "worse"),
        (132.5, "FAIL", "worse"),
        (100, "PASS", "better"),
    ],
)
def test_a_run_is_worse_better_the_same_or_nobody_can_tell(
    mean: float, verdict: str, word: str
) -> None:
    found = judge(stretch(mean), fail="worse by 10 %", warn="worse by 5 %")
    assert (found.verdict, found.detail.partition(":")[0]) == (Verdict[verdict], word)
    rule = "worse by 10 %" if verdict == "FAIL" else "worse by 5 %"
    assert found.rule == rule


def test_the_limit_alone_is_not_enough_nor_is_the_test_alone() -> None:
    noisy = (90.0, 150.0, 100.0, 140.0, 120.0)
    assert judge(stretch(138, noisy)).verdict is Verdict.PASS
    sharp = (120.0, 120.1, 119.9, 120.05, 119.95)
    found = judge(stretch(125, sharp))
    assert (found.verdict, found.detail.partition(":")[0]) == (Verdict.PASS, "same")
    assert found.low is not None
    assert found.low > 0


@pytest.mark.parametrize(
    ("text", "limits", "mean", "verdict"),
    [
        ("worse by 10 %", "< 80", 100, "FAIL"),
        ("worse by 10 %", "< 80", 140, "PASS"),
        ("> +10 %", None, 138, "FAIL"),
        ("> +10 %", "< 80", 138, "FAIL"),  # as written, whatever the limit
        ("<-10 %", None, 100, "FAIL"),
        ("<= - 10%", None, 138, "PASS"),
        (">= +18", None, 138, "FAIL"),
        ("> +18", None, 138, "PASS"),
        ("worse by 17.5", "> 300", 138, "FAIL"),
        ("worse by 18.5", "> 300", 138, "PASS"),
    ],
)
def test_a_limit_says_direction_and_unit(
    text: str, limits: str | None, mean: float, verdict: str
) -> None:
    found = judge(stretch(mean), limits, fail=text)
    assert found.verdict is Verdict[verdict]
    assert found.value == pytest.approx((mean - 120) / (1.2 if "%" in text else 1))
    assert (" % [" in found.detail) is ("%" in text)


def test_what_is_worse_is_what_the_fail_limit_says() -> None:
    both = {"warn": "< 20", "fail": "> 300", "baseline": {"fail": "worse by 10 %"}}
    assert make_kpi("load", both).judge_run(stretch(138))[-1].verdict is Verdict.FAIL


Given = tuple[list[float], list[list[float]]]
NUMBERS = st.integers(-1000, 1000).map(lambda number: number / 10)
VALUES = st.lists(NUMBERS, min_size=8, max_size=12)
DATA = st.tuples(VALUES, st.lists(VALUES, min_size=3, max_size=6))


def judged(data: Given, text: str, factor: float = 1, shift: float = 0) -> RunJudgement:
    now, before = data
    readings = tuple(Reading(i, factor * each + shift) for i, each in enumerate(now, 1))
    earlier = tuple(RunValues.of("r", [factor * x + shift for x in run]) for run in before)
    one = Stretch(1, len(now), readings, readings, due=len(now), earlier=earlier)
    return judge(one, None, fail=text)


def close(one: float | None, other: float | None, factor: float = 1) -> bool:
    assert one is not None
    assert other is not None
    return math.isclose(one * factor, other, rel_tol=1e-6, abs_tol=1e-6)


@settings(max_examples=25)
@given(DATA)
def test_an_absolute_change_is_the_same_wherever_the_metric_is(data: Given) -> None:
    one, moved = judged(data, "> +0.73"), judged(data, "> +0.73", shift=512)
    assert one.verdict is moved.verdict
    assert close(one.value, moved.value)
    assert close(one.low, moved.low)


@settings(max_examples=25)
@given(DATA, st.sampled_from([0.25, 8.0, 1024.0]))
def test_a_change_in_per_cent_is_the_same_in_every_unit(data: Given, factor: float) -> None:
    one, scaled = judged(data, "> +1.7 %"), judged(data, "> +1.7 %", factor)
    assert (one.verdict, one.detail[:6]) == (scaled.verdict, scaled.detail[:6])
    if " % [" in one.detail:
        assert close(one.low, scaled.low)
        assert close(one.high, scaled.high)


@settings(max_examples=25)
@given(DATA, st.sampled_from(["0.73", "1.7 %"]))
def test_less_is_judged_as_the_mirror_of_more(data: Given, size: str) -> None:
    one, mirror = judged(data, f"> +{size}"), judged(data, f"< -{size}", -1)
    assert (one.verdict, one.detail.partition(":")[0]) == (
        mirror.verdict,
        mirror.detail.partition(":")[0],
    )
    assert close(one.value, mirror.value, -1)
    assert close(one.low, mirror.high, -1)


@settings(max_examples=25)
@given(DATA, st.floats(0, 100), st.sampled_from(["> +0.73", "> +1.7 %", ">= +0 %"]))
def test_a_larger_loss_never_turns_fail_into_pass(data: Given, loss: float, text: str) -> None:
    if judged(data, text).verdict is Verdict.FAIL:
        now, before = data
        assert judged(([each + loss for each in now], before), text).verdict is Verdict.FAIL


@settings(max_examples=25)
@given(DATA, st.lists(st.lists(VALUES, min_size=3, max_size=6), max_size=7))
def test_what_other_kpis_were_never_makes_the_interval_useless(
    data: Given, more: list[list[list[float]]]
) -> None:
    now, *earlier = (RunValues.of("r", run) for run in (data[0], *data[1]))
    others = [[RunValues.of("r", run) for run in runs] for runs in more]
    assert math.isfinite(compare(now, earlier, others).reach)


def test_a_kpi_whose_runs_differ_a_lot_does_not_blind_the_others() -> None:
    wild = tuple(RunValues(str(i), 8, 1000.0 * i, 1e-9) for i in range(5))
    steady = stretch(138, n=24).earlier
    alone = compare(RunValues("r", 24, 138, 0.5), steady)
    beside = compare(RunValues("r", 24, 138, 0.5), steady, [wild])
    assert beside.reach < 3 * alone.reach


def test_other_kpis_tell_that_runs_were_alike_by_chance_or_that_they_are_alike() -> None:
    now, earlier = RunValues("r", 8, 120, 0.5), stretch(0).earlier
    chance = stretch(0, (120.0, 120.01, 119.99, 120.0, 120.0)).earlier
    assert compare(now, chance, [earlier, earlier]).reach > 5 * compare(now, chance).reach
    assert compare(now, earlier, [earlier] * 6).reach < compare(now, earlier).reach


def test_a_shorter_run_is_less_certain_than_the_earlier_ones_and_a_longer_one_is_not_more() -> None:
    earlier = stretch(0, n=24).earlier
    reach = {n: compare(RunValues("r", n, 120, 1), earlier).reach for n in (8, 24, 96)}
    assert reach[8] > 1.5 * reach[24]
    assert reach[24] == reach[96]


# ---- not judged, and INCONCLUSIVE


def test_a_run_that_is_the_level_is_compared_with_and_others_tell_the_spread() -> None:
    level = RunValues("accepted", 8, 150, 0.5)
    found = judge(stretch(150, level=level))
    assert found.value == pytest.approx(0)
    assert found.detail.startswith("same: against accepted, with the spread of 5 runs: 150 -> 150")
    assert judge(stretch(120, level=level)).detail.startswith("better: ")
    assert judge(stretch(180, level=level)).verdict is Verdict.FAIL


def test_one_run_as_the_level_is_known_less_well_than_the_mean_of_several() -> None:
    now = RunValues("now", 8, 120, 0.5)
    runs = stretch(120).earlier
    means = [compare(now, runs).reach]
    means += [compare(now, runs, level=RunValues("level", n, 120, 0.5)).reach for n in (80, 8, 4)]
    assert means[0] * math.sqrt(2 / 1.2) == pytest.approx(means[1]) == pytest.approx(means[2])
    assert means[2] < means[3]


def test_without_an_earlier_run_nothing_is_judged() -> None:
    first = stretch(120, ())
    assert judge(first) == RunJudgement(
        "baseline", "latency", None, n=8, rule="worse by 10 %", problem="no baseline yet"
    )
    told = judge(replace(first, no_baseline="--soak-baseline=none"))
    assert (told.verdict, told.problem) == (None, "--soak-baseline=none")


@pytest.mark.parametrize("count", [1, 2])
def test_with_one_or_two_runs_nobody_knows_how_much_runs_differ(count: int) -> None:
    found = judge(stretch(500, RUNS[:count]))
    assert (found.verdict, found.problem) == (None, f"{count} of 3 earlier runs")
    assert judge(stretch(500, RUNS[:3])).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("count", "verdict"), [(0, Verdict.INCONCLUSIVE), (2, Verdict.INCONCLUSIVE), (3, Verdict.PASS)]
)
def test_with_a_required_baseline_too_few_runs_are_inconclusive(
    count: int, verdict: Verdict
) -> None:
    assert judge(stretch(100, RUNS[:count], required=True)).verdict is verdict


def test_earlier_runs_that_were_too_short_do_not_count() -> None:
    run = stretch(500)
    short = tuple(replace(each, n=7) for each in run.earlier[:3])
    found = judge(replace(run, earlier=short + run.earlier[3:]))
    told = "2 of 3 earlier runs; 3 with fewer than 8 values"
    assert (found.verdict, found.problem) == (None, told)


def test_the_newest_runs_count() -> None:
    old = stretch(138, (500.0, 600.0, *RUNS))
    assert judge(old).detail == judge(stretch(138)).detail.replace("last r5", "last r7")
    assert judge(old, fail="worse by 10 %", runs=7).verdict is Verdict.PASS


def test_a_run_that_is_too_short_by_plan_is_not_judged() -> None:
    found = judge(stretch(500, n=7))
    assert (found.verdict, found.problem) == (None, "7 iterations to judge by plan, 8 needed")
    assert judge(stretch(500, n=7), fail="> +10 %", least=7).verdict is Verdict.FAIL


def test_a_run_with_too_few_values_is_inconclusive() -> None:
    run = stretch(500)
    found = judge(replace(run, settled=run.settled[:7]))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert (found.n, found.problem) == (7, "7 usable values, 8 needed")
    (none,) = {judge(replace(run, settled=(), earlier=())).verdict}
    assert none is None


def test_a_kpi_without_the_key_has_no_word_on_runs() -> None:
    kpi = make_kpi("latency", {"fail": "> 300"})
    assert Baseline(BaselineSettings()).judge_run(kpi, stretch(500)) is None


# ---- zero noise, and per cent of what


def flat(now: float, *before: float) -> Stretch:
    readings = tuple(Reading(i, now) for i in range(1, 9))
    earlier = tuple(RunValues.of(f"r{i}", [each] * 8) for i, each in enumerate(before, 1))
    return Stretch(1, 8, readings, readings, due=8, earlier=earlier)


def test_without_any_noise_every_change_is_certain() -> None:
    found = judge(flat(111, 100, 100, 100))
    assert (found.verdict, found.value, found.low, found.high) == (Verdict.FAIL, 11, 11, 11)
    assert judge(flat(109, 100, 100, 100)).detail.startswith("same: ")
    assert judge(flat(85, 100, 100, 100)).detail.startswith("better: ")
    steady = stretch(0).earlier
    assert judge(replace(flat(111, 100, 100, 100), others=(steady,))).low == 11


def test_runs_without_noise_that_differ_are_compared_by_how_much_they_differ() -> None:
    assert judge(flat(140, *RUNS)).verdict is Verdict.FAIL
    assert judge(flat(133, 90, 150, 100, 140, 120)).verdict is Verdict.PASS


def test_of_zero_there_are_no_per_cent_so_any_certain_change_is_beyond_them() -> None:
    same = judge(flat(0, 0, 0, 0))
    assert (same.verdict, same.value, same.detail.partition(":")[0]) == (Verdict.PASS, 0, "same")
    worse = judge(flat(0.5, 0, 0, 0))
    assert (worse.verdict, worse.value) == (Verdict.FAIL, 0.5)
    assert worse.detail.partition("; ")[0].endswith("0 -> 0.5, +0.5 [+0.5, +0.5]")
    tiny = judge(flat(1e140, 5e-324, 5e-324, 5e-324))
    assert (tiny.verdict, tiny.value) == (Verdict.FAIL, 1e140)


def test_per_cent_of_a_negative_baseline_are_of_its_size() -> None:
    found = judge(flat(-80, -100, -100, -100), fail="> +10 %")
    assert found.verdict is Verdict.FAIL
    assert found.value == pytest.approx(20)
    assert judge(flat(-120, -100, -100, -100), fail="> +10 %").verdict is Verdict.PASS


def test_the_largest_values_do_not_overflow() -> None:
    big = [(-1) ** i * 1e150 for i in range(8)]
    earlier = tuple(RunValues.of("r", big) for _ in range(3))
    readings = tuple(Reading(i, value) for i, value in enumerate(big, 1))
    noiseless = tuple(RunValues("r", 8, 1e150 * i, 1e-300) for i in range(-1, 2))
    run = Stretch(1, 8, readings, readings, due=8, earlier=earlier, others=(noiseless,))
    assert judge(run).verdict is Verdict.PASS
    found = judge(replace(run, earlier=noiseless, others=(earlier,)))
    assert found.low is not None
    assert math.isfinite(found.low)


# ---- what users write


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("baseline:latency<=+10 %", "> +10 %"),
        ("baseline:latency <= + 10%", "> +10 %"),
        ("baseline:latency<+5", ">= +5"),
        ("baseline:latency>=-2.5 %", "< -2.5 %"),
        ("baseline:latency>-3", "<= -3"),
    ],
)
def test_a_gate_setting_states_which_change_is_good(text: str, set_: str) -> None:
    metric, table = read_gate(text)
    assert (metric, table) == ("latency", {"baseline": {"fail": set_}})
    assert check(table, kpi_table(), "kpis.latency")[1] == ()
    assert make_kpi(metric, table).mistakes == ()


@pytest.mark.parametrize(
    "rest", ["<=10 %", "<=-10 %", ">=+10 %", "<=+ten %", "<=+10 ms", "<=worse by 10 %"]
)
def test_a_gate_setting_that_is_unclear_is_told_the_grammar(rest: str) -> None:
    with pytest.raises(ValueError, match=r"^baseline:METRIC<=\+10 % or >=-10 %, without %"):
        read_gate(f"baseline:latency{rest}")


def test_a_change_larger_than_anything_is_told_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=NUMBER.replace("+", r"\+")):
        read_gate(f"baseline:latency<=+1{'0' * 400}")
    kpi = make_kpi("latency", {"baseline": {"fail": f"> +1{'0' * 400}"}})
    assert [str(each) for each in kpi.mistakes] == [
        f"kpis.latency.baseline.fail: inf given; allowed: {NUMBER}"
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"fail": "10 %"}, f"baseline.fail: '10 %' given; allowed: {WRITTEN}"),
        ({"fail": "> 10 %"}, f"baseline.fail: '> 10 %' given; allowed: {WRITTEN}"),
        ({"warn": "worse by ten"}, f"baseline.warn: 'worse by ten' given; allowed: {WRITTEN}"),
        ({"fail": "< +10 %"}, f"baseline.fail: '< +10 %' given; allowed: {WRITTEN}"),
        ({"fail": "> +1", "runs": 2}, "baseline.runs: 2 given; allowed: 3 or more"),
        ({"fail": "> +1", "least": 1}, "baseline.least: 1 given; allowed: 2 or more"),
        ({"warn": "> +1"}, ""),
        ({"runs": 4}, f"baseline: neither fail nor warn is set; allowed: {WRITTEN}"),
        (
            {"warn": "worse by 5 %"},
            f"baseline.warn: 'worse by 5 %', but no limit says what is worse; allowed: {SIDED}",
        ),
    ],
)
def test_a_mistake_in_a_pack_is_told_with_what_to_write_instead(
    given: dict[str, object], told: str
) -> None:
    data: dict[str, Any] = {
        "pack": {"name": "p"},
        "parameters": {"x": {"base": 1, "limits": [0, 9]}},
    }
    data["kpis"] = {"latency": {"baseline": given}}
    if not told:
        assert build_pack(data, "p.toml").kpis[0].mistakes == ()
        return
    with pytest.raises(SoakUsageError) as error:
        build_pack(data, "p.toml")
    assert str(error.value) == f"pack p.toml: kpis.latency.{told}"


def test_the_journal_is_told_what_makes_the_same_criterion_again() -> None:
    kpi = make_kpi("latency", {"baseline": {"fail": "> +10 %"}})
    assert kpi.describe() == {"baseline": {"fail": "> +10 %", "runs": 5, "least": 8}}
    assert make_kpi("latency", kpi.describe()) == kpi


def test_without_scipy_a_baseline_is_a_usage_error_before_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "scipy", None)
        ran = pytester.runpytest("--soak-iterations=2", "--soak-gate=baseline:throughput>=-10 %")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    told = "ERROR: criterion baseline of throughput: needs scipy; install pytest-soak[[]stats]"
    ran.stderr.fnmatch_lines([told])
