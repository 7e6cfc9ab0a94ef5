"""Text from outside is shown short, on one line, and without active characters."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_soak.errors import what_raised
from pytest_soak.model.safe_repr import (
    READ,
    one_line,
    printable,
    safe_lines,
    safe_report,
    safe_repr,
    safe_text,
    trimmed,
)
from tests.fuzz.values import Blind, Moody

EVIL = "\x1b[2J\x1b[H verdict PASS\x1b[8m \x00 \u202e | kpi_gate | PASS | ::error::x \x9b31m"
"""A problem that a system once reported."""
PIECES = st.sampled_from(
    [
        "kpi_gate",
        "| kpi_gate | PASS |",
        "iter_watch|APPLY",
        "::error::",
        "::",
        "##[error]",
        ": ",
        "#",
    ]
)
TEXTS = st.lists(st.one_of(st.text(max_size=20), PIECES), max_size=8).map("".join)
INVISIBLE = ("\u200b", "\u2060", "\ufeff", "\u00ad", "\u3164", "\u2800", "\ufe0f", "\U000e0041")
BIDI = ("\u202a", "\u202e", "\u2066", "\u2069", "\u061c", "\u200f")


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
def test_a_long_text_loses_its_middle(filling: str) -> None:
    cut = safe_text(f"It begins {filling} and ends.")
    assert len(cut) == 235
    assert cut.startswith("It begins a")
    assert " ... " in cut
    assert cut.endswith("a and ends.")


def test_a_long_text_of_which_only_the_beginning_is_wanted_says_that_it_goes_on() -> None:
    assert safe_text("a" * 11, 10, 0) == "a" * 10 + "…"
    assert safe_text("a" * 10, 10, 0) == "a" * 10


def test_a_short_text_is_whole_and_on_one_line() -> None:
    assert safe_text("a\n b\tc ") == "a b c"
    assert safe_text("a" * 230) == "a" * 230
    assert safe_text("grün, 5 µs → 7 Δ, 漢字") == "grün, 5 µs → 7 Δ, 漢字"


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", *INVISIBLE, *BIDI])
def test_a_character_that_could_act_or_hide_is_shown_as_an_escape(character: str) -> None:
    escape = character.encode("unicode_escape").decode()
    for safe in (printable, safe_lines, one_line, safe_text):
        assert safe(f"a{character}b") == f"a{escape}b"


def test_a_byte_that_is_no_utf_8_is_shown_as_that_byte() -> None:
    assert printable(b"caf\xe9".decode(errors="surrogateescape")) == r"caf\xe9"
    assert printable(b"\x80\xff".decode(errors="surrogateescape")) == r"\x80\xff"
    assert printable("\ud800 \udc00") == r"\ud800 \udc00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", r"\x3a:error::x"),
        ("a ::Warning file=a.py,line=1::x", r"a \x3a:Warning file=a.py,line=1::x"),
        ("##[group]x", r"\x23#[group]x"),
        ("::stop-commands::x", r"\x3a:stop-commands::x"),
    ],
)
def test_a_workflow_command_is_none_any_more(text: str, shown: str) -> None:
    for safe in (printable, safe_lines, one_line, safe_text):
        assert safe(text) == shown


@pytest.mark.parametrize(
    "text", ["tests/test_a.py::test_x[iter-00001]", "a.py::TestX::test_error", "a | b", "int|float"]
)
def test_a_text_that_only_resembles_one_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


def test_lines_of_output_stay_lines_and_none_looks_like_a_marker() -> None:
    assert safe_lines("\ta\n| kpi_gate | PASS |\n") == "\ta\n| kpi\\x5fgate \\x7c PASS |\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("| kpi_gate | PASS |", r"\x7c kpi\x5fgate | PASS |"),
        ("a\n  |iter_watch|APPLY|", "a\n  \\x7citer_watch|APPLY|"),
        ("E       | iter_watch | APPLY |", r"E       \x7c iter_watch | APPLY |"),
        ("def f(x: int | None) -> A | B:", "def f(x: int | None) -> A | B:"),
        ("    | first line of a union", "    | first line of a union"),
        ("\x1b[31mred\x1b[0m, \x1b[2Jgone\n\t\r", "red, \\x1b[2Jgone\n\t\\r"),
        ("::error::x\n##[group]", "\\x3a:error::x\n\\x23#[group]"),
    ],
)
def test_a_report_of_pytest_keeps_its_source_code_and_has_no_line_of_ours(
    text: str, shown: str
) -> None:
    assert safe_report(text) == shown
    assert safe_report(shown) == shown


def test_of_a_huge_text_only_the_ends_are_read() -> None:
    assert trimmed("a" * 2 * READ) == "a" * 2 * READ
    assert trimmed("a" * (2 * READ) + "b") == f"{'a' * READ} ... {'a' * (READ - 1)}b"
    assert safe_text("a" + "b" * 10**7 + "c") == f"a{'b' * 149} ... {'b' * 79}c"
    assert safe_text(" " * 3 * READ) == "..."


def test_a_huge_text_is_read_at_its_ends_alone() -> None:
    ends = "a" * READ + "b" * READ
    assert trimmed(ends) == ends
    assert trimmed("a" * READ + "x" * 2 + "b" * READ) == f"{'a' * READ} ... {'b' * READ}"


@given(TEXTS)
@example(EVIL)
@example("kpi_gate" * 100)
@example("|" * 50 + "::error::" * 50)
def test_no_text_can_act_hide_or_look_like_a_line_of_ours(text: str) -> None:
    for shown in (one_line(text), safe_text(text), safe_text(text, 20, 0)):
        assert shown.isprintable()
        assert not [c for c in shown if unicodedata.bidirectional(c) in {"RLE", "RLO", "RLI"}]
        assert "kpi_gate" not in shown
        assert not re.search(r"\b[a-z_]+ ?\| ?[A-Z]", shown)
        assert not re.search(r"::(error|warning|notice|debug|set-output)( |::)", shown)
        assert "##[" not in shown
        shown.encode()
    assert len(safe_text(text)) <= 235


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters=":#|_ ")))
def test_a_plain_text_is_shown_as_it_is(text: str) -> None:
    assert one_line(text) == text


@given(TEXTS)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)


def test_an_exception_that_cannot_say_itself_is_told_by_its_type() -> None:
    with pytest.raises(Moody) as caught:
        raise Moody
    assert what_raised(caught.value).startswith("raised Moody: a Moody that cannot be shown (")
