"""What a program writes, kept within bounds: a file that is cut, never a pipe that can be full."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import safe_lines

if TYPE_CHECKING:
    from pytest_soak.model.mask import Mask

KEPT = 64 * 1024
"""How many bytes of the end are kept."""
BEFORE = 16 * 1024
"""How many letters before those are looked at: a secret may begin there, of which a part is cut."""
FULL = 1024 * 1024
"""How many bytes the file may have before it is cut."""
PERIOD = 0.05
"""Seconds between two looks at the file."""
LINES, LETTERS = 20, 200
"""How many lines, and how many letters of each, a failure shows."""


class Output:
    """The output of one program, of which the end is kept.

    The file has no name, so nothing stays of it, and a program that writes without end fills no
    disk: a thread cuts it, also while nobody waits for the program.
    """

    def __init__(self) -> None:
        """Make the file, and begin to look after it."""
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        descriptor = self.file.fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
        self._cut, self._kept = 0, b""
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._look_after, name="soak-output", daemon=True).start()

    @property
    def written(self) -> int:
        """How many bytes were written so far."""
        with self._lock:
            return self._cut + os.fstat(self.file.fileno()).st_size

    def text(self, mask: Mask) -> str:
        """Return the end of what was written; it begins with a whole line, or at least a word.

        Secrets are masked first: what is replaced or cut is not found any more.
        """
        with self._lock:
            data = (self._kept + self._end())[-KEPT - BEFORE :]
            cut = self._cut + os.fstat(self.file.fileno()).st_size > len(data)
        whole = data.decode(errors="surrogateescape").replace("\r\n", "\n")
        text = safe_lines(mask.text(whole))
        if cut:
            text = text[-len(mask.text(whole[BEFORE:])) :]
            text = text.partition("\n")[2] or text.partition(" ")[2]
        return text

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._closed.set()
            self.file.close()

    def _end(self) -> bytes:
        size = os.fstat(self.file.fileno()).st_size
        most = KEPT + BEFORE
        return os.pread(self.file.fileno(), most, max(0, size - most))

    def _look_after(self) -> None:
        while not self._closed.wait(PERIOD):
            with self._lock:
                if self._closed.is_set():
                    return
                size = os.fstat(self.file.fileno()).st_size
                if size > FULL:
                    self._kept, self._cut = self._end(), self._cut + size
                    os.ftruncate(self.file.fileno(), 0)


def last_lines(text: str) -> str:
    """Return the last lines of *text*, for a failure."""
    lines = [line[:LETTERS] for line in text.splitlines() if line.strip()][-LINES:]
    return "\n".join(f"    {line}" for line in lines)
