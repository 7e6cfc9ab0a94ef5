"""The journal: append-only lines of JSON, each with the hash of the line before it."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store import legacy
from pytest_soak.store.files import (
    StoreError,
    json_hash,
    line,
    open_regular,
    parse_json,
    read_bytes,
    replace_synced,
    sync_folder,
    unwritten,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

SCHEMA_VERSION = 2
SUPPORTED = (legacy.FORMAT, SCHEMA_VERSION)
"""The versions of the format that this release reads."""
START = "0" * 64
"""The ``prev`` of the first record."""
MAX_ITERATION = 10**9
"""No run has more iterations; a larger number may not fit into a file name."""
MAX_RECORD = 64 * 1024 * 1024
"""The longest record, in bytes, with the line break at its end."""
MAX_JOURNAL = 4 * 1024**3
"""The longest journal, in bytes."""
RUN_ID = re.compile(r"\w[\w-]{0,99}")
"""The form of a run id, which is also the name of a folder."""


class JournalError(StoreError):
    """A journal that cannot be read; the message names the file, the line and the reason."""


class Journal:
    """One run's journal. Every record is on disk before `append` returns.

    A record is one line: ``v`` (schema version), ``run``, ``seq`` (from 0), ``iteration``,
    ``time`` (UTC, ISO 8601), ``kind``, the keys of that kind, and ``prev``, the SHA-256 of the
    line before it (64 zeros for the first).
    """

    def __init__(self, path: Path, run_id: str) -> None:
        """Continue the journal at *path*, or start it.

        Replaces an incomplete record at its end, left by a crash, with a record ``damage_found``.

        Raises:
            JournalError: It is damaged before its end.
            StoreError: It is no regular file, or the damage cannot be recorded.
        """
        self.path = path
        self.run_id = run_id
        torn = torn_end(path)
        self.records = list(stream_journal(path, healing=True)) if os.path.lexists(path) else []
        self.head = head_of(path)
        self._seq = len(self.records)
        if torn:
            self._heal(torn)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.fdopen(open_regular(path, flags), "ab", buffering=0)
        if not self.records:
            self._sync_folder()
        self._size = os.fstat(self._file.fileno()).st_size
        self._refused = ""

    def _sync_folder(self) -> None:
        """Sync the folder to disk; without that, a crash may lose the new file.

        Raises:
            StoreError: The folder cannot be synced.
        """
        try:
            sync_folder(str(self.path))
        except OSError as error:
            self._file.close()
            raise unwritten(self.path, error) from None

    def _heal(self, torn: bytes) -> None:
        """Replace the *torn* end with a record of the damage, atomically.

        If the first record is torn, the run never began, and the end is only removed.
        """
        content = read_bytes(self.path, MAX_JOURNAL).removesuffix(torn)
        if self.records:
            damage = {
                "bytes": len(torn),
                "sha256": hashlib.sha256(torn).hexdigest(),
                "ended": has_ended(self.records),
            }
            record = self._record("damage_found", self.records[-1]["iteration"], damage)
            self.records.append(record)
            self.head = json_hash(record)
            self._seq += 1
            content += line(record).encode() + b"\n"
        replace_synced(str(self.path), content.decode())

    def _record(self, kind: str, iteration: int, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **body,
            "v": SCHEMA_VERSION,
            "run": self.run_id,
            "seq": self._seq,
            "iteration": iteration,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
            "prev": self.head,
        }

    def append(self, kind: str, iteration: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Append one record and sync it to disk; return it as written.

        Raises:
            StoreError: It cannot be written; the journal is unchanged and takes no more records.
        """
        record = self._record(kind, iteration, body)
        text = line(record).encode()
        head = hashlib.sha256(text).hexdigest()
        size = self._size + len(text) + 1
        if self._refused:
            raise StoreError(self._refused)
        if len(text) >= MAX_RECORD or size > MAX_JOURNAL:
            msg = (
                f"{self.path}: a record of {len(text)} bytes is too large; allowed: {MAX_RECORD} "
                f"in a record, {MAX_JOURNAL} in all"
            )
            raise StoreError(msg)
        self._check_unchanged()
        try:
            write_all(self._file.fileno(), text + b"\n")
            os.fsync(self._file.fileno())
        except BaseException as error:
            self._undo_write()
            if isinstance(error, OSError):
                fault = unwritten(self.path, error)
                self._refused = f"{fault}; nothing is recorded after that"
                raise fault from None
            raise  # an interruption: the record was removed
        self.head = head  # no calls from here on: an interruption could come between them
        self._seq += 1
        self._size = size
        return record

    def _check_unchanged(self) -> None:
        """Check that no other process has changed the file.

        Raises:
            StoreError: The file was replaced, truncated, extended or removed.
        """
        ours = os.fstat(self._file.fileno())
        try:
            current = os.stat(self.path)  # noqa: PTH116 - a method of pathlib costs more than the call
        except OSError as error:
            what = why_unreadable(error)
        else:
            if os.path.samestat(ours, current) and current.st_size == self._size:
                return
            what = "another process has changed it during the run"
        self._refused = f"{self.path}: {what}; nothing is recorded after that"
        raise StoreError(self._refused)

    def _undo_write(self) -> None:
        """Remove a partly written record; if that fails, `_heal` does it on a resume."""
        with suppress(OSError):
            self._file.truncate(self._size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def has_ended(records: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether the run of *records* has a verdict and was not resumed after it."""
    ending = ending_of(records)
    return ending is not None and ending["kind"] == "run_ended"


def ending_of(records: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the record of the end of the run of *records*, see `ending_after`."""
    ending: Mapping[str, Any] | None = None
    for record in records:
        ending = ending_after(ending, record)
    return ending


def ending_after(
    ending: Mapping[str, Any] | None, record: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the record of a run's end after *record*, or None for a run without one.

    It is of kind ``run_ended``, or ``run_interrupted`` in a run without a verdict. A resume cancels
    both.

    Args:
        ending: The record of the end before *record*, if any.
        record: The next record.
    """
    if record["kind"] in ("run_ended", "run_interrupted"):
        return record
    return None if record["kind"] == "run_resumed" else ending


def untold_test(records: Iterable[Mapping[str, Any]]) -> int:
    """Return the last iteration if *records* do not say whether its test passed.

    The record after it does; so it is unknown where the process was killed before that, and in a
    worker of pytest-xdist only before `test_passed`. Returns 0 if it is known.
    """
    untold = 0
    for record in records:
        if record["kind"] == "iteration":
            untold = record["iteration"]
        elif record["kind"] in ("test_passed", "run_ended", "run_interrupted"):
            untold = 0
    return untold


def says_ended(last: Mapping[str, Any]) -> bool:
    """Return the same as `has_ended`, from the *last* record alone."""
    return last["kind"] == "run_ended" or bool(last.get("ended"))


def head_of(path: Path) -> str:
    """Return the SHA-256 of the last complete line in *path*; `START` without one."""
    content = _content(path)
    whole = content[: content.rfind(b"\n")] if b"\n" in content else b""
    return hashlib.sha256(whole[whole.rfind(b"\n") + 1 :]).hexdigest() if whole else START


def _content(path: Path) -> bytes:
    """Return the bytes of the journal at *path*; none if there is no file."""
    return read_bytes(path, MAX_JOURNAL) if os.path.lexists(path) else b""


def _opened(path: Path) -> BufferedReader:
    return os.fdopen(open_regular(path), "rb")


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of the journal at *path*; none if there is no file.

    Raises:
        JournalError: A line is not a record, or does not follow the one before it.
    """
    return list(stream_journal(path)) if path.exists() else []


def stream_journal(path: Path, *, healing: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the records of the journal at *path* one by one, in the current format.

    Args:
        path: The file.
        healing: Whether to skip an incomplete record at the end, which otherwise is an error.

    Raises:
        JournalError: As for `read_journal`.
    """
    previous = START
    with _opened(path) as file:
        for number, text in enumerate(iter(partial(file.readline, MAX_RECORD + 1), b""), 1):
            if len(text) > MAX_RECORD:
                msg = f"{path}, line {number}: has more than {MAX_RECORD} bytes"
                raise JournalError(msg)
            if healing and not text.endswith(b"\n"):
                return
            try:
                record = parse_json(text)
            except (ValueError, RecursionError) as error:
                msg = f"{path}, line {number}: {error}"
                raise JournalError(msg) from None
            if not isinstance(record, dict) or record.get("prev") != previous:
                msg = f"{path}, line {number}: does not follow the line before it"
                raise JournalError(msg)
            if not is_supported(record.get("v")):
                msg = f"{path}, line {number}: {unsupported(record.get('v'))}"
                raise JournalError(msg)
            try:
                record = legacy.upgrade(record)
            except (AttributeError, KeyError, TypeError):
                msg = f"{path}, line {number}: does not have the shape of a record"
                raise JournalError(msg) from None
            yield record
            previous = hashlib.sha256(text.rstrip(b"\n")).hexdigest()


def is_supported(version: object) -> bool:
    """Return whether this release reads *version* of the format."""
    return type(version) is int and version in SUPPORTED


def unsupported(version: object) -> str:
    """Return the error message for a *version* that this release does not read."""
    supported = " and ".join(map(str, SUPPORTED))
    what = f"is of version {safe_text(line(version))} of the format"
    return f"{what}; this release of pytest-soak reads {supported}"


def torn_end(path: Path) -> bytes:
    """Return the bytes of an incomplete record at the end of the journal at *path*.

    Every record is written together with a line break at its end, so anything after the last line
    break is incomplete.
    """
    content = _content(path)
    return content[content.rfind(b"\n") + 1 :]


def ends_torn(path: Path) -> bool:
    """Return whether the journal at *path* ends with an incomplete record."""
    with _opened(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def first_and_last(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the first and last complete record in *path*; None if one is unusable."""
    try:
        with _opened(path) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as view:
            end = view.rfind(b"\n")
            first = slice(0, view.find(b"\n"))
            last = slice(view.rfind(b"\n", 0, end) + 1, end)
            if end < 0 or max(one.stop - one.start for one in (first, last)) > MAX_RECORD:
                return None
            ends = parse_json(view[first]), parse_json(view[last])
    except (OSError, ValueError, RecursionError):  # an empty file cannot be mapped: a ValueError
        return None
    return ends if _is_first(ends[0]) and _is_last(ends[1]) else None


def _is_first(record: object) -> bool:
    """Return whether *record* has the keys of a first record that a resume needs."""
    if not isinstance(record, dict) or not RUN_ID.fullmatch(str(record.get("run"))):
        return False
    start = record.get("config"), record.get("overrides")
    return record.get("kind") != "run_started" or all(isinstance(part, dict) for part in start)


def _is_last(record: object) -> bool:
    """Return whether *record* has the keys of a last record that a resume needs."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("kind"), str)
        and type(record.get("iteration")) is int
        and 0 <= record["iteration"] <= MAX_ITERATION
    )


def has_line(path: Path) -> bool:
    """Return whether there is a journal at *path* with more than the beginning of a record.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    try:
        with _opened(path) as file:
            text = file.readline(MAX_RECORD + 1)
    except FileNotFoundError:
        return False
    return text.endswith(b"\n") or len(text) > MAX_RECORD


def first_record(path: Path) -> dict[str, Any]:
    """Return the first record of the journal at *path*; empty if it cannot be read."""
    try:
        with _opened(path) as file:  # only the first line, because later ones may not be text
            record: object = parse_json(file.readline(MAX_RECORD))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def journal_run(path: Path) -> str:
    """Return the run id in the first record of the journal at *path*, or ``unknown``."""
    run = str(first_record(path).get("run", ""))
    return run if RUN_ID.fullmatch(run) else "unknown"
