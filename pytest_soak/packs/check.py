"""The check of all tables that users write. It finds all mistakes, each with what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jsonschema
import msgspec

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.metrics import NUMBER, sensible
from pytest_soak.model.safe_repr import did_you_mean, safe_repr, safe_text
from pytest_soak.model.settings import Mistake

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator

T = TypeVar("T")
Names = Mapping[str, "Collection[str]"]
"""``{kind: the known names}``, such as ``{"parameter": ..., "metric": ...}``."""


def check(
    data: object, kind: type[T], where: str = "", names: Names | None = None
) -> tuple[T | None, tuple[Mistake, ...]]:
    """Read *data*, as TOML or JSON gives it, as a dataclass.

    Args:
        data: What the user wrote.
        kind: A dataclass whose fields are described by `pytest_soak.model.settings`.
        where: The key of *data*, for the mistakes.
        names: The names that fields may refer to; a kind that is missing here is not checked.

    Returns:
        The object, or None if there are mistakes; and all mistakes, in the order of their keys.
    """
    mistakes = tuple(_mistakes(data, kind, where, names or {}))
    if mistakes:
        return None, mistakes
    try:
        return msgspec.convert(data, kind), ()
    except msgspec.ValidationError as error:  # raised by its __post_init__
        return None, (Mistake(where, safe_text(str(error))),)


def sound_part(data: dict[str, Any], kind: type[T], names: Names | None = None) -> T:
    """Return *data* as a dataclass without its invalid parts, see `sound_data`."""
    return msgspec.convert(sound_data(data, kind, names), kind)


def sound_data(data: dict[str, Any], kind: type, names: Names | None = None) -> dict[str, Any]:
    """Return *data* without the parts that *kind* refuses, so that the rest can be checked.

    Args:
        data: A table, as for `check`.
        kind: A dataclass in which every field has a default.
        names: As for `check`.
    """
    data = copy.deepcopy(data)
    while errors := _errors(data, kind, names or {}):  # removing a part may break another rule
        for error in errors:
            _mark(data, error)
        data = _without_marked(data)
    return data


GONE = object()
"""Marks an invalid part, which is then removed."""


def _mark(data: Any, error: Any) -> None:  # noqa: ANN401 - any JSON, and jsonschema's error
    """Mark the part of *data* that an *error* of the validator is about."""
    if error.validator == "additionalProperties":
        for name in error.instance.keys() - error.schema["properties"].keys():
            error.instance[name] = GONE
        return
    keys = list(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        keys.append(error.instance)
    *way, last = keys
    for key in way:
        data = data[key] if data is not GONE else GONE
    if data is not GONE:
        data[last] = GONE


def _without_marked(data: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(data, dict):
        return {key: _without_marked(part) for key, part in data.items() if part is not GONE}
    if isinstance(data, list):
        return [_without_marked(part) for part in data if part is not GONE]
    return data


def refuse(
    source: str, mistakes: Sequence[Mistake], layers: Mapping[str, object] | None = None
) -> None:
    """Raise an error if there are *mistakes* in *source*.

    Args:
        source: The file, or whatever else was checked.
        mistakes: What is wrong in it.
        layers: ``{source: its tables}``, the last one on top. If there are several, each line names
            the source of its key.

    Raises:
        SoakUsageError: With one line per mistake, up to a limit.
    """
    layers = layers or {}
    placed = [f"{_source(layers, one.where) or source}: {one}" for one in mistakes]
    named = len(layers) > 1 or len(mistakes) == 1
    lines = placed if named else [str(mistake) for mistake in mistakes]
    if mistakes:
        raise SoakUsageError(*lines, head=source, lines=placed)


def _source(layers: Mapping[str, object], where: str) -> str:
    """Return the topmost of *layers* that sets the key *where*, or an empty string."""
    for source in reversed(list(layers)):
        data: Any = layers[source]
        for key in where.split("."):
            data = data.get(key) if isinstance(data, Mapping) else None
        if data is not None:
            return source
    return ""


@cache
def schema_of(kind: Hashable) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the dataclass *kind*; it refuses unknown keys."""
    (root,), parts = msgspec.json.schema_components([kind])
    schema: dict[str, Any] = closed({**root, "$defs": parts})
    return schema


def schema_of_tables(kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the JSON schema of a table that contains one table for each of *kinds*, by name."""
    schemas, parts = msgspec.json.schema_components(kinds.values())
    properties = dict(zip(kinds, schemas, strict=True))
    schema: dict[str, Any] = closed({"type": "object", "properties": properties, "$defs": parts})
    return schema


def closed(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return *schema* with unknown keys forbidden and int-or-float written as ``number``."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("anyOf", [])[:2] == [{"type": "integer"}, {"type": "number"}]:
        rest = schema["anyOf"][2:]
        schema = {key: part for key, part in schema.items() if key != "anyOf"}
        schema |= {"anyOf": [{"type": "number"}, *rest]} if rest else {"type": "number"}
    table = schema.get("type") == "object" and "properties" in schema
    shut = {"additionalProperties": False} if table else {}
    return {**shut, **{key: closed(part) for key, part in schema.items()}}


def _mistakes(data: object, kind: type, where: str, names: Names) -> Iterator[Mistake]:
    """Yield the mistakes in *data*, in the order of its keys."""
    for error in sorted(
        _errors(data, kind, names), key=lambda error: [str(part) for part in error.absolute_path]
    ):
        yield from _told(error, where, names)


KNOWN: ContextVar[Names] = ContextVar("KNOWN")
"""The known names, for the validator's keyword ``names``."""


def _errors(data: object, kind: type, names: Names) -> list[Any]:
    """Return the validator's errors."""
    token = KNOWN.set(names)
    try:
        return list(_validator_class()(schema_of(cast("Hashable", kind))).iter_errors(data))
    finally:
        KNOWN.reset(token)


@cache
def _validator_class() -> Any:  # noqa: ANN401 - jsonschema's validators share no public base class
    """Return the JSON schema validator with our keyword and types. Creating it is slow."""
    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)  # not 2.0
    types = types.redefine("number", lambda _, value: _is_number(value))
    types = types.redefine("array", lambda _, value: isinstance(value, list | tuple))
    extend: Any = jsonschema.validators.extend  # it has no types
    return extend(base, {"names": _named}, type_checker=types)


def _named(_: object, kind: str, given: object, __: object) -> Iterator[Any]:
    """Yield an error if *given* is not a known name of its *kind*."""
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
    """Yield an *error* of the validator as mistakes."""
    place = ".".join(filter(None, (where, *map(str, error.absolute_path))))
    given, limit = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in given:
            if name not in known:
                yield unknown(place, "key", name, known)
    elif error.validator == "required":
        lacking = [name for name in limit if name not in given]
        if error.message.startswith(repr(lacking[0])):  # the validator has one error for each
            yield from (Mistake(place, f"{name} is missing") for name in lacking)
    elif error.validator == "names":
        yield unknown(place, limit, given, names[limit])
    elif inner := [part for part in error.context if part.validator != "type" or part.path]:
        for part in inner:  # its type is allowed, its content is not
            yield from _told(part, where, names)
    elif error.validator != "items":  # maxItems reports a list that is too long
        yield Mistake(place, f"{safe_repr(given)} given", ALLOWED[error.validator](error))


def _length(error: Any) -> str:  # noqa: ANN401 - jsonschema's
    fixed = error.schema.get("prefixItems")
    return f"a list of {len(fixed)}" if fixed else "one entry or more"


ALLOWED: Mapping[str, Callable[[Any], str]] = {
    "type": lambda error: _types([error.validator_value]),
    "anyOf": lambda error: _types(  # a table of its own is referred to
        "object" if "$ref" in part else part.get("type") for part in error.validator_value
    ),
    "minimum": lambda error: f"{error.validator_value:g} or more",
    "maximum": lambda error: f"{error.validator_value:g} or less",
    "exclusiveMaximum": lambda error: f"below {error.validator_value:g}",
    "minItems": _length,
    "maxItems": _length,
    "minProperties": lambda _: "one entry or more",
    "uniqueItems": lambda _: "each entry once",
    "exclusiveMinimum": lambda error: f"above {error.validator_value:g}",
    "enum": lambda error: ", ".join(map(str, error.validator_value)),
    "pattern": lambda error: str(error.schema.get("allowed", error.validator_value)),
}
"""What is allowed, by the keyword of the schema that refused a value."""


def unknown(where: str, kind: str, given: object, known: Iterable[str]) -> Mistake:
    """Return the mistake that *given* is not a known name, with the nearest known one.

    Args:
        where: The key of the table it is in.
        kind: The kind of name, such as ``parameter``.
        given: The name that was given.
        known: The known names.
    """
    names = list(known)
    allowed = safe_text(", ".join(names), 600, 80) or "nothing"
    return Mistake(where, f"unknown {kind} {safe_repr(given)}{did_you_mean(given, names)}", allowed)


def _types(kinds: Iterable[object]) -> str:
    words = (TYPES[kind] for kind in kinds if isinstance(kind, str) and kind in TYPES)
    return " or ".join(dict.fromkeys(words))
