"""How our programs talk to who started them: lines of JSON on standard input and output."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_LOOK_S = 0.2  # between two looks whether standard input has ended


class Lines:
    """Orders come in and answers go out, a line each.

    When standard input ends, whoever started the program is gone, and it is to end too: that holds
    even where the other was killed.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        """Read from *reader*; `open` is how to make one."""
        self._reader = reader

    @classmethod
    async def open(cls) -> Lines:
        """Take up standard input."""
        reader = asyncio.StreamReader(limit=2**20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return cls(reader)

    async def read(self) -> Any:  # noqa: ANN401 - what JSON may be
        """Return the next order, or None where there will be no more."""
        line = await self._reader.readline()
        return json.loads(line) if line else None

    async def ended(self) -> None:
        """Wait until there will be no more orders."""
        while not self._reader.at_eof():  # noqa: ASYNC110 - a reader has no event for it
            await asyncio.sleep(_LOOK_S)

    def write(self, answer: object) -> None:
        """Give an answer."""
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
