"""Ends what a soak started when the soak itself was killed: a process that waits for that.

Run as ``python watchdog.py MARK FOLDER`` with a pipe as its input. A line on it says that all is in
order. Its end without one says that whoever held the other end is gone, however it went: SIGKILL
cannot be caught, but it closes pipes. Then every process that carries the mark is killed, and the
folder, which holds what the program wrote, is removed.
"""

from __future__ import annotations

import shutil
import sys


def keep(mark: str, folder: str) -> None:
    """Wait for the end of the input, and put things in order where nobody else has."""
    if sys.stdin.read(1):
        return
    from pytest_soak.systems.command import processes  # noqa: PLC0415 - mostly it is not needed

    processes.end(lambda: processes.marked(mark), 0)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(*sys.argv[1:])
