"""Soaks by the hour, on a clock that is turned: a day passes in a moment."""

from __future__ import annotations

import json

import pytest

from tests.support import DEMO, artifacts, chain_folder, patches, read_json, records

TURNED = """
import json
import os
from pathlib import Path

import pytest
from pytest_soak.runner.hours import CLOCK
from pytest_soak.systems.mock import MockSystem

TAKES = json.loads('''{takes}''')
USUALLY = {usually}

def note(*words):
    with Path("diary").open("a") as file:
        print(*words, file=file)

class Turned:
    time = 0.0
    def now(self):
        return self.time
    def wait(self, seconds):
        note("wait", seconds)
        self.time += seconds
        if Path("interrupt").exists() and self.time >= float(Path("interrupt").read_text()):
            Path("interrupt").unlink()
            raise KeyboardInterrupt

clock = Turned()

def pytest_configure(config):
    config.stash[CLOCK] = clock

class Paced(MockSystem):
    virtual_time = False
    def run(self, parameters, iteration, seed, state):
        note("run", iteration, clock.time)
        clock.time += TAKES.get(str(iteration), USUALLY)
        return super().run(parameters, iteration, seed, state)

class Virtual(Paced):
    virtual_time = True

def pytest_soak_systems():
    return {{"paced": Paced, "virtual": Virtual}}
"""

ONE_HOUR = ("--soak-hours=1", "--auto-tune", "--soak-system=paced")
"""Twelve slots of five minutes."""


def turned(
    pytester: pytest.Pytester, takes: dict[int, float] | None = None, usually: float = 1
) -> None:
    """Bring a clock that the system turns by as many seconds as an iteration *takes*."""
    pytester.makeconftest(TURNED.format(takes=json.dumps(takes or {}), usually=usually))
    pytester.makepyfile(test_demo=DEMO)


def diary(pytester: pytest.Pytester, word: str) -> list[tuple[float, ...]]:
    """Return what was noted: of ``run`` the iteration and when it began, of ``wait`` how long."""
    lines = (line.split() for line in (pytester.path / "diary").read_text().splitlines())
    return [tuple(map(float, rest)) for first, *rest in lines if first == word]


def in_window(pytester: pytest.Pytester, count: int) -> list[int]:
    """Return the iterations of *count* that are marked as the observation window."""
    folder = chain_folder(pytester)
    summaries = (read_json(folder / f"ITER_SUMMARY_{n}.json") for n in range(1, count + 1))
    return [s["iteration"] for s in summaries if s["summary"]["observation_window"]]


def test_a_day_is_288_slots_and_each_is_waited_out(pytester: pytest.Pytester) -> None:
    turned(pytester)
    result = pytester.runpytest("--soak-hours=24", "--auto-tune", "--soak-system=paced")
    result.assert_outcomes(passed=289)
    assert result.ret == 0
    assert diary(pytester, "run") == [(n, 300 * (n - 1)) for n in range(1, 289)]
    assert diary(pytester, "wait") == [(299,)] * 288
    result.stdout.fnmatch_lines(
        [
            "| soak_progress | FAIL | DONE=1/288 LEFT=23:55:00 |",
            "| soak_progress | PASS | DONE=12/288 LEFT=23:00:00 |",
            "| soak_progress | PASS | DONE=288/288 LEFT=00:00:00 |",
            "| kpi_gate | PASS |",
            "  demo/default  system paced/busy  tuner demo-table  mode apply  seed 0  slot 300 s",
            "  verdict PASS (observation window: iterations 261 to 288)",
            "  slots     288 of 288",
        ]
    )
    result.stdout.no_fnmatch_line("| soak_hours *")
    started = records(chain_folder(pytester))[0]
    assert (started["config"]["iterations"], started["config"]["slot"]) == (288, 300)


def test_decisions_and_artifacts_are_those_of_a_run_by_count(pytester: pytest.Pytester) -> None:
    turned(pytester)
    found = []
    for length in ("--soak-hours=1", "--soak-iterations=12"):
        assert pytester.runpytest(*ONE_HOUR[1:], length).ret == 0
        found.append(artifacts(chain_folder(pytester)))
        assert found[-1]["TUNING_REPORT.json"].pop("slot") == (300 if len(found) == 1 else None)
        start = found[-1]["journal.jsonl"][0]
        assert start["config"].pop("slot") == (300 if len(found) == 1 else None)
        del start["config_hash"]
    assert found[0] == found[1]


@pytest.mark.parametrize("distributed", [(), ("-n2",)])
def test_time_that_is_virtual_is_not_waited_for(
    pytester: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    turned(pytester, {2: 1e6})
    result = pytester.runpytest(*ONE_HOUR, "--soak-system=virtual", *distributed)
    assert result.ret == 0
    assert len(diary(pytester, "run")) == 12
    assert not diary(pytester, "wait")
    assert in_window(pytester, 12) == [11, 12]
    result.stdout.fnmatch_lines(["| soak_progress | PASS | DONE=11/12 LEFT=00:05:00 |"])


def test_a_system_of_the_tests_own_may_have_virtual_time(pytester: pytest.Pytester) -> None:
    turned(pytester)
    pytester.makepyfile(
        test_demo="""
        import pytest
        from conftest import Paced

        @pytest.fixture
        def soak_system(request):
            class Own:
                virtual_time = request.config.getoption("soak_seed") == 1
                def run(self, parameters, iteration, seed, state):
                    totals = {"latency_p95_ms": 200, "error_rate": 0.01, "throughput": 120}
                    told = {"iteration": iteration, "totals": totals, "parameters": parameters}
                    return told, None
            return Own()

        def test_demo(soak):
            soak.run()
        """
    )
    for seed, waits in ((0, 12), (1, 0)):
        (pytester.path / "diary").write_text("")
        assert pytester.runpytest("--soak-hours=1", f"--soak-seed={seed}").ret == 0
        assert diary(pytester, "wait") == [(300,)] * waits


def test_an_overrun_shifts_nothing_and_later_slots_catch_up(pytester: pytest.Pytester) -> None:
    turned(pytester, {2: 450, 3: 200}, usually=100)
    assert pytester.runpytest(*ONE_HOUR).ret == 0
    began = [when for _, when in diary(pytester, "run")]
    assert began == [0, 300, 750, 950, *(300 * (n - 1) for n in range(5, 13))]
    # 450 s are the longest slot from then on: two such must be left, and are until iteration 9.
    assert in_window(pytester, 12) == [10, 11, 12]


def test_slots_left_over_at_the_deadline_are_dropped_with_one_line(
    pytester: pytest.Pytester,
) -> None:
    turned(pytester, usually=350)
    result = pytester.runpytest(*ONE_HOUR, "-v", "--junitxml=out.xml")
    assert result.ret == 0
    result.assert_outcomes(passed=12)
    assert [n for n, _ in diary(pytester, "run")] == list(range(1, 12))
    lines = [line for line in result.outlines if line.startswith("| soak_hours |")]
    assert lines == ["| soak_hours | DEADLINE | DROPPED=1 OF=12 |"]
    result.stdout.no_fnmatch_line("*iter-00012*")
    assert "iter-00012" not in (pytester.path / "out.xml").read_text()
    result.stdout.fnmatch_lines(
        [
            "  verdict PASS (observation window: iterations 10 to 11)",
            "  slots     11 of 12, 1 dropped at the deadline",
        ]
    )
    assert in_window(pytester, 11) == [9, 10, 11]
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert gate["window"] == [10, 11]
    judged_on = {value["iteration"] for values in gate["kpis"].values() for value in values}
    assert judged_on == {10, 11}


def test_a_change_that_the_deadline_left_unjudged_makes_the_verdict_inconclusive(
    pytester: pytest.Pytester,
) -> None:
    turned(pytester, {3: 4000})
    result = pytester.runpytest(*ONE_HOUR)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, failed=1)
    assert patches(chain_folder(pytester))[1] != []
    assert patches(chain_folder(pytester))[2] == []
    result.stdout.fnmatch_lines(
        [
            "| soak_hours | DEADLINE | DROPPED=9 OF=12 |",
            "| kpi_gate | INCONCLUSIVE |",
            "  only 1 of 2 iterations ran on settled parameters",
        ]
    )


def test_fewer_iterations_than_the_window_are_inconclusive(pytester: pytest.Pytester) -> None:
    turned(pytester, {1: 4000})
    result = pytester.runpytest("--soak-hours=1", "--soak-system=paced", "--soak-scenario=calm")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1)
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["window"] == [1]
    result.stdout.fnmatch_lines(["  only 1 of 2 iterations ran on settled parameters"])


def test_dropped_slots_are_no_missing_iterations(pytester: pytest.Pytester) -> None:
    turned(pytester, {10: 4000})
    result = pytester.runpytest("--soak-hours=1", "--soak-system=paced", "--soak-scenario=calm")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| soak_hours | DEADLINE | DROPPED=2 OF=12 |", "| kpi_gate | *"])


def test_the_verdict_so_far_is_the_worst_of_the_last_iterations(pytester: pytest.Pytester) -> None:
    turned(pytester)
    result = pytester.runpytest(*ONE_HOUR)
    verdicts = [r["summary"]["verdict"] for r in records(chain_folder(pytester))[1:-1]]
    assert verdicts[:4] == ["FAIL", "FAIL", "WARN", "PASS"]
    told = [line.split()[3] for line in result.outlines if line.startswith("| soak_progress |")]
    assert told[:5] == ["FAIL", "FAIL", "FAIL", "WARN", "PASS"]
    assert len(told) == 12


def test_progress_is_told_without_tuning_and_not_in_a_run_by_count(
    pytester: pytest.Pytester,
) -> None:
    turned(pytester)
    result = pytester.runpytest("--soak-hours=0.25", "--soak-system=paced")
    result.stdout.fnmatch_lines(["| soak_progress | FAIL | DONE=3/3 LEFT=00:00:00 |"])
    result = pytester.runpytest("--soak-iterations=3", "--soak-system=paced")
    result.stdout.no_fnmatch_line("| soak_progress |*")
    result.stdout.no_fnmatch_line("  slots *")
    assert len(diary(pytester, "wait")) == 3


def test_progress_is_in_the_log_before_the_wait_begins(pytester: pytest.Pytester) -> None:
    turned(pytester)
    with (pytester.path / "conftest.py").open("a") as file:
        file.write("\nTurned.wait = lambda self, seconds: look()\n")
        file.write("\ndef look():\n    note('seen', Path('stdout').read_text().count('LEFT='))\n")
        file.write("    clock.time += 300\n")
    pytester.runpytest_subprocess("--soak-hours=0.5", "--soak-system=paced")
    assert diary(pytester, "seen") == [(n,) for n in range(1, 7)]


def test_chains_on_two_workers_each_have_their_hours(pytester: pytest.Pytester) -> None:
    turned(pytester, usually=350)
    pytester.makepyfile(
        test_demo="""
        import pytest

        @pytest.mark.parametrize("x", ["red", "green"])
        def test_demo(soak, x):
            soak.run()
        """
    )
    result = pytester.runpytest(*ONE_HOUR, "-n2")
    assert result.ret == 0
    result.assert_outcomes(passed=24)
    told = [line for line in result.outlines if line.startswith("| soak_")]
    assert told.count("| soak_hours | DEADLINE | DROPPED=1 OF=12 |") == 2
    assert told.count("| soak_progress | PASS | DONE=11/12 LEFT=00:00:00 |") == 2


def test_chains_in_one_process_have_their_hours_one_after_the_other(
    pytester: pytest.Pytester,
) -> None:
    turned(pytester)
    pytester.makepyfile(test_demo=f"{DEMO}\ndef test_other(soak): soak.run()\n")
    assert pytester.runpytest(*ONE_HOUR, "-p", "no:randomly").ret == 0
    began = [when for _, when in diary(pytester, "run")]
    assert began == [300 * n for n in range(24)]


def test_an_interrupt_in_the_wait_loses_nothing_and_a_resume_has_the_rest_of_the_time(
    pytester: pytest.Pytester,
) -> None:
    turned(pytester, {4: 310})
    (pytester.path / "interrupt").write_text("1200")
    broken_off = pytester.runpytest_subprocess(*ONE_HOUR)
    assert broken_off.ret == pytest.ExitCode.INTERRUPTED
    assert [r["iteration"] for r in records(chain_folder(pytester))] == [0, 1, 2, 3, 4, 5, 5]
    broken_off.stdout.fnmatch_lines(["| soak_progress | PASS | DONE=5/12 LEFT=00:35:00 |"])
    for distributed in ((), ("-n2",)):
        refused = pytester.runpytest(*ONE_HOUR, "--soak-slot=200", "--soak-resume", *distributed)
        told = "\n".join((*refused.outlines, *refused.errlines))
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        assert "slot: 300.0 then, 200.0 now" in told
    (pytester.path / "diary").unlink()
    resumed = pytester.runpytest(*ONE_HOUR, "--soak-resume")
    assert resumed.ret == 0
    resumed.assert_outcomes(passed=13)
    assert diary(pytester, "run") == [(n, 300 * (n - 6)) for n in range(6, 13)]
    assert sum(waited for (waited,) in diary(pytester, "wait")) == 7 * 299
    assert in_window(pytester, 12) == [11, 12]


def test_a_resumed_run_by_count_cannot_become_one_by_hours(pytester: pytest.Pytester) -> None:
    turned(pytester)
    pytester.makepyfile(
        test_demo="""
        def test_demo(soak):
            assert soak.iteration < 3 or soak.run() is None
            soak.run()
        """
    )
    assert pytester.runpytest("--soak-iterations=12", "-x").ret == pytest.ExitCode.TESTS_FAILED
    refused = pytester.runpytest("--soak-hours=1", "--soak-resume")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*: slot: null then, 300.0 now; *"])


def test_a_worker_that_takes_over_has_the_rest_of_the_time(pytester: pytest.Pytester) -> None:
    turned(pytester)
    pytester.makepyfile(
        test_demo="""
        import os
        from pathlib import Path

        def test_demo(soak):
            crashed = Path("crashed")
            if soak.iteration == 5 and not crashed.exists():
                crashed.touch()
                os._exit(1)
            soak.run()
        """
    )
    result = pytester.runpytest(*ONE_HOUR, "-n2")
    result.stdout.fnmatch_lines(["| kpi_gate | PASS |", "  slots     12 of 12"])
    began = diary(pytester, "run")
    assert [n for n, _ in began] == list(range(1, 13))
    assert began[4:] == [(n, 300 * (n - 5)) for n in range(5, 13)]


@pytest.mark.parametrize(
    ("body", "args", "waits"),
    [
        ("soak.run()\n    assert soak.iteration < 3", (), 2),
        ("soak.run()\n    assert soak.iteration < 3", ("-x",), 2),
        ("pass", (), 0),
        ("import pytest; pytest.skip('not now')", (), 0),
        ("soak.run()", ("test_demo.py::test_demo[iter-00002]",), 0),
    ],
    ids=["broken", "stopped", "never-run", "skipped", "partial"],
)
def test_nothing_is_waited_for_where_nothing_is_to_come(
    pytester: pytest.Pytester, body: str, args: tuple[str, ...], waits: int
) -> None:
    turned(pytester)
    (pytester.path / "diary").write_text("")
    pytester.makepyfile(test_demo=f"def test_demo(soak):\n    {body}\n")
    result = pytester.runpytest(*ONE_HOUR, *args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert diary(pytester, "wait") == [(299,)] * waits


def test_a_rerun_in_its_slot_applies_and_waits_once(pytester: pytest.Pytester) -> None:
    turned(pytester)
    pytester.makepyfile(
        test_demo="""
        tried = []

        def test_demo(soak):
            assert soak.run() is soak.run()
            tried.append(soak.iteration)
            assert tried.count(2) != 1
        """
    )
    result = pytester.runpytest("--soak-hours=0.5", *ONE_HOUR[1:], "--reruns=1")
    assert result.ret == 0
    assert [n for n, _ in diary(pytester, "run")] == [1, 2, 3, 4, 5, 6]
    assert diary(pytester, "wait") == [(299,)] * 6


def test_no_limit_of_another_plugin_runs_while_a_slot_is_waited_out(
    pytester: pytest.Pytester,
) -> None:
    turned(pytester)
    with (pytester.path / "conftest.py").open("a") as file:
        file.write(
            "\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_protocol(item):\n"
            "    note('limit', clock.time)\n    return (yield)\n"
        )
    pytester.runpytest("--soak-hours=0.25", "--soak-system=paced")
    assert diary(pytester, "limit") == [(0,), (300,), (600,), (900,)]


def test_a_window_that_opens_early_leaves_the_recorded_patches_alone(
    pytester: pytest.Pytester,
) -> None:
    test = """
        def test_demo(soak, override_snapshot):
            assert soak.run().patch == override_snapshot
    """
    args = ("--soak-hours=0.5", *ONE_HOUR[1:])
    turned(pytester)
    pytester.makepyfile(test_demo=test)
    assert pytester.runpytest(*args, "--snapshot-update").ret == 0
    assert patches(chain_folder(pytester))[2] != []
    turned(pytester, {3: 500})
    pytester.makepyfile(test_demo=test)
    pytester.runpytest(*args).assert_outcomes(passed=7)
    assert patches(chain_folder(pytester))[2] == []
    assert in_window(pytester, 6) == [3, 4, 5, 6]


def test_the_length_of_a_slot_may_stand_in_the_ini_file(pytester: pytest.Pytester) -> None:
    turned(pytester)
    pytester.makeini("[pytest]\nsoak_slot = 12.5")
    for args, slot, count in (
        (("--soak-hours=0.0125",), 12.5, 3),
        (("--soak-hours=0.0125", "--soak-slot=15"), 15, 3),
        (("--soak-hours=0.0125", "--soak-slot=22.5"), 22.5, 2),
        (("--soak-iterations=3",), None, 3),
    ):
        pytester.runpytest(*args, "--soak-system=paced")
        config = records(chain_folder(pytester))[0]["config"]
        assert (config["slot"], config["iterations"]) == (slot, count)
