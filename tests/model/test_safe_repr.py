"""What strangers gave is shown short, on one line, and without trusting it."""

from __future__ import annotations

import pytest

from pytest_soak.errors import what_raised
from pytest_soak.model.safe_repr import safe_repr, safe_text
from tests.fuzz.values import Blind, Moody


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("4", "'4'"),
        (None, "None"),
        (object(), "<object object>"),
        (10**5000, "a int that cannot be shown"),
        (Blind(), "a TouchyObject that cannot be shown"),
    ],
    ids=["text", "none", "without its address", "too long a number", "refuses"],
)
def test_a_value_is_shown_as_it_is_where_it_can_be(value: object, text: str) -> None:
    assert safe_repr(value) == text


@pytest.mark.parametrize("filling", ["a" * 225, "a " * 300, "a\n" * 10_000])
def test_what_is_longer_than_anybody_reads_loses_its_middle(filling: str) -> None:
    cut = safe_text(f"It begins {filling} and ends.")
    assert len(cut) == 235
    assert cut.startswith("It begins a")
    assert " ... " in cut
    assert cut.endswith("a and ends.")


def test_what_is_short_is_whole_and_on_one_line() -> None:
    assert safe_text("a\n b\tc ") == "a b c"
    assert safe_text("a" * 230) == "a" * 230


def test_an_exception_that_cannot_say_itself_is_told_by_its_type() -> None:
    with pytest.raises(Moody) as caught:
        raise Moody
    assert what_raised(caught.value).startswith("raised Moody: a Moody that cannot be shown (")
