"""One iteration: what the system runs with is what is recorded, applied and verified."""

from __future__ import annotations

from typing import Any

import pytest

from tests.logged import LoggedSoak
from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, patches, problems, read_json, records, told

TUNED = ("--soak-iterations=4", "--auto-tune")


def summary(pytester: pytest.Pytester, iteration: int) -> dict[str, Any]:
    found = read_json(chain_folder(pytester) / f"ITER_SUMMARY_{iteration}.json")["summary"]
    assert isinstance(found, dict)
    return found


def test_a_system_that_changes_its_parameters_does_not_change_the_record(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeconftest(mock_system(after="parameters.update(workers=999, mine=1)"))
    pytester.runpytest("--soak-iterations=2", "--soak-system=odd")
    assert summary(pytester, 1)["parameters"] == {
        "workers": 2,
        "batch_size": 40,
        "backoff_s": 0.2,
    }
    assert summary(pytester, 1)["problems"] == []


def test_a_skipped_iteration_has_the_problem_that_it_did_not_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_demo(soak):
            if soak.iteration == 1:
                pytest.skip("later")
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert problems(summary(pytester, 1)) == ["iteration 1: did not run"]
    assert summary(pytester, 1)["verdict"] == "INCONCLUSIVE"
    assert summary(pytester, 2)["problems"] == []


def test_an_iteration_whose_test_never_ran_it_has_that_problem(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_demo(soak):\n    assert soak.iteration == 2 or soak.run()")
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert summary(pytester, 1)["problems"] == []
    assert problems(summary(pytester, 2)) == ["iteration 2: its test never called soak.run()"]
    assert summary(pytester, 2)["verdict"] == "INCONCLUSIVE"


def test_a_recorded_iteration_cannot_be_run_by_a_later_test(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        held = []

        def test_demo(soak):
            held.append(soak)
            if soak.iteration > 1:
                soak.run()
                held[0].run()
        """
    )
    result = pytester.runpytest("--soak-iterations=2")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*iteration 1 cannot run again: 2 is already recorded"])
    kinds = [(r["kind"], r["iteration"]) for r in records(chain_folder(pytester))]
    assert kinds.count(("iteration", 1)) == kinds.count(("iteration", 2)) == 1


def test_only_applied_changes_can_be_unverified(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeconftest(mock_system(after="del report['parameters']"))
    applied = pytester.runpytest("--soak-system=odd", *TUNED)
    applied.stdout.fnmatch_lines(["| kpi_gate |*UNVERIFIED=1,2 |"])
    recommended = pytester.runpytest("--soak-system=odd", "--soak-iterations=4", "--soak-recommend")
    recommended.stdout.fnmatch_lines(["| kpi_gate | FAIL |*"])
    assert "UNVERIFIED" not in str(recommended.stdout)
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["unverified"] == []


def test_every_delta_reported_as_applied_reached_the_system(pytester: pytest.Pytester) -> None:
    logged = LoggedSoak(pytester)
    assert logged.soak(6, "--auto-tune").ret == 0
    applied = 0
    for number in range(1, 6):
        tuning = logged.read(f"ITER_SUMMARY_{number}.json")["tuning"]
        for field in ("workers", "batch_size", "backoff_s"):
            before, after = logged.ran(field)[number - 1 : number + 1]
            delta = tuning["effective"].get(field, 0) if tuning["applied"] else 0
            assert after == pytest.approx(before + delta), (number, field)
            applied += bool(delta)
    assert applied > 5

    logged = LoggedSoak(
        pytester, "used.update(self._base)"
    )  # says it used the base, whatever it was given
    assert logged.soak(6, "--auto-tune").ret == 1
    assert logged.read("KPI_GATE.json")["verdict"] == "INCONCLUSIVE"
    assert logged.read("ITER_SUMMARY_1.json")["tuning"]["verified"] == "false"


def test_overrides_hold_target_values_and_summaries_increments(pytester: pytest.Pytester) -> None:
    logged = LoggedSoak(pytester)
    logged.soak(4, "--auto-tune", '--soak-overrides={"workers": 5}')
    assert patches(logged.folder)[0] == [
        {"op": "add", "path": "/backoff_s", "value": 0.3},
        {"op": "add", "path": "/batch_size", "value": 35},
        {"op": "replace", "path": "/workers", "value": 7},
    ]
    summed = {"workers": 5.0, "batch_size": 40.0, "backoff_s": 0.2}
    for number in (1, 2):
        for field, delta in logged.read(f"ITER_SUMMARY_{number}.json")["tuning"][
            "effective"
        ].items():
            summed[field] += delta
    assert logged.read("runtime_overrides.json") == pytest.approx(summed)


def test_the_same_step_in_two_iterations_is_applied_twice(pytester: pytest.Pytester) -> None:
    twice = "\ndef test_demo(soak):\n    assert soak.run() is soak.run()\n"
    logged = LoggedSoak(pytester, test=twice)
    logged.soak(4, "--auto-tune")
    first, second = (logged.read(f"ITER_SUMMARY_{number}.json")["tuning"] for number in (1, 2))
    assert first["effective"] == second["effective"]
    assert first["applied"] is second["applied"] is True
    assert logged.ran("workers") == [2, 4, 6, 6]
    assert logged.ran() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("mischief", "verified"),
    [
        pytest.param("pass", "true", id="control"),
        pytest.param("used['workers'] += 1e-12", "true", id="the same number, written twice"),
        pytest.param("used['backoff_s'] += 0.01", "false", id="one step of the grid"),
        pytest.param("used['workers'] *= 1.01", "false", id="one per cent"),
        pytest.param("used['workers'] = 2", "false", id="one field of three"),
        pytest.param("del used['workers']", "unknown", id="a silent field"),
        pytest.param("report['parameters'] = None", "unknown", id="a silent system"),
    ],
)
def test_a_change_is_verified_only_if_the_system_used_it_exactly(
    pytester: pytest.Pytester, mischief: str, verified: str
) -> None:
    logged = LoggedSoak(pytester, f"if iteration == 2:\n    {mischief}")
    result = logged.soak(6, "--auto-tune")
    assert logged.read("ITER_SUMMARY_1.json")["tuning"]["verified"] == verified
    gate = logged.read("KPI_GATE.json")
    assert result.ret == (1 if verified == "false" else 0)
    assert gate["unverified"] == ([1] if verified == "unknown" else [])


TINY = """
pack = { tuner = "up" }
parameters.rate = { unit = "1", limits = [LO, HI], calm = "up", precision = GRID, base = LO }
metrics.loss = { unit = "1" }
kpis.loss.fail = "> 2"
[[rule]]
tuner = "up"
id = "up"
when.all = [{ metric = "loss", op = ">", value = 0.5 }]
step.rate = GRID
reason = "slow"
"""


@pytest.mark.parametrize(
    ("lo", "hi", "grid"),
    [(1e-10, 9e-10, 1e-10), (0.0, 8e-13, 1e-13), (10**10, 10**10 + 9, 1), (1e6, 1e6 + 1, 1e-4)],
)
def test_a_change_that_the_system_never_used_is_not_verified_however_small_it_is(
    pytester: pytest.Pytester, lo: float, hi: float, grid: float
) -> None:
    text = TINY.replace("LO", str(lo)).replace("HI", str(hi)).replace("GRID", str(grid))
    (pytester.path / "tiny.toml").write_text(text)
    pytester.makepyfile(
        test_demo=f"""
        import pytest

        class Stuck:
            def run(self, parameters, iteration, seed, state):
                used = {{"rate": {lo}}}
                return {{"iteration": iteration, "parameters": used, "totals": {{"loss": 1}}}}, None

        @pytest.fixture
        def soak_system():
            return Stuck()

        @pytest.mark.soak(pack="tiny.toml", observe=2)
        def test_demo(soak):
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == 1
    assert "override_not_effective: rate asked=" in str(result.stdout)
    folder = chain_folder(pytester)
    assert read_json(folder / "KPI_GATE.json")["verdict"] == "INCONCLUSIVE"
    assert read_json(folder / "ITER_SUMMARY_1.json")["tuning"]["verified"] == "false"
    lines = told("explain", "--iter=1")[1]
    effect = lines[lines.index("effect") + 1]
    assert effect.startswith("  NOT EFFECTIVE: rate was set to ")
    assert told("verify")[0] == 1
