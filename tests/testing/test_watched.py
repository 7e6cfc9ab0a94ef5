"""What the kit hears of a strategy's side effects, and when its clock rings.

No coverage is measured inside an audit hook, so it is also called directly here.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_soak.testing.watched import OUTSIDE, TookTooLong, _Outside, limited

if TYPE_CHECKING:
    from pathlib import Path


def heard(event: str, *args: object) -> list[str]:
    outside = _Outside(thread=threading.get_ident())
    outside.hook(event, args)
    return outside.seen


@pytest.mark.parametrize(
    "flags", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_WRONLY | os.O_APPEND], ids=str
)
def test_a_file_that_is_opened_to_be_written_by_flags_is_a_side_effect(flags: int) -> None:
    assert heard("open", "a.txt", None, flags) == ["open 'a.txt'"]
    assert heard("open", "a.txt", None, os.O_RDONLY) == []


@pytest.mark.parametrize(
    ("mode", "acts"),
    [("w", True), ("a", True), ("x", True), ("r+", True), ("rb", False), ("r", False)],
)
def test_a_file_that_is_opened_to_be_written_is_a_side_effect(mode: str, *, acts: bool) -> None:
    assert bool(heard("open", "a.txt", mode, 0)) is acts
    assert heard("open", 3, mode, 0) == []  # it is open already


def test_what_changes_something_is_a_side_effect_and_what_an_import_leaves_is_none() -> None:
    assert heard("os.remove", "a.txt", -1) == ["os.remove 'a.txt'"]
    assert heard("os.listdir", "a") == []
    assert heard("os.mkdir", "a/__pycache__", 0o777) == []
    assert heard("os.rename", "a", "a/__pycache__/b") == []


def test_only_the_thread_that_asks_is_heard(tmp_path: Path) -> None:
    other = threading.Thread(target=(tmp_path / "other").touch)
    with OUTSIDE.heard() as seen:
        other.start()
        other.join()
        (tmp_path / "mine").write_text("")
    (tmp_path / "later").touch()
    assert seen == [f"open {str(tmp_path / 'mine')!r}"]
    silent = _Outside()
    silent.hook("os.remove", ("a.txt",))
    assert silent.seen == []


def test_a_clock_that_rings_after_the_call_has_ended_is_ignored() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with limited(60):
        ring = signal.getsignal(signal.SIGALRM)
        assert callable(ring)
        with pytest.raises(TookTooLong):
            ring(signal.SIGALRM, None)
    ring(signal.SIGALRM, None)
    assert signal.getsignal(signal.SIGALRM) is before
