"""Deterministic JSON text, and files that are replaced atomically."""

from __future__ import annotations

import hashlib
import json
import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.safe_repr import safe_repr

if TYPE_CHECKING:
    from collections.abc import Mapping


class StoreError(Exception):
    """A file that cannot be read or written, or whose content is wrong; the message says why."""


def unwritten(path: object, error: OSError) -> StoreError:
    """Return the error to raise if *path* cannot be written."""
    return StoreError(f"{path}: cannot be written: {why_unreadable(error)}")


MAX_DEPTH = 40
"""How deep values may be nested before the rest is replaced; also ends circular references."""
MAX_BITS = 1024
"""How many bits an integer may have: no float can hold more, and many JSON readers fail on more."""


def jsonable(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Return *value* as JSON types. Anything that JSON cannot represent becomes text.

    NaN becomes ``"nan"``, which no reader takes for a number. Methods of subclasses are not called,
    because objects of plugins may misbehave.
    """
    kind = type(value)
    if depth == MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH}"
    if issubclass(kind, dict):
        return {_text(key): jsonable(entry, depth + 1) for key, entry in dict.items(value)}
    if issubclass(kind, list | tuple):
        walk = list.__iter__ if issubclass(kind, list) else tuple.__iter__
        return [jsonable(entry, depth + 1) for entry in walk(value)]
    if value is None or kind is bool:
        return value
    return _number(value) if issubclass(kind, int | float) else _text(value)


def _number(value: float) -> float | str:
    """Return *value* as a number of JSON, or as text if JSON has none for it."""
    if isinstance(value, int):
        whole = int.__int__(value)
        return whole if whole.bit_length() <= MAX_BITS else safe_repr(whole)
    number = float.__float__(value)
    return number if math.isfinite(number) else str(number)


def _text(value: object) -> str:
    """Return *value* as text, even if its ``__str__`` fails."""
    if issubclass(type(value), str):
        return str.__str__(value)
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - an object of a plugin may raise anything
        return safe_repr(value)


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode


def line(value: object) -> str:
    """Return *value* as one line of JSON with sorted keys."""
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(jsonable(value), sort_keys=True, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot encode
        return json.dumps(json.loads(text), sort_keys=True)
    return text


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return what *text* holds; JSON whose objects have a key twice says two things.

    Raises:
        ValueError: It is no JSON, or a key is there twice.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_without_twins)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        msg = f"the key {safe_repr(twin)} is there twice"
        raise ValueError(msg)
    return found


def json_hash(value: Mapping[str, object]) -> str:
    """Return the SHA-256 of *value*, written as one line of JSON."""
    return hashlib.sha256(line(dict(value)).encode()).hexdigest()


def document(value: Mapping[str, object]) -> str:
    """Return *value* as JSON with sorted keys, one line for each entry."""
    entries = {str(key): entry for key, entry in value.items()}
    body = ",\n".join(f" {line(key)}: {line(entries[key])}" for key in sorted(entries))
    return f"{{\n{body}\n}}\n" if body else "{}\n"


def write_text(path: str, text: str) -> None:
    """Replace the file at *path* with *text* atomically: a reader sees the old or the new content.

    Not synced to disk, because it can be rebuilt from the journal.

    Raises:
        StoreError: It cannot be written; the old file is unchanged.
    """
    draft = f"{path}.tmp"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(descriptor, text.encode())
        finally:
            os.close(descriptor)
        os.replace(draft, path)  # noqa: PTH105 - a pathlib object costs more than the call
    except OSError as error:
        with suppress(OSError):
            os.unlink(draft)  # noqa: PTH108 - as above
        raise unwritten(path, error) from None


def sync_folder(path: str) -> None:
    """Sync the folder of *path* to disk; before that, a crash may remove a new file.

    Raises:
        OSError: The folder cannot be synced.
    """
    folder = os.open(os.path.dirname(path), os.O_RDONLY)  # noqa: PTH120 - as above
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def create_synced(path: str, text: str) -> None:
    """Write *text* to a new file at *path*, and sync the file and its folder to disk.

    Raises:
        StoreError: It cannot be written.
    """
    write_synced(path, text)
    try:
        sync_folder(path)
    except OSError as error:
        raise unwritten(path, error) from None


def write_synced(path: str, text: str) -> None:
    """Write *text* to *path* and sync it to disk.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritten(path, error) from None


def replace_synced(path: str, text: str) -> None:
    """Replace the file at *path* with *text* atomically, and sync it to disk.

    Raises:
        StoreError: It cannot be written; the old file is unchanged.
    """
    draft = f"{path}.tmp"
    write_synced(draft, text)
    try:
        os.replace(draft, path)  # noqa: PTH105 - as above
        sync_folder(path)
    except OSError as error:
        raise unwritten(path, error) from None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*; a single ``os.write`` may write only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
