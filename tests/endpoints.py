"""What tests of the system `http` need: somebody who answers, in this process or beside it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


Text: TypeAlias = "str | tuple[int, str, str] | Callable[[], str]"
"""A text in the format of Prometheus, (status, type, text), or who makes one when asked."""


class Speaker:
    """Answers one request after the other with the next of its texts; the last one again."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self._texts = list(texts)
        self.asked: list[str] = []

    def next(self, path: str) -> tuple[int, str, str]:
        text = self._texts[min(len(self.asked), len(self._texts) - 1)]
        self.asked.append(path)
        text = text() if callable(text) else text
        return (200, "text/plain; version=0.0.4", text) if isinstance(text, str) else text


@contextmanager
def speaking(*texts: Text) -> Iterator[tuple[str, Speaker]]:
    """Give the URL of somebody who answers with *texts*, and who that is."""
    speaker = Speaker(texts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = speaker.next(self.path)
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", speaker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def talking(say: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Give the URL of somebody who says what *say* does to one who connects, until the event."""
    over = threading.Event()
    with socket.socket() as listens:
        listens.bind(("127.0.0.1", 0))
        listens.listen()

        def serve() -> None:
            connection, _ = listens.accept()
            with connection:
                try:
                    connection.recv(4096)
                    say(connection, over)
                except OSError:  # the other side had enough
                    over.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listens.getsockname()[1]}/metrics"
        finally:
            over.set()
            thread.join()
