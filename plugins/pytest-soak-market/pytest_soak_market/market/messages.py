"""What travels between the maker and the venue: requests one way, the feed the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RequestKind(StrEnum):
    """What the maker asks of the venue."""

    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"
    HEDGE = "hedge"


@dataclass(frozen=True, slots=True)
class Request:
    """A request on its way to the venue.

    ``order_id`` is the order it is about, ``replaced`` the one that a replace ends for it.
    ``price`` is in ticks (a hedge's is its limit), ``quantity`` in lots.
    """

    kind: RequestKind
    sent_s: float
    arrives_s: float
    order_id: int
    side: int = 0
    price: int = 0
    quantity: int = 0
    replaced: int = 0


class Topic(StrEnum):
    """What a message of the feed is about."""

    MARKET = "market"  # the mid moved or somebody traded: `lots` is the signed volume
    FILL = "fill"  # an order of ours traded: `lots` is signed
    ENDED = "ended"  # an order of ours is gone
    HEDGED = "hedged"  # our hedge is over


class Message(NamedTuple):
    """A message of the feed; a tuple because there are dozens per simulated second.

    ``venue_s`` is when it happened at the venue, ``mid`` the mid just after, in ticks.
    """

    venue_s: float
    mid: float
    topic: Topic
    order_id: int = 0
    lots: int = 0
    price: int = 0
