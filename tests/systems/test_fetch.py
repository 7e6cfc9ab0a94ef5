"""One request: bounded in time and size, to the host that was named and to no other."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_soak.systems.http import fetch as module
from pytest_soak.systems.http.fetch import Answer, NoAnswer, fetch
from pytest_soak.systems.http.server import free_port
from tests.endpoints import speaking, talking

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Say = Callable[[socket.socket, threading.Event], None]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def test_an_answer_is_given_with_its_status_and_its_type() -> None:
    with speaking("a 1\n", (404, "text/html", "gone")) as (url, speaker):
        assert fetch(f"{url}/metrics?x=1", 10) == Answer(200, "text/plain", b"a 1\n")
        assert fetch(url, 10) == Answer(404, "text/html", b"gone")
    assert speaker.asked == ["/metrics?x=1", "/"]


def test_a_redirect_is_not_followed_and_a_proxy_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with speaking((302, "text/plain", "there")) as (url, speaker):
        assert fetch(url, 10).status == 302
    assert speaker.asked == ["/"]


def dribble(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"a")


def dribble_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"X")


@pytest.mark.parametrize("say", [dribble, dribble_head, lambda _, over: over.wait(60)])
def test_a_server_that_never_ends_is_cut_off(say: Say) -> None:
    begun = time.monotonic()
    with talking(say) as url, pytest.raises(NoAnswer, match=r"^no whole answer in 0\.3 s$"):
        fetch(url, 0.3)
    assert time.monotonic() - begun < 30
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("Thread-") and "_cut" in name]


BROKEN = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 12", "broke off after 4 bytes"),
    "a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\na 12", "broke off"),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", "no HTTP answer: BadStatusLine SSH"),
    "nothing": (b"", "remote end closed"),
}


@pytest.mark.parametrize(("data", "why"), BROKEN.values(), ids=list(BROKEN))
def test_what_is_not_whole_is_no_answer(data: bytes, why: str) -> None:
    with (
        talking(lambda connection, _: connection.sendall(data)) as url,
        pytest.raises(NoAnswer, match=why),
    ):
        fetch(url, 10)


def test_an_answer_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with speaking("a" * 100, "a" * 101) as (url, _):
        assert len(fetch(url, 10).body) == 100
        with pytest.raises(NoAnswer, match="more than 100 bytes"):
            fetch(url, 10)
        with pytest.raises(NoAnswer, match="more than 99 bytes"):
            fetch(url, 10, max_bytes=99)


def test_the_time_to_connect_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(connection: http.client.HTTPConnection) -> None:
        time.sleep(0.3)
        connects(connection)

    connects = http.client.HTTPConnection.connect
    monkeypatch.setattr(http.client.HTTPConnection, "connect", connect)
    with speaking("a 1\n") as (url, _), pytest.raises(NoAnswer, match=r"no whole answer in 0\.2 s"):
        fetch(url, 0.2)


def test_without_a_listener_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="connection refused"):
        fetch(f"http://127.0.0.1:{free_port()}", 10)


def test_a_server_without_a_certificate_is_no_answer_to_https() -> None:
    with (
        talking(lambda connection, _: connection.sendall(b"no\r\n")) as url,
        pytest.raises(NoAnswer),
    ):
        fetch(url.replace("http:", "https:"), 10)
