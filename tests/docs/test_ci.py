"""The workflow that users copy: its shell steps are run as GitHub's runner runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.programs import left_in
from tests.support import chain_folder_in, read_json, records

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "docs" / "ci" / "soak.yml"
LOADED: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = LOADED["jobs"]
STEPS = [(job, step) for job, content in JOBS.items() for step in content["steps"]]
LATE = """
import os, signal, time
from pytest_soak.systems.mock import MockSystem

class Late(MockSystem):
    '''In the first job the time is up when the fourth iteration runs, and not before.'''

    def run(self, parameters, iteration, seed, state):
        if os.environ["GITHUB_JOB"] == "night" and iteration == 4:
            os.kill(os.getppid(), signal.SIGALRM)  # what the clock of `timeout` sends it
            time.sleep(60)
        return super().run(parameters, iteration, seed, state)

def pytest_soak_systems():
    return {"late": Late}
"""
KILLED = """
import os, signal, time
from pytest_soak.systems.mock import MockSystem

class Killed(MockSystem):
    '''Is killed in its fourth iteration: by `timeout`, as it ignores SIGTERM, or not by it.'''

    def run(self, parameters, iteration, seed, state):
        if os.environ["GITHUB_JOB"] == "night" and iteration == 4:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while os.environ["BY"] == "timeout":
                os.kill(os.getppid(), signal.SIGALRM)  # its clock: the limit, then that of the kill
                time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(parameters, iteration, seed, state)

def pytest_soak_systems():
    return {"killed": Killed}
"""
INI = "[tool.pytest.ini_options]\n"
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("timeout") is None, reason="needs the timeout of coreutils"),
]


@dataclass
class Runner:
    """Runs jobs as GitHub's runner does, each in its own folder."""

    folder: Path
    project: Mapping[str, str]
    uploaded: dict[str, Path] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, job: str) -> Ran:
        """Run the steps of *job*."""
        work, tools = self.folder / job, self.folder / f"{job}-runner"
        work.mkdir()
        tools.mkdir()
        for name, text in self.project.items():
            (work / name).write_text(text, encoding="utf-8")
        ran = Ran(work, tools / "summary.md", tools / "output")
        for step in JOBS[job]["steps"]:
            condition = step.get("if")
            assert condition in (None, "always()")
            if ran.green or condition == "always()":
                self._step(job, step, ran)
        return ran

    def _step(self, job: str, step: Mapping[str, Any], ran: Ran) -> None:
        action = str(step.get("uses", "")).partition("@")[0]
        if action == "actions/upload-artifact":
            self.uploaded[step["with"]["name"]] = ran.work / step["with"]["path"]
        elif action == "actions/download-artifact":
            shutil.copy(self.uploaded[step["with"]["name"]], ran.work)
        elif "run" in step and step["name"] != "Install":
            done = self._shell(job, step["run"], ran)
            ran.green = ran.green and done.returncode == 0
            ran.output_of[step["name"]] = done.stdout + done.stderr

    def _shell(self, job: str, lines: str, ran: Ran) -> subprocess.CompletedProcess[str]:
        """Run a step's *lines* as the runner does without a `shell:` setting."""
        script = ran.summary.with_name("step.sh")
        script.write_text(lines, encoding="utf-8")
        environ = {
            **LOADED["env"],
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
            "PYTHONIOENCODING": "utf-8",
            "GITHUB_JOB": job,
            "GITHUB_STEP_SUMMARY": str(ran.summary),
            "GITHUB_OUTPUT": str(ran.output),
            **self.environ,
        }
        return subprocess.run(
            ["bash", "-e", str(script)],  # noqa: S607 - as the runner does
            cwd=ran.work,
            env=environ,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )


@dataclass
class Ran:
    """The result of a job: whether it is green, the output of its steps, and its folder."""

    work: Path
    summary: Path
    output: Path
    green: bool = True
    output_of: dict[str, str] = field(default_factory=dict)

    @property
    def chain(self) -> Path:
        return chain_folder_in(self.work / "artifacts" / "soak", "test_queue")


def project(**files: str) -> dict[str, str]:
    """Return a user's project, by file name; *files* are added without their dots."""
    return {
        "test_queue.py": "def test_queue(soak): soak.run()\n",
        "default_overrides.json": '{"workers": 3}',
        **{name.replace("_toml", ".toml").replace("_py", ".py"): t for name, t in files.items()},
    }


def headline(ran: Ran) -> str:
    return ran.summary.read_text(encoding="utf-8").splitlines()[0]


def test_a_short_soak_passes_and_its_verdict_is_on_the_page(tmp_path: Path) -> None:
    runner = Runner(tmp_path, project())
    ran = runner.run("short")
    assert ran.green, ran.output_of
    assert headline(ran) == r"## PASS: test\_queue.py::test\_queue"
    assert records(ran.chain)[0]["overrides"] == {"workers": 3}
    assert runner.uploaded.keys() == {"soak-short"}


def test_a_soak_that_fails_makes_the_job_red_and_is_on_the_page_all_the_same(
    tmp_path: Path,
) -> None:
    runner = Runner(tmp_path, project(pyproject_toml=f'{INI}soak_gate = "latency_p95_ms<=1"\n'))
    ran = runner.run("short")
    assert not ran.green
    assert headline(ran) == r"## FAIL: test\_queue.py::test\_queue"
    names = subprocess.check_output(
        ["tar", "-tzf", runner.uploaded["soak-short"]],  # noqa: S607 - as the workflow does
        text=True,
    )
    assert "/KPI_GATE.json\n" in names


def test_a_nightly_soak_that_the_time_was_up_for_is_resumed_from_its_artifacts(
    tmp_path: Path,
) -> None:
    runner = Runner(
        tmp_path, project(conftest_py=LATE, pyproject_toml=f'{INI}soak_system = "late"\n')
    )
    night = runner.run("night")
    assert night.green, night.output_of
    assert night.output.read_text(encoding="utf-8") == "unfinished=true\n"
    assert not (night.work / "artifacts/soak/latest/late").exists()
    assert records(night.chain)[-1]["kind"] == "run_interrupted", night.output_of["Soak"]
    text = night.summary.read_text(encoding="utf-8")
    assert "The run was interrupted before the gate" in text
    assert not left_in(night.work)

    resumed = runner.run("night-resumed")
    assert resumed.green, resumed.output_of
    assert "| soak_resume | OK | RUN=" in resumed.output_of["Soak"]
    assert "SETTLED=3 |" in resumed.output_of["Soak"]
    assert headline(resumed) == r"## PASS: test\_queue.py::test\_queue"
    before, after = records(night.chain), records(resumed.chain)
    assert after[: len(before)] == before
    slots = int(float(LOADED["env"]["HOURS"]) * 3600 / 300)
    assert sum(record["kind"] == "iteration" for record in after) == slots
    assert read_json(resumed.chain / "KPI_GATE.json")["verdict"] == "PASS"


def killed(tmp_path: Path, **environ: str) -> Runner:
    """Return a runner of a project whose nightly soak is killed with SIGKILL."""
    files = project(conftest_py=KILLED, pyproject_toml=f'{INI}soak_system = "killed"\n')
    return Runner(tmp_path, files, environ=environ)


def test_a_nightly_soak_that_had_to_be_killed_as_the_time_was_up_is_resumed(tmp_path: Path) -> None:
    seconds = int(LOADED["env"]["LIMIT"]) * 60
    runner = killed(tmp_path, BY="timeout", SECONDS=str(seconds))  # where bash counts from
    night = runner.run("night")
    assert night.green, night.output_of
    assert night.output.read_text(encoding="utf-8") == "unfinished=true\n"
    resumed = runner.run("night-resumed")
    assert resumed.green, resumed.output_of
    assert "SETTLED=3 |" in resumed.output_of["Soak"]


def test_a_nightly_soak_that_somebody_else_killed_is_red_and_nothing_goes_on_with_it(
    tmp_path: Path,
) -> None:
    night = killed(tmp_path, BY="want of memory").run("night")
    assert not night.green, night.output_of
    assert not night.output.exists()
    assert "The run was interrupted before the gate" in night.summary.read_text(encoding="utf-8")


def test_a_nightly_soak_that_ends_in_time_needs_no_second_job(tmp_path: Path) -> None:
    passed = Runner(tmp_path, project()).run("night")
    assert passed.green, passed.output_of
    assert not passed.output.exists()
    (tmp_path / "red").mkdir()
    red = {"pyproject_toml": f'{INI}soak_gate = "latency_p95_ms<=1"\n'}
    failed = Runner(tmp_path / "red", project(**red)).run("night")
    assert not failed.green
    assert not failed.output.exists()
    assert headline(failed) == r"## FAIL: test\_queue.py::test\_queue"


def test_the_second_job_runs_where_the_first_did_not_come_to_its_end() -> None:
    assert JOBS["night"]["outputs"] == {"unfinished": "${{ steps.soak.outputs.unfinished }}"}
    assert [step["name"] for _, step in STEPS if step.get("id") == "soak"] == ["Soak"]
    assert JOBS["night-resumed"]["needs"] == "night"
    assert JOBS["night-resumed"]["if"] == "needs.night.outputs.unfinished == 'true'"


def test_every_job_ends_before_github_ends_it_and_every_wait_before_its_job() -> None:
    minutes = int(LOADED["env"]["LIMIT"])
    for name, job in JOBS.items():
        assert job["timeout-minutes"] < 360
        if name != "short":
            kill_after = re.findall(r"--kill-after=(\d+)m", yaml.dump(job["steps"]))
            assert minutes + int(*kill_after) < job["timeout-minutes"]


def test_actions_are_pinned_to_a_major_version_and_no_job_may_write() -> None:
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)
    assert LOADED["permissions"] == {"contents": "read"}
