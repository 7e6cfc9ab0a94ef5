"""A report that is missing, stale, of the wrong type or untrue is INCONCLUSIVE."""

from __future__ import annotations

from importlib import resources
from textwrap import indent

import pytest

from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, patches, read_json, records

ODD_REPORTS = {
    "none": ("report = None", "no report"),
    "a list": ("report = [1]", "the report is not an object but list"),
    "stale": ("report['iteration'] = iteration - 1", "stale report: it is of iteration *"),
    "without an iteration": (
        "del report['iteration']",
        "the report does not say of which iteration it is: iteration is missing",
    ),
    "n a list": ("report['n'] = []", "the report's n is not an object of counts: []"),
    "n null": ("report['n'] = None", "the report's n is not an object of counts: None"),
    "parameter unknown": (
        "report['parameters']['worker'] = 8",
        "the report's parameters have an unknown name: 'worker', did you mean 'workers'?",
    ),
    "without totals": ("del report['totals']", "the report's totals are not an object: None"),
    "metric missing": ("del report['totals']['error_rate']", "error_rate is missing"),
    "metric null": ("report['totals']['error_rate'] = None", "error_rate is null (undefined)"),
    "metric text": ("report['totals']['error_rate'] = '0'", "error_rate is not a number: '0'"),
    "metric boolean": ("report['totals']['error_rate'] = False", "error_rate is not a number*"),
    "metric NaN": ("report['totals']['error_rate'] = float('nan')", "error_rate is not finite*"),
    "metric beyond all measure": ("report['totals']['throughput'] = 1.7e308", "throughput is 1.7*"),
    "metric of nothing": ("report['n'] = {'error_rate': 0}", "error_rate rests on no observat*"),
    "metric absurd": ("report['totals']['error_rate'] = 37", "error_rate is 37, above 1*"),
    "parameter text": (
        "report['parameters']['workers'] = 'x'",
        "*parameter workers is not a number*",
    ),
    "parameters differ": (
        "report['parameters']['workers'] = 1",
        "override_not_effective: workers asked=* used=1",
    ),
}


def odd_in(iteration: int, mischief: str) -> str:
    """Return the conftest of a system whose report of *iteration* is changed by *mischief*."""
    return mock_system(after=f"if iteration == {iteration}:\n{indent(mischief, ' ' * 4)}")


@pytest.mark.parametrize("odd", ODD_REPORTS)
def test_an_odd_report_in_the_window_makes_the_verdict_inconclusive(
    pytester: pytest.Pytester, odd: str
) -> None:
    mischief, problem = ODD_REPORTS[odd]
    pytester.makeconftest(odd_in(6, mischief))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(
        ["| kpi_gate | INCONCLUSIVE |*", "KPI gate: INCONCLUSIVE", f"  iteration 6: {problem}"]
    )


@pytest.mark.parametrize("odd", ["none", "metric missing", "parameters differ"])
def test_nothing_is_tuned_on_an_odd_report(pytester: pytest.Pytester, odd: str) -> None:
    mischief, _ = ODD_REPORTS[odd]
    pytester.makeconftest(odd_in(2, mischief))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd")
    assert patches(chain_folder(pytester))[1] == []
    assert patches(chain_folder(pytester))[2] != []
    result.stdout.fnmatch_lines(["| iter_watch | APPLY | SKIP | iter=2 inconclusive |"])
    result.stdout.fnmatch_lines(["| kpi_gate | INCONCLUSIVE |*"])
    summary = read_json(chain_folder(pytester) / "ITER_SUMMARY_2.json")
    assert summary["tuning"]["skip_reason"] == "inconclusive"


def test_a_change_that_never_reached_the_system_is_told(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(mock_system("deaf", before="parameters = self._base"))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=deaf")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "| iter_watch | APPLY | iter=1 params=3 |",
            "| soak_iter | INCONCLUSIVE | override_not_effective: workers asked=4 used=2 |",
            "*NOT EFFECTIVE*",
        ]
    )
    assert (
        read_json(chain_folder(pytester) / "ITER_SUMMARY_1.json")["tuning"]["verified"] == "false"
    )


def test_a_silent_system_leaves_changes_unverified(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(mock_system(after="report['parameters'] = None"))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["| kpi_gate | PASS | UNVERIFIED=1,2,3 |", "*unverified*"])
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["unverified"] == [1, 2, 3]
    summary = read_json(chain_folder(pytester) / "ITER_SUMMARY_1.json")
    assert summary["tuning"]["verified"] == "unknown"


def test_an_inconclusive_iteration_before_the_window_may_be_allowed_by_the_pack(
    pytester: pytest.Pytester,
) -> None:
    demo = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8")
    lenient = demo.replace('scenario = "busy"', 'scenario = "busy"\nmax_inconclusive = 1', 1)
    (pytester.path / "lenient.toml").write_text(lenient, encoding="utf-8")
    pytester.makeconftest(odd_in(2, "report = None"))
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=7", "--auto-tune", "--soak-system=odd")
    assert pytester.runpytest(*args).ret == pytest.ExitCode.TESTS_FAILED
    assert pytester.runpytest(*args, "--soak-pack=lenient.toml").ret == 0


@pytest.mark.parametrize("mode", [(), ("-n1",)], ids=["one-process", "xdist"])
def test_reports_of_the_wrong_python_types_do_no_harm(
    pytester: pytest.Pytester, mode: tuple[str, ...]
) -> None:
    mischief = "from decimal import Decimal; report['totals']['extra'] = {Decimal(1): {3}}"
    pytester.makeconftest(odd_in(2, mischief))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd", *mode)
    result.assert_outcomes(passed=7)


@pytest.mark.parametrize("mode", [(), ("-n1",)], ids=["one-process", "xdist"])
def test_numbers_of_another_make_are_judged_and_sent_as_pythons_own(
    pytester: pytest.Pytester, mode: tuple[str, ...]
) -> None:
    mischief = """
class Other(float): pass  # as numpy's float64 is
report["totals"] = {name: Other(value) for name, value in report["totals"].items()}
"""
    pytester.makeconftest(odd_in(2, mischief.strip()))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd", *mode)
    result.assert_outcomes(passed=7)


def test_a_report_with_keys_that_are_no_text_is_one_and_the_same_in_journal_and_file(
    pytester: pytest.Pytester,
) -> None:
    mischief = "report.update({True: 1, None: 2, 10**5000: 3})"
    pytester.makeconftest(odd_in(2, mischief))
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3", "--soak-system=odd")
    told = [record.get("report") for record in records(chain_folder(pytester))]
    assert read_json(chain_folder(pytester) / "EDGE_REPORT_2.json") == told[2]
    assert {"True", "None"} <= told[2].keys()
