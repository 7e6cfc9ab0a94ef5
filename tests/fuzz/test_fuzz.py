"""A short fuzz run in every run of the tests, and proof that it finds planted faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.model import metrics
from pytest_soak.verify.load import check_run
from tests.fuzz import hostile
from tests.fuzz.harness import BROKEN, DAMAGED, FINDINGS, TRACEBACK, UNCLEAR, attack, taught
from tests.fuzz.hostile import SHARES, share_of
from tests.fuzz.journals import Journals
from tests.fuzz.overrides import Overrides
from tests.fuzz.packs import Packs
from tests.fuzz.reports import Reports
from tests.fuzz.settings import Runs, Settings
from tests.fuzz.states import States
from tests.fuzz.strategies import Answers
from tests.fuzz.texts import Texts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.harness import Kind

INPUTS = 1500
"""The number of inputs in every run of the tests; the long form tries 100,000."""
TO_FIND = 3000
"""The most inputs in which a planted fault must be found."""


@pytest.mark.parametrize("kind", SHARES, ids=lambda kind: kind.name)
def test_no_hostile_input_leads_to_what_must_never_happen(kind: type[Kind]) -> None:
    tally = attack(kind(), 0, share_of(kind, INPUTS))
    assert tally.found == []
    assert tally.inputs >= share_of(kind, INPUTS)
    assert len(tally.ended) > 1 or kind is Runs


def zero(metric: Any, raw: object, values: dict[str, Any]) -> str:
    """Parse anything but a number as 0, as a careless parser would."""
    values[metric.name] = raw if metrics.is_number(raw) else 0
    return ""


def healed_first(folder: Path, run_id: str) -> object:
    """Cut off a torn end before checking that the rest can be read."""
    for path in (folder / "journal.jsonl", folder / "runs" / run_id / "journal.jsonl"):
        if path.exists():
            data = path.read_bytes()
            path.write_bytes(data[: data.rfind(b"\n") + 1])
    return check_run(folder, run_id)


def unchecked(*args: object) -> str:
    return ""


PLANTED: dict[str, tuple[type[Kind], str, str, object, str]] = {
    "a reader that defaults to 0": (
        Reports,
        "pytest_soak.model.metrics._READERS",
        "number",
        zero,
        BROKEN,
    ),
    "overrides that may be true": (
        Overrides,
        "pytest_soak.config.overrides",
        "is_number",
        lambda value: isinstance(value, int | float),
        BROKEN,
    ),
    "limits that hold nothing": (
        Overrides,
        "pytest_soak.model.parameters.Bounds",
        "clamp",
        lambda bounds, value: value,
        BROKEN,
    ),
    "a state of any kind": (
        States,
        "pytest_soak.engine.loop",
        "_plain_state",
        lambda state: state,
        TRACEBACK,
    ),
    "facts of any kind": (
        Answers,
        "pytest_soak.engine.strategies",
        "_facts",
        lambda pack, found: dict(found),
        BROKEN,
    ),
    "decisions of any kind": (
        Answers,
        "pytest_soak.engine.strategies",
        "malformed",
        unchecked,
        TRACEBACK,
    ),
    "answers with secrets": (
        Texts,
        "pytest_soak.engine.strategies",
        "received",
        lambda answer, mask, known=(): answer,
        BROKEN,
    ),
    "pieces of secrets": (
        Texts,
        "pytest_soak.model.mask.Mask",
        "_without_pieces",
        lambda mask, text: text,
        BROKEN,
    ),
    "texts as they are": (
        Texts,
        "pytest_soak.engine.strategies",
        "one_line",
        str,
        BROKEN,
    ),
    "packs that say what they like": (
        Packs,
        "pytest_soak.packs.loader",
        "broken_rules",
        lambda pack, data: iter(()),
        TRACEBACK,
    ),
    "an error of several lines": (
        Packs,
        "pytest_soak.packs.loader",
        "why_unreadable",
        lambda error: "\n".join(str(error).split()),
        UNCLEAR,
    ),
    "a journal that nobody checks": (
        Journals,
        "pytest_soak.engine.loop",
        "check_run",
        unchecked,
        TRACEBACK,
    ),
    "a journal healed before it is read": (
        Journals,
        "pytest_soak.runner.resume",
        "check_run",
        healed_first,
        DAMAGED,
    ),
    "settings shown as they are": (
        Settings,
        "pytest_soak.config.request",
        "safe_repr",
        repr,
        TRACEBACK,
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what it broke
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, owner, name, planted, what = PLANTED[fault]
    if name in metrics._READERS:
        monkeypatch.setitem(metrics._READERS, name, planted)
    else:
        monkeypatch.setattr(f"{owner}.{name}", planted)
    tally = attack(kind(), 0, share_of(kind, TO_FIND), enough=5)
    assert tally.count(what)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("", "it is empty"),
        ("x" * 2001, "it is 2001 letters long"),
        ("a\nb", "it has several lines"),
        ("a: 2 mistakes\nb", "it has several lines"),
        ("a: 30 mistakes" + "\n  b" * 30, "it has several lines"),
        ("KeyError: 'x'", "it says 'KeyError'"),
        ("'NoneType' object is not iterable", "it says"),
        ("workers is 3", "it does not name the file"),
    ],
)
def test_an_error_that_teaches_nothing_is_a_finding(message: str, problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        taught(message, "the file")


def test_the_command_prints_a_table_and_says_by_its_exit_whether_anything_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["hostile", "--kind", "settings", "--inputs", "20"])
    assert hostile.main() == 0
    head, row, total = capsys.readouterr().out.splitlines()
    assert all(what in head for what in FINDINGS)
    assert row.split()[:2] == ["settings", "20"]
    assert total.split()[3:] == ["0", "0", "0", "0"]
    monkeypatch.setattr("pytest_soak.config.request.read_marker", None)
    monkeypatch.setattr(hostile, "SHARES", {Settings: 1000})
    monkeypatch.setattr("tests.fuzz.settings.read_marker", None)
    monkeypatch.setattr("sys.argv", ["hostile", "--inputs", "200"])
    assert hostile.main() == 1
    assert "TypeError: 'NoneType' object is not callable" in capsys.readouterr().out
