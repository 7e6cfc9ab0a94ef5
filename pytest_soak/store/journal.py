"""The journal: append-only lines of JSON, each linked to the one before it. The truth."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store import legacy
from pytest_soak.store.files import (
    StoreError,
    line,
    replace_synced,
    sync_folder,
    unwritten,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SCHEMA_VERSION = 2
READS = (legacy.FORMAT, SCHEMA_VERSION)
"""The versions of the format that this release reads."""
START = "0" * 64
"""What the first record is linked to."""
MOST = 10**9
"""More iterations than any run has; a larger number may not fit into a file's name."""
RUN = re.compile(r"\w[\w-]{0,99}")
"""What a run may be called: its name is that of a folder, too."""


class JournalError(StoreError):
    """A journal that cannot be read: which file, which line, why."""


class Journal:
    """One run's journal. Every record is on disk before `append` returns.

    A record is one line: ``v`` (schema version), ``run``, ``seq`` (from 0), ``iteration``,
    ``time`` (UTC, ISO 8601), ``kind``, what the kind brings, and ``prev``, the SHA-256 of the
    line before it (64 zeros for the first).
    """

    def __init__(self, path: Path, run_id: str) -> None:
        """Go on with the journal at *path*, or start it.

        The rest of a record whose writing a crash interrupted is replaced by a record of the
        damage. A record counts from the moment it is on disk as a whole; its effect comes after.

        Raises:
            JournalError: It is damaged elsewhere than at its end.
            StoreError: The damage cannot be recorded.
        """
        self.path = path
        self.run_id = run_id
        torn = torn_end(path)
        self.records = list(stream_journal(path, healing=True)) if path.exists() else []
        self.head = head_of(path)
        self._seq = len(self.records)
        if torn:
            self._heal(torn)
        self._file = path.open("ab", buffering=0)
        if not self.records:
            self._sync_folder()
        self._size = path.stat().st_size
        self._refused = ""

    def _sync_folder(self) -> None:
        """Force the entry of the file in its folder to disk; without it the records are lost.

        Raises:
            StoreError: It cannot be done.
        """
        try:
            sync_folder(str(self.path))
        except OSError as error:
            self._file.close()
            raise unwritten(self.path, error) from None

    def _heal(self, torn: bytes) -> None:
        """Put a record of the damage in the place of the *torn* end.

        In one step, so that a crash here leaves the one or the other. Where the first record was
        torn, there was no run.
        """
        content = self.path.read_bytes().removesuffix(torn)
        if self.records:
            damage = {
                "bytes": len(torn),
                "sha256": hashlib.sha256(torn).hexdigest(),
                "ended": has_ended(self.records),
            }
            record = self._record("damage_found", self.records[-1]["iteration"], damage)
            self.records.append(record)
            self.head = digest(record)
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
        """Append one record and force it to disk; return it as written.

        Raises:
            StoreError: It cannot be written. The journal is as it was, and takes no more.
        """
        record = self._record(kind, iteration, body)
        text = line(record).encode()
        head = hashlib.sha256(text).hexdigest()
        size = self._size + len(text) + 1
        if self._refused:
            raise StoreError(self._refused)
        self._refuse_foreign()
        try:
            write_all(self._file.fileno(), text + b"\n")
            os.fsync(self._file.fileno())
        except BaseException as error:
            self._take_back()
            if isinstance(error, OSError):
                fault = unwritten(self.path, error)
                self._refused = f"{fault}; nothing is recorded after that"
                raise fault from None
            raise  # an interruption: the record does not count
        self.head = head  # no call from here on, or an interruption could come between
        self._seq += 1
        self._size = size
        return record

    def _refuse_foreign(self) -> None:
        """Make sure that the file is still what this journal has written, and no more.

        Raises:
            StoreError: Another process replaced, cut, edited or removed it.
        """
        ours = os.fstat(self._file.fileno())
        try:
            there = os.stat(self.path)  # noqa: PTH116 - a method of pathlib costs more than the call
        except OSError as error:
            what = why_unreadable(error)
        else:
            if os.path.samestat(ours, there) and there.st_size == self._size:
                return
            what = "another process has changed it during the run"
        self._refused = f"{self.path}: {what}; nothing is recorded after that"
        raise StoreError(self._refused)

    def _take_back(self) -> None:
        """Cut off what was written of a record that does not count; else `_heal` does it."""
        with suppress(OSError):
            self._file.truncate(self._size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def has_ended(records: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether the run of *records* has a verdict that no resume has made void."""
    ending: Mapping[str, Any] | None = None
    for record in records:
        ending = ending_after(ending, record)
    return ending is not None and ending["kind"] == "run_ended"


def ending_after(
    ending: Mapping[str, Any] | None, record: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the record that says how a run ended, or None for a run that goes on.

    It is of kind ``run_ended``, or ``run_interrupted`` in a run without a verdict; a resume makes
    both void.

    Args:
        ending: The one among the records before *record*.
        record: The next one.
    """
    if record["kind"] in ("run_ended", "run_interrupted"):
        return record
    return None if record["kind"] == "run_resumed" else ending


def says_ended(last: Mapping[str, Any]) -> bool:
    """Tell what `has_ended` tells, from the *last* record alone."""
    return last["kind"] == "run_ended" or bool(last.get("ended"))


def head_of(path: Path) -> str:
    """Return the SHA-256 of the last whole line of the journal at *path*; `START` without one."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n")] if b"\n" in content else b""
    return hashlib.sha256(whole[whole.rfind(b"\n") + 1 :]).hexdigest() if whole else START


def digest(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's line."""
    return hashlib.sha256(line(record).encode()).hexdigest()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of the journal at *path*; none where there is no file.

    Raises:
        JournalError: A line is no record, or does not follow the one before it.
    """
    return list(stream_journal(path)) if path.exists() else []


def stream_journal(path: Path, *, healing: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the records of the journal at *path* one by one, in the present format.

    Args:
        path: The file.
        healing: Whether to leave out an unfinished record at its end, which is an error otherwise.

    Raises:
        JournalError: As for `read_journal`.
    """
    previous = START
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if healing and not text.endswith(b"\n"):
                return
            try:
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                msg = f"{path}, line {number}: {error}"
                raise JournalError(msg) from None
            if not isinstance(record, dict) or record.get("prev") != previous:
                msg = f"{path}, line {number}: does not follow the line before it"
                raise JournalError(msg)
            if not reads(record.get("v")):
                msg = f"{path}, line {number}: {foreign(record.get('v'))}"
                raise JournalError(msg)
            try:
                record = legacy.upgrade(record)
            except (AttributeError, KeyError, TypeError):
                msg = f"{path}, line {number}: does not have the shape of a record"
                raise JournalError(msg) from None
            yield record
            previous = hashlib.sha256(text.rstrip(b"\n")).hexdigest()


def reads(version: object) -> bool:
    """Tell whether this release reads lines of *version* of the format."""
    return type(version) is int and version in READS


def foreign(version: object) -> str:
    """Return what is told of a line of a *version* that this release does not read."""
    reads = " and ".join(map(str, READS))
    what = f"is of version {safe_text(line(version))} of the format"
    return f"{what}; this release of pytest-soak reads {reads}"


def torn_end(path: Path) -> bytes:
    """Return the bytes of an unfinished record at the end of the journal at *path*.

    Every record ends with a line break that is written with it, so what comes after the last line
    break was never on disk as a whole.
    """
    content = path.read_bytes() if path.exists() else b""
    return content[content.rfind(b"\n") + 1 :]


def ends_torn(path: Path) -> bool:
    """Tell whether there is an unfinished record at the end of the journal at *path*."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def first_and_last(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the first and the last whole record of the journal at *path*, None without any."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as view:
            end = view.rfind(b"\n")
            first = view[: view.find(b"\n")]
            last = view[view.rfind(b"\n", 0, end) + 1 : end]
        ends = json.loads(first), json.loads(last)
    except (OSError, ValueError, RecursionError):  # an empty file cannot be mapped: a ValueError
        return None
    return ends if _begins(ends[0]) and _stands(ends[1]) else None


def _begins(record: object) -> bool:
    """Tell whether *record* looks like the first one of a run that can be named."""
    if not isinstance(record, dict) or not RUN.fullmatch(str(record.get("run"))):
        return False
    start = record.get("config"), record.get("overrides")
    return record.get("kind") != "run_started" or all(isinstance(part, dict) for part in start)


def _stands(record: object) -> bool:
    """Tell whether *record* says where in its run it stands."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("kind"), str)
        and type(record.get("iteration")) is int
        and 0 <= record["iteration"] <= MOST
    )


def journal_run(path: Path) -> str:
    """Return the run id in the first record of the journal at *path*, or ``unknown``."""
    try:
        with path.open("rb") as file:  # or what comes after the first line could not be read
            run = str(json.loads(file.readline())["run"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return "unknown"
    return run if RUN.fullmatch(run) else "unknown"
