"""The frames on our exchange's WebSocket: JSON lists of requests or of messages."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING

from pytest_soak_market.market.messages import Message, Request, RequestKind, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable


def to_frame(items: Iterable[Message] | Iterable[Request]) -> str:
    """Return *items* as a frame."""
    rows = [item if isinstance(item, Message) else astuple(item) for item in items]
    return json.dumps(rows)


def messages_of(frame: str | bytes) -> list[Message]:
    """Return the messages in a frame."""
    return [Message(row[0], row[1], Topic(row[2]), *row[3:]) for row in json.loads(frame)]


def requests_of(frame: str | bytes) -> list[Request]:
    """Return the requests in a frame."""
    return [Request(RequestKind(row[0]), *row[1:]) for row in json.loads(frame)]
