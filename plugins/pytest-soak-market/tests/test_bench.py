"""The benchmark of tuners: its measurements, and that tuning works in the development regimes."""

from __future__ import annotations

import math
import subprocess
import sys
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import convert
from pytest_soak_market.bench import measure, oracle, regimes
from pytest_soak_market.bench.__main__ import main
from pytest_soak_market.bench.arena import Chain, bench_pack, registry, soak
from pytest_soak_market.bench.limits import Limits, broken, passes
from pytest_soak_market.bench.regimes import DEVELOPMENT, HELD_OUT, draw, load
from pytest_soak_market.bench.score import Score, score, sign_test
from pytest_soak_market.market import MarketSettings

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak_market.bench.regimes import Regime

    from pytest_soak import Pack


PACK = bench_pack()
GOOD = {
    "net_bps": 3.0,
    "cancel_ratio": 0.4,
    "order_age_p95_ms": 250.0,
    "maker_share": 0.95,
    "adverse_bps_p95": 3.0,
    "slippage_bps_p95": 1.0,
    "ws_lag_p95_ms": 10.0,
}
QUICK = (1, 2, 3)
"""Development regimes that take little to simulate."""


def test_the_two_sets_of_regimes_have_no_seed_in_common() -> None:
    drawn = regimes.how_many_drawn()
    for which in (DEVELOPMENT, HELD_OUT):
        first, found = regimes.FIRST_SEED[which], load(which)
        seeds = [regime.seed for regime in found]
        assert seeds == sorted(set(seeds))
        assert first <= seeds[0]
        assert seeds[-1] < first + drawn[which] <= first + 10_000
        assert all(regime.which == which for regime in found)


def test_every_kept_regime_is_what_its_seed_draws_and_its_oracle_passes() -> None:
    for regime in (*load(DEVELOPMENT), *load(HELD_OUT)):
        assert regime.settings == draw(regime.seed)
        assert convert(regime.settings, MarketSettings).slot_s == regimes.SLOT_S
        assert regime.oracle["fail"].passes >= oracle.ENOUGH
        for best in regime.oracle.values():
            for name, parameter in PACK.parameters.items():
                assert best.parameters[name] in parameter.limits


def test_draws_are_the_same_for_a_seed_and_others_for_another() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_what_breaks_a_limit_is_named_and_what_has_no_value_is_broken() -> None:
    assert passes(PACK, GOOD, "warn")
    assert [*broken(PACK, GOOD | {"cancel_ratio": 0.6}, "warn")] == ["cancel_ratio"]
    assert passes(PACK, GOOD | {"cancel_ratio": 0.6}, "fail")
    assert [*broken(PACK, GOOD | {"net_bps": None}, "fail")] == ["net_bps"]


def test_merit_falls_with_every_step_towards_and_beyond_a_limit() -> None:
    limits = Limits(PACK, "fail", PACK.noise)
    ages = [None, 5_000.0, 1_000.0, 400.0, 361.0, 350.0, 200.0]
    merits = [limits.merit(GOOD | {"order_age_p95_ms": age}) for age in ages]
    assert merits == sorted(merits)
    assert len(set(merits)) == len(merits)


def tiny_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the search quick, and content with little."""
    monkeypatch.setattr(regimes, "SLOT_S", 4.0)
    for name, value in {"SPREAD": 6, "ELITE": 2, "CHILDREN": 2, "ROUNDS": (0.1,)}.items():
        monkeypatch.setattr(oracle, name, value)
    monkeypatch.setattr(oracle, "HOPELESS", -math.inf)


def test_a_search_keeps_what_fails_untuned_and_the_oracle_repairs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_search(monkeypatch)
    monkeypatch.setattr(oracle, "ENOUGH", 1)
    path = tmp_path / "kept.json"
    oracle.search(PACK, {DEVELOPMENT: 1, HELD_OUT: 1}, path)
    (regime,) = load(DEVELOPMENT, path)
    assert regime.oracle["fail"].passes >= 1
    assert set(regime.oracle["fail"].parameters) == set(PACK.parameters)
    assert set(regime.noise) == set(PACK.noise)
    assert len(load(HELD_OUT, path)) == 1
    drawn = regimes.how_many_drawn(path)
    assert drawn[DEVELOPMENT] == regime.seed


def test_a_search_goes_on_from_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = {which: load(which)[:1] for which in (DEVELOPMENT, HELD_OUT)}
    path = tmp_path / "kept.json"
    regimes.save([*found[DEVELOPMENT], *found[HELD_OUT]], {DEVELOPMENT: 5, HELD_OUT: 7}, path)
    drawn: list[int] = []

    def examine(_pack: Pack, which: str, seed: int, _noise: object) -> Regime | None:
        drawn.append(seed)
        return replace(found[which][0], seed=seed) if seed % 2 else None

    monkeypatch.setattr(oracle, "examine", examine)
    oracle.search(PACK, {DEVELOPMENT: 2, HELD_OUT: 2}, path)
    assert drawn == [6, 7, 10_008, 10_009]
    assert [regime.seed for regime in load(DEVELOPMENT, path)] == [found[DEVELOPMENT][0].seed, 7]
    assert regimes.how_many_drawn(path) == {DEVELOPMENT: 7, HELD_OUT: 9}


@pytest.mark.parametrize(
    ("iterations", "spread"),
    [(2, 0.0), (3, 0.1), (6, 0.1), (7, 0.1), (8, 0.2), (13, 0.3), (99, 0.6)],
)
def test_a_budget_bounds_how_far_a_chain_can_go(iterations: int, spread: float) -> None:
    near = oracle.within_budget(PACK, iterations).parameters
    assert near["base_spread_bps_delta"].limits.lo == 0
    assert near["base_spread_bps_delta"].limits.hi == spread
    if iterations > 2:  # the other budgets are as wide as the limits
        for name in set(PACK.parameters) - {"base_spread_bps_delta"}:
            assert near[name].limits == PACK.parameters[name].limits


def test_the_oracle_is_searched_again_as_far_as_the_budget_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_search(monkeypatch)
    quick = [replace(r, settings={**r.settings, "slot_s": 4.0}) for r in load(DEVELOPMENT)[:3]]
    monkeypatch.setattr(regimes, "load", lambda _: quick)
    judged: list[float] = []

    def judge(_pack: Pack, _settings: object, parameters: Mapping[str, float]) -> list[bool]:
        judged.append(parameters["base_spread_bps_delta"])
        return [True, True, True, False, False] + [False] * 5

    monkeypatch.setattr(oracle, "judge", judge)
    assert main(["bounded", "--iterations", "6,8", "--skip", "1"]) == 0
    found = "iterations: no FAIL 0.60, no WARN 0.00"
    assert capsys.readouterr().out.splitlines() == [f"6 {found}", f"8 {found}"]
    assert len(judged) == 8, "two regimes, two levels, two lengths"
    assert max(judged[:4]) <= 0.1 < max(judged[4:]) <= 0.2


def test_a_regime_that_does_not_fail_untuned_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_search(monkeypatch)
    monkeypatch.setattr(oracle, "passes", lambda *_: True)
    assert oracle.examine(PACK, DEVELOPMENT, 1, PACK.noise) is None


def test_a_regime_in_which_no_point_is_near_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_search(monkeypatch)
    monkeypatch.setattr(oracle, "passes", lambda *_: False)
    monkeypatch.setattr(oracle, "HOPELESS", math.inf)
    monkeypatch.setattr(oracle.Search, "refine", lambda *_: pytest.fail("it was searched"))
    assert oracle.examine(PACK, DEVELOPMENT, 1, PACK.noise) is None


def test_a_regime_whose_oracle_does_not_pass_often_enough_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_search(monkeypatch)
    monkeypatch.setattr(oracle, "passes", lambda *_: False)
    assert oracle.examine(PACK, DEVELOPMENT, 1, PACK.noise) is None


def chain(*totals: dict[str, float], applied: tuple[int, ...]) -> Chain:
    base = PACK.profiles["S1"].fields
    return Chain(base, [base] * len(totals), totals, applied, Verdict.PASS)


def a_score(monkeypatch: pytest.MonkeyPatch, *totals: dict[str, float]) -> Score:
    monkeypatch.setattr("pytest_soak_market.bench.score.judge", lambda *_: [True] * 4 + [False] * 6)
    return score(PACK, load(DEVELOPMENT)[0], chain(*totals, applied=(1,)))


def test_a_score_counts_what_the_final_parameters_and_the_chain_came_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = a_score(monkeypatch, GOOD | {"net_bps": 2.0, "cancel_ratio": 0.6}, GOOD)
    assert (found.fail, found.warn, found.verdict) == (0.8, 0.0, "PASS")
    assert (found.reached, found.before, found.after) == (2, 2, 0)
    assert (found.applied, found.unsafe) == (1, 0)


def test_a_chain_that_never_gets_there_reached_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert a_score(monkeypatch, GOOD | {"net_bps": 2.0}, GOOD | {"net_bps": 2.0}).reached == 0


@pytest.mark.parametrize(
    ("before", "after", "unsafe"),
    [
        ({}, {"cancel_ratio": 0.8}, 1),
        ({}, {"net_bps": None}, 1),
        ({"cancel_ratio": 0.695}, {"cancel_ratio": 0.705}, 0),  # no more than noise
        ({"cancel_ratio": 0.75}, {"cancel_ratio": 0.9}, 0),  # it was at FAIL before
        ({"cancel_ratio": 0.5}, {"cancel_ratio": 0.65}, 0),  # only WARN
    ],
)
def test_a_step_is_unsafe_if_a_kpi_is_newly_at_fail_by_more_than_noise(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, float], after: dict[str, float], unsafe: int
) -> None:
    assert a_score(monkeypatch, GOOD | before, GOOD | after).unsafe == unsafe


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (0, 6, 2 / 64)]
)
def test_the_sign_test_is_the_binomials(better: int, worse: int, p: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p)


def test_a_chain_runs_through_the_engine_and_reports_its_path() -> None:
    regime = load(DEVELOPMENT)[0]
    small = replace(regime, settings={**regime.settings, "slot_s": 5.0})
    tuned = soak(registry(), small, "random", 4, seed=1)
    assert len(tuned.totals) == len(tuned.points) == 4
    assert set(tuned.applied) <= {1, 2}, "nothing is applied in the observation window"
    again = soak(registry(), small, "random", 4, seed=1)
    assert again == tuned
    untuned = soak(registry(), small, "none", 4, seed=1)
    assert untuned.totals[0] == tuned.totals[0]
    assert untuned.parameters == PACK.profiles["S1"].fields


def test_random_search_obeys_the_largest_step_and_rests_where_all_is_well() -> None:
    regime = load(DEVELOPMENT)[0]
    tuned = soak(registry(), regime, "random", 6, seed=1)
    for a, b in zip(tuned.points, tuned.points[1:], strict=False):
        for name, parameter in PACK.parameters.items():
            assert abs(a[name] - b[name]) <= parameter.largest_step + 1e-9
            assert b[name] in parameter.limits


STRANGER = """
class Raises:
    requires = ()

    def propose(self, history, parameters):
        raise ValueError("no idea")


def pytest_soak_tuners():
    return {"stranger": lambda pack: Raises()}
"""


def test_a_strangers_tuner_takes_part_and_one_that_raises_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench_stranger.py").write_text(STRANGER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match=r"'stranger'.*ValueError: no idea"):
        main(["-p", "bench_stranger", "--tuner", "stranger", "--regimes", "1", "--iterations", "2"])


def test_an_unknown_tuner_is_named() -> None:
    with pytest.raises(SoakUsageError, match="unknown tuner 'nobody'"):
        soak(registry(), load(DEVELOPMENT)[0], "nobody", 3, seed=1)


def test_tuning_works(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark's quick form, on the development regimes: none is tuned to the others."""
    assert main(["--iterations", "8", "--tuner", "none,random,adaptive", "--regimes", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shares = {row.split()[0]: [float(x) for x in row.split()[1:3]] for row in lines[2:6]}
    assert shares["oracle"][0] == 1
    assert shares["adaptive"][0] >= 0.8
    assert shares["adaptive"][0] >= 2 * shares["random"][0]
    assert shares["none"][0] <= 0.2


def test_the_effects_are_measured_as_the_pack_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "POINTS", 16)
    monkeypatch.setattr(measure, "TELLING", 10)
    quick = [replace(r, settings={**r.settings, "slot_s": 5.0}) for r in load(DEVELOPMENT)[:2]]
    overload = {**quick[0].settings, "decision_cost_ms": 2_000.0}  # tells of nothing but lag
    quick.append(replace(quick[0], settings=overload))
    monkeypatch.setattr(regimes, "load", lambda _: quick)
    assert main(["measure"]) == 0
    text = capsys.readouterr().out
    found = tomllib.loads(text)["effects"]
    assert set(found) == {kpi.metric for kpi in PACK.required_kpis} == set(PACK.effects)
    assert found["net_bps"]["mean"]["base_spread_bps_delta"] > 0
    for name in ("order_age_p95_ms", "ws_lag_p95_ms"):
        assert found[name]["log"] is PACK.effects[name].log is True
    assert all(min(one["spread"].values()) >= 0 for one in found.values())


def test_a_search_for_no_regime_writes_nothing() -> None:
    before = regimes.KEPT.read_bytes()
    assert main(["search", "--keep", "0"]) == 0
    assert regimes.KEPT.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--regimes", "0"), "argument --regimes: '0'; allowed: a whole number from 1"),
        (("--regimes", "3", "--skip", "3"), "argument --skip: 3; allowed: fewer than 3"),
        (("--seeds", "0"), "argument --seeds: '0'; allowed: a whole number from 1"),
        (("--iterations", "6,x"), "argument --iterations: 'x'; allowed: a whole number from 1"),
        (("--tuner", "none,nope"), "--tuner: unknown tuner 'nope'; installed: adaptive, "),
        (("-p", "nosuchmodule"), "argument -p: No module named 'nosuchmodule'"),
    ],
)
def test_a_mistake_is_reported_before_anything_runs(
    given: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].startswith(
        f"python -m pytest_soak_market.bench: error: {told}"
    )


def test_each_tuner_is_compared_with_the_others_in_any_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["--iterations", "2", "--regimes", "1", "--tuner"]
    assert main([*line, "iter-watcher,random,none"]) == 0
    rows = {row.split()[0]: row for row in capsys.readouterr().out.splitlines()[3:6]}
    assert {name: row.count(" p=") for name, row in rows.items()} == {
        "iter-watcher": 2,
        "random": 1,
        "none": 1,
    }


def test_it_is_a_command() -> None:
    command = [sys.executable, "-m", "pytest_soak_market.bench", "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "--set {development,held-out}" in done.stdout
