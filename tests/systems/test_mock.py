"""The mock: its metrics answer to the parameters and to nothing else (mistake 1 of the SPEC)."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.errors import SoakUsageError
from pytest_soak.gates.kpi import KpiGate
from pytest_soak.model.history import Entry, History
from pytest_soak.model.parameters import step
from pytest_soak.model.report import contradictions, read_report
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Verdict, worst
from pytest_soak.packs.loader import load_pack
from pytest_soak.systems.mock import MockSystem
from pytest_soak.tuners.table import TableTuner
from tests.logged import LoggedSoak

if TYPE_CHECKING:
    from pytest_soak.model.pack import Pack

STRESSED = ("--soak-pack=market-maker", "--soak-system=mock", "--soak-scenario=stressed")
PACK: Pack = load_pack(resources.files("pytest_soak.packs").joinpath("demo.toml"))
BASE = PACK.profiles[PACK.profile].fields
SILENT = replace(PACK, mock={name: replace(m, noise=0.0) for name, m in PACK.mock.items()})
SEEDS = st.integers(0, 2**64 - 1)
SETTINGS = st.fixed_dictionaries(
    {"workers": st.integers(1, 16), "batch_size": st.integers(1, 100), "backoff_s": st.floats(0, 2)}
)


def measured(
    parameters: dict[str, float], seed: int = 7, iteration: int = 1, pack: Pack = PACK
) -> dict[str, Any]:
    report, _ = MockSystem(pack, "busy").run(parameters, iteration, seed, None)
    totals = report["totals"]
    assert isinstance(totals, dict)
    return totals


def soaked(sign: int, iterations: int = 8) -> dict[str, Any]:
    """Run the closed loop with the demo table, its deltas times *sign*; return the last totals."""
    tuner = TableTuner(PACK, PACK.tables["demo-table"])
    parameters: dict[str, float] = dict(BASE)
    totals: dict[str, Any] = {}
    for iteration in range(1, iterations + 1):
        totals = measured(parameters, seed=iteration, iteration=iteration)
        summary = Summary(iteration, dict(parameters), totals)
        proposal = tuner.propose(History([Entry(summary)]), parameters)
        for name, delta in proposal.deltas.items():
            parameter = PACK.parameters[name]
            corridor = parameter.corridor(tuner.corridor)
            parameters[name] = step(parameter, corridor, parameters[name], sign * delta).new
    return totals


def verdict(totals: dict[str, Any]) -> Verdict:
    return worst(judgement.verdict for judgement in KpiGate(PACK.kpis).judge(totals, {}))


def test_untuned_it_fails_and_tuned_it_passes() -> None:
    assert verdict(soaked(0)) is Verdict.FAIL
    assert verdict(soaked(1)).good


def test_a_tuner_with_the_wrong_signs_does_worse_than_none() -> None:
    wrong, none, right = soaked(-1), soaked(0), soaked(1)
    assert wrong["latency_p95_ms"] >= none["latency_p95_ms"] > right["latency_p95_ms"]
    assert wrong["error_rate"] > none["error_rate"] > right["error_rate"]


@given(SETTINGS, SEEDS, st.integers(1, 100))
def test_same_parameters_and_seed_give_the_same_report(
    parameters: dict[str, float], seed: int, iteration: int
) -> None:
    one = MockSystem(PACK, "busy").run(parameters, iteration, seed, None)
    assert one == MockSystem(PACK, "busy").run(parameters, iteration, seed, None)


@given(SEEDS)
def test_seeds_differ_in_noise_alone(seed: int) -> None:
    for name, value in measured(dict(BASE), seed).items():
        start = PACK.scenarios["busy"]["mock"][name]
        assert abs(value - start) <= 9 * PACK.mock[name].noise


def test_two_seeds_give_two_reports() -> None:
    assert measured(dict(BASE), 1) != measured(dict(BASE), 2)


@given(SETTINGS, st.integers(1, 100), st.integers(1, 100))
def test_time_alone_repairs_nothing(parameters: dict[str, float], early: int, late: int) -> None:
    one = measured(parameters, iteration=early, pack=SILENT)
    assert one == measured(parameters, iteration=late, pack=SILENT)


@given(SETTINGS)
def test_every_metric_answers_by_its_declared_effects(parameters: dict[str, float]) -> None:
    totals = measured(parameters, pack=SILENT)
    for name, answer in SILENT.mock.items():
        expected = SILENT.scenarios["busy"]["mock"][name] + sum(
            effect * (parameters[field] - BASE[field]) for field, effect in answer.effects.items()
        )
        metric = SILENT.metrics[name]
        low = expected if metric.least is None else max(expected, metric.least)
        clipped = low if metric.most is None else min(low, metric.most)
        assert totals[name] == pytest.approx(clipped, abs=1e-6)


@given(SETTINGS, SEEDS)
def test_a_report_is_usable_and_has_the_parameters_it_used(
    parameters: dict[str, float], seed: int
) -> None:
    raw, state = MockSystem(PACK, "busy").run(parameters, 3, seed, None)
    report = read_report(raw, 3, PACK.metrics)
    assert report.problem is None
    assert report.measured.lacking(kpi.metric for kpi in PACK.kpis) == {}
    assert contradictions(parameters, report.parameters, PACK.precision) == {}
    assert report.n == dict.fromkeys(PACK.mock, 1000)
    assert state is None


def test_a_metric_without_a_declared_effect_stays_at_its_start() -> None:
    pack = replace(PACK, mock={})
    assert measured({"workers": 16}, pack=pack) == PACK.scenarios["busy"]["mock"]


def test_a_scenario_without_values_for_the_mock_is_a_usage_error_that_names_those_with() -> None:
    pack = replace(PACK, scenarios={**PACK.scenarios, "storm": {"market": {}}})
    with pytest.raises(SoakUsageError, match=r"scenarios\.storm\.mock.*busy, calm"):
        MockSystem(pack, "storm")


def test_a_metric_without_a_starting_number_has_no_value_to_answer_with() -> None:
    calm = {**PACK.scenarios["busy"], "mock": {"error_rate": "none", "throughput": 100}}
    totals = measured(dict(BASE), pack=replace(PACK, scenarios={"busy": calm}))
    assert totals["error_rate"] == "none"
    assert "latency_p95_ms" not in totals
    assert totals["throughput"] != 100


def test_a_metric_that_counts_nothing_has_no_count() -> None:
    mock = {**PACK.mock, "error_rate": replace(PACK.mock["error_rate"], n=0)}
    report, _ = MockSystem(replace(PACK, mock=mock), "busy").run(BASE, 1, 7, None)
    assert report["n"] == {"latency_p95_ms": 1000, "throughput": 1000}


@pytest.mark.parametrize(
    ("args", "metrics"),
    [
        ((), ("latency_p95_ms", "error_rate")),
        (STRESSED, ("cancel_ratio", "ws_lag_p95_ms")),
    ],
    ids=["demo", "market-maker"],
)
def test_the_gate_fails_untuned_passes_tuned_and_fails_with_the_wrong_signs(
    pytester: pytest.Pytester, args: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    logged = LoggedSoak(pytester)
    tuner = ("--soak-tuner=trigger-table",) if args else ()
    exits, reached = [], []
    for how in ((), ("--auto-tune", *tuner), ("--auto-tune", "--soak-tuner=wrong")):
        exits.append(int(logged.soak(6, *args, *how).ret))
        reached.append([logged.final(metric) for metric in metrics])
    untuned, tuned, wrong = reached
    assert exits == [1, 0, 1]
    assert all(better < value for better, value in zip(tuned, untuned, strict=True))
    assert all(worse > value for worse, value in zip(wrong, untuned, strict=True))
