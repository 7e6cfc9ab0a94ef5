"""Our exchange as a process: the market's venue in wall-clock time, behind a WebSocket.

It listens on a free port of 127.0.0.1. The first line on stdin is its settings, as JSON. It answers
with ``{"port": N}`` on stdout, and ends when stdin ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from random import Random
from typing import TYPE_CHECKING

from msgspec import convert
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from pytest_soak_market.market.messages import Message, Request, RequestKind, Topic
from pytest_soak_market.market.venue import Venue

from .lines import Lines
from .settings import LiveSettings
from .wire import requests_of, to_frame

if TYPE_CHECKING:
    from websockets.http11 import Response

    from .settings import Faults

HOST = "127.0.0.1"
RECEIVED = "/?received="
"""The path of a connection, before the number of private messages that the maker has received."""
EXIT_CODE = 3
"""The exit code of the fault ``exit_after_s``."""
_MAX_STEP_S = 1.0  # of the market; what it missed in a longer one is skipped
_MAX_UNREAD = 100_000  # messages after which a maker that does not read is disconnected
_MAX_PRIVATE = 100_000  # messages about its orders that are repeated when it reconnects


class Exchange:
    """Run the market, and serve one maker at a time."""

    def __init__(self, settings: LiveSettings, seed: int) -> None:
        """Open the market; the times of faults count from the first connection."""
        self._faults = settings.faults
        self._rng = Random(seed)  # noqa: S311 - which orders a fault refuses
        self._venue = Venue(settings, Random(seed), time.monotonic(), self._publish)  # noqa: S311 - a game
        self._unread: deque[Message] = deque()
        self._private: deque[Message] = deque(maxlen=_MAX_PRIVATE)
        self._private_count = 0
        self._has_unread = asyncio.Event()
        self._connection: ServerConnection | None = None
        self._first_s: float | None = None
        self._fault_task: asyncio.Task[None] | None = None

    async def trade(self) -> None:
        """Run the background flow, each event when it is due."""
        venue = self._venue
        while True:
            now_s = time.monotonic()
            if (
                now_s - venue.next_s > _MAX_STEP_S
            ):  # the machine was suspended, or this process did not run
                venue.skip_to(now_s)
            while venue.next_s <= now_s:
                venue.step(time.monotonic())
            await asyncio.sleep(venue.next_s - time.monotonic())

    def admit(self, connection: ServerConnection, _: object) -> Response | None:
        """Refuse a connection while another maker is connected or a fault is active."""
        if self._first_s is None:
            self._first_s = time.monotonic()
            self._fault_task = asyncio.create_task(self._run_faults(self._faults))
        dropped = self._is_on(self._faults.drop_after_s, self._faults.drop_for_s)
        if self._connection is not None or dropped:
            return connection.respond(503, "not now")
        return None

    async def handle(self, connection: ServerConnection) -> None:
        """Serve a maker until its connection ends; all its orders are cancelled then."""
        self._connection = connection
        assert connection.request is not None  # noqa: S101 - a connection begins with a request
        missed = self._private_count - int(connection.request.path.rpartition(RECEIVED)[2])
        self._unread.extend(list(self._private)[len(self._private) - missed :])
        self._unread.append(Message(time.monotonic(), self._venue.mid, Topic.OPEN))
        self._has_unread.set()
        sending = asyncio.create_task(self._send(connection))
        try:
            async for frame in connection:
                for request in requests_of(frame):
                    self._serve(request)
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()
            self._connection = None
            self._unread.clear()
            self._venue.cancel_all(time.monotonic())

    async def _send(self, connection: ServerConnection) -> None:
        """Send unread messages as fast as the maker reads them."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._has_unread.wait()
                self._has_unread.clear()
                frame, self._unread = self._unread, deque()
                await connection.send(to_frame(frame))

    def _serve(self, request: Request) -> None:
        now_s = time.monotonic()
        is_order = request.kind in (RequestKind.NEW, RequestKind.REPLACE)
        if is_order and self._rng.random() < self._faults.reject_share:
            self._venue.refuse(now_s, request)
        else:
            self._venue.serve(now_s, request)
        answer = Message(now_s, self._venue.mid, Topic.ACK, request.order_id)
        self._publish(answer._replace(since_s=request.sent_s))

    def _publish(self, message: Message) -> None:
        """Queue a message for the maker, unless a fault drops or delays it."""
        if message.topic is Topic.MARKET:
            if not self._is_on(self._faults.mute_after_s, self._faults.mute_for_s):
                self._queue(message)
        elif self._faults.ack_delay_ms:
            loop = asyncio.get_running_loop()
            loop.call_later(self._faults.ack_delay_ms / 1e3, self._queue_private, message)
        else:
            self._queue_private(message)

    def _queue_private(self, message: Message) -> None:
        """Queue a message about the maker's orders; it is repeated if the maker missed it."""
        if message.topic is Topic.ACK:
            message = message._replace(venue_s=time.monotonic())
        self._private_count += 1
        self._private.append(message)
        self._queue(message)

    def _queue(self, message: Message) -> None:
        if self._connection is None:
            return
        self._unread.append(message)
        self._has_unread.set()
        if len(self._unread) > _MAX_UNREAD:
            self._disconnect()

    def _is_on(self, after_s: float, for_s: float) -> bool:
        """Return whether a fault is active that begins *after_s* and lasts *for_s* seconds."""
        if self._first_s is None or not after_s:
            return False
        return after_s <= time.monotonic() - self._first_s < after_s + for_s

    async def _run_faults(self, faults: Faults) -> None:
        """Run the faults that happen once."""
        if faults.drop_after_s:
            await asyncio.sleep(faults.drop_after_s)
            self._disconnect()
        if faults.exit_after_s:
            await asyncio.sleep(faults.exit_after_s - faults.drop_after_s)
            os._exit(EXIT_CODE)  # pragma: no cover - nothing that was covered is saved

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.transport.abort()


async def main() -> None:
    """Serve until stdin ends."""
    lines = await Lines.open()
    order = await lines.read()
    exchange = Exchange(convert(order["settings"], LiveSettings), order["seed"])
    async with serve(
        exchange.handle,
        HOST,
        0,
        process_request=exchange.admit,
        compression=None,
        ping_interval=None,
        close_timeout=1,
    ) as server:
        lines.write({"port": server.sockets[0].getsockname()[1]})
        trading = asyncio.create_task(exchange.trade())
        ending = asyncio.create_task(lines.ended())
        done, _ = await asyncio.wait((trading, ending), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


if __name__ == "__main__":
    asyncio.run(main())
