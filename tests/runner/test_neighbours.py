"""Other plugins: chains, verdicts and artifacts are right beside them.

What docs/neighbours.md says in a table is shown here. The plugins that this project's other tests
do without come with the extra ``neighbours``; where one is missing, its tests are skipped.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support import DEMO, chain_folder, patches, read_json, records, unlike_journal
from tests.two_chains import CHAINS, TUNED, TWO, UNTUNED, both, verdict


def needs(*modules: str) -> pytest.MarkDecorator:
    """Return the mark that skips a test where one of *modules* is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"needs {', '.join(missing)}: pip install '.[neighbours]'"
    )


@pytest.fixture(autouse=True)
def _settings(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what pytest-asyncio warns about until it is set; hide that a worker runs these tests."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    known = find_spec("pytest_asyncio") is not None
    line = "asyncio_default_fixture_loop_scope = function\n" if known else ""
    pytester.makeini(f"[pytest]\n{line}")


COV, TIMEOUT, HTML = needs("pytest_cov"), needs("pytest_timeout"), needs("pytest_html")
REPORTLOG, JSON = needs("pytest_reportlog"), needs("pytest_jsonreport")
SUGAR, BENCHMARK = needs("pytest_sugar"), needs("pytest_benchmark")
ASYNCIO = needs("pytest_asyncio")
TOGETHER = needs(
    "pytest_cov",
    "pytest_timeout",
    "pytest_html",
    "pytest_reportlog",
    "pytest_jsonreport",
    "pytest_sugar",
    "pytest_benchmark",
    "pytest_asyncio",
)


@pytest.mark.parametrize(
    "args",
    [
        "--randomly-seed=3",
        "--randomly-dont-reorganize --reruns=1",
        pytest.param("--timeout=60", marks=TIMEOUT),
        pytest.param("--html=r.html", marks=HTML),
        pytest.param("--report-log=r.jsonl", marks=REPORTLOG),
        pytest.param("--json-report", marks=JSON),
        pytest.param("--force-sugar", marks=SUGAR),
        pytest.param("--benchmark-disable", marks=BENCHMARK),
        "-p no:xdist -p no:randomly",
        "-p no:cacheprovider",
        "-p no:terminal",
        "-x --lf",
        "--maxfail=1 --ff",
        "--sw --nf",
        "-q",
        "-qq --no-summary",
        "-vv -s",
        "-v -rA --durations=3 --setup-show",
        "--junitxml=r.xml -W error",
    ],
)
def test_a_chain_is_as_it_is_without_the_plugin_or_option(
    pytester: pytest.Pytester, undisturbed: dict[str, Any], args: str
) -> None:
    pytester.makepyfile(test_two=TWO)
    result = pytester.runpytest(*TUNED, *args.split())
    assert result.ret == pytest.ExitCode.OK
    assert both(pytester) == undisturbed
    assert verdict(pytester, CHAINS[0]) == verdict(pytester, CHAINS[1]) == "PASS"


ALL_OF_THEM = (
    "--randomly-seed=3",
    "--reruns=1",
    "--cov=test_two",
    "--timeout=60",
    "--html=r.html",
    "--report-log=r.jsonl",
    "--json-report",
    "--force-sugar",
    "--benchmark-disable",
    "--junitxml=r.xml",
)


@TOGETHER
def test_all_of_them_together_change_nothing_of_a_chain_that_passes(
    pytester: pytest.Pytester, undisturbed: dict[str, Any]
) -> None:
    pytester.makepyfile(test_two=TWO)
    result = pytester.runpytest_subprocess(*TUNED, *ALL_OF_THEM, "-n2")
    assert result.ret == pytest.ExitCode.OK
    assert both(pytester) == undisturbed
    assert result.outlines.count("| kpi_gate | PASS |") == 2


@TOGETHER
def test_all_of_them_together_tell_the_same_of_a_chain_that_fails(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_two=TWO)
    result = pytester.runpytest_subprocess(*UNTUNED, *ALL_OF_THEM, "-n2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdict(pytester, CHAINS[0]) == verdict(pytester, CHAINS[1]) == "FAIL"
    gates = {f"test_two.py::test_demo[{colour}-kpi-gate]" for colour in ("red", "blue")}
    told = read_json(pytester.path / ".report.json")["tests"]
    assert {test["nodeid"] for test in told if test["outcome"] == "failed"} == gates
    log = [json.loads(line) for line in (pytester.path / "r.jsonl").read_text().splitlines()]
    assert {entry["nodeid"] for entry in log if entry.get("outcome") == "failed"} == gates
    page = (pytester.path / "r.html").read_text()
    assert all(gate in page for gate in gates)
    assert "KPI gate: FAIL" in page
    assert gate_properties(pytester)["soak_verdict"] == "FAIL"


@COV
def test_under_coverage_a_chain_is_as_it_is(
    pytester: pytest.Pytester, undisturbed: dict[str, Any]
) -> None:
    pytester.makepyfile(test_two=TWO)
    result = pytester.runpytest_subprocess(*TUNED, "--cov=test_two", "--cov-fail-under=100")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["test_two.py*100%"])
    assert both(pytester) == undisturbed


@SUGAR
def test_marker_lines_begin_a_line_under_sugar_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess(*TUNED, "--force-sugar")
    for line in ("| kpi_gate | PASS |", "| iter_watch | APPLY | iter=1 params=3 |"):
        assert result.outlines.count(line) == 1


def gate_properties(pytester: pytest.Pytester) -> dict[str, str]:
    """Return the properties of the first gate in the JUnit file."""
    tree = ET.parse(pytester.path / "r.xml")
    case = next(case for case in tree.iter("testcase") if "kpi-gate" in case.attrib["name"])
    return {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_junit_shows_verdict_and_kpis_as_properties(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*UNTUNED, "--junitxml=r.xml", "--reruns=1", workers)
    shown = gate_properties(pytester)
    assert shown["soak_verdict"] == "FAIL"
    assert shown["soak_reasons"] == "latency_p95_ms,error_rate"
    last = read_json(chain_folder(pytester) / "EDGE_REPORT_5.json")["totals"]
    assert float(shown["soak_kpi_latency_p95_ms"]) == last["latency_p95_ms"]


# Reruns


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_rerun_gate_gives_its_verdict_once(pytester: pytest.Pytester, workers: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*UNTUNED, "--reruns=2", workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*1 failed, 5 passed, 2 rerun*"])
    kinds = [record["kind"] for record in records(chain_folder(pytester))]
    assert kinds.count("run_ended") == 1
    told = [line for line in result.outlines if line.startswith("| kpi_gate | FAIL |")]
    assert len(told) == 1


def test_an_iteration_that_failed_before_it_ran_is_run_by_its_rerun(
    pytester: pytest.Pytester, undisturbed: dict[str, Any]
) -> None:
    pytester.makepyfile(
        test_two="""
        import pytest
        from pathlib import Path

        @pytest.mark.parametrize("x", ["red", "blue"])
        def test_demo(soak, x):
            tried = Path(f"tried-{x}")
            if soak.iteration == 2 and not tried.exists():
                tried.touch()
                raise OSError("the cable is out")
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED, "--reruns=1")
    result.stdout.fnmatch_lines(["*12 passed, 2 rerun*"])
    assert both(pytester) == undisturbed


def test_an_iteration_that_fails_in_every_rerun_ends_its_chain(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="""
        def test_demo(soak):
            soak.run()
            assert soak.iteration != 2
        """
    )
    result = pytester.runpytest(*TUNED, "--reruns=2")
    result.assert_outcomes(passed=1, failed=2, skipped=3)
    assert verdict(pytester) == "INCONCLUSIVE"
    assert len(patches(chain_folder(pytester))) == 2


# Time limits


@TIMEOUT
def test_an_iteration_that_hangs_fails_and_the_verdict_is_inconclusive(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_demo="""
        import time

        def test_demo(soak):
            if soak.iteration == 3:
                time.sleep(60)
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED, "--timeout=1", "--timeout-method=signal")
    result.assert_outcomes(passed=2, failed=2, skipped=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdict(pytester) == "INCONCLUSIVE"


@TIMEOUT
@pytest.mark.parametrize(
    ("hook", "method"),
    [
        ("tuners", "propose(self, history, parameters)"),
        ("guards", "review(self, history, decision, settings)"),
        ("watchers", "observe(self, report, history)"),
        ("gates", "judge(self, metrics, n)"),
    ],
)
def test_a_strategy_that_hangs_is_ended_and_named_and_the_journal_is_whole(
    pytester: pytest.Pytester, hook: str, method: str
) -> None:
    pytester.makeconftest(
        f"""
        import time

        class Mine:
            requires = ()
            def {method}:
                time.sleep(60)

        def pytest_soak_{hook}():
            return {{"mine": lambda pack: Mine()}}
        """
    )
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    tuner = ("--soak-tuner=mine",) if hook == "tuners" else ()
    result = pytester.runpytest(*TUNED, *tuner, "--timeout=1", "--timeout-method=signal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    name = method.partition("(")[0]
    result.stdout.fnmatch_lines(
        [
            "*Failed: Timeout (>1.0s) from pytest-timeout.*",
            f"*while asking plugin *conftest.py, hook pytest_soak_{hook}, 'mine': {name}()",
        ]
    )
    assert verdict(pytester) == "INCONCLUSIVE"
    folder = chain_folder(pytester)
    assert [record["kind"] for record in records(folder)] == ["run_started", "run_ended"]
    assert unlike_journal(folder) == []
    assert read_json(folder / "runtime_overrides.json") == {}


@TIMEOUT
def test_a_hang_that_ends_its_worker_never_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="""
        import time

        def test_demo(soak):
            if soak.iteration == 3:
                time.sleep(60)
            soak.run()
        """
    )
    args = ("--timeout=1", "--timeout-method=thread", "-n2", "--max-worker-restart=1")
    result = pytester.runpytest_subprocess(*TUNED, *args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*no verdict: the run was broken off before the gate*"])
    assert not (chain_folder(pytester) / "KPI_GATE.json").exists()
    assert len(patches(chain_folder(pytester))) == 2


# Other ways to write a test


@ASYNCIO
@pytest.mark.parametrize(("mode", "mark"), [("strict", "@pytest.mark.asyncio"), ("auto", "")])
def test_a_coroutine_is_a_chain(
    pytester: pytest.Pytester, undisturbed: dict[str, Any], mode: str, mark: str
) -> None:
    pytester.makepyfile(test_two=TWO.replace("def test", f"{mark}\nasync def test"))
    result = pytester.runpytest(*TUNED, "-o", f"asyncio_mode={mode}")
    result.assert_outcomes(passed=12)
    assert both(pytester) == undisturbed


BENCH = TWO.replace("(soak, x)", "(soak, x, benchmark)").replace(
    "soak.run()", "benchmark(soak.run)"
)


@BENCHMARK
@pytest.mark.parametrize("args", ["", "--benchmark-only", "--benchmark-disable"])
def test_a_benchmark_runs_its_iteration_once(
    pytester: pytest.Pytester, undisturbed: dict[str, Any], args: str
) -> None:
    pytester.makepyfile(test_two=BENCH)
    quick = ("--benchmark-max-time=0.01", "--benchmark-min-rounds=2")
    result = pytester.runpytest(*TUNED, *args.split(), *quick)
    result.assert_outcomes(passed=12)
    assert both(pytester) == undisturbed


@BENCHMARK
def test_benchmark_only_does_not_skip_the_gate_of_a_benchmark(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_two=BENCH)
    result = pytester.runpytest(*UNTUNED, "--benchmark-only", "--benchmark-max-time=0.01")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=10, failed=2)


@BENCHMARK
@pytest.mark.parametrize(("text", "arg"), [(TWO, "only"), (BENCH, "skip")])
def test_benchmark_options_skip_a_chain_whole(
    pytester: pytest.Pytester, text: str, arg: str
) -> None:
    pytester.makepyfile(test_two=text)
    result = pytester.runpytest(*TUNED, f"--benchmark-{arg}")
    result.assert_outcomes(skipped=12)


@pytest.mark.parametrize("checks", ["", "HealthCheck.function_scoped_fixture"])
def test_examples_of_hypothesis_share_one_iteration(
    pytester: pytest.Pytester, undisturbed: dict[str, Any], checks: str
) -> None:
    pytester.makepyfile(
        test_two=f"""
        import pytest
        from hypothesis import HealthCheck, given, settings, strategies

        @pytest.mark.parametrize("x", ["red", "blue"])
        @settings(max_examples=5, database=None, suppress_health_check=[{checks}])
        @given(number=strategies.integers())
        def test_demo(soak, x, number):
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    if checks:
        result.assert_outcomes(passed=12)
        assert both(pytester) == undisturbed
    else:
        result.assert_outcomes(failed=4, skipped=8)
        assert verdict(pytester, CHAINS[0]) == "INCONCLUSIVE"
