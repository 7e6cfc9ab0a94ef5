"""`--soak-baseline` in pytest runs: its levels, its mistakes, its lines, and what is recorded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import DEMO, chain_folder, records, told

if TYPE_CHECKING:
    from pathlib import Path

GATES = (
    "--soak-gate=baseline:latency_p95_ms<=+10 %",
    "--soak-gate=latency_p95_ms<=500",
    "--soak-gate=error_rate<=1",
)
SOAK = ("--soak-iterations=4", *GATES)


SYSTEM = """
import os
import pytest

class Given:
    def run(self, parameters, iteration, seed, state):
        latency = float(os.environ["LATENCY"]) + (-1, 0, 1, 0)[iteration % 4]
        totals = {"latency_p95_ms": latency, "error_rate": 0.01, "throughput": 100}
        return {"iteration": iteration, "parameters": parameters, "totals": totals}, None

@pytest.fixture
def soak_system():
    return Given()
"""
LEVELS = ("100", "100.4", "99.7")
"""The latency of three runs that differ by no more than noise."""


def compared(folder: Path) -> Any:
    """Return what the newest run in *folder* was compared with."""
    return records(folder)[0]["config"]["baseline"]


def test_each_run_is_compared_with_those_before_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    first = pytester.runpytest(*SOAK)
    first.stdout.fnmatch_lines(["| soak_baseline | NONE | SOURCE=kept RUNS=0 no baseline yet |"])
    run = records(chain_folder(pytester))[0]["run"]
    second = pytester.runpytest(*SOAK, "--soak-seed=1")
    second.stdout.fnmatch_lines([f"| soak_baseline | OK | SOURCE=kept RUNS=1 LAST={run} |"])
    named = pytester.runpytest(*SOAK, "--soak-seed=2", f"--soak-baseline={run}")
    told_there = f"SOURCE={run} LEVEL={run} RUNS=1"
    named.stdout.fnmatch_lines([f"| soak_baseline | OK | {told_there} LAST=* |"])
    assert compared(chain_folder(pytester))["level"]["run"] == run
    assert (
        told("verify", "--soak-dir", "artifacts/soak", "--chain", chain_folder(pytester).name)[0]
        == 0
    )


def test_a_run_that_cannot_be_used_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*SOAK)
    journal = chain_folder(pytester) / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"FAIL"', b'"PASS"', 1))
    journal.write_bytes(journal.read_bytes().replace(b'"iteration": 2', b'"iteration": 3', 1))
    result = pytester.runpytest(*SOAK)
    result.stdout.fnmatch_lines(["| soak_baseline | LEFT_OUT | RUN=* *journal.jsonl, record *"])
    assert compared(chain_folder(pytester))["runs"] == []


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "distributed"])
def test_a_run_that_is_not_there_is_exit_4(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*SOAK, "--soak-baseline=20251231", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told_by = result.stderr if not workers else result.stdout
    told_by.fnmatch_lines(["*--soak-baseline: unknown run '20251231'; there are: none"])
    assert list((pytester.path / "artifacts" / "soak").glob("test_demo-*")) == []


def test_marker_and_ini_file_may_say_it_too(pytester: pytest.Pytester) -> None:
    marked = "import pytest\n\n@pytest.mark.soak(baseline='required')\n" + DEMO.lstrip()
    pytester.makepyfile(test_demo=marked)
    pytester.makeini("[pytest]\nsoak_baseline = ./elsewhere\n")
    pytester.runpytest(*SOAK)
    assert compared(chain_folder(pytester))["required"]
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*SOAK)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    where = f"soak_baseline in tox.ini: {pytester.path / 'elsewhere'}"
    result.stderr.fnmatch_lines([f"*{where}: there is no such file or folder; allowed: *"])
    assert pytester.runpytest("--soak-iterations=2").ret in (0, 1)  # no KPI asks for it


def test_a_resumed_run_stays_compared_with_what_it_began_with(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*SOAK, "--soak-seed=1")
    pytester.makepyfile(test_demo=DEMO + "    assert soak.iteration != 3\n")
    pytester.runpytest(*SOAK, "-x")
    began = compared(chain_folder(pytester))
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*SOAK, "--soak-seed=2")
    result = pytester.runpytest(*SOAK, "--soak-resume")
    result.stdout.fnmatch_lines(["| soak_resume | OK | *"])
    (resumed,) = (
        record
        for folder in pytester.path.glob("artifacts/soak/test_demo-*")
        for record in records(folder)
        if record["kind"] == "run_resumed"
    )
    assert resumed["config"]["baseline"] == began
    assert len(began["runs"]) == 1
    again = pytester.runpytest(*SOAK, "--soak-resume")
    again.stdout.fnmatch_lines(["| soak_resume | ENDED | *"])


def word(folder: Path) -> Any:
    """Return what the criterion said of the newest run in *folder*."""
    (said,) = (one for one in records(folder)[-1]["criteria"] if one["criterion"] == "baseline")
    return said


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "distributed"])
def test_a_run_that_is_slower_than_those_before_it_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_demo=SYSTEM + DEMO)
    soak = ("--soak-iterations=8", *GATES, *workers)

    def run(latency: str, *args: str) -> Any:
        monkeypatch.setenv("LATENCY", latency)
        code = pytester.runpytest(*soak, *args).ret
        said = word(chain_folder(pytester))
        assert told("verify", "--soak-dir", "artifacts/soak")[1][-1].startswith("0 findings")
        return int(code), said["verdict"], said["problem"] or said["detail"].partition(":")[0]

    assert run(LEVELS[0]) == (0, None, "no baseline yet")
    assert run(LEVELS[1]) == (0, None, "1 of 3 earlier runs")
    assert run(LEVELS[2]) == (0, None, "2 of 3 earlier runs")
    assert run("130") == (1, "FAIL", "worse")
    assert run("130", "--soak-baseline=none") == (0, None, "--soak-baseline: none")
    assert run("100", "--soak-baseline=required")[:2] == (0, "PASS")


def test_a_required_baseline_that_is_missing_is_inconclusive(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENCY", "100")
    pytester.makepyfile(test_demo=SYSTEM + DEMO)
    result = pytester.runpytest("--soak-iterations=8", *GATES, "--soak-baseline=required")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = word(chain_folder(pytester))
    assert (said["verdict"], said["problem"]) == ("INCONCLUSIVE", "no baseline yet")
    assert records(chain_folder(pytester))[-1]["verdict"] == "INCONCLUSIVE"
    assert told("verify", "--soak-dir", "artifacts/soak")[0] == 0


def test_a_resumed_run_needs_no_run_that_it_was_compared_with(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*SOAK, "--soak-seed=1")
    old = chain_folder(pytester)
    wish = f"--soak-baseline={records(old)[0]['run']}"
    pytester.makepyfile(test_demo=DEMO + "    assert soak.iteration != 3\n")
    pytester.runpytest(*SOAK, wish, "-x")
    began = compared(chain_folder(pytester))
    shutil.rmtree(old)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*SOAK, wish, "--soak-resume")
    result.stdout.fnmatch_lines(["| soak_baseline | NONE | *", "| soak_resume | OK | *"])
    (resumed,) = (one for one in records(chain_folder(pytester)) if one["kind"] == "run_resumed")
    assert resumed["config"]["baseline"] == began
