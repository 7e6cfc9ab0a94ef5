"""Processes that are looked after: whatever becomes of who started them, they end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from pytest_soak.systems.command import processes


class ProcessReaper:
    """A mark for processes, and a folder for what they write; both are gone in the end.

    In the end: when `close` is called, or when the process that made it was killed. A watchdog
    process waits for that.

    Attributes:
        mark: What marks the processes.
        folder: A new folder for their files.
    """

    def __init__(self) -> None:
        """Make the folder, and start the watchdog."""
        self.mark = uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="pytest-soak-"))
        self._watchdog = subprocess.Popen(  # noqa: S603 - our own
            [
                *(sys.executable, "-P", "-m", "pytest_soak.systems.command.watchdog"),
                *(self.mark, str(self.folder)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def environ(self) -> dict[str, str]:
        """The environment to start a process with, so that it and all that it starts are kept."""
        return {**os.environ, processes.MARK: self.mark}

    def close(self) -> None:
        """Dismiss the watchdog and remove the folder; kill the processes that are left."""
        orderly = not processes.marked(self.mark)  # somebody may have been impatient
        with suppress(OSError, subprocess.TimeoutExpired):
            self._watchdog.communicate(b"." * orderly, timeout=2 * processes.KILLED_WITHIN)
        self._watchdog.kill()
        self._watchdog.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
