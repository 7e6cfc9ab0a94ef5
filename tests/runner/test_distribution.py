"""Under pytest-xdist a chain stays whole, in order, with the same decisions and artifacts."""

from __future__ import annotations

import pytest

from pytest_soak.runner.chain import chain_name
from tests.logged import CRASHES_ONCE, LoggedSoak
from tests.support import artifacts, chain_folder, patches, read_json, records

THREE = """
import os
import pytest

@pytest.mark.parametrize("x", ["red", "green", "blue"])
def test_demo(soak, x):
    result = soak.run()
    with open(f"who-{x}", "a") as file:
        file.write(f"{os.getpid()} {result.iteration}\\n")
"""


@pytest.mark.parametrize("dist", ["load", "loadscope", "loadgroup", "worksteal", "loadfile"])
def test_chains_stay_whole_and_in_order_whatever_the_distribution(
    pytester: pytest.Pytester, dist: str
) -> None:
    pytester.makepyfile(test_three=THREE)
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune", "-n2", f"--dist={dist}")
    result.assert_outcomes(passed=18)
    for colour in ("red", "green", "blue"):
        who = [line.split() for line in (pytester.path / f"who-{colour}").read_text().splitlines()]
        assert len({pid for pid, _ in who}) == 1
        assert [int(number) for _, number in who] == [1, 2, 3, 4, 5]


def test_decisions_and_artifacts_are_those_of_one_process(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_three=THREE)
    found = []
    for args in ((), ("-n2",)):
        pytester.runpytest("--soak-iterations=5", "--auto-tune", *args).assert_outcomes(passed=18)
        found.append(
            {
                name: artifacts(chain_folder(pytester, f"test_demo-{name}"))
                for name in ("red", "blue")
            }
        )
    assert found[0] == found[1]
    assert len(found[0]["red"]) > 10


def test_marker_lines_and_table_reach_the_terminal(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_three=THREE)
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune", "-n2", "-k", "red")
    result.stdout.fnmatch_lines(
        ["| iter_watch | APPLY | iter=1 params=3 |", "| kpi_gate | PASS |", "*verdict PASS*"]
    )


def test_failing_gates_fail_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_three=THREE)
    result = pytester.runpytest("--soak-iterations=5", "-n2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=15, failed=3)
    result.stdout.fnmatch_lines(["KPI gate: FAIL", "*latency_p95_ms*FAIL*> 300*"])


def test_a_crashed_worker_applies_nothing_twice_and_loses_nothing(
    pytester: pytest.Pytester,
) -> None:
    test = """
        import os
        import signal
        from pathlib import Path

        def test_demo(soak):
            soak.run()
            crashed = Path("crashed")
            if soak.iteration == 3 and not crashed.exists() and CRASH:
                crashed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    """
    pytester.makepyfile(test_crash=_unindented(test, crash=False))
    pytester.runpytest("--soak-iterations=6", "--auto-tune").assert_outcomes(passed=7)
    undisturbed = artifacts(chain_folder(pytester))
    pytester.makepyfile(test_crash=_unindented(test, crash=True))
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "-n2")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    disturbed = artifacts(chain_folder(pytester))
    assert disturbed["runtime_overrides.json"] == undisturbed["runtime_overrides.json"]
    assert patches(chain_folder(pytester))[2] != []
    assert disturbed["journal.jsonl"][:4] == undisturbed["journal.jsonl"][:4]
    numbers = [r["iteration"] for r in disturbed["journal.jsonl"] if r["kind"] == "iteration"]
    assert numbers == [1, 2, 3, 4, 5, 6]


def _unindented(text: str, *, crash: bool) -> str:
    lines = (line.removeprefix("        ") for line in text.splitlines())
    return "\n".join((f"CRASH = {crash}", *lines))


@pytest.mark.parametrize(
    ("nodeid", "chain"),
    [
        ("t.py::test_x[iter-00001]", "t.py::test_x"),
        ("t.py::test_x[kpi-gate]", "t.py::test_x"),
        ("t.py::test_x[a-iter-00012]", "t.py::test_x[a]"),
        ("t.py::T::test_x[a-b-kpi-gate]", "t.py::T::test_x[a-b]"),
        ("t.py::test_plain", "t.py::test_plain"),
        ("t.py::test_plain[iter-1x]", "t.py::test_plain[iter-1x]"),
    ],
)
def test_a_chain_is_named_like_its_test(nodeid: str, chain: str) -> None:
    assert chain_name(nodeid) == chain


def test_a_chain_taken_over_from_a_dead_worker_can_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from pathlib import Path

        def test_demo(soak):
            crashed = Path("crashed")
            if soak.iteration == 3 and not crashed.exists():
                crashed.touch()
                os._exit(1)
            soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "-n2")
    result.stdout.fnmatch_lines(["| kpi_gate | PASS |", "*worker*crashed*"])


def test_a_worker_that_joins_late_leaves_the_chains_of_others_alone(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import os
        import time
        from pathlib import Path

        import pytest

        @pytest.mark.parametrize("x", ["dying", "waiting"])
        def test_demo(soak, x):
            soak.run()
            if x == "dying" and soak.iteration == 3:
                if not Path("crashed").exists():
                    Path("crashed").touch()
                    os._exit(1)
                Path("joined").touch()
            end = time.monotonic() + 60
            while x == "waiting" and soak.iteration == 2 and not Path("joined").exists():
                assert time.monotonic() < end
                time.sleep(0.01)
        """
    )
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune", "-n2")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("| kpi_gate | PASS |") == 2


def test_a_verdict_is_recorded_once_though_its_worker_died_before_it_could_tell(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        import os
        from pathlib import Path

        def pytest_soak_verdict(plan, verdict):
            if not Path("crashed").exists():
                Path("crashed").touch()
                os._exit(1)
        """
    )
    pytester.makepyfile(
        """
        def test_demo(soak):
            soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "-n2")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    kinds = [record["kind"] for record in records(chain_folder(pytester))]
    assert kinds == ["run_started", *["iteration", "test_passed"] * 6, "run_ended"]


def test_iterations_that_passed_before_a_worker_died_count_as_passed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import os
        from pathlib import Path

        def test_demo(soak):
            soak.run()
            if soak.iteration == 3 and not Path("crashed").exists():
                Path("crashed").touch()
                os._exit(1)
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--soak-scenario=calm", "-n1")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert (gate["verdict"], gate["problems"]) == ("PASS", [])


def test_a_worker_that_takes_over_does_not_start_again_at_iteration_1(
    pytester: pytest.Pytester,
) -> None:
    logged = LoggedSoak(pytester)
    logged.soak(6, "--auto-tune")
    undisturbed = logged.ran("workers")
    logged = LoggedSoak(pytester, test=CRASHES_ONCE)
    result = logged.soak(6, "--auto-tune", "-n2")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    assert logged.ran() == [1, 2, 3, 4, 5, 6]  # each once, though two workers had a part
    assert logged.ran("workers") == undisturbed
    assert logged.ran("state")[3] == {"seen": 3}
    numbers = [r["iteration"] for r in records(logged.folder) if r["kind"] == "iteration"]
    assert numbers == [1, 2, 3, 4, 5, 6]
