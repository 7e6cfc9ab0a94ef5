"""Every journal is a recording: its reports can be soaked on again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.systems.replay import ReplaySystem
from tests.support import DEMO, chain_folder, patches, read_json, records

if TYPE_CHECKING:
    from pathlib import Path

REPLAY = ("--soak-system=replay", "--auto-tune")


@pytest.fixture
def recorded(pytester: pytest.Pytester) -> Path:
    """Record a tuned soak, and return its folder."""
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-dir=recorded")
    (folder,) = (pytester.path / "recorded").glob("test_demo-*")
    return folder


@pytest.mark.parametrize("given", ["{0}", "{0}/journal.jsonl", "recorded/latest"])
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_the_same_reports_lead_to_the_same_decisions_and_verdict(
    pytester: pytest.Pytester, recorded: Path, given: str, workers: str
) -> None:
    path = given.format(recorded.relative_to(pytester.path))
    result = pytester.runpytest(
        "--soak-iterations=6", *REPLAY, f"--soak-replay={path}", workers, "--soak-seed=7"
    )
    assert result.ret == 0
    folder = chain_folder(pytester)
    assert patches(folder) == patches(recorded)
    assert read_json(folder / "KPI_GATE.json") == read_json(recorded / "KPI_GATE.json")
    assert records(folder)[0]["config"]["recording"] is not None


def test_what_the_recording_cannot_show_is_unverified_and_not_contradicted(
    pytester: pytest.Pytester, recorded: Path
) -> None:
    seeded = '--soak-overrides={"workers": 9}'
    path = f"--soak-replay={recorded}"
    result = pytester.runpytest("--soak-iterations=6", *REPLAY, path, seeded)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| kpi_gate | PASS | UNVERIFIED=1,2,3 |"])


def test_a_shorter_replay_is_a_soak_like_any_other(
    pytester: pytest.Pytester, recorded: Path
) -> None:
    result = pytester.runpytest("--soak-iterations=3", *REPLAY, f"--soak-replay={recorded}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["verdict"] == "FAIL"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (REPLAY, "*--soak-system=replay: needs --soak-replay=PATH*"),
        (("--soak-replay=recorded/latest",), "*the system is mock; replay it with --soak-system*"),
        ((*REPLAY, "--soak-replay=nowhere"), "*nowhere: cannot be read: No such file*"),
        ((*REPLAY, "--soak-replay=" + "x" * 5000), "*xxx: cannot be read: File name too long"),
        ((*REPLAY, "--soak-replay=test_demo.py"), "*test_demo.py, record 0: is not JSON: *"),
        ((*REPLAY, "--soak-replay=begun"), "*begun: holds no iteration of a recorded run"),
        (
            (*REPLAY, "--soak-replay=recorded/latest", "--soak-iterations=7"),
            "*system replay: has 6 iterations, 7 are asked for",
        ),
    ],
)
def test_a_replay_that_cannot_be_is_a_usage_error(
    pytester: pytest.Pytester, recorded: Path, options: tuple[str, ...], told: str
) -> None:
    first, _, _ = (recorded / "journal.jsonl").read_text("utf-8").partition("\n")
    (pytester.path / "begun").write_text(first + "\n", "utf-8")
    result = pytester.runpytest("--soak-iterations=6", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_what_a_replay_gives_away_cannot_be_changed_in_it() -> None:
    system = ReplaySystem({1: {"totals": {"latency": 1.0}, "parameters": {"workers": 2}}}, "")
    report, _ = system.run({"workers": 3}, 1, 0, None)
    assert report == {"totals": {"latency": 1.0}}
    report, _ = system.run({"workers": 2, "batch_size": 3}, 1, 0, None)
    assert report == {"totals": {"latency": 1.0}, "parameters": {"workers": 2}}


def test_an_iteration_without_a_report_has_none_again() -> None:
    assert ReplaySystem({1: None}, "").run({}, 1, 0, None) == (None, None)
