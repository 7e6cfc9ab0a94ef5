"""Secrets: the names that packs and systems declare, with all their past and present values."""

from __future__ import annotations

import base64
import json
import signal
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from pytest_soak.model.mask import Mask, looked_for, pieces_of, secret_names


@pytest.fixture(autouse=True)
def _no_pattern_is_known() -> None:
    looked_for.cache_clear()
    pieces_of.cache_clear()


def hidden(value: str, text: str) -> str:
    return Mask({"KEY": value}).text(text)


def test_what_is_secret_is_what_packs_and_systems_declare() -> None:
    pack, system = SimpleNamespace(secrets=("KEY", "PIN")), SimpleNamespace(secrets=("PIN", "URL"))
    assert secret_names(pack, object(), system, None) == ("KEY", "PIN", "URL")


def test_a_mask_hides_the_values_that_its_names_get_later_and_those_they_had() -> None:
    mask = Mask.of(("KEY", "PIN"), {"KEY": "first one", "OTHER": "no secret"})
    later = mask.seeing({"KEY": "second one", "PIN": "123456"})
    text = "first one, second one, 123456, no secret"
    assert later.text(text) == "[secret KEY], [secret KEY], [secret PIN], no secret"
    assert later.seeing({"KEY": "second one"}) is later


def test_a_mask_that_takes_up_another_also_takes_up_names_without_a_value() -> None:
    mask = Mask().and_of(Mask.of(("KEY",), {}))
    assert not mask
    assert mask.seeing({"KEY": "a value"}).text("a value") == "[secret KEY]"


def test_a_mask_without_names_sees_nothing() -> None:
    mask = Mask({"KEY": "a value"})
    assert mask.seeing({"KEY": "another"}) is mask


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("it's hidden", "it'\"'\"'s hidden"),
        ("it'\"s hidden", "it'\"'\"'\"s hidden"),
        ("it'\"s hidden", "it'\"'\"'\\\"s hidden"),
        ("it'\"'\"'s hidden", "it'\"'\"'s hidden"),
        ("it'\"'\"\\hid", "it'\"'\"\\\\hid"),
        ("half\x00and", "half?and"),
        ("half\x00and", "half\ufffdand"),
        ("café au lait", r"caf\xc3\xa9 au lait"),
        ("café au lait", r"caf\xe9 au lait"),
        ("café au lait", r"caf\u00e9 au lait"),
        ("café au lait", r"caf\U000000e9 au lait"),
        ("two words", "two+words"),
        ("C:\\one", "C:" + 4 * "\\" + "one"),
        ("C:\\one", "C:&#92;one"),
        ("one\ntwo", r"one\ntwo"),
        ("ab1c", "61623163"),
    ],
)
def test_a_secret_is_hidden_in_the_way_that_its_letters_are_written(
    value: str, written: str
) -> None:
    assert hidden(value, f"<{written}>") == "<[secret KEY]>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("half-and", "half+and half?and half\ufffdand half'\"'\"'and"),
        ("\u0100 word", r"\x100 word"),
        ("C:\\one", "C:" + 5 * "\\" + "one"),
        ("abcd", "abce abc"),
        ("half;;", "half&#59;"),
        ("half&&", "half&#38;"),
    ],
)
def test_what_only_resembles_a_secret_is_not_hidden(value: str, text: str) -> None:
    assert hidden(value, text) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", r"\x61"),
        ("\x01", r"\x01"),
        ("\x01", r"\u0001"),
        ("\u6f22", r"\u6f22"),
        ("\U0001f988", r"\ud83e\udd88"),
        ("'", "&#x27;"),
        ('"', r"\""),
        (";", "&#59;"),
        ("&", "&#38;"),
        ("\\'", r"\\\\'"),
        ("\\\u6f22", r"\\\\\u6f22"),
        ("'\"", "'\""),
        ("'\"", "'\"'\"'\\\""),
    ],
)
def test_a_text_that_is_a_secret_but_for_its_end_is_looked_at_in_a_moment(
    value: str, written: str
) -> None:
    """If only two ways led through each character, there would be 2 ** 100 to try."""

    def tired(*_: object) -> None:
        pytest.fail("it takes more than 20 s")

    kept = signal.signal(signal.SIGALRM, tired)
    signal.setitimer(signal.ITIMER_REAL, 20)
    try:
        assert hidden(100 * value, f"<{100 * written}>") == "<[secret KEY]>"
        assert hidden(100 * value + "z", f"<{100 * written}y>").endswith("y>")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)


@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("before", ["", "u", "u:", "abc", "user", "user:"])
@pytest.mark.parametrize(
    "value", ["~~~???>>>~~~", "abcdefghiabW", "k3y-of-house", "0123456789abcd"]
)
def test_no_letter_of_a_secret_is_left_in_base64_and_base32(
    value: str, before: str, after: str
) -> None:
    codes = ((base64.b64encode, 6), (base64.urlsafe_b64encode, 6), (base64.b32encode, 5))
    for encode, bits in codes:
        start, end = -(-8 * len(before) // bits), 8 * len(before + value) // bits
        coded = encode((before + value + after).encode()).decode()
        assert hidden(value, coded) == f"{coded[:start]}[secret KEY]{coded[end:]}"


PHRASE = "correct-horse/battery+staple&more caf\xe9\t~~~???>>>"


@pytest.mark.parametrize(
    "written",
    [
        PHRASE,
        " ".join(PHRASE.split()),
        quote(PHRASE, safe=""),
        json.dumps(PHRASE)[1:-1],
        repr(PHRASE)[1:-1],
        PHRASE.encode().hex(),
        PHRASE.encode().hex().upper(),
        base64.b64encode(f"u:{PHRASE}".encode()).decode()[3:-4],
        base64.urlsafe_b64encode(PHRASE.encode()).decode()[:-4],
        base64.b32encode(PHRASE.encode()).decode().rstrip("=")[:-1].lower(),
    ],
    ids=["text", "line", "url", "json", "repr", "hex", "HEX", "base64", "urlsafe", "base32"],
)
def test_of_a_long_secret_sixteen_characters_are_hidden_and_fifteen_are_not(written: str) -> None:
    mask = Mask({"KEY": PHRASE})
    for at in range(len(written) - 15):
        assert mask.text(f"|{written[at : at + 16]}|") == "|[secret KEY]|"
        assert mask.text(written[at : at + 16]) == "[secret KEY]"
    assert mask.text(f"|{written[:15]}|") == f"|{written[:15]}|"


def test_pieces_that_overlap_or_touch_are_hidden_as_one() -> None:
    mask = Mask({"KEY": PHRASE})
    assert mask.text(f"a {PHRASE[3:25]} b") == "a [secret KEY] b"
    assert mask.text(f"a {PHRASE[:16] * 2} b") == "a [secret KEY] b"
    assert mask.text(f"{PHRASE[:16]}, {PHRASE[2:18]}!") == "[secret KEY], [secret KEY]!"
    assert mask.text(f"{PHRASE[:16]}-{PHRASE[2:18]}") == "[secret KEY]-[secret KEY]"


def test_names_are_shown_as_they_are_and_a_value_that_is_too_short_is_not_looked_for() -> None:
    mask = Mask({r"ODD\1": "abcd", "SHORT": "xy"})
    assert mask
    assert mask.text("abcd xy") == r"[secret ODD\1] xy"
    assert not Mask({"SHORT": "xy"})


def test_in_data_keys_and_values_are_hidden_at_every_depth() -> None:
    data = Mask({"KEY": "abcd"}).data({"abcd": 1, "more": [{"x": ("abcd", None)}]})
    assert data == {"[secret KEY]": 1, "more": [{"x": ("[secret KEY]", None)}]}


@pytest.mark.parametrize(
    ("value", "number"),
    [("-4815", -4815), ("-4815", -4815.0), ("4815.0", 4815.0), ("48.15", 48.15), ("48.15", -48.15)],
)
def test_a_number_is_hidden_as_it_is_written_with_or_without_its_sign(
    value: str, number: float
) -> None:
    assert Mask({"PIN": value}).data(number) == "[secret PIN]"
    assert Mask({"PIN": value}).data([4816, 4816.0, True]) == [4816, 4816.0, True]
