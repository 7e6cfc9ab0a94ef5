"""Requests from the maker to the venue, and messages of the feed from the venue to the maker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .metrics import EndCause


class RequestKind(StrEnum):
    """What the maker asks of the venue."""

    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"
    HEDGE = "hedge"


@dataclass(frozen=True, slots=True)
class Request:
    """What the maker asks of the venue.

    ``order_id`` is the order it is about, ``replaced`` the one that a replace ends for it.
    ``price`` is in ticks (a hedge's is its limit), ``quantity`` in lots.
    """

    kind: RequestKind
    sent_s: float
    order_id: int
    side: int = 0
    price: int = 0
    quantity: int = 0
    replaced: int = 0


class Topic(StrEnum):
    """The kinds of messages of the feed."""

    MARKET = "market"  # the mid moved, or a trade of others: `lots` is the signed volume
    FILL = "fill"  # an order of ours traded: `lots` is signed
    ENDED = "ended"  # an order of ours is gone
    HEDGED = "hedged"  # our hedge is over
    # From a real connection only:
    OPEN = "open"  # it begins: no order and no hedge of ours exists
    ACK = "ack"  # the venue has processed a request of ours


class Message(NamedTuple):
    """A message of the feed; a tuple because there are dozens per simulated second.

    Attributes:
        venue_s: when it happened at the venue.
        mid: the mid just after, in ticks.
        topic: what it is about.
        order_id: the order of ours that it is about.
        lots: signed volume.
        price: of a fill, in ticks.
        fee: of a fill, in USD.
        mid_before: of a fill: the mid strictly before it, in ticks.
        is_taker: of a fill: whether it was a hedge's.
        cause: how an order of ours ended; empty where the venue refused it and it never rested.
        since_s: when the ended order was acknowledged, or what traded or was dealt with was
            sent.
    """

    venue_s: float
    mid: float
    topic: Topic
    order_id: int = 0
    lots: int = 0
    price: int = 0
    fee: float = 0.0
    mid_before: float = 0.0
    is_taker: bool = False
    cause: EndCause | str = ""
    since_s: float = 0.0
