"""Ends the processes of a soak when the soak ends, even if it is killed."""

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
    """Marks child processes, and ends them and removes their folder on `close`.

    If this process is killed before `close`, a watchdog process does the same.

    Attributes:
        mark: The value of ``PYTEST_SOAK_MARK`` that marks the processes.
        folder: A new temporary folder for their files.
    """

    def __init__(self) -> None:
        """Create the folder and start the watchdog."""
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
            # A signal to our process group (Ctrl-C, `timeout`) must not end the watchdog with us.
            start_new_session=True,
        )

    @property
    def environ(self) -> dict[str, str]:
        """The environment to start a process with; its own child processes inherit the mark."""
        return {**os.environ, processes.MARK: self.mark}

    def close(self) -> None:
        """Kill the processes that are left, stop the watchdog and remove the folder."""
        # The watchdog kills what is left, unless it is told that nothing is: a second Ctrl-C may
        # have interrupted the orderly end.
        none_left = not processes.marked(self.mark)
        with suppress(OSError, subprocess.TimeoutExpired):
            self._watchdog.communicate(b"." * none_left, timeout=2 * processes.KILL_TIMEOUT)
        self._watchdog.kill()
        self._watchdog.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
