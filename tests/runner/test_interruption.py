"""Whatever ends a run before its gate: the artifacts are what the journal says, and CI is told."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.runner.interruption import Interruption
from pytest_soak.store.files import StoreError
from tests.strategies import SLOW, mock_system, tuner
from tests.support import (
    DEMO,
    PATIENCE,
    chain_folder,
    read_json,
    records,
    told,
    unlike_journal,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

TWO = """
import pytest

@pytest.mark.parametrize("x", [1, 2])
def test_demo(soak, x):
    soak.run()
"""


@pytest.mark.parametrize("to_group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("word", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_ends_a_run_with_2_a_summary_and_whole_artifacts(
    pytester: pytest.Pytester, word: str, workers: int, *, to_group: bool
) -> None:
    pytester.makeconftest(SLOW)
    pytester.makepyfile(test_demo=TWO)
    line = [sys.executable, "-m", "pytest", f"-n{workers}", "-p", "no:randomly", "-p", "no:syrupy"]
    line += ["--soak-iterations=6", "--auto-tune", "--soak-system=slow"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        wait_for(lambda: len(list(pytester.path.glob("reached-*"))) == max(workers, 1))
        number = getattr(signal, word)
        if to_group:
            os.killpg(run.pid, number)
        else:
            run.send_signal(number)
        shown, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "no verdict: the run was broken off before the gate" in shown
    folders = list((pytester.path / "artifacts" / "soak").glob("test_demo-*"))
    assert len(folders) == max(workers, 1)
    for folder in folders:
        assert records(folder)[-1]["kind"] == "run_interrupted"
        assert records(folder)[-1]["iteration"] == 2
        assert read_json(folder / "KPI_GATE.json")["verdict"] == "INCONCLUSIVE"
        assert unlike_journal(folder) == []


LINGERS = """
import pathlib
import time

def test_demo(soak):
    soak.run()
    if soak.iteration == 2:
        pathlib.Path("reached").touch()
        time.sleep(60)
"""


def head_shown(folder: Path) -> str:
    """Return the line of the closing report that has the journal's head."""
    last = (folder / "journal.jsonl").read_bytes().splitlines()[-1]
    return f"  journal   head {hashlib.sha256(last).hexdigest()[:16]}…"


@pytest.mark.parametrize("word", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("workers", [0, 1])
def test_what_was_applied_in_the_iteration_that_a_signal_ends_is_told(
    pytester: pytest.Pytester, word: str, workers: int
) -> None:
    pytester.makepyfile(test_demo=LINGERS)
    line = [sys.executable, "-m", "pytest", f"-n{workers}", "-p", "no:randomly", "-p", "no:syrupy"]
    line += ["--soak-iterations=6", "--auto-tune"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as run:
        wait_for((pytester.path / "reached").exists)
        run.send_signal(getattr(signal, word))
        shown, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    lines = shown.splitlines()
    for applied in ("  workers: 2 → 4 (Δ=+2)", "  workers: 4 → 6 (Δ=+2)"):
        assert lines.count(applied) == 1
    table = shown.partition(" iter ")[2]
    assert table.count("2 → 4") == table.count("4 → 6") == 1
    folder = chain_folder(pytester)
    assert lines.count(head_shown(folder)) == 1
    assert f"  artifacts {folder}" in lines
    assert "  --soak-resume goes on with it" in lines


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("first", [1, 3], ids=["at once", "later"])
def test_a_run_that_x_stops_tells_the_head_of_its_journal(
    pytester: pytest.Pytester, workers: int, first: int
) -> None:
    pytester.makepyfile(test_demo=f"def test_demo(soak):\n    assert soak.iteration < {first}\n")
    result = pytester.runpytest("--soak-iterations=6", "-x", f"-n{workers}", "-p", "no:syrupy")
    assert result.ret != 0
    folder = chain_folder(pytester)
    assert result.outlines.count(head_shown(folder)) == 1
    assert f"  artifacts {folder}" in result.outlines
    assert "  --soak-resume goes on with it" in result.outlines


def test_a_run_without_the_closing_report_is_stopped_all_the_same(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo="def test_demo(soak):\n    assert soak.iteration < 2\n")
    for without in ("soak-terminal", "soak-views", "terminal"):
        result = pytester.runpytest("--soak-iterations=3", "-x", "-p", f"no:{without}")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.no_fnmatch_line("*broken off*")


def test_a_chain_that_is_skipped_whole_was_not_broken_off(pytester: pytest.Pytester) -> None:
    skips = "import pytest\n\ndef test_demo(soak):\n    pytest.skip('not today')\n"
    pytester.makepyfile(test_demo=skips)
    result = pytester.runpytest("--soak-iterations=3")
    result.stdout.no_fnmatch_line("*broken off*")


def test_a_second_sigterm_ends_the_process_at_once(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SLOW.replace("time.sleep(60)", "ignore()") + IGNORE)
    pytester.makepyfile(test_demo=DEMO)
    line = [sys.executable, "-m", "pytest", "--soak-iterations=6", "--soak-system=slow"]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as run:
        wait_for(lambda: bool(list(pytester.path.glob("reached-*"))))
        run.terminate()
        wait_for((pytester.path / "ignored").exists)
        run.terminate()
        assert run.wait(PATIENCE) == -signal.SIGTERM


IGNORE = """
def ignore():
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            Path("ignored").touch()
"""


def test_a_handler_of_the_users_own_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import signal

        def own(number, frame):
            raise RuntimeError("the user's")

        def pytest_sessionstart():
            signal.signal(signal.SIGTERM, own)

        def pytest_unconfigure():
            assert signal.getsignal(signal.SIGTERM) is own
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        """
    )
    pytester.makepyfile(
        test_demo="""
        import os, signal, time

        def test_demo(soak):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        """
    )
    result = pytester.runpytest_subprocess("--soak-iterations=1")
    result.stdout.fnmatch_lines(["*RuntimeError: the user's*"])


def test_the_handler_is_gone_when_the_run_is_over(pytester: pytest.Pytester) -> None:
    before = signal.getsignal(signal.SIGTERM)
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest_inprocess("--soak-iterations=1", "--auto-tune").ret == 1
    assert signal.getsignal(signal.SIGTERM) is before


FULL = """
import errno
import os

import pytest
from pytest_soak.store import files

real = os.write
full = False

def write(descriptor, data):
    path = os.readlink(f"/proc/self/fd/{{descriptor}}")
    if full and {match!r} in path:
        raise OSError({error}, os.strerror({error}), path)
    return real(descriptor, data)

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    global full
    full = "iter-00003" in item.name
    os.write = write
"""
LIMITED = """
import pathlib
import resource

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if "iter-00003" in item.name:
        (journal,) = pathlib.Path("artifacts/soak").glob("test_demo-*/journal.jsonl")
        size = journal.stat().st_size + 100  # part of a record
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(1)[1]))
"""


def unwritable(error: str, match: str) -> str:
    return FULL.format(error=f"errno.{error}", match=match)


@pytest.mark.parametrize(
    ("conftest", "why"),
    [
        (LIMITED, "journal.jsonl: cannot be written: File too large"),
        (unwritable("ENOSPC", "journal.jsonl"), "journal.jsonl: cannot be written: No space left*"),
        (unwritable("EROFS", "test_demo-"), "*.json*: cannot be written: Read-only file system"),
    ],
    ids=["limit", "full", "read-only"],
)
def test_a_journal_that_takes_no_more_ends_the_chain_at_the_last_durable_state(
    pytester: pytest.Pytester, conftest: str, why: str
) -> None:
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune", "-rs")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=2, skipped=3)
    result.stdout.fnmatch_lines(
        [
            f"*{why}; the chain ends here; fix the cause, then continue with --soak-resume",
            "*SKIPPED*the chain ended when iteration 3 failed",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    folder = chain_folder(pytester)
    assert records(folder)[-1]["iteration"] == 2
    undisturbed(pytester, folder)


@pytest.mark.parametrize(
    "match", ["runtime_overrides.json", "ITER_SUMMARY_3", "backup_3", "EDGE_REPORT_3"]
)
def test_an_artifact_that_cannot_be_written_ends_the_chain_and_is_made_up_for(
    pytester: pytest.Pytester, match: str
) -> None:
    pytester.makeconftest(unwritable("ENOSPC", match))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{match}*: cannot be written: No space left on device;*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    folder = chain_folder(pytester)
    assert records(folder)[-2]["iteration"] == 3
    assert unlike_journal(folder) == []  # there was room again at the gate


def undisturbed(pytester: pytest.Pytester, folder: Path) -> None:
    """Go on where there is room again, and end as a run that nothing befell."""
    overrides = read_json(folder / "runtime_overrides.json")
    assert overrides == {"backoff_s": 0.4, "batch_size": 30.0, "workers": 6.0}
    assert not list(folder.glob("*.tmp"))
    pytester.makeconftest("")
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune", "--soak-resume")
    assert result.ret == 0
    result.assert_outcomes(passed=7)
    assert [r["iteration"] for r in records(folder) if r["kind"] == "iteration"] == [*range(1, 7)]
    assert unlike_journal(folder) == []


def test_a_verdict_that_cannot_be_recorded_is_none(pytester: pytest.Pytester) -> None:
    conftest = unwritable("ENOSPC", "journal.jsonl").replace("iter-00003", "kpi-gate")
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*KPI gate: INCONCLUSIVE", "*No space left on device*"])


def test_what_cannot_be_written_when_a_broken_off_run_is_closed_is_told(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(unwritable("ENOSPC", "journal.jsonl"))
    pytester.makepyfile(test_demo="def test_demo(soak):\n    assert soak.iteration != 3\n")
    for workers in ("-n0", "-n1"):
        place = "--soak-dir=odd\x1b[1mplace"  # no terminal may be sent what the path contains
        result = pytester.runpytest_subprocess("--soak-iterations=6", "-x", workers, place)
        assert result.ret != 0
        assert "\x1b" not in "".join(line for line in result.outlines if "ERROR: " in line)
        result.stdout.fnmatch_lines(["ERROR: *journal.jsonl: cannot be written: No space left*"])
        result.stdout.no_fnmatch_line("*Traceback*")


def test_a_folder_that_cannot_be_made_is_told_without_a_traceback(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        import pathlib
        import shutil

        def pytest_collection_finish():
            shutil.rmtree("artifacts/soak")
            pathlib.Path("artifacts/soak").touch()
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*artifacts/soak*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def edited(mischief: str) -> str:
    """Return the conftest of a system that does *mischief* to the overrides in iteration 2."""
    return mock_system(
        "edited",
        before=f"""
            if iteration == 2:
                (path,) = Path("artifacts/soak").glob("test_demo-*/runtime_overrides.json")
                {mischief}
        """,
    )


@pytest.mark.parametrize(
    ("mischief", "found"),
    [
        ("""path.write_text('{"workers": 9}')""", "*workers was 9, not 4*"),
        ("path.unlink()", "*the file was gone"),
        ("path.write_bytes(b'\\xff{')", "*the file held no overrides"),
        ("path.write_text('[]')", "*the file held no overrides"),
    ],
)
def test_overrides_edited_during_a_run_are_told_and_put_back(
    pytester: pytest.Pytester, mischief: str, found: str
) -> None:
    pytester.makeconftest(edited(mischief))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=edited")
    assert result.ret == pytest.ExitCode.TESTS_FAILED  # one iteration is not to be trusted
    result.stdout.fnmatch_lines(
        [f"| soak_iter | INCONCLUSIVE | overrides_edited by hand, put back: {found} |"]
    )
    folder = chain_folder(pytester)
    second = records(folder)[2]
    assert second["summary"]["verdict"] == "INCONCLUSIVE"
    assert second["patch"] == []
    assert unlike_journal(folder) == []


LATE = """
import pytest

@pytest.fixture
def late(request, soak, pytestconfig):
    yield
    if soak.iteration == 6:
        (path,) = pytestconfig.rootpath.glob("artifacts/soak/test_demo-*/runtime_overrides.json")
        {mischief}

def test_demo(soak, late):
    soak.run()
    assert soak.iteration < {fails}
"""


@pytest.mark.parametrize(
    ("mischief", "found"),
    [
        ("""path.write_text('{"workers": 9}')""", "*workers was 9, not 8"),
        ("path.unlink(); path.symlink_to(path.with_name('ITER_SUMMARY_1.json'))", "*no overrides"),
        ("path.unlink(); __import__('os').mkfifo(path)", "*the file held no overrides"),
    ],
)
@pytest.mark.parametrize("fails", [99, 6])
def test_overrides_edited_after_the_last_iteration_are_found_before_the_verdict(
    pytester: pytest.Pytester, mischief: str, found: str, fails: int
) -> None:
    pytester.makepyfile(test_demo=LATE.format(mischief=mischief, fails=fails))
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"  overrides_edited by hand, put back: {found}"])
    folder = chain_folder(pytester)
    ended = records(folder)[-1]
    assert (ended["kind"], ended["verdict"]) == ("run_ended", "INCONCLUSIVE")
    assert ended["problems"][0]["kind"] == "overrides_edited"
    assert unlike_journal(folder) == []
    assert told("verify")[0] == 0


def test_overrides_edited_after_the_last_iteration_of_a_broken_off_run_are_recorded(
    pytester: pytest.Pytester,
) -> None:
    mischief = """path.write_text('{"workers": 9}')"""
    pytester.makepyfile(test_demo=LATE.format(mischief=mischief, fails=6))
    pytester.runpytest("--soak-iterations=7", "--auto-tune", "-x")
    ended = records(chain_folder(pytester))[-1]
    kinds = [problem["kind"] for problem in ended["problems"]]
    assert (ended["kind"], kinds[:2]) == ("run_interrupted", ["broken_off", "overrides_edited"])


def test_overrides_edited_while_nobody_ran_are_told_and_put_back(
    pytester: pytest.Pytester,
) -> None:
    stops = "def test_demo(soak):\n    assert soak.iteration != 4\n    soak.run()\n"
    pytester.makepyfile(test_demo=stops)
    pytester.runpytest("--soak-iterations=6", "--auto-tune", "-x")
    folder = chain_folder(pytester)
    (folder / "runtime_overrides.json").write_text('{"workers": 1}')
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-resume")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| runtime_overrides | PUT_BACK | * workers was 1, not 8 |"])
    assert unlike_journal(folder) == []


MEDDLER = """
import os
import pathlib
import shutil

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if "iter-00003" in item.name:
        (journal,) = pathlib.Path("artifacts/soak").glob("test_demo-*/journal.jsonl")
        {mischief}
"""


@pytest.mark.parametrize(
    "mischief",
    [
        "x = journal.with_name('x'); x.write_bytes(journal.read_bytes()); x.replace(journal)",
        "journal.write_bytes(journal.read_bytes()[:-20])",
        "journal.open('a').write('{}\\n')",
        "journal.unlink()",
        "shutil.rmtree('artifacts')",
    ],
    ids=["replaced", "cut", "appended", "removed", "folder removed"],
)
def test_a_journal_that_somebody_changes_during_a_run_ends_the_chain(
    pytester: pytest.Pytester, mischief: str
) -> None:
    pytester.makeconftest(MEDDLER.format(mischief=mischief))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune", "-p", "no:syrupy")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=2, skipped=3)
    result.stdout.fnmatch_lines(["*journal.jsonl: *; nothing is recorded after that*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.parametrize(
    "mischief", ["path.unlink(); path.mkdir()", "path.write_text('[' * 200000)"]
)
def test_an_overrides_file_that_nobody_can_read_is_told_without_a_traceback(
    pytester: pytest.Pytester, mischief: str
) -> None:
    pytester.makeconftest(edited(mischief))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=edited")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("*Traceback*")
    told = "*cannot be written*" if "mkdir" in mischief else "*the file held no overrides*"
    result.stdout.fnmatch_lines([told])


CLOSING = """
import os
import signal

import pytest

@pytest.hookimpl({when}=True)
def pytest_sessionfinish():
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_sigterm_while_a_run_is_closed_changes_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    for when in ("tryfirst", "trylast"):
        pytester.makeconftest(CLOSING.format(when=when))
        result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune")
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*7 passed*"])
        assert unlike_journal(chain_folder(pytester)) == []


def test_a_run_that_is_interrupted_once_its_verdict_is_recorded_has_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        from pytest_soak.store.journal import has_ended, read_journal
        from pytest_soak.store.store import ChainStore

        real = ChainStore.sum_up

        def sum_up(self):
            if has_ended(read_journal(self.journal.path)):
                raise KeyboardInterrupt
            real(self)

        ChainStore.sum_up = sum_up
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    folder = chain_folder(pytester)
    assert "  the run was broken off once its verdict was recorded" in result.outlines
    assert head_shown(folder) in result.outlines
    assert records(folder)[-1]["kind"] == "run_ended"
    assert unlike_journal(folder) == []


HANGS = """
if len(history) == 2 and not Path("mended").exists():
    Path("reached").touch()
    time.sleep(600)
"""


def test_a_tuner_that_hangs_is_ended_by_sigterm_and_the_run_can_be_resumed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(tuner(before=HANGS))
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=6", "--auto-tune", "--soak-tuner=mine")
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        wait_for((pytester.path / "reached").exists)
        run.terminate()
        shown, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "no verdict: the run was broken off before the gate" in shown
    folder = chain_folder(pytester)
    kinds = [record["kind"] for record in records(folder)]
    assert kinds == ["run_started", "iteration", "run_interrupted"]
    assert read_json(folder / "runtime_overrides.json") == {"workers": 4}
    assert unlike_journal(folder) == []
    (pytester.path / "mended").touch()
    assert pytester.runpytest(*args, "--soak-resume").ret == pytest.ExitCode.TESTS_FAILED
    applied = [r["decision"]["changes"] for r in records(folder) if r["kind"] == "iteration"]
    assert [change["new"] for (change,) in applied[:4]] == [4, 6, 8, 10]


@pytest.fixture
def _handlers_are_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_handlers_are_restored")
def test_a_handler_that_the_user_installed_stays() -> None:
    def mine(number: int, frame: FrameType | None) -> None: ...

    signal.signal(signal.SIGTERM, mine)
    Interruption(worker=False).pytest_sessionstart()
    assert signal.getsignal(signal.SIGTERM) is mine


@pytest.mark.usefixtures("_handlers_are_restored")
def test_pytest_in_a_thread_installs_no_handler() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=Interruption(worker=False).pytest_sessionstart)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


ENDS_BADLY = """
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.store.files import StoreError

close = SoakLoop.close

def close_badly(loop):
    close(loop)
    raise StoreError("the disk is full")

SoakLoop.close = close_badly
"""


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_fault_after_the_verdict_is_told_and_fails_the_run(
    pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makeconftest(ENDS_BADLY)
    pytester.makepyfile(test_demo=DEMO)
    ran = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune", workers)
    ran.assert_outcomes(passed=7)
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["ERROR: test_demo.py::test_demo: the disk is full; *"])


def test_an_iteration_that_cannot_be_recorded_as_missed_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def miss(*_: object) -> None:
        raise StoreError(full)

    full = "the disk is full"
    monkeypatch.setattr(SoakLoop, "miss", miss)
    pytester.makepyfile(test_demo="def test_demo(soak):\n    soak.iteration == 2 or soak.run()")
    ran = pytester.runpytest("--soak-iterations=3")
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*the disk is full*", "FAILED *iter-00002*"])
