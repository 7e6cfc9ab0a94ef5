"""The one check of tables that users write: all mistakes at once, each with what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jsonschema
import msgspec

from pytest_soak.model.metrics import NUMBER, sensible
from pytest_soak.model.safe_repr import safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator

T = TypeVar("T")
Names = Mapping[str, "Collection[str]"]
"""``{kind: the names there are}``, such as ``{"parameter": ..., "metric": ...}``."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in what a user wrote.

    Args:
        where: The key, such as ``guards.cooldown.iterations``.
        what: What stands there.
        allowed: What may stand there.
    """

    where: str
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        line = f"{safe_text(self.where)}: {self.what}"
        return f"{line}; allowed: {self.allowed}" if self.allowed else line


def check(
    data: object, kind: type[T], where: str = "", names: Names | None = None
) -> tuple[T | None, tuple[Mistake, ...]]:
    """Read *data*, as TOML or JSON gives it, as a dataclass.

    Args:
        data: What the user wrote.
        kind: A dataclass whose fields are described by `pytest_soak.model.settings`.
        where: The key under which *data* stands, for the mistakes.
        names: The names that fields may refer to; a kind that is missing here is not checked.

    Returns:
        The object, None where there is a mistake; and all mistakes, in the order of their keys.
    """
    mistakes = tuple(_mistakes(data, schema_of(cast("Hashable", kind)), where, names or {}))
    if mistakes:
        return None, mistakes
    return msgspec.convert(data, kind), ()


@cache
def schema_of(kind: Hashable) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the dataclass *kind*; it refuses unknown keys."""
    (schema,), parts = msgspec.json.schema_components([kind])
    closed: dict[str, Any] = _closed({**schema, "$defs": parts})
    return closed


def _closed(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return *schema* without room for unknown keys, and with one word for a number."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("anyOf", [])[:2] == [{"type": "integer"}, {"type": "number"}]:
        rest = schema["anyOf"][2:]
        schema = {key: part for key, part in schema.items() if key != "anyOf"}
        schema |= {"anyOf": [{"type": "number"}, *rest]} if rest else {"type": "number"}
    shut = {"additionalProperties": False} if "properties" in schema else {}
    return {**shut, **{key: _closed(part) for key, part in schema.items()}}


def _mistakes(
    data: object, schema: Mapping[str, Any], where: str, names: Names
) -> Iterator[Mistake]:
    """Yield what is wrong with *data*, in the order of its keys."""
    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)  # not 2.0
    types = types.redefine("number", lambda _, value: _is_number(value))
    types = types.redefine("array", lambda _, value: isinstance(value, list | tuple))

    def named(_: Any, kind: str, given: object, __: object) -> Iterator[Any]:  # noqa: ANN401
        if kind in names and isinstance(given, str) and given not in names[kind]:
            yield jsonschema.ValidationError(kind)

    extend: Any = jsonschema.validators.extend  # it has no types
    validator = extend(base, {"names": named}, type_checker=types)(schema)
    found: Iterable[Any] = validator.iter_errors(data)
    for error in sorted(found, key=lambda error: [str(part) for part in error.absolute_path]):
        for part in _parts(error):
            yield from _told(part, where, names)


def _parts(error: Any) -> list[Any]:  # noqa: ANN401 - jsonschema's
    """Return what is wrong with the one alternative that a user can write: TOML has no null."""
    if error.validator == "anyOf":
        written = [at for at, part in enumerate(error.validator_value) if part != {"type": "null"}]
        if len(written) == 1:
            return [part for part in error.context if part.schema_path[0] == written[0]]
    return [error]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and sensible(value)


TYPES = {
    "integer": "a whole number",
    "number": NUMBER,
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


def _told(error: Any, where: str, names: Names) -> Iterator[Mistake]:  # noqa: ANN401 - jsonschema's
    """Yield *error* of the validator as mistakes, in the words of the schema."""
    place = ".".join(filter(None, (where, *map(str, error.absolute_path))))
    given, limit = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in given:
            if name not in known:
                yield Mistake(place, _unknown("key", name, known), ", ".join(known) or "nothing")
    elif error.validator == "required":
        lacking = [name for name in limit if name not in given]
        if error.message.startswith(repr(lacking[0])):  # there is an error for each of them
            yield from (Mistake(place, f"{name} is missing") for name in lacking)
    elif error.validator == "names":
        known = names[limit]
        yield Mistake(place, _unknown(limit, given, known), ", ".join(known) or "none")
    elif error.validator in ALLOWED:
        yield Mistake(place, f"{safe_repr(given)} given", ALLOWED[error.validator](error))
    else:
        yield Mistake(place, safe_text(error.message))


ALLOWED: Mapping[str, Callable[[Any], str]] = {
    "type": lambda error: _types([error.validator_value]),
    "anyOf": lambda error: _types(part.get("type") for part in error.validator_value),
    "minimum": lambda error: f"{error.validator_value:g} or more",
    "maximum": lambda error: f"{error.validator_value:g} or less",
    "exclusiveMinimum": lambda error: f"above {error.validator_value:g}",
    "enum": lambda error: ", ".join(map(str, error.validator_value)),
    "pattern": lambda error: str(error.schema.get("allowed", error.validator_value)),
}
"""What is allowed instead, by the keyword of the schema that refused it."""


def _unknown(kind: str, given: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(given), list(known), n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {safe_repr(given)}{hint}"


def _types(kinds: Iterable[object]) -> str:
    words = (TYPES[kind] for kind in kinds if isinstance(kind, str) and kind in TYPES)
    return " or ".join(dict.fromkeys(words))
