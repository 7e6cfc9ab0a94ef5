"""The system `http` with a real program that it starts, watches and ends."""

from __future__ import annotations

import textwrap

import pytest

from pytest_soak.systems.http.server import free_port
from tests.endpoints import speaking
from tests.http_soaks import ARGS, SERVES, WELL, WORKERS, prepare, prepare_service, report
from tests.support import PATIENCE, chain_folder

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.mark.process
def test_a_program_is_started_once_tuned_measured_and_ended(pytester: pytest.Pytester) -> None:
    prepare_service(pytester)
    ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*workers * 2 ? 4 *verified*latency>240*"])
    first, last = report(pytester, 1), report(pytester, 3)
    assert first["totals"]["latency_p95_ms"] == pytest.approx(295)
    assert last["totals"]["latency_p95_ms"] == pytest.approx(195)
    assert last["totals"]["error_rate"] == 0
    assert last["n"]["latency_p95_ms"] == last["n"]["error_rate"] > 0
    measured = last["runtime"]["measured_s"]
    assert measured >= 0.5
    assert last["totals"]["throughput"] * measured == pytest.approx(last["n"]["error_rate"], 0.01)
    assert last["runtime"]["process"]["processes"] == 1
    assert last["runtime"]["process"]["rss_mb"] > 1


@pytest.mark.process
def test_a_program_may_be_restarted_for_each_iteration(pytester: pytest.Pytester) -> None:
    body = """
        used = parameters()
        Path(f"ran-{E['PYTEST_SOAK_ITERATION']}-{used['workers']}").touch()
        assert E["PYTEST_SOAK_SEED"] and "PYTEST_SOAK_REPORT" not in E and sys.stdin.read() == ""
        serve()
        while True:
            work(used)
            time.sleep(0.02)
        """
    prepare_service(pytester, body, 'life = "iteration"\nkeeps_state = true')
    ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    assert sorted(path.name for path in pytester.path.glob("ran-*")) == [
        "ran-1-2",
        "ran-2-4",
        "ran-3-4",
    ]


@pytest.mark.process
def test_a_running_program_gets_a_signal_for_new_parameters(pytester: pytest.Pytester) -> None:
    body = """
        used = parameters()
        def reload(*_):
            global used
            used = parameters()
        signal.signal(signal.SIGHUP, reload)
        serve()
        while True:
            work(used)
            time.sleep(0.02)
        """
    prepare_service(pytester, body, 'reload_signal = "SIGHUP"')
    ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*workers * 2 ? 4 *verified*latency>240*"])


SLEEPS = """
program = ["{python}", "-c", "import pathlib, time; pathlib.Path('ran').touch(); time.sleep(999)"]
slot_s = 0.02
"""


@pytest.mark.process
@pytest.mark.parametrize("key", ["scrape", "ready"])
def test_where_another_program_answers_none_is_started(pytester: pytest.Pytester, key: str) -> None:
    with speaking(WELL) as (url, _):
        own = {"scrape": "http://127.0.0.1:{port}/metrics", key: f"{url}/x"}
        lines = [f'{name} = "{one}"' for name, one in own.items()]
        prepare(pytester, "\n".join([*lines, SLEEPS]))
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    told = f"{url}/x: another program answers there, as this one is not started yet; allowed: *"
    ran.stdout.fnmatch_lines([f"system http: {told}"])
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")
    assert not (pytester.path / "ran").exists()


@pytest.mark.process
def test_what_is_not_ready_without_the_program_may_stand_before_it(
    pytester: pytest.Pytester,
) -> None:
    with speaking((502, "text/html", "no program"), WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}"\n{SLEEPS}')
        assert pytester.runpytest(*ARGS).ret == 0


@pytest.mark.process
def test_a_port_of_its_own_is_free_again_for_the_next_iteration(pytester: pytest.Pytester) -> None:
    port = free_port()
    body = SERVES.replace("serve()", f'E["PYTEST_SOAK_PORT"] = "{port}"; serve()')
    prepare_service(
        pytester, body, f'scrape = "http://127.0.0.1:{port}/metrics"\nlife = "iteration"'
    )
    assert pytester.runpytest(*ARGS[:-1], "--soak-iterations=2", "--auto-tune").ret == 0


DIES = {
    "before it is ready": ("print('no port'); sys.exit(3)", "ended with exit code 3, * s into *"),
    "while it serves": (
        "serve(); work(parameters()); time.sleep(1); os.kill(os.getpid(), 9)",
        "was ended by signal 9, * s into an iteration*",
    ),
    "in a flood": ("serve()\nwhile True: print('x' * 999)", "wrote more than 3 MB of output*"),
}


@pytest.mark.process
@pytest.mark.parametrize(("body", "line"), DIES.values(), ids=list(DIES))
def test_a_program_that_does_not_serve_the_slot_out_fails_the_chain_at_once(
    pytester: pytest.Pytester, body: str, line: str
) -> None:
    prepare_service(pytester, body, "slot_s = 9999\nready_s = 9999\noutput_mb = 3")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.assert_outcomes(failed=2, skipped=2)
    ran.stdout.fnmatch_lines([f"system http: * service.py {line}"])
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")


@pytest.mark.process
@pytest.mark.parametrize(
    ("planned", "when"),
    [
        (2, "*service.py ended with exit code 0 between two iterations*"),
        (
            1,
            "ERROR: *::test_demo: system http: *service.py ended with exit code 0 after its last*",
        ),
    ],
)
def test_a_program_that_ends_between_two_iterations_or_after_the_last_is_noticed(
    pytester: pytest.Pytester, planned: int, when: str
) -> None:
    prepare_service(
        pytester,
        """
        serve()
        Path("pid").write_text(str(os.getpid()))
        while not Path("end").exists():
            work(parameters())
            time.sleep(0.02)
        """,
    )
    pytester.makepyfile(
        test_demo="""
        import os
        from pathlib import Path

        def test_demo(soak):
            soak.run()
            Path("end").touch()
            os.waitid(os.P_PID, int(Path("pid").read_text()), os.WEXITED | os.WNOWAIT)
        """
    )
    ran = pytester.runpytest(*ARGS[:-1], f"--soak-iterations={planned}")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines([when])


@pytest.mark.process
def test_a_program_that_never_gets_ready_is_inconclusive(pytester: pytest.Pytester) -> None:
    prepare_service(pytester, "time.sleep(999)", "ready_s = 0.3")
    ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert ran.ret == 1
    line = "the program was not ready in 0.3 s: http://127.0.0.1:*/metrics: connection refused"
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | {line} |"])


@pytest.mark.process
@pytest.mark.parametrize("life", ["chain", "iteration"])
def test_a_program_that_sigterm_does_not_end_is_killed_and_reported(
    pytester: pytest.Pytester, life: str
) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
    prepare_service(pytester, deaf, f'life = "{life}"\ngrace_s = 0.3')
    ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert ran.ret == 1
    if life == "chain":
        told = "ERROR: *service.py did not end with SIGTERM in 0.3 s; killed: python* (pid *)"
    else:
        told = "*INCONCLUSIVE | it had to be killed, as SIGTERM did not end it: python* (pid *) |"
    ran.stdout.fnmatch_lines([told])


@pytest.mark.process
def test_a_failed_program_that_ignores_sigterm_is_killed_and_reported(
    pytester: pytest.Pytester,
) -> None:
    body = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        serve()
        while True: print("x" * 999)
        """
    prepare_service(pytester, body, "grace_s = 0.3\noutput_mb = 1")
    ran = pytester.runpytest(*ARGS)
    ran.stdout.fnmatch_lines(["*wrote more than 1 MB*; killed, as SIGTERM did not end it: *"])


@pytest.mark.process
def test_ctrl_c_in_a_slot_ends_the_program(pytester: pytest.Pytester) -> None:
    body = "serve(); work(parameters()); os.kill(os.getppid(), signal.SIGINT); time.sleep(999)"
    prepare_service(pytester, body, "slot_s = 9999")
    ran = pytester.runpytest_subprocess(*ARGS, timeout=PATIENCE)
    assert ran.ret == 2


@pytest.mark.process
def test_no_secret_of_a_program_is_written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_service(pytester, 'print(E["TOKEN"], flush=True)' + SERVES, 'secrets = ["TOKEN"]')
    assert pytester.runpytest(*ARGS).ret == 4
    monkeypatch.setenv("TOKEN", "xyzzy-42")
    assert pytester.runpytest(*ARGS[:-1], "--soak-iterations=1").ret == 0
    assert (chain_folder(pytester) / "command_output.log").read_text() == "[secret TOKEN]\n"


@pytest.mark.process
def test_in_safe_mode_a_program_runs_dry_without_its_secrets(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = 'print("TOKEN" in E, E.get("PYTEST_SOAK_DRY"), flush=True)'
    prepare_service(pytester, says + SERVES, 'secrets = ["TOKEN"]\nslot_s = 0.1\nsettle_s = 0')
    monkeypatch.setenv("TOKEN", "xyzzy-42")
    for switch, said in (("", "True None\n"), ("1", "False 1\n")):
        monkeypatch.setenv("SOAK_DEMO_ALLOW_MISSING_SECRETS", switch)
        ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
        told = "| safe_mode | ON | SYSTEM=http runs without its secrets |"
        assert (told in ran.outlines) is bool(switch)
        assert (chain_folder(pytester) / "command_output.log").read_text() == said


@pytest.mark.process
def test_resource_use_counts_per_iteration(pytester: pytest.Pytester) -> None:
    body = """
        while time.process_time() < 1:
            pass
        serve()
        while True:
            work(parameters())
            time.sleep(0.1)
        """
    named = '\n[tool.pytest-soak.packs.demo.http.processes]\nservice = "service.py"\n'
    prepare_service(pytester, body, "slot_s = 0.1\nsettle_s = 0.2", WORKERS + named)
    pytester.runpytest(*ARGS[:-1], "--soak-iterations=2")
    used = [report(pytester, one)["runtime"]["process"] for one in (1, 2)]
    for first, second in (used, [one["by_name"]["service"] for one in used]):
        assert first["cpu_s"] > 0.9
        assert second["cpu_s"] < first["cpu_s"] / 2


@pytest.mark.process
def test_an_iteration_may_write_as_much_as_each_other(pytester: pytest.Pytester) -> None:
    body = """
        def write(*_):
            os.write(1, b"x" * 1_999_999 + b"\\n")
        signal.signal(signal.SIGHUP, write)
        write()
        """
    settings = 'output_mb = 3\nreload_signal = "SIGHUP"\nslot_s = 0.1\nsettle_s = 0.5'
    prepare_service(pytester, textwrap.dedent(body) + SERVES, settings)
    ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=2")
    ran.stdout.no_fnmatch_line("*wrote more than*")
    assert "problem" not in report(pytester, 2)
