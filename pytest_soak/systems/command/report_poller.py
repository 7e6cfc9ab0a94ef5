"""Reads the JSON files that a program writes: its reports and its state."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

UNCHANGED_TIMEOUT = 1.0
"""Seconds without a change after which a file that is not JSON counts as half-written."""


class UnreadableFile(Exception):
    """Why a file of the program cannot be used; continues a sentence about the file."""


class ReportPoller:
    """Polls for a report that a program may still be writing."""

    def __init__(self, report: Path) -> None:
        """Take the path of the *report*, which need not exist yet."""
        self._report = report
        self._last_seen: tuple[int, int] | None = None
        self._unchanged_since = 0.0

    def poll(self, now: float) -> str | None:
        """Return '' for a whole report, the problem of a half-written one, or None to go on.

        Args:
            now: Seconds of the monotonic clock.
        """
        try:
            read_json(self._report)
        except UnreadableFile as error:
            try:
                status = self._report.lstat()
            except OSError:
                return None
            seen = (status.st_size, status.st_mtime_ns)
            if seen != self._last_seen:
                self._last_seen, self._unchanged_since = seen, now
            if now - self._unchanged_since < UNCHANGED_TIMEOUT:
                return None
            return f"the report of the program {error}"
        return ""


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON that a program wrote to *path*.

    Raises:
        UnreadableFile: The file is missing, not a regular file, too large, or not JSON.
    """
    try:
        data = read_bytes(path, follow=True)  # a program may leave a link to its report
    except OSError as error:
        msg = f"cannot be read: {why_unreadable(error)}"
        raise UnreadableFile(msg if os.path.lexists(path) else "was not written") from None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        msg = f"is no JSON: {safe_text(str(error))}; it has {len(data)} bytes"
        raise UnreadableFile(msg) from None
