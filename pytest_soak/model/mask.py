"""What is a secret, and the mask that replaces its value by ``[secret NAME]``."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SHORTEST = 4
"""How many characters a secret must have; shorter text occurs everywhere by chance."""
MOST = 64
"""How many earlier values of secrets are masked; only the latest are kept."""
SHORTEST_CODED = 8
"""How many characters an encoded form must have to be masked."""
PIECE = 16
"""How many characters in a row of a secret, or of a form of it, are masked where the rest is gone.

Others shorten texts too: pytest shows the beginning and the end of a long value of a variable.
"""
BACKSLASH = "\\"
SHELL = "'\"'\"'"
"""An apostrophe, as a shell quotes it."""
CODES = ((3, 6, base64.b64encode), (5, 5, base64.b32encode))
"""For base64 and base32: bytes of a whole group, bits of a character, and the function."""


def letters(text: str) -> str:
    """Return a pattern for *text* in which each character may be escaped.

    The escapes are those of URLs, JSON, Python, HTML, XML and shells. A character that cannot be
    printed may be replaced by ``?`` or U+FFFD.

    No character may be found in two ways at one place. Otherwise, where a text breaks off, `re`
    tries every combination: a million for 20 characters.
    """
    found = re.findall(r'(\\*)([^\\]?)(?=("?))', text)
    pattern = "".join(_letter(one, len(run), after) for run, one, after in found)
    if "'\"" in text:  # where an apostrophe as a shell quotes it looks like three of the text
        pattern = "|".join((re.escape(text.replace("'", SHELL)), pattern, re.escape(text)))
    return pattern


def _letter(one: str, run: int, after: str) -> str:
    """Return the pattern of a *run* of so many backslashes, and the character *one* after it."""
    alone = _after(0, one, after)
    if not run:
        return alone
    many = "|".join((*_plain(BACKSLASH, ""), rf"\\{{1,4}}(?:{'|'.join(_escapes(BACKSLASH))})"))
    return rf"(?:{_after(run, one, after)}|(?:{many}){{{run}}}{alone})"


def _after(run: int, one: str, after: str) -> str:
    """Return the pattern of *one* after a *run* of backslashes, each written as up to four.

    They are counted together with the backslashes of the escapes of *one*, if that is not empty.
    """
    most = 4 * run + (4 if one and not one.isalnum() else 0)
    before = rf"\\{{{run},{most}}}" if most else ""
    if not one:
        return before
    # Before a quotation mark, an apostrophe may not be the first of the five that a shell writes.
    itself = re.escape(one) + (rf"(?!{SHELL[1:]}(?!\"))" if one == "'" and after else "")
    plain, escapes = "|".join((*_plain(one, after), itself)), "|".join(_escapes(one))
    return rf"(?:{before}(?:{plain})|\\{{{run + 1},{4 * run + 4}}}(?:{escapes}))"


def _plain(one: str, after: str) -> Iterator[str]:
    """Yield the patterns of what stands for *one* without a backslash, beside itself.

    Args:
        one: The character.
        after: What is after it, if that is a quotation mark.
    """
    yield "".join(f"%{byte:02x}" for byte in one.encode(errors="surrogateescape"))
    # "&#38;" is one ampersand, not one and "#38;"; and "&#59;" is one semicolon, not two.
    begin = "(?:&|(?<!&))" if one == "&" else "&?"
    end = ";?+" if one == ";" else ";?"
    yield rf"{begin}#(?:0*{ord(one)}|x0*{ord(one):x}){end}"
    if escape(one)[:2] not in (one, "&#"):
        yield re.escape(escape(one))
    if one == " ":
        yield r"\+"
    if one == "'":
        yield f'{SHELL}(?!")' if after else SHELL
    if not one.isprintable():
        yield from (r"\?", "\ufffd")


def _escapes(one: str) -> Iterable[str]:
    """Return the patterns of what stands for *one* after a backslash."""
    raw = one.encode(errors="surrogateescape")
    wide = one.encode("utf-16-be", "surrogatepass")
    units = [wide[at : at + 2].hex() for at in range(0, len(wide), 2)]
    found = [
        r"\\{1,4}".join(f"u{unit}" for unit in units),
        r"\\{1,4}".join(f"x{byte:02x}" for byte in raw),
        f"U{ord(one):08x}",
        *([f"x{ord(one):02x}"] if ord(one) < 0x100 else []),  # noqa: PLR2004 - two digits
    ]
    signs = (say(one)[2:-1] for say in (repr, json.dumps))  # such as the n of a line break
    return dict.fromkeys((*found, *(sign for sign in signs if len(sign) == 1 and sign != one)))


def whole(value: str) -> set[str]:
    """Return *value*, also without space around it and on one line, if long enough to be masked."""
    texts = {value, value.strip(), " ".join(value.split())}
    return {text for text in texts if len(text) >= SHORTEST}


def lines_of(value: str) -> set[str]:
    """Return *value* and its lines, without those that are too short to be masked."""
    lines = map(str.strip, value.splitlines())
    return whole(value) | {line for line in lines if len(line) >= SHORTEST}


def coded(text: str) -> Iterator[str]:
    """Yield *text* in hexadecimal digits, base64 and base32, if that is long enough to be masked.

    It may stand inside a longer encoded text, as in ``user:password``. So it is encoded at every
    offset, without the characters to which what stands beside it contributes.
    """
    raw = text.encode(errors="surrogateescape")
    found = [raw.hex()]
    for group, bits, encode in CODES:
        for shift in range(group):
            inside = encode(bytes(shift) + raw).decode()
            inside = inside[-(-8 * shift // bits) : 8 * (shift + len(raw)) // bits]
            found += [inside, inside.replace("+", "-").replace("/", "_")]
    yield from (form for form in dict.fromkeys(found) if len(form) >= SHORTEST_CODED)


def secret_names(*owners: object) -> tuple[str, ...]:
    """Return the environment variables that *owners*, such as a pack and a system, call secret."""
    names = (name for owner in owners for name in getattr(owner, "secrets", ()))
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Mask:
    """Hides the values of secrets.

    Args:
        values: ``{name: value}``.
        more: ``(name, value)`` for each further value that a name has had.
        names: The names that are secret, including those without a value.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    more: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        """Tell whether it hides anything."""
        return bool(self._texts)

    @cached_property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return (*self.values.items(), *self.more)

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {text: name for name, value in self._pairs for text in lines_of(value)}

    @cached_property
    def _pieces(self) -> dict[str, str]:
        return {piece: name for name, value in self._pairs for piece in pieces_of(value)}

    def text(self, text: str) -> str:
        """Return *text* with the values of secrets, and pieces of them, replaced by their names."""
        if not self._texts:
            return text
        text = self._without_pieces(self._replaced(text))
        return self._replaced(text, lines=True)

    def _replaced(self, text: str, *, lines: bool = False) -> str:
        for name, value in sorted(self._pairs, key=_length, reverse=True):
            pattern, word = looked_for(value, lines=lines), f"[secret {name}]".replace("\\", r"\\")
            text = pattern.sub(word, text) if pattern else text
        return text

    def _without_pieces(self, text: str) -> str:
        pieces, kept, copied, end = self._pieces, [], 0, 0
        for start in range(len(text) - PIECE + 1 if pieces else 0):
            name = pieces.get(text[start : start + PIECE])
            if name is not None:
                if start > end or not end:
                    kept += [text[copied:start], f"[secret {name}]"]
                copied = end = start + PIECE
        return "".join((*kept, text[copied:]))

    def data(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return plain JSON *value* with its text masked, and numbers that are a secret."""
        if not self._texts:
            return value
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return (
                [*map(self.data, value)] if isinstance(value, list) else (*map(self.data, value),)
            )
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, int | float):
            return value
        ways = [str(value), str(abs(value))]  # a secret of digits may be sent as a number
        if isinstance(value, float) and value.is_integer():
            ways += [str(int(value)), str(abs(int(value)))]
        found = next((self._texts[way] for way in ways if way in self._texts), "")
        return f"[secret {found}]" if found else value

    @classmethod
    def of(cls, names: Iterable[str], environ: Mapping[str, str]) -> Mask:
        """Return the mask of the variables called *names*, with the values in *environ*."""
        names = tuple(names)
        return cls({name: environ[name] for name in names if environ.get(name)}, (), names)

    def and_of(self, other: Mask) -> Mask:
        """Return a mask that hides what this one and the *other* hide."""
        new = tuple(pair for pair in other._pairs if pair not in self._pairs)
        names = tuple(dict.fromkeys((*self.names, *other.names)))
        if not new and names == self.names:
            return self
        return Mask(self.values, (*self.more, *new)[-MOST:], names)

    def seeing(self, environ: Mapping[str, str]) -> Mask:
        """Return a mask that also hides the values that its names have in *environ* now."""
        return self.and_of(Mask.of(self.names, environ))


def _length(pair: tuple[str, str]) -> int:
    return len(pair[1])


@lru_cache(maxsize=4 * MOST)
def looked_for(value: str, *, lines: bool) -> re.Pattern[str] | None:
    """Return the pattern of all forms of a secret's *value*, or None if it is too short.

    The longest form comes first, so that no part of it is left.

    Args:
        value: The secret's value.
        lines: Whether to look for its lines, which is done after whole values are masked.
    """
    texts = lines_of(value) - whole(value) if lines else whole(value)
    found = [(len(text), letters(text)) for text in texts]
    found += [(len(form), re.escape(form)) for text in texts for form in coded(text)]
    found.sort(key=lambda one: one[0], reverse=True)
    return re.compile("|".join(each for _, each in found), re.IGNORECASE) if found else None


@lru_cache(maxsize=2 * MOST)
def pieces_of(value: str) -> frozenset[str]:
    """Return every piece of `PIECE` characters of a secret's *value* and of its usual forms."""
    forms: set[str] = set()
    for text in lines_of(value):
        if len(text) > PIECE:
            say = (quote(text, safe="", errors="surrogateescape"), json.dumps(text), repr(text))
            forms.update((text, *(form.strip("\"'") for form in say)))
        forms.update(case(form) for form in coded(text) for case in (str, str.lower, str.upper))
    return frozenset(form[at : at + PIECE] for form in forms for at in range(len(form) - PIECE + 1))
