"""Recorded patches: compared by iteration, never shortened, readable when they differ."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pytest_soak.runner.snapshots import OverrideExtension
from tests.strategies import tuner

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = """
def test_demo(mock_soak, override_snapshot):
    assert mock_soak.run().patch == override_snapshot
"""


def steps(workers: int) -> str:
    """Return the conftest of a tuner that always asks for so many *workers* more."""
    return tuner(f'Proposal({{"workers": {workers}}}, ("always",))', name="steps")


def soak(pytester: pytest.Pytester, iterations: int, *args: str) -> pytest.RunResult:
    return pytester.runpytest(
        f"--soak-iterations={iterations}",
        "--auto-tune",
        "--soak-scenario=calm",
        "--soak-tuner=steps",
        *args,
    )


@pytest.fixture
def recording(pytester: pytest.Pytester) -> Path:
    """Record six iterations and return the recording's path."""
    pytester.makepyfile(test_demo=RECORDED)
    pytester.makeconftest(steps(1))
    result = soak(pytester, 6, "--snapshot-update")
    result.assert_outcomes(passed=7)
    return pytester.path / "__soak_snapshots__" / "test_demo" / "test_demo.json"


def test_a_recording_holds_the_patches_before_the_window(recording: Path) -> None:
    patches = json.loads(recording.read_text())
    assert list(patches) == ["1", "2", "3", "4"]
    assert patches["1"] == [{"op": "add", "path": "/workers", "value": 3}]
    assert patches["4"] == [{"op": "replace", "path": "/workers", "value": 6}]


@pytest.mark.usefixtures("recording")
def test_the_same_changes_pass(pytester: pytest.Pytester) -> None:
    soak(pytester, 6).assert_outcomes(passed=7)
    soak(pytester, 6, "-n2").assert_outcomes(passed=7)


def test_a_changed_step_fails_with_a_readable_diff_and_can_be_accepted(
    pytester: pytest.Pytester, recording: Path
) -> None:
    pytester.makeconftest(steps(2))
    result = soak(pytester, 6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*patch of the overrides after iteration 1",
            '*- {"op": "add", "path": "/workers", "value": 3}*',
            '*+ {"op": "add", "path": "/workers", "value": 4}*',
            "*record it with --snapshot-update*",
        ]
    )
    soak(pytester, 6, "--snapshot-update").assert_outcomes(passed=7)
    assert json.loads(recording.read_text())["1"][0]["value"] == 4
    soak(pytester, 6).assert_outcomes(passed=7)


def test_a_shorter_run_compares_what_it_has_and_leaves_the_rest(
    pytester: pytest.Pytester, recording: Path
) -> None:
    before = recording.read_text()
    shorter = soak(pytester, 3)
    shorter.assert_outcomes(passed=4)
    assert shorter.ret == 0
    soak(pytester, 3, "--snapshot-update").assert_outcomes(passed=4)
    assert recording.read_text() == before


@pytest.mark.usefixtures("recording")
def test_a_longer_run_than_recorded_fails_and_says_so(pytester: pytest.Pytester) -> None:
    result = soak(pytester, 8)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*iteration 5", "*nothing recorded: 4 iterations are*"])


def test_without_a_recording_the_run_fails_and_says_how_to_make_one(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=RECORDED)
    pytester.makeconftest(steps(1))
    result = soak(pytester, 6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*does not exist*", "*record it with --snapshot-update*"])


def test_an_untuned_run_leaves_the_recording_alone(
    pytester: pytest.Pytester, recording: Path
) -> None:
    before = recording.read_text()
    for args in ((), ("--snapshot-update",)):
        result = pytester.runpytest("--soak-iterations=6", *args)
        result.assert_outcomes(passed=6, failed=1)
        result.stdout.fnmatch_lines(["KPI gate: FAIL"])
        assert "snapshot" not in result.parseoutcomes()
    assert recording.read_text() == before


def test_an_ordinary_update_does_not_delete_the_recording(
    pytester: pytest.Pytester, recording: Path
) -> None:
    pytester.makepyfile(test_other="def test_other(snapshot): assert 1 == snapshot")
    before = recording.read_text()
    pytester.runpytest("--snapshot-update").assert_outcomes(passed=1, skipped=1)
    assert recording.read_text() == before


def test_each_parametrized_chain_has_its_own_recording(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(steps(1))
    pytester.makepyfile(
        test_demo="""
        import pytest

        @pytest.mark.parametrize("x", ["red", "blue"])
        def test_demo(mock_soak, override_snapshot, x):
            assert mock_soak.run().patch == override_snapshot
        """
    )
    soak(pytester, 6, "--snapshot-update", "-n2").assert_outcomes(passed=14)
    folder = pytester.path / "__soak_snapshots__" / "test_demo"
    assert sorted(path.name for path in folder.iterdir()) == [
        "test_demo-blue.json",
        "test_demo-red.json",
    ]
    soak(pytester, 6).assert_outcomes(passed=14)


def test_a_recording_is_one_snapshot_named_after_its_chain(recording: Path) -> None:
    collection = OverrideExtension().read_snapshot_collection(snapshot_location=str(recording))
    assert [snapshot.name for snapshot in collection] == ["test_demo"]
    assert collection.location == str(recording)


@pytest.mark.parametrize("args", [("--auto-tune",), ()], ids=["in the window", "untuned"])
def test_a_patch_where_nothing_may_be_applied_matches_no_recording(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        FORGED = [{"op": "add", "path": "/workers", "value": 9}]

        def test_demo(mock_soak, override_snapshot):
            patch = mock_soak.run().patch
            assert (FORGED if mock_soak.iteration == 6 else patch) == override_snapshot
        """
    )
    command = ("--soak-iterations=6", "--soak-scenario=calm", *args)
    result = pytester.runpytest(*command, "--snapshot-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED *test_demo[[]iter-00006[]]*"])
    recorded = list(pytester.path.glob("__soak_snapshots__/*/*.json"))
    assert [sorted(json.loads(path.read_text())) for path in recorded] == (
        [["1", "2", "3", "4"]] if args else []
    )


@pytest.mark.parametrize("ids", [["a b", "a+b"], ["x" * 300, "y" * 300]])
def test_recordings_of_unusual_names_do_not_collide(
    pytester: pytest.Pytester, ids: list[str]
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("x", {ids!r})
        def test_demo(mock_soak, override_snapshot, x):
            assert mock_soak.run().patch == override_snapshot
        """
    )
    assert pytester.runpytest("--soak-iterations=6", "--auto-tune", "--snapshot-update").ret == 0
    assert pytester.runpytest("--soak-iterations=6", "--auto-tune").ret == 0
    assert len(list(pytester.path.glob("__soak_snapshots__/*/*.json"))) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read: Expecting property name*"),
        ("[]", "is no recording of patches by iteration"),
        ('{"one": []}', "is no recording of patches by iteration"),
        ('{"1": 7}', "is no recording of patches by iteration"),
        (None, "cannot be read: it is a pipe; allowed: a regular file"),
    ],
)
def test_a_recording_that_cannot_be_used_is_told_in_one_line(
    recording: Path, pytester: pytest.Pytester, text: str | None, told: str
) -> None:
    recording.unlink()
    recording.write_text(text) if text else os.mkfifo(recording)
    result = soak(pytester, 4, *(() if text == "{" else ("--snapshot-update",)))
    result.assert_outcomes(failed=2, skipped=3)
    again = "restore it, or remove it and record with --snapshot-update"
    result.stdout.fnmatch_lines([f"{recording}: {told}; {again}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert text is None or recording.read_text() == text
