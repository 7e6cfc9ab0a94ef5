"""The system `command` with real programs: any failure has an outcome, and no process is left."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
from typing import Any

import psutil
import pytest

from pytest_soak.systems.command import processes
from pytest_soak.systems.command import system as command
from tests.programs import ARGS, left_in, prepare
from tests.support import PATIENCE, chain_folder, read_json, records, unlike_journal, wait_for

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("nothing_is_left")]

FAILS = {
    "an exit code": ("print('out of', 'luck'); sys.exit(3)", "*ended with exit code 3, after *"),
    "a crash": ("raise OSError('no port')", "*ended with exit code 1, after *"),
    "a signal": ("os.kill(os.getpid(), 9)", "*was ended by signal 9, after *"),
    "a hang": ("time.sleep(600)", "*did not end in 6 s, the limit of an iteration*"),
    "a flood": ("while True: print('x' * 1000)", "*wrote more than 3 MB of output*"),
}


@pytest.mark.parametrize(("body", "line"), FAILS.values(), ids=list(FAILS))
def test_a_program_that_fails_ends_the_chain_with_a_line_and_its_last_words(
    pytester: pytest.Pytester, body: str, line: str
) -> None:
    prepare(
        pytester,
        f"print('a' * 9999)\nfor number in range(50): print('line', number, flush=True)\n{body}",
        limit_s=6,
        output_mb=3,
    )
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.assert_outcomes(failed=2, skipped=2)
    ran.stdout.fnmatch_lines([f"system command: * -I -S program.py {line[1:]}"])
    ran.stdout.fnmatch_lines(["  the last lines of its output:", "    *"])
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")
    ran.stdout.no_fnmatch_line(f"*{'a' * 300}*")
    ran.stdout.no_fnmatch_line("*line 20*")
    assert "FAILED test_demo.py::test_demo[iter-00001]" in ran.stdout.str()
    log = (chain_folder(pytester) / "command_output.log").read_text()
    assert len(log) <= 2 * 64 * 1024


def test_a_program_that_cannot_be_started_is_named(pytester: pytest.Pytester) -> None:
    prepare(pytester, "")
    text = (pytester.path / "pyproject.toml").read_text()
    for life in ("iteration", "chain"):
        told = text.replace('"{python}"', '"./nowhere"').replace('"iteration"', f'"{life}"')
        (pytester.path / "pyproject.toml").write_text(told)
        ran = pytester.runpytest(*ARGS)
        ran.assert_outcomes(failed=2, skipped=2)
        ran.stdout.fnmatch_lines(
            [f"system command: ./nowhere -I -S program.py cannot be started in {pytester.path}: *"]
        )


def test_what_ignores_sigterm_is_killed_and_said_so(pytester: pytest.Pytester) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    prepare(pytester, body + "time.sleep(600)", limit_s=6)
    ran = pytester.runpytest(*ARGS)
    ran.stdout.fnmatch_lines(["*did not end in *; killed, as SIGTERM did not end it: python*pid*"])
    ran.stdout.fnmatch_lines(["    deaf"])


UNUSABLE = {
    "none": ("pass", "the report of the program was not written"),
    "half-written": (
        'report.write_text(\'{"iteration": 1, "tot\')',
        "*is no JSON: *; it has * bytes",
    ),
    "empty": ("report.touch()", "*is no JSON: *; it has 0 bytes"),
    "a key twice": (
        'report.write_text(\'{"totals": {}, "totals": {"rate": 1}}\')',
        "*is no JSON: the key 'totals' is there twice; it has * bytes",
    ),
    "not UTF-8": ("report.write_bytes(b'\\xff\\xfe{')", "*is no JSON: *"),
    "nested": ("report.write_text('[' * 99999)", "*is no JSON: *"),
    "stale": ("leave(report, content(7))", "stale report: it is of iteration 7"),
    "a pipe": ("os.mkfifo(report)", "*cannot be read: it is a pipe; allowed: *"),
    "a folder": ("report.mkdir()", "*cannot be read: it is a folder; allowed: *"),
    "a broken link": ("report.symlink_to('x')", "*cannot be read: No such file or directory"),
    "huge": (
        "report.touch(); os.truncate(report, 2**24 + 1)",
        "*it has 16777217 bytes; allowed: *",
    ),
    "a list": ("report.write_text('[1]')", "the report is not an object but list"),
}


@pytest.mark.parametrize(("body", "line"), UNUSABLE.values(), ids=list(UNUSABLE))
def test_a_report_that_cannot_be_used_is_inconclusive_and_named(
    pytester: pytest.Pytester, body: str, line: str
) -> None:
    prepare(pytester, f"if iteration == '1':\n    {body}\nelse:\n    answer()")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.assert_outcomes(passed=3, failed=1)
    ran.stdout.fnmatch_lines(
        [f"| soak_iter | INCONCLUSIVE | {line} |", "| kpi_gate | INCONCLUSIVE |"]
    )
    assert unlike_journal(chain_folder(pytester)) == []


@pytest.mark.parametrize("long", [False, True], ids=["once", "long"])
def test_processes_that_a_program_leaves_behind_are_ended_and_reported(
    pytester: pytest.Pytester, *, long: bool
) -> None:
    start = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
    prepare(pytester, f"if iteration == '3':\n    {start}\nanswer()", long=long)
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    if long:
        ran.stdout.fnmatch_lines(
            [
                "| kpi_gate | INCONCLUSIVE |",
                "ERROR: *program.py left sleep (pid *) behind; ended as well",
            ]
        )
    else:
        ran.stdout.fnmatch_lines(
            ["| soak_iter | INCONCLUSIVE | the program ended and left sleep (pid *) behind; *"]
        )


def test_a_program_is_run_once_for_each_iteration_and_tuned(pytester: pytest.Pytester) -> None:
    prepare(
        pytester,
        """
        answer(runtime={"pid": os.getpid(), "slot": E["PYTEST_SOAK_SLOT"], "more": E["MORE"],
                        "seed": E["PYTEST_SOAK_SEED"], "cwd": os.getcwd()})
        """.replace("\n        ", "\n"),
        cwd="deep",
        more='[tool.pytest-soak.packs.demo.command.env]\nMORE = "yes"\n',
    )
    (pytester.path / "program.py").rename(pytester.mkdir("deep") / "program.py")
    ran = pytester.runpytest(*ARGS, "--auto-tune", "--soak-observe=1")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["  demo/default  system command/busy *"])
    reports = [read_json(chain_folder(pytester) / f"EDGE_REPORT_{n}.json") for n in (1, 2, 3)]
    assert [report["parameters"]["workers"] for report in reports] == [2, 4, 4]
    told = [report["runtime"] for report in reports]
    assert len({one["pid"] for one in told}) == len({one["seed"] for one in told}) == 3
    assert {one["more"] for one in told} == {"yes"}
    assert {one["slot"] for one in told} == {"0"}
    assert {one["cwd"] for one in told} == {str(pytester.path / "deep")}
    first = records(chain_folder(pytester))[0]["config"]
    assert first["program"] == [sys.executable, "-I", "-S", "program.py"]


@pytest.mark.parametrize("long", [False, True], ids=["once", "long"])
def test_a_program_is_told_what_it_is_run_for(pytester: pytest.Pytester, *, long: bool) -> None:
    names = ("TEST", "TEST_PARAMETERS", "SCENARIO", "CELL", "LOGS")
    told = f"answer(runtime={{name: E['PYTEST_SOAK_' + name] for name in {names!r}}})"
    prepare(pytester, f"{told}\nPath(E['PYTEST_SOAK_LOGS'], 'own.log').touch()", long=long)
    mark = "import pytest\n@pytest.mark.parametrize('x', [7])"
    pytester.makepyfile(test_demo=f"{mark}\ndef test_demo(soak, x):\n    soak.run()\n")
    pytester.runpytest(*ARGS, "--soak-scenario=calm")
    folder = chain_folder(pytester)
    runtime = read_json(folder / "EDGE_REPORT_1.json")["runtime"]
    assert {name: runtime[name] for name in names} == {
        "TEST": "test_demo.py::test_demo[7]",
        "TEST_PARAMETERS": '{"x": 7}',
        "SCENARIO": "calm",
        "CELL": folder.name.rpartition("-")[2],
        "LOGS": str(folder / "logs"),
    }
    assert (folder / "logs" / "own.log").exists()


def test_a_long_lived_program_is_started_once_and_reads_its_overrides_again(
    pytester: pytest.Pytester,
) -> None:
    prepare(
        pytester,
        "answer(runtime={'pid': os.getpid(), 'slot': slot, 'seed': seed})",
        long=True,
    )
    ran = pytester.runpytest(*ARGS, "--auto-tune", "--soak-observe=1")
    assert ran.ret == 0
    reports = [read_json(chain_folder(pytester) / f"EDGE_REPORT_{n}.json") for n in (1, 2, 3)]
    assert [report["parameters"]["workers"] for report in reports] == [2, 4, 4]
    assert len({report["runtime"]["pid"] for report in reports}) == 1
    assert len({report["runtime"]["seed"] for report in reports}) == 3


def test_a_program_gets_the_length_of_a_slot(pytester: pytest.Pytester) -> None:
    hours = ("--soak-hours=0.0005", "--soak-slot=0.9", "--soak-system=command")
    for long in (False, True):
        slot = "slot" if long else "E['PYTEST_SOAK_SLOT']"
        prepare(pytester, f"answer(runtime={{'slot': {slot}}})", long=long)
        pytester.runpytest(*hours, "-p", "no:randomly")
        assert read_json(chain_folder(pytester) / "EDGE_REPORT_1.json")["runtime"]["slot"] == "0.9"


LONG_FAILS = {
    "an end between two": ("answer()\nsys.exit(0)", "* ended with exit code 0 be*"),
    "an end within one": ("if iteration == '2': sys.exit(0)\nanswer()", "*code 0 before it left*"),
    "a hang": ("if iteration == '2': time.sleep(600)\nanswer()", "*left no report in 6 s, the*"),
    "a crash": ("if iteration == '2': 1 / 0\nanswer()", "*code 1 before it left a report*"),
    "a closed input": (
        "if iteration == '1': os.close(0)\nanswer()\ntime.sleep(600)",
        "*cannot be asked for a report: it has closed its input*",
    ),
}


@pytest.mark.parametrize(("body", "line"), LONG_FAILS.values(), ids=list(LONG_FAILS))
def test_a_long_lived_program_that_fails_ends_the_chain_where_it_fails(
    pytester: pytest.Pytester, body: str, line: str
) -> None:
    # Between two iterations or, on a slow machine, in the second: either way it is named.
    prepare(pytester, body, long=True, limit_s=6)
    pytester.makepyfile(
        test_demo="""
        import time

        def test_demo(soak):
            soak.run()
            time.sleep(1)
        """
    )
    ran = pytester.runpytest(*ARGS)
    ran.assert_outcomes(passed=1, failed=2, skipped=1)
    ran.stdout.fnmatch_lines(["FAILED test_demo.py::test_demo[[]iter-00002]*"])
    ran.stdout.fnmatch_lines([f"system command: {line}"])


def test_a_long_lived_program_may_write_its_report_slowly_or_half(
    pytester: pytest.Pytester,
) -> None:
    prepare(
        pytester,
        """
text = json.dumps(content(iteration))
with report.open("w") as file:
    for letter in text[:-1]:
        print(letter, end="", file=file, flush=True)
    if iteration != "2":
        time.sleep(0.1)
        print(text[-1], end="", file=file)
        """,
        long=True,
    )
    ran = pytester.runpytest(*ARGS)
    ran.assert_outcomes(passed=3, failed=1)
    ran.stdout.fnmatch_lines(["| soak_iter | INCONCLUSIVE | the report of the program is no JSON*"])
    ran.stdout.fnmatch_lines(["    iteration 2: *"])
    ran.stdout.no_fnmatch_line("    iteration 3: *")


def test_a_long_lived_program_that_does_not_end_with_its_input_is_ended_and_reported(
    pytester: pytest.Pytester,
) -> None:
    prepare(pytester, "answer()", long=True)
    with (pytester.path / "program.py").open("a") as file:
        file.write("\ntime.sleep(600)\n")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        ["| kpi_gate | INCONCLUSIVE |", "ERROR: *did not end when its input did; ended as well"]
    )


@pytest.mark.parametrize(
    ("crash", "line"),
    [
        ("os._exit(3)", "*ended with exit code 3 after its last report*"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "*was ended by signal 11 after its last report*"),
        ("raise OSError('the disk is gone')", "*ended with exit code 1 after its last report*"),
    ],
)
def test_a_long_lived_program_that_crashes_after_its_last_report_cannot_pass(
    pytester: pytest.Pytester, crash: str, line: str
) -> None:
    prepare(pytester, "answer()", long=True)
    with (pytester.path / "program.py").open("a") as file:
        file.write(f"\nprint('at the end', flush=True)\n{crash}\n")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines([f"ERROR: {line}", "*the last lines of its output:", "*at the end"])


def test_what_a_program_uses_is_in_every_report_and_a_metric_where_the_pack_says_so(
    pytester: pytest.Pytester,
) -> None:
    metrics = "[tool.pytest-soak.packs.demo.metrics]\nprocess_rss_mb = {}\nprocess_cpu_s = {}\n"
    metrics += "process_threads = {}\nprocess_open_files = {}\n"
    metrics += (
        "process_busy_cpu_s = {}\nprocess_idle_rss_mb = {}\n[tool.pytest-soak.packs.demo.kpis]\n"
    )
    body = """
import threading
time.sleep(0.8)  # for as many looks as it takes
if iteration == "3":
    held = bytearray(60_000_000)
    files = [open("program.py") for _ in range(20)]
    threading.Thread(target=time.sleep, args=(1.5,), daemon=True).start()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(1.2)
    busy.kill(); busy.wait()
answer(totals={**content(1)["totals"], "process_rss_mb": 1})
    """
    kpi = 'process_rss_mb = { fail = "> 60" }\n'
    named = '[tool.pytest-soak.packs.demo.command.processes]\nbusy = "while True"\nidle = "none"\n'
    for long in (False, True):
        prepare(pytester, body, long=long, more=named + metrics + kpi)
        ran = pytester.runpytest(*ARGS)
        assert ran.ret == 1
        ran.stdout.fnmatch_lines(["| kpi_gate | FAIL | REASONS=process_rss_mb |"])
        reports = [read_json(chain_folder(pytester) / f"EDGE_REPORT_{n}.json") for n in (2, 3)]
        before, after = (report["runtime"]["process"] for report in reports)
        assert 0 < before["rss_mb"] < after["rss_mb"] - 50
        assert after["cpu_s"] > before["cpu_s"] + 0.1
        assert after["open_files"] >= before["open_files"] + 20
        assert after["threads"] >= before["threads"] + 1
        assert after["processes"] >= 2
        assert reports[1]["totals"]["process_rss_mb"] == after["rss_mb"]
        assert reports[1]["totals"]["process_cpu_s"] == after["cpu_s"]
        assert reports[1]["n"]["process_rss_mb"] == after["samples"] >= 2
        busy = after["by_name"]["busy"]
        assert before["by_name"]["busy"]["processes"] is None
        assert 0 < busy["rss_mb"] < after["rss_mb"] - 50
        assert busy["threads"] == busy["processes"] == 1
        assert reports[1]["totals"]["process_busy_cpu_s"] == busy["cpu_s"] > 0.1
        assert reports[1]["n"]["process_busy_cpu_s"] == busy["samples"] < after["samples"]
        assert reports[1]["totals"]["process_idle_rss_mb"] is None


RSS = """
[tool.pytest-soak.packs.demo.metrics]
process_rss_mb = {}
[tool.pytest-soak.packs.demo.kpis]
process_rss_mb = { fail = "> 250" }
"""


@pytest.mark.parametrize(
    ("much", "seconds", "outcome"),
    [(True, 0, "FAIL"), (False, 0, "INCONCLUSIVE"), (False, 1, "WARN")],
    ids=["much", "unseen", "little"],
)
def test_the_memory_of_a_short_program_is_the_kernels_figure_or_unknown(
    pytester: pytest.Pytester, much: bool, seconds: int, outcome: str
) -> None:
    # The kernel's figure counts beyond the peak that a program inherits, here from this process.
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * processes.MAXRSS_UNIT
    held = own_peak + 300_000_000 if much else 0
    body = f"""
while time.process_time() < 0.1: pass
answer()
time.sleep({seconds})
held = bytearray({held})
    """
    prepare(pytester, body, more=RSS)
    ran = pytester.runpytest_subprocess(*ARGS)  # small, but for pytest
    ran.stdout.fnmatch_lines([f"| kpi_gate | {outcome} |*"])
    used = read_json(chain_folder(pytester) / "EDGE_REPORT_3.json")["runtime"]["process"]
    assert used["cpu_s"] >= 0.1
    if outcome == "INCONCLUSIVE":
        assert used["rss_mb"] is used["threads"] is None
    else:
        assert (used["rss_mb"] > 250) == (outcome == "FAIL")


def test_a_process_that_left_its_program_is_measured_too(pytester: pytest.Pytester) -> None:
    hidden = """
if iteration == '1':
    child = "held = bytearray(300_000_000); import time; time.sleep(60)"
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    subprocess.run([sys.executable, "-c", script], start_new_session=True)
time.sleep(0.7)
answer()
    """
    prepare(pytester, hidden, long=True, more=RSS)
    ran = pytester.runpytest(*ARGS)
    ran.stdout.fnmatch_lines(["| kpi_gate | FAIL | REASONS=process_rss_mb |", "  closing: *"])
    ran.stdout.fnmatch_lines(["ERROR: *program.py left python* behind; ended as well"])


def test_a_process_without_its_environment_is_found_by_its_session(
    pytester: pytest.Pytester,
) -> None:
    prepare(pytester, "subprocess.Popen(['sleep', '600'], env={})\nanswer()")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    told = "| soak_iter | INCONCLUSIVE | the program ended and left sleep (pid *) behind; *"
    ran.stdout.fnmatch_lines([told])
    assert left_in(pytester.path) == []


@pytest.mark.parametrize("long", [False, True], ids=["once", "long"])
def test_too_much_output_fails_even_if_the_program_exits_with_0(
    pytester: pytest.Pytester, *, long: bool
) -> None:
    flood = "for _ in range(8): sys.stdout.write('line\\n' * 200_000)\nsys.stdout.flush()\nanswer()"
    prepare(pytester, flood, long=long, output_mb=1)
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["system command: *program.py wrote more than 1 MB of output"])


def test_a_real_run_is_never_dry(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_SOAK_DRY", "1")
    dry = '[tool.pytest-soak.packs.demo.command.env]\nPYTEST_SOAK_DRY = "1"\n'
    prepare(pytester, "answer(runtime={'dry': E.get('PYTEST_SOAK_DRY')})", more=dry)
    assert pytester.runpytest(*ARGS).ret == 0
    assert read_json(chain_folder(pytester) / "EDGE_REPORT_1.json")["runtime"]["dry"] is None


def test_an_unknown_exit_code_does_not_count_as_0(pytester: pytest.Pytester) -> None:
    prepare(pytester, "answer()")
    pytester.makeconftest("import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    ran = pytester.runpytest_subprocess(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        ["system command: *program.py ended with an unknown exit code, as where*"]
    )
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_a_program_that_removes_the_folder_of_its_report_fails_with_the_reason(
    pytester: pytest.Pytester,
) -> None:
    prepare(pytester, "import shutil; shutil.rmtree(report.parent)")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        ["system command: *program.py: its files cannot be written or read: *"]
    )
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_resource_use_that_was_not_sampled_is_no_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "FIRST_INTERVAL", 600.0)
    metrics = "[tool.pytest-soak.packs.demo.metrics]\nprocess_threads = {}\n"
    kpi = '[tool.pytest-soak.packs.demo.kpis]\nprocess_threads = { fail = "> 9" }\n'
    prepare(pytester, "answer()", more=metrics + kpi)
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["| kpi_gate | INCONCLUSIVE |*"])
    report = read_json(chain_folder(pytester) / "EDGE_REPORT_3.json")
    assert (report["totals"]["process_threads"], report["n"]["process_threads"]) == (None, 0)
    assert report["runtime"]["process"]["samples"] == 0


COUNTS = """
state = Path(E["PYTEST_SOAK_STATE"])
count = json.loads(state.read_text()) if state.exists() else 0
if count == 2 and not Path("mended").exists():
    sys.exit(5)
state.write_text(json.dumps(count + 1))
answer(runtime={"count": count + 1})
"""


@pytest.mark.parametrize("long", [False, True], ids=["once", "long"])
def test_a_resumed_run_gives_a_program_its_state_back(
    pytester: pytest.Pytester, *, long: bool
) -> None:
    prepare(pytester, COUNTS, long=long, keeps_state=True)
    args = (*ARGS[:-1], "--soak-iterations=4", "--auto-tune", "-x")
    ran = pytester.runpytest(*args)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["system command: * ended with exit code 5*"])
    (pytester.path / "mended").touch()
    assert pytester.runpytest(*args, "--soak-resume").ret == 0
    folder = chain_folder(pytester)
    counts = [read_json(folder / f"EDGE_REPORT_{n}.json")["runtime"]["count"] for n in (1, 2, 3, 4)]
    assert counts == [1, 2, 3, 4]
    assert read_json(folder / "ITER_SUMMARY_1.json")["tuning"]["applied"] is True


@pytest.mark.parametrize("text", ["{", '{"a": 1, "a": 2}'])
def test_a_state_that_cannot_be_read_fails_the_iteration(
    pytester: pytest.Pytester, text: str
) -> None:
    body = f"Path(E['PYTEST_SOAK_STATE']).write_text({text!r}); answer()"
    prepare(pytester, body, keeps_state=True)
    ran = pytester.runpytest(*ARGS)
    ran.assert_outcomes(failed=2, skipped=2)
    ran.stdout.fnmatch_lines(["*left a state that is no JSON: *"])


HANGS = """
if iteration == "2":
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path(f"reached-{os.getpid()}").touch()
    time.sleep(600)
answer()
"""


@pytest.mark.parametrize(
    ("word", "workers", "long"),
    [
        ("SIGINT", 0, True),
        ("SIGTERM", 0, False),
        ("SIGTERM", 2, True),
        ("SIGKILL", 0, False),
    ],
)
def test_however_a_run_is_ended_its_programs_end_with_it(
    pytester: pytest.Pytester, word: str, workers: int, long: bool
) -> None:
    prepare(pytester, HANGS, long=long)
    line = [sys.executable, "-m", "pytest", *ARGS, f"-n{workers}"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as run:
        wait_for(lambda: list(pytester.path.glob("reached-*")))
        assert any("sleep 600" in words for words in left_in(pytester.path))
        if word == "SIGKILL":
            for process in (*psutil.Process(run.pid).children(), psutil.Process(run.pid)):
                if "-c" in process.cmdline() or process.pid == run.pid:  # a worker, not a program
                    process.kill()
        else:
            run.send_signal(getattr(signal, word))
        run.communicate(timeout=PATIENCE)
    assert run.returncode == (-9 if word == "SIGKILL" else pytest.ExitCode.INTERRUPTED)


def test_a_program_dies_with_the_worker_that_runs_it(pytester: pytest.Pytester) -> None:
    prepare(
        pytester,
        HANGS.replace("if iteration", "if not list(Path().glob('reached*')) and iteration"),
    )
    line = [sys.executable, "-m", "pytest", *ARGS, "-n2"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as run:
        wait_for(lambda: list(pytester.path.glob("reached-*")))
        program = psutil.Process(int(next(pytester.path.glob("reached-*")).name.partition("-")[2]))
        sleeper = program.children()[0]
        program.parents()[0].kill()
        wait_for(lambda: not program.is_running() and not sleeper.is_running())
        shown, _ = run.communicate(timeout=PATIENCE)
    assert "| kpi_gate |" in shown
    assert (chain_folder(pytester) / "EDGE_REPORT_3.json").exists()


def test_a_failed_iteration_may_be_run_again(pytester: pytest.Pytester) -> None:
    body = "if not Path('tried').exists():\n    Path('tried').touch()\n    sys.exit(1)\nanswer()"
    for long in (False, True):
        prepare(pytester, body, long=long)
        assert pytester.runpytest(*ARGS, "--reruns=1").ret == 0
        (pytester.path / "tried").unlink()


def test_without_a_program_it_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(
        ["ERROR: system command: no program; allowed: program = * soak_command*"]
    )


def test_a_program_in_the_ini_file_that_is_badly_quoted_is_a_usage_error(
    pytester: pytest.Pytester,
) -> None:
    prepare(pytester, "answer()")
    ran = pytester.runpytest(*ARGS, "-o", "soak_command=python 'program.py")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    line = (
        "ERROR: soak_command in pyproject.toml: No closing quotation; allowed: a list of texts, *"
    )
    ran.stderr.fnmatch_lines([line])


def test_without_psutil_it_is_a_usage_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(pytester, "answer()")
    with monkeypatch.context() as patch:
        # Modules that an earlier test imported would not ask for psutil again.
        for name in ("system", "managed_process", "process_reaper", "processes"):
            patch.delitem(sys.modules, f"pytest_soak.systems.command.{name}", raising=False)
        patch.setitem(sys.modules, "psutil", None)
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    told = "ERROR: system command: needs psutil; install pytest-soak[[]command]"
    ran.stderr.fnmatch_lines([told])


def test_the_ini_file_goes_before_the_pack_and_the_scenario_before_both_of_the_packs(
    pytester: pytest.Pytester,
) -> None:
    prepare(
        pytester,
        "answer(runtime={'arguments': sys.argv[1:], 'a': E.get('A'), 'b': E.get('B')})",
        more="""
[tool.pytest-soak.packs.demo.command.env]
A = "pack"
B = "pack"
[tool.pytest-soak.packs.demo.scenarios.calm.command]
program = ["{python}", "program.py", "calm one"]
env = { B = "calm" }
""",
    )
    where = chain_folder
    assert pytester.runpytest(*ARGS, "--soak-scenario=calm").ret == 0
    told = read_json(where(pytester) / "EDGE_REPORT_1.json")["runtime"]
    assert (told["arguments"], told["a"], told["b"]) == (["calm one"], "pack", "calm")
    ini = ("-o", "soak_command={python} program.py 'from ini' $HOME")
    assert pytester.runpytest(*ARGS, *ini).ret == 0
    told = read_json(where(pytester) / "EDGE_REPORT_1.json")["runtime"]
    assert told["arguments"] == ["from ini", "$HOME"]


def test_a_folder_that_cannot_be_made_fails_the_first_iteration_with_a_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(pytester, "answer()")
    make = tempfile.mkdtemp

    def made(prefix: str = "", **more: Any) -> str:
        if prefix == "pytest-soak-":
            msg = "the disk is full"
            raise OSError(msg)
        return make(prefix=prefix, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", made)
        ran = pytester.runpytest(*ARGS)
    ran.assert_outcomes(failed=2, skipped=2)
    ran.stdout.fnmatch_lines(["system command: open() raised OSError: the disk is full *"])
