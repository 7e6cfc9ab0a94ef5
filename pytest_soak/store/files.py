"""Writing JSON: deterministic text, replaced atomically."""

from __future__ import annotations

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
    """What cannot be kept, read or written: which file, and why."""


def unwritten(path: object, error: OSError) -> StoreError:
    """Return what to raise where *path* could not be written."""
    return StoreError(f"{path}: cannot be written: {why_unreadable(error)}")


DEEPEST = 40
"""How deep a value may be nested before the rest is written as text; also ends circles."""
LARGEST = 1024
"""How many bits a whole number may have: more than this no float holds, and few readers take."""


def plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Return *value* as JSON can say it: what JSON has no word for becomes its text.

    A NaN in a report is written as ``"nan"``, so that nobody reads it as a number. No method of a
    subclass is called: what a stranger hands over need not behave.
    """
    kind = type(value)
    if depth == DEEPEST:
        return f"nested deeper than {DEEPEST}"
    if issubclass(kind, dict):
        return {_text(key): plain(entry, depth + 1) for key, entry in dict.items(value)}
    if issubclass(kind, list | tuple):
        walk = list.__iter__ if issubclass(kind, list) else tuple.__iter__
        return [plain(entry, depth + 1) for entry in walk(value)]
    if value is None or kind is bool:
        return value
    return _number(value) if issubclass(kind, int | float) else _text(value)


def _number(value: float) -> float | str:
    """Return *value* as JSON can say it."""
    if isinstance(value, int):
        whole = int.__int__(value)
        return whole if whole.bit_length() <= LARGEST else safe_repr(whole)
    number = float.__float__(value)
    return number if math.isfinite(number) else str(number)


def _text(value: object) -> str:
    """Return *value* as text, whatever it is."""
    if issubclass(type(value), str):
        return str.__str__(value)
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - a stranger's object may raise whatever it is asked
        return safe_repr(value)


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode


def line(value: object) -> str:
    """Return *value* as one line of JSON with sorted keys."""
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot say
        return json.dumps(json.loads(text), sort_keys=True)
    return text


def document(value: Mapping[str, object]) -> str:
    """Return *value* as JSON with sorted keys, one line for each of its entries."""
    entries = {str(key): entry for key, entry in value.items()}
    body = ",\n".join(f" {line(key)}: {line(entries[key])}" for key in sorted(entries))
    return f"{{\n{body}\n}}\n" if body else "{}\n"


def write_text(path: str, text: str) -> None:
    """Replace the file at *path* by *text*, so that a reader sees the old or the new one whole.

    Not synced to disk: the journal is, and can rebuild it.

    Raises:
        StoreError: It cannot be written; the old file is as it was.
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
    """Force to disk that there is a file at *path*: until then a crash may take a new one away.

    Raises:
        OSError: It cannot be done.
    """
    folder = os.open(os.path.dirname(path), os.O_RDONLY)  # noqa: PTH120 - as above
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def create_synced(path: str, text: str) -> None:
    """Write *text* to a new file at *path*, and force to disk both that and that it is there.

    Raises:
        StoreError: It cannot be written.
    """
    write_synced(path, text)
    try:
        sync_folder(path)
    except OSError as error:
        raise unwritten(path, error) from None


def write_synced(path: str, text: str) -> None:
    """Write *text* to *path* and force it to disk.

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
    """Replace the file at *path* by *text* in one step, and force that to disk.

    Raises:
        StoreError: It cannot be written; the old file is as it was.
    """
    draft = f"{path}.tmp"
    write_synced(draft, text)
    try:
        os.replace(draft, path)  # noqa: PTH105 - as above
        sync_folder(path)
    except OSError as error:
        raise unwritten(path, error) from None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*: the system may take less at once than it is given."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
