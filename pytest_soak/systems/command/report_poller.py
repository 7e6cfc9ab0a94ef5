"""What a program leaves in files: whole, half-written, or nothing that can be read."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from pytest_soak.model.safe_repr import safe_text

if TYPE_CHECKING:
    from pathlib import Path

SETTLED = 1.0
"""Seconds after which a file that still is no JSON, and does not change, stays half-written."""
LARGEST = 16 * 1024 * 1024
"""How many bytes a report or a state may have."""


class Unread(Exception):
    """Why a file that a program was to write cannot be used."""


class ReportPoller:
    """Looks for a report that somebody may be writing."""

    def __init__(self, report: Path) -> None:
        """Take the path of the *report*, which may not be there yet."""
        self._report = report
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    def poll(self, now: float) -> str | None:
        """Return an empty text for a whole report, the problem of a half-written one, or None."""
        try:
            read_json(self._report)
        except Unread as unread:
            try:
                told = self._report.lstat()
            except OSError:
                return None
            seen = (told.st_size, told.st_mtime_ns)
            if seen != self._seen:
                self._seen, self._since = seen, now
            if now - self._since < SETTLED:
                return None
            return f"the report of the program {unread}"
        return ""


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return what a program wrote to *path*.

    Raises:
        Unread: It is not there, no file, too large, or no JSON.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise Unread(msg if path.is_symlink() or path.exists() else "was not written") from None
    try:
        there = os.fstat(descriptor)
        if not stat.S_ISREG(there.st_mode):
            msg = "is no file"
            raise Unread(msg)
        if there.st_size > LARGEST:
            msg = f"has {there.st_size} bytes; allowed: {LARGEST}"
            raise Unread(msg)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(LARGEST)
    finally:
        os.close(descriptor)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        msg = f"is no JSON: {safe_text(str(error))}; it has {len(data)} bytes"
        raise Unread(msg) from None
