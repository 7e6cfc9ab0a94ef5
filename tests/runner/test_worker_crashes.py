"""Under pytest-xdist a run ends, with the right verdicts, wherever a worker crashes.

tests/runner/test_scheduler.py proves the same of the scheduler alone, with simulated workers.
All positions (1, 2 and 3 workers, 1 to 4 chains, every item and phase) take about an hour::

    SOAK_ALL_CRASHES=1 pytest tests/runner/test_worker_crashes.py
"""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.support import records, told

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = "abcd"
ITEMS = ("iter-00001", "iter-00002", "iter-00003", "kpi-gate")
CALM = ("--soak-iterations=3", "--soak-scenario=calm", "-p", "no:randomly")
PHASES = ("setup", "call", "teardown")
PATIENCE = 100.0
"""Seconds after which a run hangs; alone on a machine it takes 3."""
ALL = [
    (workers, chains, f"{CHAINS[chain]}-{item}", phase)
    for workers, chains in product((1, 2, 3), (1, 2, 3, 4))
    for chain, item, phase in product(range(chains), ITEMS, PHASES)
]
SOME = [
    (1, 2, "a-kpi-gate", "call"),
    (2, 3, "c-kpi-gate", "setup"),
    (2, 4, "d-iter-00002", "call"),
    (3, 4, "b-iter-00001", "teardown"),
]
POSITIONS = ALL if os.environ.get("SOAK_ALL_CRASHES") else SOME

CONFTEST = """
import os
from pathlib import Path
import pytest

CRASHES = {crashes!r}

def crash(key):
    left = CRASHES.get(key, 0)
    for number in range(left):
        try:
            Path(f"crashed-{{key}}-{{number}}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os._exit(137)

def where(item, phase):
    return item.name.partition("[")[2].rstrip("]") + "." + phase

@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    yield
    crash(where(item, "setup"))

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    yield
    crash(where(item, "call"))

@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    yield
    crash(where(item, "teardown"))

def pytest_collection_modifyitems(config):
    if hasattr(config, "workerinput"):
        crash("collection")
        crash(config.workerinput["workerid"])

def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        crash("end")
"""

TEST = """
import pytest

@pytest.mark.parametrize("x", {chains!r})
def test_q(soak, x):
    soak.run()
"""


def soak(
    pytester: pytest.Pytester, workers: int, chains: int, crashes: dict[str, int], *args: str
) -> pytest.RunResult:
    """Run *chains* chains of 3 iterations on *workers* workers.

    Args:
        pytester: pytest's.
        workers: How many workers there are.
        chains: How many chains there are.
        crashes: ``{where: how often}`` a worker crashes.
        args: More arguments.
    """
    pytester.makeconftest(CONFTEST.format(crashes=crashes))
    pytester.makepyfile(test_q=TEST.format(chains=list(CHAINS[:chains])))
    return pytester.runpytest_subprocess(
        *CALM,
        f"-n{workers}",
        *args,
        timeout=PATIENCE,
    )


def folders(pytester: pytest.Pytester) -> dict[str, Path]:
    """Return ``{chain: its folder}``."""
    found = (pytester.path / "artifacts" / "soak").glob("test_q-*")
    return {path.name.split("-")[1]: path for path in found}


def assert_whole(pytester: pytest.Pytester, chains: int) -> None:
    """Make sure that every chain has its iterations and its verdict once, and that it is PASS."""
    assert sorted(folders(pytester)) == list(CHAINS[:chains])
    for folder in folders(pytester).values():
        told = [(record["kind"], record["iteration"]) for record in records(folder)]
        iterations = [("iteration", number) for number in (1, 2, 3)]
        passed = {entry for entry in told if entry[0] == "test_passed"}
        assert passed == {("test_passed", number) for number in (1, 2, 3)}
        told = [entry for entry in told if entry not in passed]
        assert told == [("run_started", 0), *iterations, ("run_ended", 3)]
        assert records(folder)[-1]["verdict"] == "PASS"


@pytest.mark.parametrize(("workers", "chains", "item", "phase"), POSITIONS)
def test_a_crash_at_an_item_ends_the_run_with_the_right_verdicts(
    pytester: pytest.Pytester, workers: int, chains: int, item: str, phase: str
) -> None:
    result = soak(pytester, workers, chains, {f"{item}.{phase}": 1})
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("node down: Not properly terminated") == 1
    result.stdout.fnmatch_lines([f"*worker 'gw?' crashed while running *{item}]'"])
    assert_whole(pytester, chains)


@pytest.mark.parametrize("where", ["collection", "end"])
def test_a_crash_without_an_item_loses_no_verdict(pytester: pytest.Pytester, where: str) -> None:
    result = soak(pytester, 2, 3, {where: 1})
    assert result.ret == pytest.ExitCode.OK
    assert result.stdout.str().count("node down: Not properly terminated") == 1
    assert_whole(pytester, 3)


@pytest.mark.parametrize(
    "crashes",
    [
        {"a-iter-00002.call": 1, "a-kpi-gate.setup": 1},
        {"a-iter-00002.call": 2},
        {"a-iter-00001.teardown": 1, "b-iter-00003.setup": 1},
        {"collection": 1, "b-kpi-gate.call": 1},
        {"gw0": 1, "gw1": 1, "a-iter-00003.teardown": 1},
    ],
    ids=str,
)
def test_several_crashes_end_the_run_with_the_right_verdicts(
    pytester: pytest.Pytester, crashes: dict[str, int]
) -> None:
    result = soak(pytester, 2, 3, crashes)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("node down") == sum(crashes.values())
    assert_whole(pytester, 3)


@pytest.mark.parametrize(
    ("where", "problem"), [("a-iter-00002.setup", "not_run"), ("a-iter-00003.call", "test_unknown")]
)
def test_an_item_at_which_workers_crash_again_and_again_is_given_up(
    pytester: pytest.Pytester, where: str, problem: str
) -> None:
    result = soak(pytester, 1, 2, {where: 99})
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("node down") == 3
    verdicts = {name: records(path)[-1]["verdict"] for name, path in folders(pytester).items()}
    assert verdicts == {"a": "INCONCLUSIVE", "b": "PASS"}
    ended = records(folders(pytester)["a"])[-1]
    assert problem in [one["kind"] for one in ended["problems"]]
    assert ended["untold"] == ([3] if problem == "test_unknown" else [])
    assert told("verify", f"--chain={folders(pytester)['a'].name}")[0] == 0


def test_a_gate_at_which_workers_crash_again_and_again_is_given_up(
    pytester: pytest.Pytester,
) -> None:
    result = soak(pytester, 1, 2, {"a-kpi-gate.setup": 99})
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("node down") == 3
    result.stdout.fnmatch_lines(
        ["ERROR: no verdict was recorded for test_q.py::test_q[[]a[]]; exit code 1"]
    )
    assert records(folders(pytester)["b"])[-1]["verdict"] == "PASS"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_ends_when_no_worker_may_be_replaced(pytester: pytest.Pytester, workers: int) -> None:
    result = soak(pytester, workers, 4, {"a-iter-00002.call": 1}, "--max-worker-restart=0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["ERROR: no verdict was recorded for test_q.py::test_q[[]d[]]; exit code 1"]
    )


def test_a_crash_while_collecting_is_not_exit_0_where_no_worker_may_be_replaced(
    pytester: pytest.Pytester,
) -> None:
    result = soak(pytester, 2, 2, {"collection": 1}, "--max-worker-restart=0")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)


@pytest.mark.parametrize("stop", ["-x", "--maxfail=2"])
def test_a_crash_in_a_run_that_stops_at_failures(pytester: pytest.Pytester, stop: str) -> None:
    result = soak(pytester, 2, 3, {"b-iter-00002.call": 1}, stop, "--soak-scenario=busy")
    assert result.ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize("dist", ["loadgroup", "loadscope", "worksteal", "no"])
def test_a_crash_under_every_distribution(pytester: pytest.Pytester, dist: str) -> None:
    result = soak(pytester, 2, 3, {"b-iter-00002.call": 1}, f"--dist={dist}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert_whole(pytester, 3)


def test_chains_stay_whole_though_they_are_of_a_group(pytester: pytest.Pytester) -> None:
    grouped = TEST.replace("@pytest", '@pytest.mark.xdist_group("db")\n@pytest', 1)
    result = soak(pytester, 2, 0, {})
    pytester.makepyfile(test_q=grouped.format(chains=["a", "b"]))
    result = pytester.runpytest(
        "--soak-iterations=3", "--soak-scenario=calm", "-n2", "--dist=loadgroup"
    )
    assert result.ret == pytest.ExitCode.OK
    assert_whole(pytester, 2)


def test_a_crashed_item_may_be_asked_for_again_by_pytest_rerunfailures(
    pytester: pytest.Pytester,
) -> None:
    result = soak(pytester, 2, 2, {"b-iter-00002.call": 1}, "--reruns=2")
    assert result.ret == pytest.ExitCode.OK
    assert_whole(pytester, 2)


def test_workers_that_collect_different_items_are_told_apart(pytester: pytest.Pytester) -> None:
    test = """
    import os
    import pytest

    @pytest.mark.parametrize("x", ["a", os.environ["PYTEST_XDIST_WORKER"]])
    def test_q(soak, x):
        soak.run()
    """
    pytester.makepyfile(test_q=test)
    result = pytester.runpytest_subprocess(*CALM, "-n2", timeout=PATIENCE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["Different tests were collected between the first worker and gw?*"]
    )


def test_a_replacement_that_collects_different_items_ends_the_run(
    pytester: pytest.Pytester,
) -> None:
    test = """
    import os
    import pytest
    from pathlib import Path

    @pytest.mark.parametrize("x", ["a", "b"] if not Path("crashed").exists() else ["c"])
    def test_q(soak, x):
        soak.run()
        if soak.iteration == 2:
            Path("crashed").touch()
            os._exit(137)
    """
    pytester.makepyfile(test_q=test)
    result = pytester.runpytest_subprocess(*CALM, "-n1", timeout=PATIENCE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "Different tests were collected between the first worker and gw1*",
            "ERROR: no verdict was recorded for test_q.py::test_q*",
        ]
    )
