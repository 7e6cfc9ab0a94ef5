"""Sends one HTTP request of bounded time and size, without redirects and proxies."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_soak.store.files import MAX_BYTES

OK = 200
"""The HTTP status of success."""


class NoAnswer(Exception):
    """Why a request got no usable answer. The text does not name the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer.

    Args:
        status: The HTTP status, such as 200.
        kind: The media type: ``Content-Type`` without its parameters, or ''.
        body: The content.
    """

    status: int
    kind: str
    body: bytes


def fetch(url: str, timeout: float, accept: str = "*/*", max_bytes: int | None = None) -> Answer:
    """Return the answer of *url* with any status.

    A redirect is returned and not followed: the named program is what is measured. The look-up of a
    host name has the timeout of the machine's resolver.

    Args:
        url: An http or https URL.
        timeout: Seconds for the whole request.
        accept: The value of the ``Accept`` header.
        max_bytes: The size of the largest answer; None for `MAX_BYTES`.

    Raises:
        NoAnswer: There is no complete answer.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connects = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connects(parts.hostname or "", parts.port, timeout=timeout)
    timed_out = threading.Event()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    begun, timer = time.monotonic(), None
    try:
        connection.connect()
        # The socket timeout restarts with each byte, so a slow server could exceed it for ever.
        left = max(0.0, begun + timeout - time.monotonic())
        timer = threading.Timer(left, _abort, (connection.sock, timed_out))
        timer.daemon = True
        timer.start()
        headers = {"Accept": accept, "Cache-Control": "no-cache", "Connection": "close"}
        connection.request("GET", path, headers=headers)
        answer = _read(connection.getresponse(), max_bytes or MAX_BYTES)
        if timed_out.is_set():  # headers that were cut off look like complete ones
            raise TimeoutError
    except (OSError, http.client.HTTPException) as error:
        if timed_out.is_set() or isinstance(error, TimeoutError):
            msg = f"no whole answer in {timeout:g} s"
        else:
            msg = _error_text(error)
        raise NoAnswer(msg) from None
    else:
        return answer
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()


def _abort(connected: socket.socket, timed_out: threading.Event) -> None:
    timed_out.set()
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse, max_bytes: int) -> Answer:
    """Read a whole answer.

    Raises:
        NoAnswer: It is too large.
        http.client.IncompleteRead: It is not complete.
    """
    with response:
        body = response.read(max_bytes + 1)
        if len(body) > max_bytes:
            msg = f"the answer has more than {max_bytes} bytes"
            raise NoAnswer(msg)
        if response.length:  # bytes that are missing; `read(amount)` does not raise for them
            raise http.client.IncompleteRead(body, response.length)
        return Answer(response.status, response.headers.get_content_type(), body)


def _error_text(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return f"the answer broke off after {len(error.partial)} bytes"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return f"no HTTP answer: {type(error).__name__} {error}".rstrip()
