"""What strategies hand over: bounded, and without secrets, before anything else looks at it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_soak.model.mask import Mask

MOST_ENTRIES = 2000
"""How many entries all tuples and mappings of one answer may have together."""
MOST_CHARACTERS = 20_000
"""How many characters all texts of one answer may have together."""
DEEPEST = 8
"""How deep an answer is read. No answer that can be used is nested deeper than 4."""
OUR_WORDS = (Corridor, Note, Verdict)


class UnusableAnswer(Exception):
    """What is wrong with an answer, without the name of its owner."""


def received(answer: object, mask: Mask, known: Iterable[object] = ()) -> Any:  # noqa: ANN401 - as before
    """Return *answer* without secrets; the same object if it has none.

    Done before anything else looks at it, because an error may show a part of it.

    Args:
        answer: What a strategy returned, which may be anything.
        mask: Hides the secrets.
        known: Parts of it that came from us, which are neither counted nor masked.

    Raises:
        UnusableAnswer: It has too many entries or characters.
    """
    return _Reader(mask, known).read(answer)


class _Reader:
    def __init__(self, mask: Mask, known: Iterable[object]) -> None:
        self._mask = mask
        self._known = set(map(id, known))
        self._entries = self._characters = 0

    def read(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - anything
        if id(value) in self._known or isinstance(value, OUR_WORDS):
            return value
        if isinstance(value, str):
            return self._text(value)
        if depth == DEEPEST:
            return f"nested deeper than {DEEPEST}"
        if is_dataclass(value) and not isinstance(value, type):
            old = {field.name: getattr(value, field.name) for field in fields(value)}
            new = {name: self.read(part, depth + 1) for name, part in old.items()}
            changed = {name: part for name, part in new.items() if part is not old[name]}
            return replace(value, **changed) if changed else value
        if isinstance(value, Mapping | tuple | list | AbstractSet):
            return self._collection(value, depth)
        return self._other(value)

    def _text(self, text: str) -> str:
        self._characters += str.__len__(text)
        if self._characters > MOST_CHARACTERS:
            msg = f"handed over more than {MOST_CHARACTERS} characters of text, the most allowed"
            raise UnusableAnswer(msg)
        masked = self._mask.text(str.__str__(text))
        return text if masked == str.__str__(text) else masked

    def _collection(self, value: Collection[Any], depth: int) -> Collection[Any]:
        self._entries += len(value)
        if self._entries > MOST_ENTRIES:
            msg = f"handed over more than {MOST_ENTRIES} entries, the most allowed"
            raise UnusableAnswer(msg)
        if isinstance(value, Mapping):
            pairs = [*value.items()]
            read = [(self.read(k, depth + 1), self.read(v, depth + 1)) for k, v in pairs]
            same = all(k is a and v is b for (k, v), (a, b) in zip(pairs, read, strict=True))
            return value if same else dict(read)
        entries = [*value]
        new = [self.read(entry, depth + 1) for entry in entries]
        same = all(one is other for one, other in zip(entries, new, strict=True))
        return value if same else tuple(new) if isinstance(value, tuple) else new

    def _other(self, value: object) -> object:
        """Return a number, or an object that no answer can use; as text if it shows a secret."""
        if not self._mask:
            return value
        if value is None or isinstance(value, int | float):
            return self._mask.data(value)
        text = repr(value)
        masked = self._mask.text(text)
        return value if masked == text else masked
