"""The verdict and the exit code: what a soak must not pass with."""

from __future__ import annotations

import pytest

from tests.logged import LoggedSoak
from tests.strategies import mock_system, tuner
from tests.support import DEMO, chain_folder, problems, read_json

TUNED = ("--soak-iterations=6", "--auto-tune")


def test_a_gate_that_another_plugin_skips_does_not_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name.endswith("kpi-gate]"):
                    item.add_marker(pytest.mark.skip(reason="who needs a gate"))
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    for args in ((), ("-n1",)):
        result = pytester.runpytest(*TUNED, *args)
        result.assert_outcomes(passed=6, errors=1)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "KPI gate: skipped, though iterations of its chain ran",
                "  no verdict: the run was broken off before the gate",
            ]
        )


def test_a_gate_that_never_runs_does_not_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_runtest_protocol(item):
            return True if item.name.endswith("kpi-gate]") else None
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    for args in ((), ("-n1",)):
        result = pytester.runpytest(*TUNED, *args)
        result.assert_outcomes(passed=6)
        assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("where", ["@pytest.mark.xfail", "pytestmark = pytest.mark.xfail"])
def test_an_expected_failure_of_the_test_does_not_cover_the_gate(
    pytester: pytest.Pytester, where: str
) -> None:
    pytester.makepyfile(test_demo=f"import pytest\n{where}\n{DEMO.lstrip()}")
    result = pytester.runpytest("--soak-iterations=3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(xpassed=3, failed=1)
    result.stdout.fnmatch_lines(["KPI gate: FAIL"])


def test_a_strategys_fault_that_the_test_swallows_is_inconclusive(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(tuner("1 / 0"))
    pytester.makepyfile(
        """
        def test_demo(soak):
            try:
                soak.run()
            except BaseException:
                pass
        """
    )
    result = pytester.runpytest(*TUNED, "--soak-tuner=mine", "--soak-scenario=calm")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "*ZeroDivisionError*"])


@pytest.mark.parametrize("n", ["0.0", "-3", "'0'", "True", "None", "2.5"])
def test_an_invalid_count_does_not_pass(pytester: pytest.Pytester, n: str) -> None:
    pytester.makeconftest(mock_system(after=f"report['n']['error_rate'] = {n}"))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "--soak-system=odd")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["  iteration 6: error_rate *n*"])


def test_a_run_broken_off_is_inconclusive_in_its_artifacts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_demo(soak):\n    assert soak.run().iteration < 3")
    result = pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm", "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert gate["verdict"] == "INCONCLUSIVE"
    assert problems(gate)[0] == "broken off: the gate did not run"
    assert "iteration 3: its test did not pass" in problems(gate)
    assert read_json(chain_folder(pytester) / "TUNING_REPORT.json")["verdict"] == "INCONCLUSIVE"


SILENT = "\ndef test_demo(soak):\n    if soak.iteration < 4:\n        soak.run()\n"


@pytest.mark.parametrize(
    ("mischief", "test", "verdict"),
    [
        pytest.param("pass", DEMO, "PASS", id="control"),
        pytest.param("del totals['error_rate']", DEMO, "INCONCLUSIVE", id="missing"),
        pytest.param("totals['error_rate'] = None", DEMO, "INCONCLUSIVE", id="undefined"),
        pytest.param("report['n']['error_rate'] = 0", DEMO, "INCONCLUSIVE", id="of nothing"),
        pytest.param("totals['throughput'] = 0", DEMO, "FAIL", id="zero"),
        pytest.param("report['iteration'] -= 1", DEMO, "INCONCLUSIVE", id="stale"),
        pytest.param("report = None", DEMO, "INCONCLUSIVE", id="no report"),
        pytest.param("pass", SILENT, "INCONCLUSIVE", id="no summary"),
    ],
)
def test_a_metric_that_is_missing_zero_or_stale_does_not_pass(
    pytester: pytest.Pytester, mischief: str, test: str, verdict: str
) -> None:
    logged = LoggedSoak(pytester, f"if iteration == 4:\n    {mischief}", test=test)
    result = logged.soak(4, "--soak-scenario=calm")
    assert logged.read("KPI_GATE.json")["verdict"] == verdict
    assert result.ret == (0 if verdict == "PASS" else 1)


@pytest.mark.parametrize(
    "args",
    [
        *((), ("-q",), ("-x",), ("-n2",), ("--soak-recommend",), ("--tb=no", "--no-summary")),
        ("--auto-tune", "--soak-gate=latency_p95_ms<=1"),
    ],
    ids=" ".join,
)
def test_a_failed_gate_is_exit_code_1_with_every_option(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    logged = LoggedSoak(pytester)
    result = logged.soak(3, *args)
    assert logged.read("KPI_GATE.json")["verdict"] == "FAIL"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["| kpi_gate | FAIL |*"])


@pytest.mark.parametrize(
    ("bad", "verdict"), [("< 1", "PASS"), ("== 9", "FAIL"), ("> 10", "FAIL"), ("== 12", "FAIL")]
)
def test_the_window_holds_the_last_iterations_by_number_and_not_by_name(
    pytester: pytest.Pytester, bad: str, verdict: str
) -> None:
    logged = LoggedSoak(pytester, f"totals['error_rate'] = 0.5 if iteration {bad} else 0.01")
    result = logged.soak(12, "--soak-scenario=calm")
    gate = logged.read("KPI_GATE.json")
    assert (gate["verdict"], gate["window"]) == (verdict, [11, 12])
    assert result.ret == (0 if verdict == "PASS" else 1)
    assert [entry["iteration"] for entry in gate["kpis"]["error_rate"]] == [11, 12]
    rows = logged.read("TUNING_REPORT.json")["rows"]
    assert [row["iteration"] for row in rows] == list(range(1, 13))
