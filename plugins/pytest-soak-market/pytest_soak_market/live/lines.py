"""The child process's side of the protocol: lines of JSON on stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_POLL_S = 0.2  # between two checks whether stdin has ended


class Lines:
    """Reads orders and writes answers, one per line.

    When stdin ends, the parent process has ended (or was killed), and the child process must end.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        """Read from *reader*; use `open` for stdin."""
        self._reader = reader

    @classmethod
    async def open(cls) -> Lines:
        """Connect to stdin."""
        reader = asyncio.StreamReader(limit=2**20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return cls(reader)

    async def read(self) -> Any:  # noqa: ANN401 - what JSON may be
        """Return the next order, None at the end of stdin."""
        line = await self._reader.readline()
        return json.loads(line) if line else None

    async def ended(self) -> None:
        """Wait for the end of stdin."""
        while not self._reader.at_eof():  # noqa: ASYNC110 - a reader has no event for it
            await asyncio.sleep(_POLL_S)

    def write(self, answer: object) -> None:
        """Write an answer."""
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
