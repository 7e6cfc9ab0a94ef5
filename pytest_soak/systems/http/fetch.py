"""One HTTP request whose time and size are bounded: no redirect is followed, no proxy used."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

WELL = 200
"""The status of an answer that is what was asked for."""
LARGEST = 16 * 1024 * 1024
"""How many bytes an answer may have."""


class NoAnswer(Exception):
    """Why a request had no answer that can be used; the URL is not in it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Args:
        status: Its code, such as 200.
        kind: What it says that it is: the ``Content-Type`` without its parameters, or ''.
        body: What it says.
    """

    status: int
    kind: str
    body: bytes


def fetch(url: str, timeout: float, accept: str = "*/*") -> Answer:
    """Return the answer of *url*, whatever its status is.

    A redirect is such an answer, and never followed: what is measured is the program that was
    named. A server that sends one byte now and then does not make it longer: a timer cuts the
    connection. (A name is looked up by the machine's resolver, within the bounds of that.)

    Args:
        url: Where to ask; its scheme is http or https.
        timeout: Seconds that the whole of it may take.
        accept: The media types that are asked for.

    Raises:
        NoAnswer: There is none, or no whole one.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connects = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connects(parts.hostname or "", parts.port, timeout=timeout)
    late = threading.Event()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timer = None
    try:
        connection.connect()
        timer = threading.Timer(timeout, _cut, (connection.sock, late))
        timer.daemon = True
        timer.start()
        headers = {"Accept": accept, "Cache-Control": "no-cache", "Connection": "close"}
        connection.request("GET", path, headers=headers)
        answer = _read(connection.getresponse())
        if late.is_set():  # a head that is cut off looks like one that ends
            raise TimeoutError
    except (OSError, http.client.HTTPException) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            msg = f"no whole answer in {timeout:g} s"
        else:
            msg = _why(error)
        raise NoAnswer(msg) from None
    else:
        return answer
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()


def _cut(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse) -> Answer:
    """Read an answer to its end.

    Raises:
        NoAnswer: It is too large.
        http.client.IncompleteRead: It is not whole.
    """
    with response:
        body = response.read(LARGEST + 1)
        if len(body) > LARGEST:
            msg = f"the answer has more than {LARGEST} bytes"
            raise NoAnswer(msg)
        if response.length:  # what is missing; with a bound, `read` says nothing of it
            raise http.client.IncompleteRead(body, response.length)
        return Answer(response.status, response.headers.get_content_type(), body)


def _why(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return f"the answer broke off after {len(error.partial)} bytes"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return f"no HTTP answer: {type(error).__name__} {error}".rstrip()
