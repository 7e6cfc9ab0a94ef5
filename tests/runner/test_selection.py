"""pytest's own options that select, skip, stop and repeat act on whole chains."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support import DEMO
from tests.two_chains import CHAINS, TUNED, TWO, UNTUNED, both, found_in, verdict

MENDABLE = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("x", ["red", "blue"])
def test_demo(soak, x):
    soak.run()
    assert (x, soak.iteration) != ("blue", 2) or Path("mended").exists()
"""


def collected(pytester: pytest.Pytester, *args: str) -> list[str]:
    result = pytester.runpytest("--collect-only", "-q", "--soak-iterations=2", *args)
    return [line for line in result.outlines if "::" in line]


# Skips and expected failures


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_skip_mark_skips_the_gate_with_its_iterations(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makepyfile(test_demo=f"import pytest\n\n@pytest.mark.skip\n{DEMO.strip()}")
    result = pytester.runpytest(*UNTUNED, workers)
    result.assert_outcomes(skipped=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not list((pytester.path / "artifacts" / "soak").iterdir())


# Where a run stops


@pytest.mark.parametrize(
    ("args", "code", "outcomes"),
    [
        ("-x", 1, {"passed": 5, "failed": 1}),
        ("--maxfail=1", 1, {"passed": 5, "failed": 1}),
        ("--maxfail=2", 1, {"passed": 10, "failed": 2}),
        ("--sw", 2, {"passed": 5, "failed": 1}),
        ("--sw --sw-skip", 2, {"passed": 10, "failed": 2}),
    ],
)
def test_a_run_that_stops_at_a_failed_gate_gives_that_verdict(
    pytester: pytest.Pytester, args: str, code: int, outcomes: dict[str, int]
) -> None:
    pytester.makepyfile(test_two=TWO)
    result = pytester.runpytest(*UNTUNED, "-p", "no:randomly", *args.split())
    assert result.ret == code
    result.assert_outcomes(**outcomes)
    assert verdict(pytester, CHAINS[0]) == "FAIL"


def test_stopping_at_the_first_failure_under_xdist_is_exit_2(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*UNTUNED, "-x", "-n1")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert verdict(pytester) == "FAIL"


@pytest.mark.parametrize(("workers", "code"), [("-n0", 1), ("-n1", 2)])
def test_a_chain_that_is_broken_off_before_its_gate_has_no_good_verdict(
    pytester: pytest.Pytester, workers: str, code: int
) -> None:
    pytester.makepyfile(
        test_demo="""
        def test_demo(soak):
            soak.run()
            assert soak.iteration != 2
        """
    )
    result = pytester.runpytest(*TUNED, "-x", workers)
    assert result.ret == code
    result.stdout.fnmatch_lines(["*no verdict: the run was broken off before the gate*"])
    assert verdict(pytester) == "INCONCLUSIVE"


# Going on after a failure


@pytest.mark.parametrize(("option", "workers"), [("--lf", "-n0"), ("--lf", "-n2"), ("--sw", "-n0")])
def test_the_failed_chain_is_run_again_whole_and_no_other(
    pytester: pytest.Pytester, undisturbed: dict[str, Any], option: str, workers: str
) -> None:
    pytester.makepyfile(test_two=MENDABLE)
    args = (*TUNED, "-p", "no:randomly", "-W", "error")
    first = pytester.runpytest(*args, option)
    assert first.ret != pytest.ExitCode.OK
    red = both(pytester)["test_demo-red"]
    (pytester.path / "mended").touch()
    second = pytester.runpytest(*args, option, workers)
    assert second.ret == pytest.ExitCode.OK
    second.stdout.fnmatch_lines(["*6 passed*"])
    assert both(pytester) == {"test_demo-red": red, "test_demo-blue": undisturbed["test_demo-blue"]}


def test_the_failed_chain_is_run_first_and_in_order(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_two=MENDABLE)
    pytester.runpytest("--soak-iterations=2", "-k", "blue").assert_outcomes(
        passed=1, failed=2, deselected=3
    )
    ids = collected(pytester, "--ff", "-p", "no:randomly")
    assert [name.partition("[")[2] for name in ids] == [
        f"{colour}-{slot}]"
        for colour in ("blue", "red")
        for slot in ("iter-00001", "iter-00002", "kpi-gate")
    ]


# Selection


MARKED = """
import pytest

@pytest.mark.parametrize("x", [pytest.param("red", marks=pytest.mark.slow), "blue"])
def test_demo(soak, x):
    soak.run()
"""


@pytest.mark.parametrize(
    ("args", "workers"),
    [
        (("-m", "slow"), "-n0"),
        (("-m", "slow"), "-n2"),
        (("-k", "red and iter-00004"), "-n0"),
        (("--deselect", "test_two.py::test_demo[blue-kpi-gate]"), "-n0"),
    ],
)
def test_what_selects_or_drops_one_member_acts_on_its_chain(
    pytester: pytest.Pytester, undisturbed: dict[str, Any], args: tuple[str, str], workers: str
) -> None:
    pytester.makepyfile(test_two=MARKED)
    result = pytester.runpytest(*TUNED, "-o", "markers=slow", *args, workers)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*6 passed*"])
    soak_dir = pytester.path / "artifacts" / "soak"
    assert found_in(soak_dir, "test_demo-red") == undisturbed["test_demo-red"]
    assert not list(soak_dir.glob("test_demo-blue-*"))


@pytest.mark.parametrize(
    "node",
    [
        "deep",
        "deep/test_two.py",
        "deep/test_two.py::TestTwo",
        "deep/test_two.py::TestTwo::test_demo",
    ],
)
def test_a_wider_node_id_runs_whole_chains(pytester: pytest.Pytester, node: str) -> None:
    pytester.makepyfile(
        **{
            "deep/test_two": """
        class TestTwo:
            def test_demo(self, soak):
                soak.run()
        """
        }
    )
    result = pytester.runpytest(*TUNED, node)
    result.assert_outcomes(passed=6)


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_single_iterations_by_node_id_are_a_partial_chain_without_a_warning(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makepyfile(test_two=TWO)
    node = "test_two.py::test_demo[red-iter-00002]"
    result = pytester.runpytest(*TUNED, "-W", "error", node, workers)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*partial chain*"])
    assert verdict(pytester, CHAINS[0]) == "INCONCLUSIVE"


def test_a_node_id_may_be_given_from_a_subfolder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{"deep/test_two": TWO})
    os.chdir(pytester.path / "deep")
    result = pytester.runpytest(*TUNED, "test_two.py::test_demo[red-iter-00001]", "-n1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*partial chain*"])


@pytest.mark.parametrize("args", ["-q", "-n2"])
def test_collecting_writes_nothing(pytester: pytest.Pytester, args: str) -> None:
    pytester.makepyfile(test_two=TWO)
    # syrupy warns of the reports of workers that --collect-only never starts
    result = pytester.runpytest(*TUNED, "--collect-only", "--snapshot-disable-unused", args)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*12 tests collected*"])
    assert not list(pytester.path.glob("artifacts/soak/*"))
