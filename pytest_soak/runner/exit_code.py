"""Exit code 0 is earned: every chain that was collected must have recorded a good verdict.

This is checked once, after pytest's main loop, where no hook, mark or `pytest.exit` acts any more.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.model.safe_repr import safe_text
from pytest_soak.model.verdict import Verdict
from pytest_soak.store.files import StoreError
from pytest_soak.store.folder import JOURNAL, RUNS
from pytest_soak.store.journal import ending_of, first_and_last, says_ended, stream_journal
from pytest_soak.views.screen import write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ONLY_LOOKS = (
    "cacheshow",
    "collectonly",
    "help",
    "markers",
    "show_fixtures_per_test",
    "showfixtures",
    "version",
)
"""pytest's options that run no test."""


@dataclass(slots=True)
class Expected:
    """What a run must have recorded at its end.

    Args:
        folder: Where the chains' folders are.
        chains: ``{name: (folder, run id)}`` of the chains that were collected and not deselected;
            empty texts until they are planned.
        skipped: ``{chain: whether that is allowed}`` for the chains that a mark skipped.
        collected: Whether the collection was completed.
    """

    folder: Path
    chains: dict[str, tuple[str, str]] = field(default_factory=dict)
    skipped: dict[str, bool] = field(default_factory=dict)
    collected: bool = False


EXPECTED: pytest.StashKey[Expected] = pytest.StashKey()


def earned(config: pytest.Config, code: int) -> int:
    """Return the exit code of a soak run, and print why it cannot be 0.

    Args:
        config: pytest's.
        code: The exit code without this check. Only 0 and 5 may become 1.
    """
    if any(config.getoption(option, default=False) for option in ONLY_LOOKS):
        return code
    expected = config.stash.get(EXPECTED, None)
    faults: list[str] = []
    passes = code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if passes or code == pytest.ExitCode.TESTS_FAILED:
        faults = list(_faults(expected, passes=passes)) if expected else []
    if code == pytest.ExitCode.OK and not (expected and expected.collected):
        faults.append("the run ended before all tests were collected")
    _print(config, faults)
    return pytest.ExitCode.TESTS_FAILED if faults else code


def _faults(expected: Expected, *, passes: bool) -> Iterator[str]:
    for name, (folder, run) in sorted(expected.chains.items()):
        word = recorded_verdict(expected.folder / folder, run)
        skipped = word is None and name in expected.skipped
        if skipped and expected.skipped[name]:
            continue
        if skipped:
            allowed = "allowed with @pytest.mark.soak(skippable=True)"
            yield f"no verdict was recorded for {name}: it was skipped; {allowed}"
        elif not word:
            yield f"no verdict was recorded for {name}"
        elif passes and not Verdict[word].good:
            yield f"the verdict of {name} is {word}"


def recorded_verdict(folder: Path, run: str) -> str | None:
    """Return the verdict of a *run* in a chain's *folder* as recorded.

    Returns:
        The verdict; empty for a run without one, None if there is no such run.
    """
    for place in (folder, folder / RUNS / run):
        ends = first_and_last(place / JOURNAL)
        if ends and ends[0]["run"] == run and ends[0]["kind"] == "run_started":
            return _word(place / JOURNAL, ends[1])
    return None


def _word(journal: Path, last: Mapping[str, Any]) -> str:
    """Return the verdict in a *journal*; its *last* record is most often that of the verdict."""
    ending: Mapping[str, Any] | None = last
    if last["kind"] != "run_ended" and says_ended(last):  # such as a rollback after the verdict
        try:
            ending = ending_of(stream_journal(journal, healing=True))
        except StoreError:
            return ""
    return str(ending["verdict"]) if ending and ending["kind"] == "run_ended" else ""


def _print(config: pytest.Config, faults: list[str]) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    errors = [f"{safe_text(fault)}; exit code 1" for fault in faults]
    if terminal is not None:
        write_errors(terminal, errors)
    else:
        sys.stderr.writelines(f"ERROR: {error}\n" for error in errors)
