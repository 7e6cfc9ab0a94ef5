"""The mask that hides secrets: ``[secret NAME]`` stands where a value of one was."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SHORTEST = 4
"""How many letters a secret must have: shorter ones stand in everything that is written."""
SHORTEST_CODED = 8
"""How many letters of a coded form must be left to be looked for."""


def forms(value: str) -> Iterator[str]:
    """Yield the ways in which *value* is written: itself, its lines, quoted, and coded."""
    for text in {value, value.strip(), *map(str.strip, value.splitlines())}:
        yield text
        yield repr(text)[1:-1]
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield quote(text, safe="")
        yield quote_plus(text)
        raw = text.encode(errors="surrogateescape")
        coded = [raw.hex()]
        for shift in range(3):  # wherever it stands in what was encoded, such as user:password
            inside = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
            inside = inside[(0, 2, 3)[shift] : -1 if (shift + len(raw)) % 3 else None]
            coded += [inside, inside.replace("+", "-").replace("/", "_")]
        yield from (form for form in coded if len(form) >= SHORTEST_CODED)


@dataclass(frozen=True)
class Mask:
    """Hides the values of secrets.

    Args:
        values: ``{name: value}``.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def _names(self) -> dict[str, str]:
        found = {form: name for name, value in self.values.items() for form in forms(value)}
        return {form: name for form, name in found.items() if len(form) >= SHORTEST}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self._names, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest)))

    def text(self, text: str) -> str:
        """Return *text* with the names of secrets in place of their values."""
        if not self._names:
            return text
        return self._pattern.sub(lambda match: f"[secret {self._names[match[0]]}]", text)

    def data(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return plain JSON *value* with its texts masked, and numbers that are a secret."""
        if not self._names:
            return value
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.data, value))
        if isinstance(value, str):
            return self.text(value)
        number = isinstance(value, int | float) and str(value) in self._names
        return self.text(str(value)) if number else value

    @classmethod
    def of(cls, names: Iterable[str], environ: Mapping[str, str]) -> Mask:
        """Return the mask of those variables called *names* that *environ* has."""
        return cls({name: environ[name] for name in names if environ.get(name)})

    def and_of(self, other: Mask) -> Mask:
        """Return a mask that hides what this one and the *other* hide."""
        return Mask({**self.values, **other.values}) if other.values else self
