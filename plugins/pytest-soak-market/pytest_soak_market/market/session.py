"""Runs flow, venue and maker in virtual time, in the order of their events."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING, Any

from .bot import MarketMaker
from .clock import VirtualClock
from .memory import Memory
from .messages import Message, Request, RequestKind
from .recorder import Recorder
from .venue import Venue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from .parameters import MakerParameters
    from .settings import MarketSettings


class Session:
    """Run the market for a while, from a fresh start or from where an earlier session ended.

    ``maker`` is the bot, ``recorder`` what was measured and the maker's account.
    """

    def __init__(
        self,
        settings: MarketSettings,
        parameters: MakerParameters,
        rng: Random,
        warm_up_s: float,
        state: Mapping[str, Any] | None,
    ) -> None:
        """Start afresh, or from the ``state`` an earlier session dumped.

        Arguments:
            settings: the market's conditions.
            parameters: what the maker works with.
            rng: the only source of randomness.
            warm_up_s: seconds at the start that are not measured.
            state: see ``dump``.
        """
        self._latency_s = settings.latency_ms / 1e3
        self._feed: deque[Message] = deque()
        self._requests: deque[tuple[float, Request]] = deque()
        self._clock = VirtualClock()
        memory = None if state is None else Memory.load(state["maker"])
        self.maker = MarketMaker(settings, parameters, rng, memory, self._clock)
        self.now_s = 0.0 if state is None else state["now_s"]
        cash = settings.capital if state is None else state["cash"]
        lots = 0 if state is None else state["lots"]
        self._venue = Venue(settings, rng, self.now_s, self._publish, state)
        for request in () if state is None else state["requests"]:
            terms = {**request, "kind": RequestKind(request["kind"])}
            self._requests.append((terms.pop("arrives_s"), Request(**terms)))
        start_s = self.now_s + warm_up_s
        self.recorder = Recorder(self.now_s, start_s, cash, lots, self._venue.mid)

    def run(self, until_s: float) -> None:
        """Process all events up to ``until_s``."""
        venue, maker, feed, requests = self._venue, self.maker, self._feed, self._requests
        memory, clock = maker.memory, self._clock
        latency_s = self._latency_s
        while True:
            heard_s = max(feed[0].venue_s + latency_s, memory.busy_until_s) if feed else inf
            arrives_s = requests[0][0] if requests else inf
            next_s = venue.next_s
            if arrives_s <= next_s and arrives_s <= heard_s:
                if arrives_s > until_s:
                    break
                venue.serve(*requests.popleft())
            elif next_s <= heard_s:
                if next_s > until_s:
                    break
                venue.step(next_s)
            else:
                if heard_s > until_s:
                    break
                message = feed.popleft()
                self.recorder.note_lag(message.venue_s, heard_s)
                clock.now_s = heard_s
                sent = maker.think(message)
                self.recorder.note_sent(sent)
                requests.extend((request.sent_s + latency_s, request) for request in sent)
        self.now_s = until_s

    def drain(self) -> None:
        """Let the maker process the rest of the feed at once, without decisions.

        An overload's backlog would otherwise be measured again by the next session.
        """
        while self._feed:
            self.maker.hear(self._feed.popleft())

    def dump(self) -> dict[str, Any]:
        """Return the state that the next session goes on from, as JSON values."""
        return {
            "now_s": self.now_s,
            "cash": self.recorder.cash,
            "lots": self.recorder.lots,
            **self._venue.dump(),
            "requests": [
                {**asdict(request), "kind": request.kind.value, "arrives_s": arrives_s}
                for arrives_s, request in self._requests
            ],
            "maker": self.maker.memory.dump(),
        }

    def _publish(self, message: Message) -> None:
        """Record a message of the venue at once, and queue it for the maker."""
        self.recorder.note(message)
        self._feed.append(message)
