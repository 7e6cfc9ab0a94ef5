"""Rollbacks: to exactly the good parameters, not on noise, at most twice, not in the window."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.guards.auto_rollback import AutoRollback
from pytest_soak.model.decision import Decision, Rollback
from pytest_soak.model.history import Entry, History
from pytest_soak.model.lookback import asked, decisions
from pytest_soak.model.loss import Point, find_loss
from pytest_soak.model.promises import loosened, rollback_fault
from pytest_soak.model.summary import Summary
from pytest_soak.store.records import decision_from_json, decision_to_json
from tests.bench import guard_rates
from tests.guards.simulated import BAD, demo, soak, steps, stopped, told, values
from tests.logged import LOGS
from tests.strategies import mock_system, tuner
from tests.support import DEMO, chain_folder, patches, read_json, records, unlike_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak.model.metrics import Value

ARMED = """
guards.drift.enabled = false
guards.caps.enabled = false
objective = { metric = "throughput", better = "up" }
noise.throughput = 1.0
"""


def measured(values: Mapping[float, float]) -> Callable[[int, Mapping[str, float]], Any]:
    """Return metrics: *values* is ``{workers: throughput from this many workers on}``."""

    def metrics(_: int, parameters: Mapping[str, float]) -> Mapping[str, Value]:
        reached = max(least for least in values if parameters["workers"] >= least)
        return {**BAD, "throughput": values[reached]}

    return metrics


CLIFF = measured({2: 100, 5: 90})
"""Throughput falls by ten sigma from five workers on."""


# ---- the rule in simulated runs


def test_a_loss_after_changes_goes_back_to_the_last_good_parameters() -> None:
    entries = soak(demo(ARMED), 7, steps(1), CLIFF)
    assert values(entries) == [2, 3, 4, 5, 6, 4, 4]
    assert stopped(entries, "auto_rollback") == [5]
    (detail,) = [detail for _, reason, detail in told(entries) if reason == "auto_rollback"]
    assert detail.startswith("throughput 100 (n=3) -> 90 (n=2), sigma=1, sum ")


def test_what_was_undone_is_not_tried_again_in_the_run() -> None:
    entries = soak(demo(ARMED), 30, lambda _: {"one": {"workers": 1, "batch_size": -1}}, CLIFF)
    assert set(values(entries)[5:]) == {4}
    assert stopped(entries, "auto_rollback") == [5]
    assert (6, "undone", "6 rolled back to 4") in told(entries)
    assert set(values(entries, "batch_size")[5:]) == {38}  # changed along with it


def test_another_parameter_and_the_other_direction_stay_free() -> None:
    def requests(number: int) -> dict[str, dict[str, float]]:
        if number < 6:
            return {"one": {"workers": 1}}
        return {"one": {"workers": -1 if number == 6 else 1, "batch_size": -2}}

    entries = soak(demo(ARMED), 10, requests, CLIFF)
    assert values(entries)[5:] == [4, 3, 4, 4, 4]  # back to what was good, not beyond
    assert values(entries, "batch_size")[5:] == [40, 38, 36, 34, 32]


def test_after_two_rollbacks_nothing_is_changed() -> None:
    def requests(number: int) -> dict[str, dict[str, float]]:
        return {"one": {"workers": 1} if number < 6 else {"batch_size": -1, "workers": 1}}

    def metrics(number: int, parameters: Mapping[str, float]) -> Mapping[str, Value]:
        bad = parameters["workers"] > 4 or parameters["batch_size"] < 37
        return {**BAD, "throughput": 90 if bad else 100}

    entries = soak(demo(ARMED), 25, requests, metrics)
    assert len(stopped(entries, "auto_rollback")) == 2
    assert values(entries, "batch_size")[-1] == 37
    last = stopped(entries, "auto_rollback")[-1]
    assert stopped(entries, "rollback_freeze") == list(range(last + 1, 26))
    assert len({tuple(entry.summary.parameters.items()) for entry in entries[last:]}) == 1


def test_in_the_window_it_is_reported_and_nothing_is_rolled_back() -> None:
    entries = soak(demo(ARMED), 6, steps(1), CLIFF, window=2)
    assert values(entries) == [2, 3, 4, 5, 6, 6]
    assert stopped(entries, "auto_rollback") == []
    assert stopped(entries, "rollback_in_window") == [5, 6]


def test_a_loss_without_a_change_before_it_is_not_rolled_back() -> None:
    def world(number: int, _: object) -> Mapping[str, Value]:
        return {**BAD, "throughput": 100 if number < 4 else 90}

    def requests(number: int) -> dict[str, dict[str, float]]:
        return {"one": {"workers": 1} if number in {1, 8} else {}}

    entries = soak(demo(ARMED), 14, requests, world)
    assert told(entries) == []
    assert values(entries)[-1] == 4


def test_one_bad_iteration_is_not_two_in_a_row() -> None:
    def metrics(number: int, _: object) -> Mapping[str, Value]:
        return {**BAD, "throughput": 80 if number == 4 else 100}

    entries = soak(demo(ARMED), 10, steps(1), metrics)
    assert told(entries) == []


def test_a_rise_of_an_objective_that_should_fall_is_a_loss() -> None:
    down = ARMED.replace('"throughput", better = "up"', '"latency_p95_ms", better = "down"')
    down = down.replace("noise.throughput", "noise.latency_p95_ms")

    def metrics(_: int, parameters: Mapping[str, float]) -> Mapping[str, Value]:
        return {**BAD, "latency_p95_ms": 200 if parameters["workers"] < 5 else 210}

    entries = soak(demo(down), 7, steps(1), metrics)
    assert values(entries) == [2, 3, 4, 5, 6, 4, 4]
    assert "latency_p95_ms 200 (n=3) -> 210 (n=2)" in told(entries)[0][2]


def test_a_gain_is_the_new_baseline() -> None:
    entries = soak(demo(ARMED), 12, steps(1), measured({2: 80, 4: 100, 9: 90}))
    assert values(entries)[-1] == 8
    (detail,) = [detail for _, reason, detail in told(entries) if reason == "auto_rollback"]
    assert detail.startswith("throughput 100 (n=")


def test_an_iteration_without_the_objective_is_not_counted() -> None:
    def metrics(number: int, parameters: Mapping[str, float]) -> Mapping[str, Value]:
        return {} if number in {4, 6} else CLIFF(number, parameters)

    entries = soak(demo(ARMED), 9, steps(1), metrics)
    assert stopped(entries, "auto_rollback") == [7]
    assert values(entries) == [2, 3, 4, 5, 5, 6, 6, 4, 4]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("", "the pack names no objective"),
        ('objective = { metric = "throughput", better = "up" }', "of throughput is not known"),
    ],
)
def test_without_objective_or_noise_it_says_not_armed_once(changed: str, why: str) -> None:
    entries = soak(demo(changed), 4, steps(-1, parameter="batch_size"), CLIFF)
    ((number, reason, detail),) = told(entries)
    assert (number, reason) == (1, "not_armed")
    assert why in detail


def test_it_arms_itself_with_the_noise_of_five_iterations_without_a_change() -> None:
    noise = (1, -1, 1, -1, 1)

    def metrics(number: int, parameters: Mapping[str, float]) -> Mapping[str, Value]:
        value = 100 + noise[number % 5] - (0 if parameters["workers"] < 4 else 40)
        return {**BAD, "throughput": value}

    changed = ARMED.replace("noise.throughput = 1.0", "")
    entries = soak(demo(changed), 12, lambda n: {"one": {"workers": 1} if n > 5 else {}}, metrics)
    assert stopped(entries, "not_armed") == [1]
    assert stopped(entries, "armed") == [5]
    assert "throughput sigma=1.095 n=5" in [detail for _, reason, detail in told(entries)]
    assert stopped(entries, "auto_rollback") == [9]
    assert values(entries)[-1] == 3


def test_a_run_that_never_varies_has_no_noise_to_arm_with() -> None:
    changed = ARMED.replace("noise.throughput = 1.0", "")
    entries = soak(demo(changed), 12, lambda _: {}, CLIFF)
    assert stopped(entries, "armed") == []


def test_it_can_be_switched_off() -> None:
    changed = ARMED + "guards.auto_rollback.enabled = false"
    entries = soak(demo(changed), 8, steps(1), CLIFF)
    assert told(entries) == []


def test_the_plain_rule_is_off_by_default_and_rolls_back_after_two_drops() -> None:
    falling = measured({2: 100, 3: 99, 4: 98, 5: 97})
    noisy = ARMED.replace("throughput = 1.0", "throughput = 50.0")
    off = soak(demo(noisy), 8, steps(1), falling)
    assert told(off) == []
    on = soak(
        demo(noisy + "guards.plain_rollback.enabled = true"),
        8,
        steps(1),
        falling,
        window=2,
    )
    assert values(on) == [2, 3, 4, 2, 2, 2, 2, 2]
    assert told(on)[0] == (3, "plain_rollback", "throughput 100 -> 99 -> 98")


def test_the_plain_rule_reports_in_the_window() -> None:
    plain = ARMED + "guards.plain_rollback.enabled = true"
    falling = measured({2: 100, 3: 99.9, 4: 99.8})
    entries = soak(demo(plain), 3, steps(1), falling, window=1)
    assert told(entries)[-1] == (
        3, "rollback_in_window", "to iteration 1: throughput 100 -> 99.9 -> 99.8",
    )  # fmt: skip


def test_the_plain_rule_needs_an_apply_an_objective_and_three_iterations_in_a_row() -> None:
    plain = ARMED + "guards.plain_rollback.enabled = true"

    def fading(number: int, _: object) -> Mapping[str, Value]:
        return {} if number == 4 else {**BAD, "throughput": 100 - 0.1 * number}

    idle = soak(demo(plain), 3, lambda _: {}, fading)
    assert told(idle) == []  # nothing was applied
    gaps = soak(demo(plain), 5, lambda n: {"one": {"workers": 1} if n < 4 else {}}, fading)
    assert stopped(gaps, "plain_rollback") == [3]
    no_objective = demo(
        "guards.plain_rollback.enabled = true\nguards.auto_rollback.enabled = false"
    )
    entries = soak(no_objective, 3, steps(-1, parameter="batch_size"), fading)
    assert told(entries) == []


# ---- the strict rule of a rollback


GOOD = Summary(1, {"x": 1}, {})
LATER = Summary(2, {"x": 2}, {})


def after(*, in_window: bool = False) -> History:
    return History([Entry(GOOD), Entry(replace(LATER, in_window=in_window))])


@pytest.mark.parametrize(
    ("back", "phrase"),
    [
        (Rollback("rule", 1, {"x": 1}), ""),
        (Rollback("rule", 1, {"x": 1.5}), "what iteration 1 did not run with"),
        (Rollback("rule", 1, {"x": 1, "y": 2}), "what iteration 1 did not run with"),
        (Rollback("rule", 2, {"x": 2}), "what iteration 2 did not run with"),
        (Rollback("rule", 7, {"x": 1}), "what iteration 7 did not run with"),
    ],
)
def test_only_the_exact_parameters_of_an_earlier_iteration_come_back(
    back: Rollback, phrase: str
) -> None:
    assert phrase in rollback_fault(Decision(2, {"x": 2}, rollback=back), after())


def test_a_rollback_comes_alone_and_never_in_the_window() -> None:
    decision = Decision(2, {"x": 2}).roll_back("rule", GOOD, "")
    assert rollback_fault(decision, after()) == ""
    assert "in the observation window" in rollback_fault(decision, after(in_window=True))
    (step,) = soak(demo(), 1, steps(1))[0].decision.moves  # type: ignore[union-attr]
    assert "changed workers besides" in rollback_fault(replace(decision, changes=(step,)), after())


def test_no_other_guard_makes_changes_or_drops_a_rollback() -> None:
    before = Decision(2, {"x": 2})
    rolled = before.roll_back("rule", GOOD, "")
    assert loosened(before, rolled) == "made, changed or dropped a rollback"
    assert loosened(rolled, before) == "made, changed or dropped a rollback"
    assert loosened(before, rolled, rolls_back=True) == ""
    other = replace(rolled, rollback=Rollback("rule", 1, {"x": 5}))
    assert loosened(rolled, other, rolls_back=True) == "made, changed or dropped a rollback"


def test_a_decision_with_a_rollback_survives_the_journal() -> None:
    rolled = Decision(2, {"x": 2}).roll_back("rule", GOOD, "why").notice("a", "b", "x", "c")
    again = decision_from_json(json.loads(json.dumps(decision_to_json(rolled))), 2, {"x": 2})
    assert again == rolled
    assert again.restored == {"x": (2, 1)}


def test_a_loss_needs_iterations_and_no_loss_is_found_without_noise_to_compare() -> None:
    assert find_loss([], 1) is None
    assert find_loss([Point(1, 5.0, "a")], 1) is None


# ---- rates: binomial bounds five sigma from the figures in docs/guards.md

RUNS = 600


def most(share: float) -> float:
    """Return a bound that a true share of *share* exceeds about once in a million counts."""
    return share + 5 * math.sqrt(share * (1 - share) / RUNS)


def least(share: float) -> float:
    """Return a bound that a true share of *share* falls below as rarely."""
    return share - 5 * math.sqrt(share * (1 - share) / RUNS)


def test_on_noise_the_default_fires_in_at_most_six_per_cent_of_runs_of_twelve() -> None:
    acted, _ = guard_rates.false_alarms(guard_rates.auto(), 12, RUNS, 2)
    assert acted <= most(0.06)


def test_the_default_takes_back_four_of_five_losses_of_two_sigma() -> None:
    acted, reported, undone = guard_rates.detections(guard_rates.auto(), 2, 4, RUNS, 2)
    assert acted >= least(0.80)
    assert undone <= acted <= acted + reported <= 1


def test_on_noise_the_plain_rule_fires_in_most_runs() -> None:
    plain = guard_rates.plain()
    acted, reported = guard_rates.false_alarms(plain, 6, RUNS, 2)
    assert least(0.5) <= acted + reported <= most(0.6)
    assert guard_rates.false_alarms(plain, 24, RUNS, 2)[0] >= least(0.97)


def test_with_the_noise_of_the_run_false_alarms_are_as_rare() -> None:
    alarms, found = guard_rates.unknown_noise(RUNS, 2)
    assert alarms <= most(0.06)
    assert found >= least(0.8)


def test_freeze_and_effectiveness_are_as_reliable_as_documented() -> None:
    assert guard_rates.freezes(-2, RUNS, 2) <= most(0.02)
    assert guard_rates.freezes(1, RUNS, 2) >= least(0.99)
    assert guard_rates.beyond(0, 2, RUNS, 2) <= most(0.05)
    assert guard_rates.beyond(2, 4, RUNS, 2) >= least(0.80)


def test_the_command_prints_every_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["guard_rates.py", "--runs", "10"])
    guard_rates.main()
    shown = capsys.readouterr().out
    for word in ("auto_rollback", "plain_rollback", "freeze", "effectiveness", "10 runs"):
        assert word in shown


def test_both_rules_are_the_shipped_ones() -> None:
    assert isinstance(guard_rates.auto(), AutoRollback)


# ---- in real runs


def system(most: int = 4, more: str = "") -> str:
    """Return the conftest of a system that loses throughput with more than *most* workers.

    *more* lines change its report further. A tuner asks for one more worker each time.
    """
    lost = f"report['totals']['throughput'] = 100 - (10 if parameters['workers'] > {most} else 0)"
    cliff = mock_system("cliff", before=LOGS, after=f"{lost}\n{more}")
    return cliff + tuner('Proposal({"workers": 1, "backoff_s": 0.1}, ("up",))', name="up")


PACK = """
[tool.pytest-soak.packs.demo]
objective = { metric = "throughput", better = "up" }
noise.throughput = 1.0
kpis.latency_p95_ms.fail = "> 900"
kpis.error_rate.fail = "> 0.9"
"""
RUN = ("--soak-iterations=9", "--auto-tune", "--soak-system=cliff", "--soak-tuner=up")


@pytest.fixture
def cliff(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(system())
    pytester.makepyprojecttoml(PACK)
    pytester.makepyfile(test_demo=DEMO)
    return pytester


def ran(pytester: pytest.Pytester, field: str) -> list[float]:
    lines = (pytester.path / "ran.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)[field] for line in lines]


def test_a_loss_that_cured_a_kpi_is_reported_and_not_taken_back(cliff: pytest.Pytester) -> None:
    """With the best throughput, latency was at FAIL."""
    cliff.makepyprojecttoml("\n".join(line for line in PACK.splitlines() if "kpis" not in line))
    result = cliff.runpytest(*RUN)
    assert ran(cliff, "workers")[:6] == [2, 3, 4, 5, 6, 7]
    result.stdout.fnmatch_lines(
        ["| soak_guard | ROLLBACK_PRICE | iter=5 *; at FAIL in iteration 3 and not now: lat* |"]
    )
    notices = read_json(chain_folder(cliff) / "ITER_SUMMARY_5.json")["tuning"]["notices"]
    assert "rollback_price" in [notice["reason"] for notice in notices]


def test_a_loss_that_broke_more_kpis_than_it_cured_is_taken_back(cliff: pytest.Pytester) -> None:
    """One more worker cures latency, and breaks the error rate and throughput."""
    text = "\n".join(line for line in PACK.splitlines() if "kpis" not in line)
    gates = 'kpis.latency_p95_ms.fail = "> 230"\nkpis.throughput.fail = "< 95"\n'
    cliff.makepyprojecttoml(f"{text}\n{gates}")
    late = "report['totals']['latency_p95_ms'] = 231 if parameters['workers'] <= 4 else 200"
    errors = "report['totals']['error_rate'] = 0.01 if parameters['workers'] <= 4 else 0.9"
    cliff.makeconftest(system(more=f"{late}\n{errors}"))
    cliff.runpytest(*RUN)
    assert ran(cliff, "workers")[:7] == [2, 3, 4, 5, 6, 4, 4]


def test_a_rollback_reaches_the_system_and_all_artifacts(cliff: pytest.Pytester) -> None:
    result = cliff.runpytest(*RUN)
    assert ran(cliff, "workers") == [2, 3, 4, 5, 6, 4, 4, 4, 4]
    assert ran(cliff, "backoff_s")[4:6] == [0.6, 0.4]
    result.stdout.fnmatch_lines(
        [
            "| runtime_adjust | OK | FIELD=workers FROM=6 TO=4 REASON=auto_rollback to iter*n 3 |",
            "| auto_rollback | OK | iter=5 TO=3 params=2 throughput 100 (n=3) -> 90 (n=2),* |",
            "  workers: 6 → 4",
            "| iter_watch | SELF_CHECK | Diff for runtime_overrides.json (iter 5) |",
            "  replace /workers 4",
            "*workers*6 → 4*verified*auto_rollback to iteration 3",
        ]
    )
    result.stdout.fnmatch_lines(
        ["| soak_guard | UNDONE | iter=6 FIELD=workers 6 rolled back to 4 |"]
    )
    folder = chain_folder(cliff)
    assert read_json(folder / "runtime_overrides.json") == {"backoff_s": 0.4, "workers": 4}
    summary = read_json(folder / "ITER_SUMMARY_5.json")["tuning"]
    assert summary["rollback"]["to_iteration"] == 3
    assert (summary["applied"], summary["verified"]) == (True, "true")
    assert summary["skip_reason"] == "auto_rollback"
    report = read_json(folder / "TUNING_REPORT.json")
    assert report["skip_reasons"]["auto_rollback"] == 1
    assert [row["iteration"] for row in report["effectiveness"] if row["rollback"]] == [5]
    assert unlike_journal(folder) == []
    adjusted = read_json(folder / "applied_profile.json")["runtime_adjustments"]
    assert [a["to"] for a in adjusted if a["reason"].startswith("auto_rollback")] == [0.4, 4]


@pytest.mark.parametrize("seeded", ['{"batch_size": 40}', "{}"])
def test_a_rollback_restores_the_exact_overrides(cliff: pytest.Pytester, seeded: str) -> None:
    """A key that was not there is removed, one that only repeats the base stays."""
    cliff.makeconftest(system(most=2))
    cliff.runpytest(*RUN, f"--soak-overrides={seeded}")
    folder = chain_folder(cliff)
    assert ran(cliff, "workers") == [2, 3, 4, 2, 2, 2, 2, 2, 2]
    assert read_json(folder / "runtime_overrides.json") == json.loads(seeded)
    removed = {op["path"] for op in patches(folder)[2] if op["op"] == "remove"}
    assert removed == {"/workers", "/backoff_s"}


def test_a_resumed_run_rolls_back_like_an_uninterrupted_one(cliff: pytest.Pytester) -> None:
    """The crash comes right after the rollback, and the target is from before it."""
    cliff.runpytest(*RUN)
    undisturbed = patches(chain_folder(cliff))
    cliff.makepyfile(
        test_demo="""
        import os
        from pathlib import Path

        def test_demo(soak):
            if soak.iteration in (5, 7) and not Path(f"crashed{soak.iteration}").exists():
                Path(f"crashed{soak.iteration}").touch()
                os._exit(1)
            soak.run()
        """
    )
    cliff.runpytest(*RUN, "-n2")
    folder = chain_folder(cliff)
    assert patches(folder) == undisturbed
    numbers = [r["iteration"] for r in records(folder) if r["kind"] == "iteration"]
    assert numbers == list(range(1, 10))
    assert unlike_journal(folder) == []


def test_a_plugins_guard_may_not_roll_back(cliff: pytest.Pytester) -> None:
    greedy = """
class Greedy:
    def review(self, history, decision, settings):
        if len(history) < 2:
            return decision
        return decision.roll_back("greedy", history[0].summary, "because")

def pytest_soak_guards():
    return {"greedy": lambda pack: Greedy()}
"""
    cliff.makeconftest(system() + greedy)
    result = cliff.runpytest(*RUN)
    result.stdout.fnmatch_lines(["*'greedy': review() made, changed or dropped a rollback*"])
    assert ran(cliff, "workers") == [2, 3]


def test_recommending_rolls_nothing_back(cliff: pytest.Pytester) -> None:
    run = [arg if arg != "--auto-tune" else "--soak-recommend" for arg in RUN]
    cliff.runpytest(*run, '--soak-overrides={"workers": 5}')
    assert set(ran(cliff, "workers")) == {5}
    report = read_json(chain_folder(cliff) / "TUNING_REPORT.json")
    assert "auto_rollback" not in report["skip_reasons"]
    assert report["effectiveness"] == []


def test_a_rule_of_the_core_that_errs_is_stopped_by_the_last_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Summary(1, {"workers": 99}, {})

    def err(self: object, history: History, decision: Decision, settings: object) -> Decision:
        return decision.roll_back("auto_rollback", wrong, "")

    monkeypatch.setattr(AutoRollback, "review", err)
    with pytest.raises(StrategyFault, match="what iteration 1 did not run with"):
        soak(demo(), 2, lambda _: {})


def test_no_guard_removes_the_notice_of_another() -> None:
    before = Decision(2, {"x": 2}).notice("a", "warned")
    assert loosened(before, replace(before, notices=())) == "took back a notice"


def test_an_iteration_without_a_decision_is_skipped() -> None:
    """A history from another source may have one."""
    undecided = Entry(Summary(1, {"x": 1}, {}))
    decided = Entry(Summary(2, {"x": 1}, {}), Decision(2, {"x": 1}, asked={"x": 5}))
    history = History([undecided, decided, Entry(Summary(3, {"x": 1}, {}))])
    assert list(asked(history, "x")) == [5]
    assert [decision.iteration for decision in decisions(history)] == [2]
    assert history.rollbacks == ()
