"""A run that was broken off goes on after its last settled iteration, as if nothing had been."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_soak.config.request import Resume
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.runner.chain import Chain
from pytest_soak.runner.resume import resume_chains
from pytest_soak.store.artifacts import rebuild
from pytest_soak.store.cell import session_of
from pytest_soak.store.files import StoreError
from tests.fuzz.chains import NAME, asked, core, planned
from tests.fuzz.harness import files
from tests.strategies import mock_system, tuner
from tests.support import DEMO, ODD, artifacts, chain_folder, patches, read_json, records, told

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = """
with Path("counter").open("a") as file:
    file.write(f"{iteration}\\n")
dies = Path("dies")
if dies.exists() and int(dies.read_text()) == iteration:
    dies.unlink()
    os._exit(9)
"""


def counted(*, keeps_state: bool) -> str:
    """Return the conftest of a system that counts its runs, and dies where it is told to."""
    return mock_system(
        "counted",
        members=f"keeps_state = {keeps_state}",
        before=COUNTS,
        returns='report, {"seen": [*(state or {"seen": []})["seen"], iteration]}',
    )


ARGS = ("--soak-iterations=6", "--auto-tune", "--soak-system=counted")


def counter(pytester: pytest.Pytester) -> list[int]:
    return [int(line) for line in (pytester.path / "counter").read_text().split()]


def break_off(pytester: pytest.Pytester, iteration: int) -> None:
    """Leave a run whose process died in *iteration*."""
    pytester.makeconftest(counted(keeps_state=True))
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "dies").write_text(str(iteration))
    assert pytester.runpytest_subprocess(*ARGS).ret == 9


@pytest.fixture
def broken_off(pytester: pytest.Pytester) -> pytest.Pytester:
    """Leave a run whose process died in iteration 3."""
    break_off(pytester, 3)
    return pytester


def test_a_resumed_run_is_that_of_an_undisturbed_one(broken_off: pytest.Pytester) -> None:
    resumed = broken_off.runpytest(*ARGS, "--soak-resume")
    assert resumed.ret == 0
    resumed.assert_outcomes(passed=7)
    assert counter(broken_off) == [1, 2, 3, 3, 4, 5, 6]
    disturbed = artifacts(chain_folder(broken_off))
    disturbed["journal.jsonl"] = [
        record for record in disturbed["journal.jsonl"] if record["kind"] != "run_resumed"
    ]
    broken_off.runpytest(*ARGS).assert_outcomes(passed=7)
    undisturbed = artifacts(chain_folder(broken_off))
    for found in (disturbed, undisturbed):
        for number, record in enumerate(found["journal.jsonl"]):
            record["seq"] = number
    assert disturbed == undisturbed


def test_settled_iterations_are_told_and_not_run(broken_off: pytest.Pytester) -> None:
    broken_off.makepyfile(
        test_demo="""
        def test_demo(soak):
            with open("bodies", "a") as file:
                file.write(f"{soak.iteration}\\n")
            soak.run()
        """
    )
    result = broken_off.runpytest(*ARGS, "--soak-resume", "--junitxml=out.xml")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        ["| soak_resume | OK | RUN=* SETTLED=2 |", "| soak_resume | UNKNOWN | ITER=2 *"]
    )
    assert (broken_off.path / "bodies").read_text().split() == ["2", "3", "4", "5", "6"]
    xml = (broken_off.path / "out.xml").read_text()
    assert xml.count('name="soak_resumed"') == 1


@pytest.mark.parametrize("left", [None, b"", b'{"kind": "run_sta'], ids=["gone", "empty", "torn"])
def test_reports_without_a_journal_are_not_taken_for_a_run_that_never_was(
    broken_off: pytest.Pytester, left: bytes | None
) -> None:
    """Neither the run before it is gone on with, nor a new one begun."""
    (broken_off.path / "dies").write_text("3")
    assert broken_off.runpytest_subprocess(*ARGS).ret == 9
    folder = chain_folder(broken_off)
    assert list(folder.glob("runs/*/journal.jsonl"))
    journal = folder / "journal.jsonl"
    journal.unlink() if left is None else journal.write_bytes(left)
    result = broken_off.runpytest(*ARGS, "--soak-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    phrase = "*journal.jsonl: has not even a first record, and EDGE_REPORT_1.json lies beside it;*"
    result.stderr.fnmatch_lines([f"ERROR: --soak-resume: {phrase}"])
    assert counter(broken_off) == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("records_left", "lines"),
    [
        (
            2,
            ["| soak_resume | DAMAGE | EDGE_REPORT_2.json is of an iteration without a record *"],
        ),
        (
            1,
            ["*journal.jsonl: ends with iteration 0, but EDGE_REPORT_2.json exists*"],
        ),
    ],
)
def test_records_that_were_cut_off_are_told_or_refused(
    broken_off: pytest.Pytester, records_left: int, lines: list[str]
) -> None:
    journal = chain_folder(broken_off) / "journal.jsonl"
    whole = journal.read_bytes().splitlines(keepends=True)
    assert len(whole) == 3
    journal.write_bytes(b"".join(whole[:records_left]))
    result = broken_off.runpytest(*ARGS, "--soak-resume")
    (result.stdout if records_left == 2 else result.stderr).fnmatch_lines(lines)
    assert result.ret == (0 if records_left == 2 else pytest.ExitCode.USAGE_ERROR)


def test_a_resume_works_under_xdist(broken_off: pytest.Pytester) -> None:
    result = broken_off.runpytest(*ARGS, "--soak-resume", "-n2")
    assert result.ret == 0
    assert counter(broken_off) == [1, 2, 3, 3, 4, 5, 6]


def test_a_worker_that_joins_late_goes_on_with_the_resumed_run_though_it_has_ended(
    broken_off: pytest.Pytester,
) -> None:
    broken_off.syspathinsert()
    broken_off.makepyfile(
        dying="""
        import os
        from pathlib import Path

        def pytest_soak_verdict(plan, verdict):
            if not Path("crashed").exists():
                Path("crashed").touch()
                os._exit(1)
        """
    )
    result = broken_off.runpytest_subprocess(*ARGS, "--soak-resume", "-n2", "-p", "dying")
    result.stdout.fnmatch_lines(["*worker*crashed*", "  verdict PASS *"])
    assert counter(broken_off) == [1, 2, 3, 3, 4, 5, 6]
    assert read_json(chain_folder(broken_off) / "KPI_GATE.json")["verdict"] == "PASS"
    assert not (chain_folder(broken_off) / "runs").exists()


def test_a_changed_configuration_is_refused_and_can_be_forced(
    broken_off: pytest.Pytester,
) -> None:
    other = (*ARGS, "--soak-observe=3")
    for distributed in ((), ("-n2",)):
        refused = broken_off.runpytest(*other, "--soak-resume", *distributed)
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        told = "\n".join((*refused.outlines, *refused.errlines))
        assert "observe: 2 then, 3 now; allowed: the same settings, or --soak-resume=force" in told
    forced = broken_off.runpytest(*other, "--soak-resume=force")
    assert forced.ret == 0
    resumed = [r for r in records(chain_folder(broken_off)) if r["kind"] == "run_resumed"]
    assert [record["differences"] for record in resumed] == [["observe: 2 then, 3 now"]]


@pytest.mark.parametrize("distributed", [(), ("-n1",)])
def test_a_run_of_another_cell_is_resumed_only_by_force(
    broken_off: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    """By force it is found by its test, goes on in its own folder, and is told again after that."""
    first = chain_folder(broken_off)
    other = (*ARGS, "--soak-seed=7")
    result = broken_off.runpytest(*other, "--soak-iterations=2", "--soak-resume", *distributed)
    hint = "(*seed: 0 then, 7 now); --soak-resume=force resumes it |"
    result.stdout.fnmatch_lines(
        [
            "| soak_resume | NONE | no unfinished run, a new one starts |",
            f"| soak_resume | OTHER | RUN={records(first)[0]['run']} SETTLED=2 has other * {hint}",
        ]
    )
    assert chain_folder(broken_off) != first
    forced = broken_off.runpytest(*other, "--soak-resume=force", *distributed)
    assert forced.ret == 0
    resumed = [r for r in records(first) if r["kind"] == "run_resumed"]
    assert [record["differences"] for record in resumed] == [["seed: 0 then, 7 now"]]
    journal = (first / "journal.jsonl").read_bytes()
    again = broken_off.runpytest(*other, "--soak-resume=force", *distributed)
    assert again.ret == 0
    again.stdout.fnmatch_lines(["| soak_resume | ENDED | RUN=* SETTLED=6 its verdict is told *"])
    assert (first / "journal.jsonl").read_bytes() == journal


def test_without_the_option_a_new_run_inherits_nothing_and_keeps_the_old_one(
    broken_off: pytest.Pytester,
) -> None:
    result = broken_off.runpytest(*ARGS)
    result.stdout.fnmatch_lines(["| soak_resume | UNFINISHED | RUN=* SETTLED=2 kept; *"])
    assert counter(broken_off) == [1, 2, 3, 1, 2, 3, 4, 5, 6]
    assert result.ret == 0
    later = broken_off.runpytest(*ARGS, "--soak-resume")
    assert later.ret == 0
    assert counter(broken_off)[9:] == [3, 4, 5, 6]


def test_with_nothing_to_resume_a_new_run_starts_and_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    for length in (6, 5):  # a run of other settings is neither resumed nor told again
        options = (f"--soak-iterations={length}", "--auto-tune", "--soak-resume")
        result = pytester.runpytest(*options)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["| soak_resume | NONE | no unfinished run, *"])


def test_a_system_that_lost_its_state_is_not_tuned_on_at_first(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(counted(keeps_state=False))
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "dies").write_text("3")
    pytester.runpytest_subprocess(*ARGS)
    result = pytester.runpytest(*ARGS, "--soak-resume")
    result.stdout.fnmatch_lines(["| iter_watch | APPLY | SKIP | iter=3 restarted |"])
    result.stdout.re_match_lines([r"    3 .* ↻$", "  ↻ the system was restarted before it, and *"])
    changed = patches(chain_folder(pytester))
    assert changed[2] == []
    assert changed[3] != []
    summary = read_json(chain_folder(pytester) / "ITER_SUMMARY_3.json")
    assert summary["summary"]["restarted"] is True
    assert summary["tuning"]["skip_reason"] == "restarted"


def test_a_run_that_ended_without_its_reports_is_told_again_and_not_run_again(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(counted(keeps_state=True))
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest(*ARGS).ret == 0
    folder = chain_folder(pytester)
    before = artifacts(folder)
    for name in ("TUNING_REPORT.json", "KPI_GATE.json"):  # as a kill after run_ended leaves it
        (folder / name).unlink()
    told = pytester.runpytest(*ARGS, "--soak-resume")
    told.assert_outcomes(passed=7)
    told.stdout.fnmatch_lines(
        [
            "| soak_resume | ENDED | RUN=* SETTLED=6 its verdict is told again |",
            "| kpi_gate | PASS |",
        ]
    )
    assert counter(pytester) == [1, 2, 3, 4, 5, 6]
    assert artifacts(folder) == before


def test_a_resume_that_was_killed_before_it_was_recorded_is_made_up_for(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    options = ("--soak-iterations=6", "--auto-tune")
    assert pytester.runpytest(*options).ret == 0
    with (chain_folder(pytester) / "journal.jsonl").open("a") as journal:
        journal.write('{"kind": "run_res')
    told = pytester.runpytest(*options, "--soak-resume")
    told.stdout.fnmatch_lines(["| soak_resume | ENDED | RUN=* SETTLED=6 *", "| kpi_gate | PASS |"])
    assert told.ret == 0
    kinds = [record["kind"] for record in records(chain_folder(pytester))]
    assert kinds[7:] == ["run_ended", "damage_found"]


THREE_SOAKS = """
import os
from pathlib import Path

import pytest

@pytest.mark.parametrize("x", ["ended", "dying", "waiting"])
def test_demo(soak, x):
    with Path(x).open("a") as file:
        file.write(f"{soak.iteration}\\n")
    if x == "dying" and soak.iteration == 3 and not Path("died").exists():
        Path("died").touch()
        os._exit(9)
    soak.run()
"""


@pytest.mark.parametrize("distributed", [(), ("-n2",)])
def test_a_chain_that_ended_before_another_was_broken_off_is_not_run_again(
    pytester: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_demo=THREE_SOAKS)
    options = ("--soak-iterations=4", "--auto-tune", "-p", "no:randomly")
    died = pytester.runpytest_subprocess(*options)
    assert died.ret == 9
    ended = patches(chain_folder(pytester, "test_demo-ended"))
    resumed = pytester.runpytest(*options, "--soak-resume", *distributed)
    assert resumed.ret == 0
    resumed.assert_outcomes(passed=15)
    assert resumed.stdout.str().count("| soak_resume | OK |") == 1
    assert resumed.stdout.str().count("| soak_resume | ENDED |") == 1
    assert resumed.stdout.str().count("| kpi_gate |") == 3
    ran = {x: (pytester.path / x).read_text().split() for x in ("ended", "dying", "waiting")}
    assert ran["ended"] == ran["waiting"] == ["1", "2", "3", "4"]
    assert ran["dying"] == ["1", "2", "3", "2", "3", "4"]  # nothing told of the test of 2
    assert patches(chain_folder(pytester, "test_demo-ended")) == ended
    runs = {records(chain_folder(pytester, f"test_demo-{x}"))[0]["run"] for x in ran}
    assert len(set(map(session_of, runs))) == 1
    assert len(runs) == 3
    again = pytester.runpytest(*options, "--soak-resume", *distributed)
    assert again.ret == 0
    assert again.stdout.str().count("| soak_resume | ENDED |") == 3
    assert ran == {x: (pytester.path / x).read_text().split() for x in ran}


@pytest.mark.parametrize("value", ["=soon", "=FORCE"])
def test_a_resume_of_another_kind_is_refused(pytester: pytest.Pytester, value: str) -> None:
    result = pytester.runpytest("--soak-iterations=2", f"--soak-resume{value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--soak-resume{value}: allowed: *"])


@pytest.mark.parametrize("distributed", [(), ("-n2",)], ids=["alone", "distributed"])
def test_a_journal_damaged_in_the_middle_is_one_usage_error(
    broken_off: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    journal = chain_folder(broken_off) / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"busy"', b'"calm"', 1))
    before = artifacts(chain_folder(broken_off))
    result = broken_off.runpytest(*ARGS, "--soak-resume=force", *distributed)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = (*result.stderr.lines, *result.stdout.lines)
    (told,) = (text for text in lines if "journal.jsonl" in text)
    assert told.startswith("ERROR: --soak-resume: ")
    assert "journal.jsonl, record 1 (iteration 1): its prev is " in told
    assert artifacts(chain_folder(broken_off)) == before


@pytest.mark.parametrize("kind", ["a link", "a pipe"])
def test_a_journal_that_is_no_regular_file_is_not_resumed(
    broken_off: pytest.Pytester, kind: str
) -> None:
    journal = chain_folder(broken_off) / "journal.jsonl"
    journal.rename(broken_off.path / "victim")
    ODD[kind](journal)
    result = broken_off.runpytest(*ARGS, "--soak-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = f"ERROR: --soak-resume: *journal.jsonl: it is {kind}; allowed: a regular file"
    result.stderr.fnmatch_lines([told])


def test_a_chain_that_cannot_be_opened_is_told_once_and_by_its_gate(
    broken_off: pytest.Pytester,
) -> None:
    (chain_folder(broken_off) / "backups").rename(broken_off.path / "elsewhere")
    (chain_folder(broken_off) / "backups").symlink_to(broken_off.path / "elsewhere")
    result = broken_off.runpytest(*ARGS, "--soak-resume")
    result.assert_outcomes(errors=2, skipped=5)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = [text for text in result.stdout.lines if text.startswith(str(broken_off.path))]
    assert len(told) == 2
    assert all(text.endswith("backups: it is a link; allowed: a folder") for text in told)


HOLDER = """
import sys
import time
from pathlib import Path

from filelock import FileLock

with FileLock(sys.argv[1]):
    Path("held").touch()
    while not Path("let go").exists():
        time.sleep(0.01)
"""


def test_a_second_soak_in_the_folder_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune").assert_outcomes(passed=7)
    before = artifacts(chain_folder(pytester))
    pytester.makepyfile(holder=HOLDER)
    folder = chain_folder(pytester)
    lock = folder.parent / f".{folder.name}.lock"
    holder = subprocess.Popen([sys.executable, "holder.py", str(lock)])
    try:
        while not (pytester.path / "held").exists():
            assert holder.poll() is None
        for resume in ((), ("--soak-resume",)):
            result = pytester.runpytest("--soak-iterations=6", "--auto-tune", *resume)
            assert result.ret == pytest.ExitCode.USAGE_ERROR
            result.stderr.fnmatch_lines(["*another soak or command holds this folder*"])
        assert artifacts(chain_folder(pytester)) == before
    finally:
        (pytester.path / "let go").touch()
        holder.wait()
    assert pytester.runpytest("--soak-iterations=6", "--auto-tune").ret == 0


def test_a_run_resumed_with_another_length_is_not_judged_on_unsettled_parameters(
    broken_off: pytest.Pytester,
) -> None:
    shorter = ("--soak-iterations=3", "--auto-tune", "--soak-system=counted")
    result = broken_off.runpytest(*shorter, "--soak-resume=force")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["  only 1 of 2 iterations ran on settled parameters"])


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_test_that_failed_is_not_passed_by_a_resume(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makepyfile(test_demo=f"{DEMO}    assert soak.iteration != 3\n")
    broken_off = pytester.runpytest("--soak-iterations=6", "--auto-tune", "-x")
    broken_off.assert_outcomes(passed=2, failed=1)
    assert records(chain_folder(pytester))[-1]["not_passed"] == [3]
    resumed = pytester.runpytest("--soak-iterations=6", "--auto-tune", workers, "--soak-resume")
    assert resumed.ret == pytest.ExitCode.TESTS_FAILED
    resumed.assert_outcomes(passed=2, failed=2, skipped=3)
    resumed.stdout.fnmatch_lines(["*its test did not pass before the run was resumed*"])
    assert records(chain_folder(pytester))[-1]["verdict"] == "INCONCLUSIVE"


KILLED_AT_A_FAILURE = """
import os
from pathlib import Path

def pytest_runtest_logreport(report):
    if report.failed and not Path("second").exists():
        Path("second").touch()
        os._exit(9)
"""


@pytest.mark.parametrize(
    ("iteration", "mended", "passed", "failed"),
    [(3, True, 6, 0), (1, False, 0, 2), (5, True, 6, 0)],
)
def test_a_test_whose_failure_was_not_recorded_runs_again_on_the_recorded_result(
    pytester: pytest.Pytester, iteration: int, mended: bool, passed: int, failed: int
) -> None:
    pytester.makeconftest(counted(keeps_state=True) + KILLED_AT_A_FAILURE)
    pytester.makepyfile(
        test_demo=f"""
        from pathlib import Path

        def test_demo(soak):
            assert soak.run() is soak.run()
            assert soak.iteration != {iteration} or {mended} and Path("second").exists()
        """
    )
    args = ("--soak-iterations=5", "--soak-scenario=calm", "--soak-system=counted", "--auto-tune")
    assert pytester.runpytest_subprocess(*args).ret == 9
    resumed = pytester.runpytest(*args, "--soak-resume")
    resumed.stdout.fnmatch_lines([f"| soak_resume | UNKNOWN | ITER={iteration} *"])
    resumed.assert_outcomes(passed=passed, failed=failed, skipped=5 - iteration if failed else 0)
    assert counter(pytester) == [1, 2, 3, 4, 5][: None if mended else iteration]
    ended = records(chain_folder(pytester))[-1]
    assert ended["not_passed"] == ([] if mended else [1])
    assert ended["verdict"] == ("PASS" if mended else "INCONCLUSIVE")
    assert told("verify")[0] == 0


@pytest.mark.parametrize("ends", ["pytest.skip('later')", "pytest.xfail('one day')"])
def test_a_test_that_did_not_pass_is_remembered_though_its_run_is_killed_later(
    pytester: pytest.Pytester, ends: str
) -> None:
    pytester.makeconftest(counted(keeps_state=True))
    pytester.makepyfile(
        test_demo=f"""
        import pytest

        def test_demo(soak):
            soak.run()
            if soak.iteration == 2:
                {ends}
        """
    )
    (pytester.path / "dies").write_text("4")
    assert pytester.runpytest_subprocess(*ARGS).ret == 9
    resumed = pytester.runpytest(*ARGS, "--soak-resume")
    resumed.assert_outcomes(passed=1, failed=2, skipped=4)
    resumed.stdout.fnmatch_lines(["*_ test_demo?iter-00002? _*", "its test did not pass before *"])
    assert records(chain_folder(pytester))[-1]["not_passed"] == [2, 3]


def test_an_iteration_in_which_a_strategy_failed_fails_again_where_its_test_runs_again(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(tuner("1 / 0") + KILLED_AT_A_FAILURE)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=3", "--auto-tune", "--soak-tuner=mine")
    assert pytester.runpytest_subprocess(*args).ret == 9
    resumed = pytester.runpytest(*args, "--soak-resume")
    resumed.assert_outcomes(failed=2, skipped=2)
    resumed.stdout.fnmatch_lines(["*'mine': propose() raised ZeroDivisionError*"])


def test_a_run_that_died_before_its_first_record_is_resumed(pytester: pytest.Pytester) -> None:
    break_off(pytester, 1)
    folder = chain_folder(pytester)
    result = pytester.runpytest(*ARGS, "--soak-resume")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| soak_resume | OK | RUN=* SETTLED=0 |"])
    assert [r["iteration"] for r in records(folder) if r["kind"] == "iteration"] == [*range(1, 7)]


def test_a_torn_record_is_reported_in_the_journal_of_the_resumed_run(
    broken_off: pytest.Pytester,
) -> None:
    folder = chain_folder(broken_off)
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write('{"iteration": 3, "kind": "run_ended", "half": ')
    result = broken_off.runpytest(*ARGS, "--soak-resume")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| soak_resume | OK | RUN=* SETTLED=2 |"])
    kinds = [record["kind"] for record in records(folder)]
    assert kinds == [
        "run_started",
        "iteration",
        "iteration",
        "damage_found",
        "run_resumed",
        *["iteration"] * 4,
        "run_ended",
    ]
    assert dict(rebuild(records(folder)))["KPI_GATE.json"] == read_json(folder / "KPI_GATE.json")


def test_a_resumed_system_continues_from_its_state(broken_off: pytest.Pytester) -> None:
    folder = chain_folder(broken_off)
    broken_off.runpytest(*ARGS, "--soak-resume").assert_outcomes(passed=7)
    assert read_json(folder / "system_state_6.json") == {"seen": [1, 2, 3, 4, 5, 6]}


def test_a_state_that_differs_from_the_recorded_one_is_refused(
    broken_off: pytest.Pytester,
) -> None:
    folder = chain_folder(broken_off)
    (folder / "system_state_2.json").write_text('{"seen": []}')
    result = broken_off.runpytest_subprocess(*ARGS, "--soak-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*system_state_2.json: missing, or not the state whose hash*"])


@pytest.mark.parametrize("distributed", [(), ("-n2",)])
def test_a_failed_verdict_is_told_again_with_its_exit_code_and_no_record_is_added(
    pytester: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    """Also after a rollback, whose record follows that of the verdict."""
    pytester.makeconftest(counted(keeps_state=True))
    pytester.makepyfile(test_demo=DEMO)
    options = ("--soak-iterations=4", "--soak-system=counted", "--soak-gate=throughput>=1000")
    tuned = (*options, "--auto-tune")
    assert pytester.runpytest(*tuned).ret == 1
    folder = chain_folder(pytester)
    told("rollback", "--to-iter=0", "--soak-dir", folder.parent)
    assert records(folder)[-1]["kind"] == "rolled_back"
    before = files(folder)
    again = pytester.runpytest(*tuned, "--soak-resume", *distributed)
    assert again.ret == 1
    again.assert_outcomes(passed=4, failed=1)
    again.stdout.fnmatch_lines(["| soak_resume | ENDED | *", "| kpi_gate | FAIL | REASONS=*"])
    again.stdout.no_fnmatch_line("*no verdict was recorded*")
    assert files(folder) == before
    assert counter(pytester) == [1, 2, 3, 4]


@pytest.mark.parametrize("last", ["assert soak.iteration != 2", "pytest.skip('not today')"])
def test_iterations_that_did_not_run_before_do_not_run_when_the_verdict_is_told_again(
    pytester: pytest.Pytester, last: str
) -> None:
    body = f"    soak.iteration < 2 or open('bodies', 'a').write('x')\n    {last}\n"
    pytester.makepyfile(test_demo=f"import pytest\n{DEMO.replace('soak.run()', 'pass')}{body}")
    first = pytester.runpytest("--soak-iterations=3")
    assert first.ret == 1
    before = records(chain_folder(pytester)), (pytester.path / "bodies").read_text()
    again = pytester.runpytest("--soak-iterations=3", "--soak-resume")
    assert again.ret == 1
    again.stdout.fnmatch_lines(["| kpi_gate | INCONCLUSIVE |*"])
    assert (records(chain_folder(pytester)), (pytester.path / "bodies").read_text()) == before


def test_a_run_that_another_process_went_on_with_is_refused_unchanged(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    """A worker that takes over a chain where another one crashed may go on."""
    loop = SoakLoop(planned(asked(tmp_path)), core(), tmp_path)
    for iteration in (1, 2, 3):
        loop.run(iteration)
    loop.close()
    stale = replace(loop.plan, resumed=True, settled=1)
    before = files(loop.store.folder)
    with pytest.raises(StoreError, match="another process has gone on with this run to iteration "):
        SoakLoop(stale, core(), tmp_path, first=1)
    assert files(loop.store.folder) == before
    SoakLoop(stale, core(), tmp_path, first=3).close()


def test_of_a_run_that_another_worker_has_begun_nothing_is_told(tmp_path: Path) -> None:
    request = asked(tmp_path, resume=Resume.YES)
    SoakLoop(planned(request), core(), tmp_path).close()
    late = Chain(NAME, plan=planned(request))
    resume_chains([late], request)
    assert late.notes == []
    assert late.plan is not None
    assert not late.plan.resumed
