"""Kills the processes of a soak when the soak itself was killed.

Run as ``python watchdog.py MARK FOLDER`` with a pipe as its stdin. One byte on the pipe means that
the soak ended in order. The end of the pipe without one means that the soak is gone: SIGKILL cannot
be caught, but it closes pipes. The watchdog then kills every process that carries the mark, and
removes the folder with their files.
"""

from __future__ import annotations

import shutil
import sys


def watch(mark: str, folder: str) -> None:
    """Wait until stdin ends; clean up if the soak did not end in order."""
    if sys.stdin.read(1):
        return
    # psutil is imported only when it is needed: the watchdog starts fast and stays small.
    from pytest_soak.systems.command import processes  # noqa: PLC0415 - as said above

    processes.terminate(lambda: processes.marked(mark), 0)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(*sys.argv[1:])
