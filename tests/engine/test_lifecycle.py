"""A system is opened once before it runs, and closed once when its chain is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, problems, read_json, records, wait_for

ARGS = ("--soak-iterations=3", "--soak-scenario=calm", "-p", "no:randomly")
CALM = ("--soak-system=house", *ARGS)


def house(opens: str = "pass", runs: str = "pass", closes: str = "pass") -> str:
    """Return the conftest of a system that notes what is called, with lines for each method."""
    members = f"""
def open(self, folder, slot):
    assert (folder / "runtime_overrides.json").exists()
    note("open", folder.name.partition("-")[0], slot)
    (HERE / "process").write_text(str(os.getpid()))
    {opens}

def close(self):
    note("close")
    {closes}
"""
    note = """
def note(*words):
    with (HERE / "diary").open("a") as diary:
        print(*words, file=diary)
"""
    before = f"note('run', iteration)\n{runs}"
    return mock_system("house", members=members, before=before) + note


def diary(pytester: pytest.Pytester) -> list[str]:
    return (pytester.path / "diary").read_text().splitlines()


def test_a_system_is_opened_once_with_its_folder_and_closed_once_before_the_verdict(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(house())
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest(*CALM).ret == 0
    assert diary(pytester) == ["open test_demo None", "run 1", "run 2", "run 3", "close"]


def test_a_chain_is_closed_before_the_next_one_is_opened(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(house())
    pytester.makepyfile(test_demo=DEMO, test_next="def test_next(soak): soak.run()")
    assert pytester.runpytest(*CALM).ret == 0
    words = [line.split()[0] for line in diary(pytester)]
    assert words == ["open", "run", "run", "run", "close"] * 2


def test_it_happens_in_the_worker_that_runs_the_chain(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(house())
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest(*CALM, "-n2").ret == 0
    assert [line.split()[0] for line in diary(pytester)] == ["open", "run", "run", "run", "close"]
    assert (pytester.path / "process").read_text() != str(os.getpid())


def test_a_soak_by_the_hour_tells_the_length_of_its_slots(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(house())
    pytester.makepyfile(test_demo=DEMO)
    ran = pytester.runpytest(
        "--soak-system=house", "--soak-scenario=calm", "--soak-hours=1", "--soak-slot=1200"
    )
    assert ran.ret == 0
    assert diary(pytester)[0] == "open test_demo 1200.0"


@pytest.mark.parametrize(
    ("runs", "line"),
    [
        ("raise OSError('no port')", "E*OSError: no port"),
        ("raise SystemFailure('no port is free')", "system house: no port is free"),
    ],
)
def test_a_chain_that_an_iteration_ended_is_closed_once(
    pytester: pytest.Pytester, runs: str, line: str
) -> None:
    pytester.makeconftest(house(runs=runs))
    pytester.makepyfile(test_demo=DEMO)
    for arguments in ((), ("-x",)):
        ran = pytester.runpytest(*CALM, *arguments)
        assert ran.ret == 1
        ran.stdout.fnmatch_lines([line])
        assert diary(pytester) == ["open test_demo None", "run 1", "close"]
        (pytester.path / "diary").unlink()
    assert ("Traceback" in runs) == ("conftest.py:" in line)


def test_an_open_that_raises_fails_the_first_iteration_with_a_line_and_is_closed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    for opens, line in (
        (
            "raise OSError('no port')",
            "system house: open() raised OSError: no port (*conftest.py:*)",
        ),
        ("raise SystemFailure('no port is free')", "system house: no port is free"),
    ):
        pytester.makeconftest(house(opens=opens))
        ran = pytester.runpytest(*CALM)
        ran.assert_outcomes(failed=2, skipped=2)
        ran.stdout.fnmatch_lines([line])
        ran.stdout.no_fnmatch_line("*Traceback*")
        assert diary(pytester) == ["open test_demo None", "close"]
        (pytester.path / "diary").unlink()


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_close_that_raises_is_inconclusive_and_told(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makeconftest(house(closes="raise OSError('still there')"))
    pytester.makepyfile(test_demo=DEMO)
    ran = pytester.runpytest(*CALM, workers)
    assert ran.ret == 1
    ran.assert_outcomes(passed=3, failed=1)
    told = "system house: close() raised OSError: still there (*conftest.py:*)"
    ran.stdout.fnmatch_lines(
        ["| kpi_gate | INCONCLUSIVE |", f"  closing: {told}", f"ERROR: *::test_demo: {told}"]
    )
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert gate["verdict"] == "INCONCLUSIVE"
    assert "still there" in problems(gate)[0]
    assert pytester.run(sys.executable, "-m", "pytest_soak", "verify").ret == 0


def test_a_close_that_raises_in_a_broken_off_run_is_in_its_journal(
    pytester: pytest.Pytester,
) -> None:
    broken_off = "if iteration == 2: raise KeyboardInterrupt"
    pytester.makeconftest(house(runs=broken_off, closes="raise OSError('still there')"))
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest_subprocess(*CALM).ret == pytest.ExitCode.INTERRUPTED
    last = records(chain_folder(pytester))[-1]
    assert last["kind"] == "run_interrupted"
    told = [problem for problem in problems(last) if "iteration" not in problem]
    assert told[0] == "broken off: the gate did not run"
    assert told[1].startswith("closing: system house: close() raised OSError: still there")
    assert pytester.run(sys.executable, "-m", "pytest_soak", "verify").ret == 0


def test_a_fail_stays_one_where_closing_goes_wrong_too(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(house(closes="raise OSError('still there')"))
    pytester.makepyfile(test_demo=DEMO)
    ran = pytester.runpytest(*CALM, "--soak-gate=latency_p95_ms<=1")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        ["| kpi_gate | FAIL | REASONS=latency_p95_ms |", "  closing: system *"]
    )
    assert pytester.run(sys.executable, "-m", "pytest_soak", "verify").ret == 0


def test_what_went_wrong_when_a_chain_was_closed_is_told_by_a_resume_too(
    pytester: pytest.Pytester,
) -> None:
    fails = "assert (HERE / 'mended').exists(), 'still there'"
    pytester.makeconftest(house(closes=fails))
    next_one = "(HERE / 'mended').exists() or os._exit(9)"
    pytester.makepyfile(
        test_demo=DEMO,
        test_next=f"""
        import os
        from conftest import HERE

        def test_next(soak):
            soak.run()
            soak.iteration == 2 and ({next_one})
        """,
    )
    ran = pytester.runpytest_subprocess(*CALM, "--import-mode=prepend")
    assert ran.ret == 9
    (pytester.path / "mended").touch()
    ran = pytester.runpytest_subprocess(*CALM, "--import-mode=prepend", "--soak-resume")
    assert ran.ret == 1
    ran.assert_outcomes(passed=7, failed=1)
    ran.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "  closing: system house: close() raised*"])
    (folder,) = (pytester.path / "artifacts" / "soak").glob("test_demo-*")
    assert read_json(folder / "KPI_GATE.json")["verdict"] == "INCONCLUSIVE"
    verify = (sys.executable, "-m", "pytest_soak", "verify", "--chain=test_demo")
    assert pytester.run(*verify).ret == 0


def test_a_full_disk_does_not_keep_a_system_open(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        house(runs="(HERE / 'artifacts/soak/latest/runtime_overrides.json.tmp').mkdir()")
    )
    pytester.makepyfile(test_demo=DEMO)
    ran = pytester.runpytest(*CALM, "--auto-tune", "--soak-scenario=busy", "--soak-observe=1")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["*cannot be written*"])
    assert diary(pytester)[-1] == "close"
    assert diary(pytester).count("close") == 1


@pytest.mark.parametrize(("word", "where"), [("SIGTERM", "opens"), ("SIGINT", "runs")])
def test_a_signal_closes_what_is_open(pytester: pytest.Pytester, word: str, where: str) -> None:
    slow = "(HERE / 'reached').touch(); time.sleep(60)"
    pytester.makeconftest(house(**{where: slow}))
    pytester.makepyfile(test_demo=DEMO)
    line = [sys.executable, "-m", "pytest", *CALM]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as run:
        wait_for((pytester.path / "reached").exists)
        run.send_signal(getattr(signal, word))
        assert run.wait(60) == pytest.ExitCode.INTERRUPTED
    assert diary(pytester)[-1] == "close"
    assert diary(pytester).count("close") == 1


OWN = """
import pytest
from conftest import House, note

@pytest.fixture(scope="{scope}")
def made():
    system = object.__new__(House)
    note("made")
    yield system
    note("ended")

@pytest.fixture
def soak_system(made):
    return made

def test_demo(soak):
    soak.run()
"""


def test_a_fixtures_system_lives_as_long_as_the_fixture_lets_it(pytester: pytest.Pytester) -> None:
    totals = "{'latency_p95_ms': 9, 'error_rate': 0, 'throughput': 99}"
    answer = f"return {{'iteration': iteration, 'totals': {totals}}}, None"
    pytester.makeconftest(house(runs=answer))
    pytester.makepyfile(test_demo=OWN.format(scope="module"))
    assert pytester.runpytest(*ARGS, "--import-mode=prepend").ret == 0
    assert [line.split()[0] for line in diary(pytester)] == [
        "made",
        "open",
        "run",
        "run",
        "run",
        "close",
        "ended",
    ]
    (pytester.path / "diary").unlink()
    pytester.makepyfile(test_demo=OWN.format(scope="function"))
    assert pytester.runpytest(*ARGS, "--import-mode=prepend").ret == 0
    assert [line.split()[0] for line in diary(pytester)] == [
        "made",
        "open",
        "run",
        "ended",
        "made",
        "close",
        "open",
        "run",
        "ended",
        "made",
        "close",
        "open",
        "run",
        "ended",
        "close",
    ]


def test_a_fixtures_system_without_open_is_not_closed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="""
        import pytest

        class Connection:
            def run(self, parameters, iteration, seed, state):
                totals = {"latency_p95_ms": 9, "error_rate": 0, "throughput": 99}
                return {"iteration": iteration, "totals": totals}, None
            def close(self):
                raise AssertionError("it is the fixture's")

        @pytest.fixture
        def soak_system():
            return Connection()

        def test_demo(soak):
            soak.run()
        """
    )
    ran = pytester.runpytest(*ARGS)
    ran.assert_outcomes(passed=4)
    assert ran.ret == 0
    assert records(chain_folder(pytester))[-1]["kind"] == "run_ended"
