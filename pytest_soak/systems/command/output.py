"""The output of a program, in a file of bounded size."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import safe_lines

if TYPE_CHECKING:
    from pytest_soak.model.mask import Mask

TAIL_BYTES = 64 * 1024
"""How many bytes of the end of the output are kept."""
MASK_MARGIN = 16 * 1024
"""How many bytes before those are searched for secrets: one may begin there and end in the tail."""
FILE_LIMIT = 1024 * 1024
"""The size in bytes from which the file is truncated."""
CHECK_INTERVAL = 0.05
"""Seconds between two checks of the file's size."""
SHOWN_LINES, SHOWN_CHARACTERS = 20, 200
"""How many lines a failure shows, and how many characters of each."""


class Output:
    """The output file of one program, of which the end is kept.

    A file and not a pipe: a full pipe would block the program. The file has no name, so that it is
    gone with the process. A thread truncates it, because a program may fill the disk while nothing
    here waits for it.
    """

    def __init__(self) -> None:
        """Create the file and start the thread that truncates it."""
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        descriptor = self.file.fileno()
        # Without O_APPEND a program would go on at its old offset after the file was truncated.
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
        self._discarded, self._tail = 0, b""
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._truncate, name="soak-output", daemon=True).start()

    @property
    def written(self) -> int:
        """How many bytes were written so far."""
        with self._lock:
            return self._written()

    def text(self, mask: Mask) -> str:
        """Return the end of the output, from the start of a line, or of a word in one long line.

        Secrets are masked before anything is cut or replaced: a part of a secret is not recognised.
        """
        with self._lock:
            data = (self._tail + self._read_tail())[-TAIL_BYTES - MASK_MARGIN :]
            cut = self._written() > len(data)
        whole = data.decode(errors="surrogateescape").replace("\r\n", "\n")
        text = safe_lines(mask.text(whole))
        if cut:
            text = text[-len(mask.text(whole[MASK_MARGIN:])) :]
            text = text.partition("\n")[2] or text.partition(" ")[2]
        return text

    def close(self) -> None:
        """Stop the thread and close the file."""
        with self._lock:
            self._closed.set()
            self.file.close()

    def _written(self) -> int:
        return self._discarded + os.fstat(self.file.fileno()).st_size

    def _read_tail(self) -> bytes:
        size = os.fstat(self.file.fileno()).st_size
        most = TAIL_BYTES + MASK_MARGIN
        return os.pread(self.file.fileno(), most, max(0, size - most))

    def _truncate(self) -> None:
        while not self._closed.wait(CHECK_INTERVAL):
            with self._lock:
                if self._closed.is_set():  # closed between the wait and the lock
                    return
                size = os.fstat(self.file.fileno()).st_size
                if size > FILE_LIMIT:
                    self._tail, self._discarded = self._read_tail(), self._discarded + size
                    os.ftruncate(self.file.fileno(), 0)


def last_lines(text: str) -> str:
    """Return the last lines of *text*, indented, for a failure."""
    lines = [line[:SHOWN_CHARACTERS] for line in text.splitlines() if line.strip()][-SHOWN_LINES:]
    return "\n".join(f"    {line}" for line in lines)
