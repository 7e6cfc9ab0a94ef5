"""The maker's connection to an exchange, and the one to ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from pytest_soak_market.market.messages import Topic

from .exchange import HOST, RECEIVED
from .wire import messages_of, to_frame

if TYPE_CHECKING:
    from pytest_soak_market.market.messages import Message, Request

_CONNECT_TIMEOUT_S = 1.0  # of one attempt


class GatewayLost(Exception):
    """The connection broke or could not be made."""


class Gateway(Protocol):
    """The interface between the maker and any exchange, in messages of our market."""

    async def connect(self) -> None:
        """Connect.

        Raises:
            GatewayLost: the connection cannot be made.
        """

    async def receive(self, seconds: float) -> list[Message]:
        """Return the next messages; none after *seconds*.

        Raises:
            GatewayLost: the connection broke.
        """

    async def send(self, requests: list[Request]) -> None:
        """Send *requests* to the exchange.

        Raises:
            GatewayLost: the connection broke.
        """

    async def close(self) -> None:
        """End the connection, if there is one."""


class OurGateway:
    """The connection to our own exchange."""

    def __init__(self, port: int) -> None:
        """Take the *port* of 127.0.0.1 for `connect`."""
        self._port = port
        self._socket: ClientConnection | None = None
        self._received = 0

    async def connect(self) -> None:
        """Connect; the messages about own orders that were missed come first."""
        await self.close()
        uri = f"ws://{HOST}:{self._port}{RECEIVED}{self._received}"
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                self._socket = await connect(
                    uri,
                    compression=None,
                    ping_interval=None,
                    proxy=None,
                    close_timeout=_CONNECT_TIMEOUT_S,
                )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise GatewayLost(str(error)) from None

    async def receive(self, seconds: float) -> list[Message]:
        """Return the messages of the next frame; none after *seconds*."""
        socket = self._open()
        try:
            async with asyncio.timeout(seconds):
                frame = await socket.recv()
        except TimeoutError:
            return []
        except ConnectionClosed as error:
            raise GatewayLost(str(error)) from None
        messages = messages_of(frame)
        self._received += sum(m.topic not in (Topic.MARKET, Topic.OPEN) for m in messages)
        return messages

    async def send(self, requests: list[Request]) -> None:
        """Send requests in one frame."""
        try:
            await self._open().send(to_frame(requests))
        except ConnectionClosed as error:
            raise GatewayLost(str(error)) from None

    async def close(self) -> None:
        """End the connection, if there is one."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def _open(self) -> ClientConnection:
        if self._socket is None:
            msg = "not connected"
            raise GatewayLost(msg)
        return self._socket
