"""Deterministic JSON text, and the files of a soak: how they are read, and replaced atomically.

All rooms read and write files here. No link, pipe, device or folder is opened in place of a file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.safe_repr import safe_repr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class StoreError(Exception):
    """A file that cannot be read or written, or whose content is wrong; the message says why."""


def unwritten(path: object, error: OSError) -> StoreError:
    """Return the error to raise if *path* cannot be written."""
    return StoreError(f"{path}: cannot be written: {why_unreadable(error)}")


MAX_BYTES = 16 * 1024 * 1024
"""The largest file that is read whole, in bytes, unless its reader says otherwise."""
_BINARY = getattr(os, "O_BINARY", 0)
_WAITS_FOR_NOTHING = _BINARY | getattr(os, "O_NONBLOCK", 0)
_FOLLOWS_NOTHING = getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def _refuse_other(path: str | Path, status: os.stat_result, needed: int = stat.S_IFREG) -> None:
    """Refuse what is no regular file; or no folder, where that is *needed*."""
    kind = stat.S_IFMT(status.st_mode)
    if kind != needed:
        given = "a file" if kind == stat.S_IFREG else _KINDS.get(kind, "a device")
        allowed = "a regular file" if needed == stat.S_IFREG else "a folder"
        raise OSError(errno.EINVAL, f"it is {given}; allowed: {allowed}", str(path))


def refuse_other(path: str | Path, needed: int = stat.S_IFREG) -> None:
    """Refuse what is at *path* if it is no regular file; or no folder, where that is *needed*.

    Raises:
        OSError: It is something else; a link too, whatever it leads to.
    """
    with suppress(FileNotFoundError):
        _refuse_other(path, os.lstat(path), needed)


def open_regular(path: str | Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Return a descriptor of the regular file at *path*; nothing else is opened, or waited for.

    Args:
        path: The file.
        flags: As for `os.open`.
        follow: Whether *path* may be a link to a regular file, as a path from a user may be.

    Raises:
        OSError: There is no such file, or it is something else.
    """
    try:
        _refuse_other(path, os.stat(path, follow_symlinks=follow))  # noqa: PTH116 - as below
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        flags |= os.O_EXCL
    flags |= _WAITS_FOR_NOTHING | (0 if follow else _FOLLOWS_NOTHING)
    descriptor = os.open(path, flags, 0o666)
    try:
        _refuse_other(path, os.fstat(descriptor))  # it may have been replaced in the meantime
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: str | Path, most: int = MAX_BYTES, *, follow: bool = False) -> bytes:
    """Return the content of the regular file at *path*.

    Args:
        path: The file.
        most: How many bytes it may have.
        follow: As for `open_regular`.

    Raises:
        OSError: It cannot be read, is something else, or is too large.
    """
    with os.fdopen(open_regular(path, follow=follow), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            msg = f"it has {size} bytes; allowed: {most}"
            raise OSError(errno.EFBIG, msg, str(path))
        return file.read(size)


BOM = "\ufeff"
"""The byte order mark that some editors and shells write at the beginning of a text."""


def read_text(path: str | Path, *, follow: bool = True) -> str:
    """Return the text of a file that a user has named, which may be a link.

    A byte order mark at its beginning is left out.

    Raises:
        OSError: As for `read_bytes`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path, follow=follow).decode().removeprefix(BOM)


def holds(path: str | Path, data: bytes) -> bool:
    """Return whether *path* is a regular file that contains *data* and nothing else."""
    try:
        return read_bytes(path, len(data)) == data
    except OSError:
        return False


def make_folder(path: Path) -> None:
    """Make the folder *path* if it is not there, with its parents.

    Raises:
        OSError: It cannot be made, or is something else, such as a link to a folder.
    """
    refuse_other(path, stat.S_IFDIR)
    path.mkdir(parents=True, exist_ok=True)


def is_folder(path: Path) -> bool:
    """Return whether *path* is a folder, and no link to one."""
    return path.is_dir() and not path.is_symlink()


MAX_DEPTH = 40
"""How deep values may be nested before the rest is replaced; also ends circular references."""
MAX_BITS = 1024
"""How many bits an integer may have: no float can hold more, and many JSON readers fail on more."""


LARGEST_VALUES = 100_000
LARGEST_TEXT = 16 * 1024 * 1024
"""How many entries and how many characters a report may have."""
LARGEST_JSON = f"allowed: {LARGEST_VALUES} values and {LARGEST_TEXT} characters of text"


def too_large(value: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether *value* has more entries or text than a report may have.

    Looks no deeper than `jsonable`. Methods of subclasses are not called either.
    """
    entries, characters, waiting = 0, 0, [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        kind = next(
            (kind for kind in (str, dict, list, tuple) if issubclass(type(one), kind)), None
        )
        if kind is str:
            characters += str.__len__(one)
        elif kind is not None:
            entries += kind.__len__(one)
        if entries > LARGEST_VALUES or characters > LARGEST_TEXT:
            return True
        if kind in (dict, list, tuple) and depth < MAX_DEPTH:
            parts = (*kind.__iter__(one), *(dict.values(one) if kind is dict else ()))
            waiting += ((part, depth + 1) for part in parts)
    return False


def jsonable(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Return *value* as JSON types, with sorted keys. What JSON cannot represent becomes text.

    NaN becomes ``"nan"``, which no reader takes for a number. Methods of subclasses are not called,
    because objects of plugins may misbehave.
    """
    kind = type(value)
    if depth == MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH}"
    if issubclass(kind, dict):
        entries = {_text(key): jsonable(entry, depth + 1) for key, entry in dict.items(value)}
        # As the journal has them: which of several mistakes is told depends on the order.
        return dict(sorted(entries.items(), key=itemgetter(0)))
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


def _create(path: str) -> int:
    """Return a descriptor of a new file at *path*, in place of what a killed process left there.

    The old name is removed and never opened: it may be a link, also a hard one, to another file.
    """
    try:
        return os.open(path, _NEW, 0o666)
    except FileExistsError:
        os.unlink(path)  # noqa: PTH108 - a method of pathlib costs more than the call
        return os.open(path, _NEW, 0o666)


def write_text(path: str, text: str) -> None:
    """Replace the file at *path* with *text* atomically: a reader sees the old or the new content.

    Not synced to disk, because it can be rebuilt from the journal.

    Raises:
        StoreError: It cannot be written; the old file is unchanged.
    """
    draft = f"{path}.tmp"
    try:
        descriptor = _create(draft)
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
        descriptor = _create(path)
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
