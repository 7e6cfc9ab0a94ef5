"""The one check of tables that users write: all mistakes at once, each with what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jsonschema
import msgspec

from pytest_soak.model.metrics import NUMBER, sensible
from pytest_soak.model.safe_repr import safe_repr, safe_text
from pytest_soak.model.settings import Mistake

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator

T = TypeVar("T")
Names = Mapping[str, "Collection[str]"]
"""``{kind: the names there are}``, such as ``{"parameter": ..., "metric": ...}``."""


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
    try:
        return msgspec.convert(data, kind), ()
    except msgspec.ValidationError as error:  # what its __post_init__ refuses
        return None, (Mistake(where, safe_text(str(error))),)


@cache
def schema_of(kind: Hashable) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the dataclass *kind*; it refuses unknown keys."""
    (schema,), parts = msgspec.json.schema_components([kind])
    closed: dict[str, Any] = _closed({**schema, "$defs": parts})
    return closed


def schema_of_tables(kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the JSON schema of a table that has a table for each of *kinds*, by name."""
    schemas, parts = msgspec.json.schema_components(kinds.values())
    properties = dict(zip(kinds, schemas, strict=True))
    closed: dict[str, Any] = _closed({"type": "object", "properties": properties, "$defs": parts})
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
    table = schema.get("type") == "object" and "properties" in schema
    shut = {"additionalProperties": False} if table else {}
    return {**shut, **{key: _closed(part) for key, part in schema.items()}}


def _mistakes(
    data: object, schema: Mapping[str, Any], where: str, names: Names
) -> Iterator[Mistake]:
    """Yield what is wrong with *data*, in the order of its keys."""
    token = KNOWN.set(names)
    try:
        found: list[Any] = list(_validator_class()(schema).iter_errors(data))
    finally:
        KNOWN.reset(token)
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


KNOWN: ContextVar[Names] = ContextVar("KNOWN")
"""The names that texts are compared with, for the validator's keyword ``names``."""


@cache
def _validator_class() -> Any:  # noqa: ANN401 - jsonschema's validators share no public base class
    """Return JSON schema's validator with our keyword and our types; it takes long to make."""
    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)  # not 2.0
    types = types.redefine("number", lambda _, value: _is_number(value))
    types = types.redefine("array", lambda _, value: isinstance(value, list | tuple))
    extend: Any = jsonschema.validators.extend  # it has no types
    return extend(base, {"names": _named}, type_checker=types)


def _named(_: object, kind: str, given: object, __: object) -> Iterator[Any]:
    """Yield an error where *given* is no name of its *kind*."""
    names = KNOWN.get()
    if kind in names and isinstance(given, str) and given not in names[kind]:
        yield jsonschema.ValidationError(kind)


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
                yield unknown(place, "key", name, known)
    elif error.validator == "required":
        lacking = [name for name in limit if name not in given]
        if error.message.startswith(repr(lacking[0])):  # there is an error for each of them
            yield from (Mistake(place, f"{name} is missing") for name in lacking)
    elif error.validator == "names":
        yield unknown(place, limit, given, names[limit])
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
    "uniqueItems": lambda _: "each entry once",
}
"""What is allowed instead, by the keyword of the schema that refused it."""


def unknown(where: str, kind: str, given: object, known: Iterable[str]) -> Mistake:
    """Return the mistake that nothing of this *kind* is called *given*, with the nearest name.

    Args:
        where: The key under which it stands.
        kind: What was looked for, such as ``parameter``.
        given: The name that was given.
        known: The names there are.
    """
    names = list(known)
    close = difflib.get_close_matches(str(given), names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    return Mistake(where, f"unknown {kind} {safe_repr(given)}{hint}", ", ".join(names) or "nothing")


def _types(kinds: Iterable[object]) -> str:
    words = (TYPES[kind] for kind in kinds if isinstance(kind, str) and kind in TYPES)
    return " or ".join(dict.fromkeys(words))
