"""Hostile values: Python objects and texts from careless or malicious programs."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


def refuse(*args: object, **kwargs: object) -> NoReturn:
    """Raise in every method."""
    msg = "this object does not want to be looked at"
    raise RuntimeError(msg)


def touchy(base: type, *methods: str) -> Any:
    """Return a subclass of *base* whose *methods* raise."""
    body: dict[str, object] = dict.fromkeys(methods, refuse)
    if base.__hash__ is not None:
        body["__hash__"] = base.__hash__  # or a class with an __eq__ has none
    return type(f"Touchy{base.__name__.title()}", (base,), body)


LOOKS = ("__repr__", "__str__", "__format__")
ORDER = ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__")
SUMS = ("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__float__", "__int__")
WALKS = ("__len__", "__iter__", "__contains__", "__getitem__", "__bool__")

Mute: Any = touchy(object, *LOOKS)
Blind: Any = touchy(object, *LOOKS, *ORDER, *SUMS, *WALKS)
TouchyDict: Any = touchy(dict, *LOOKS, *ORDER, *WALKS, "get", "items", "keys", "values", "copy")
TouchyList: Any = touchy(list, *LOOKS, *ORDER, *WALKS)
TouchyFloat: Any = touchy(float, *LOOKS, *ORDER, *SUMS, "__bool__", "is_integer")
TouchyInt: Any = touchy(int, *LOOKS, *ORDER, *SUMS, "__bool__", "__index__")
TouchyStr: Any = touchy(str, *LOOKS, *ORDER[:4], "__len__", "encode", "split", "lower", "upper")


class FloatLike(float):
    """A subclass of float, like numpy's float64."""

    def __repr__(self) -> str:
        return f"FloatLike({float(self)!r})"


class IntLike(int):
    """A subclass of int."""


class TextLike(str):
    """A subclass of str."""

    __slots__ = ()


class DictLike(dict[Any, Any]):
    """A subclass of dict."""


class Moody(Exception):
    """An exception whose text cannot be formatted."""

    __str__ = __repr__ = refuse


class Scalar:
    """A number that is not a subclass of float, like numpy's float32."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Colour(IntEnum):
    """A number with a name, from an enum."""

    RED = 1


def nested(depth: int, wrap: Callable[[object], object], core: object) -> object:
    """Return *core* wrapped *depth* times."""
    for _ in range(depth):
        core = wrap(core)
    return core


def circle(random: Random) -> object:
    """Return a container that contains itself."""
    if random.random() < 0.5:
        ring: list[object] = [1]
        ring.append(ring)
        return ring
    loop: dict[str, object] = {"value": math.nan}
    loop["self"] = loop
    return loop


def deep(random: Random) -> object:
    """Return a deeply nested container."""
    depth = random.choice((20, 37, 38, 39, 40, 41, 60, 200, 990, 3000))
    wrap: Callable[[object], object] = random.choice(
        (lambda core: [core], lambda core: {"in": core}, lambda core: (core,))
    )
    return nested(depth, wrap, random.choice((1, math.nan, None, Mute())))


TEXTS = ("", " ", "x", "4", "true", "null", "NaN", "1e999", "\x00", "\ud800", "\u202e",
         "a\nb", "[/b]", "%s%n", "{0}", "'; --", "\ufeff", "🦈", "é" * 300, "../../x",
         "|", "\\")  # fmt: skip
NUMBERS = (0, 1, -1, 4, 0.5, -0.0, 1e-9, 5e-324, 1.7e308, -1.7e308, 2**53 + 1, 10**30, math.nan,
           math.inf, -math.inf, 10**309, -(10**309), 10**4299, 10**5000, -(10**5000))  # fmt: skip


def text(random: Random) -> str:
    """Return a text, sometimes a huge one."""
    if random.random() < 0.01:
        return random.choice(("A", "\ud800", "é")) * 100_000
    return random.choice(TEXTS)


def number(random: Random) -> float:
    """Return a number, usable or not."""
    return random.choice((*NUMBERS, random.uniform(-1e3, 1e3), random.randrange(1000)))


OBJECTS: tuple[Callable[[Random], object], ...] = (
    lambda random: None,
    lambda random: random.random() < 0.5,
    number,
    number,
    text,
    lambda random: FloatLike(random.choice((0.01, 4, math.nan, math.inf))),
    lambda random: IntLike(random.choice((0, 3, 10**400))),
    lambda random: TextLike("4"),
    lambda random: Colour.RED,
    lambda random: Scalar(3.0),
    lambda random: TouchyFloat(random.choice((0.01, 3, math.nan))),
    lambda random: TouchyInt(random.choice((0, 3, 10**400))),
    lambda random: TouchyStr("4"),
    lambda random: Mute(),
    lambda random: Blind(),
    lambda random: TouchyDict({"share": 0.1}),
    lambda random: TouchyList([1, 2]),
    lambda random: Decimal(random.choice(("NaN", "1.5", "1e9999"))),
    lambda random: Fraction(1, 3),
    lambda random: 1j,
    lambda random: random.choice((b"4", bytearray(b"4"), memoryview(b"4"))),
    lambda random: random.choice(({1, 2}, frozenset(("x",)), range(3), (1, (2, 3)))),
    lambda random: (value for value in (1, 2)),
    lambda random: random.choice((refuse, len, Mute, json, ..., NotImplemented)),
    lambda random: random.choice((Path("x"), dt.datetime(2020, 1, 1, tzinfo=dt.UTC))),
    lambda random: Exception("a\nb"),
    circle,
    deep,
    lambda random: [anything(random) for _ in range(random.randrange(4))],
    lambda random: {key(random): anything(random) for _ in range(random.randrange(4))},
    lambda random: DictLike(share=anything(random), count=3),
    lambda random: {"share": anything(random)},
)


def anything(random: Random) -> object:
    """Return any object."""
    return random.choice(OBJECTS)(random)


def key(random: Random) -> Any:
    """Return something that can be a key."""
    odd = (
        1,
        2.5,
        None,
        True,
        (1, 2),
        b"k",
        Mute(),
        math.nan,
        TextLike("k"),
        10**5000,
        TouchyStr("k"),
    )
    return text(random) if random.random() < 0.5 else random.choice(odd)


def json_value(random: Random, depth: int = 0) -> object:
    """Return a value for JSON in Python's dialect."""
    pick = random.random()
    if pick < 0.45:
        return number(random)
    if pick < 0.7 or depth > 2:
        return random.choice((True, False, None, text(random)))
    if pick < 0.85:
        return [json_value(random, depth + 1) for _ in range(random.randrange(4))]
    return {text(random): json_value(random, depth + 1) for _ in range(random.randrange(4))}


def spelt(value: object) -> str:
    """Return *value* as JSON; integers of any length."""
    if isinstance(value, dict):
        body = ", ".join(f"{json.dumps(name)}: {spelt(entry)}" for name, entry in value.items())
        return f"{{{body}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(spelt, value))}]"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**4000:
        return ("-" if value < 0 else "") + "1" + "0" * (4299 if abs(value) == 10**4299 else 5000)
    return json.dumps(value)


def mangled(random: Random, data: bytes) -> bytes:
    """Return *data* with a few bytes flipped, cut, doubled or put in."""
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.randint(1, 30))
        how = random.randrange(6)
        if how == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes((data[at] ^ (1 << random.randrange(8)),)) + data[at + 1 :]
        elif how == 1:
            data = data[:at] + data[to:]
        elif how == 2:
            data = data[:to] + data[at:]
        elif how == 3:
            data = data[:at]
        elif how == 4:
            data = data[:at] + random.randbytes(random.randint(1, 8)) + data[at:]
        else:
            data = data[:at] + random.choice(TOKENS) + data[at:]
    return data


TOKENS = (b"NaN", b"1e999", b"null", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n",
          b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"true", b"-", b"\\u0000",
          b"1" * 5000, b"[" * 3000, b"=", b"#", b"'")  # fmt: skip
