"""What a scenario sets of a market in wall-clock time: the market, and what goes wrong in it."""

from dataclasses import dataclass, field
from typing import Annotated

from pytest_soak_market.market.settings import MarketSettings, within


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong at our exchange; nothing unless set.

    Times count from the first connection of a maker; 0 is never.

    Attributes:
        drop_after_s: when it closes the connection.
        drop_for_s: for how long it then refuses to be connected to.
        mute_after_s: when market data falls silent, on a connection that stays open.
        mute_for_s: for how long.
        ack_delay_ms: by how much every answer to the maker is late: acknowledgements, fills, ends.
        reject_share: share of the orders that are refused on arrival.
        exit_after_s: when its process ends, with exit code 3.
    """

    drop_after_s: Annotated[float, within("s", 0.0, 86_400.0)] = 0.0
    drop_for_s: Annotated[float, within("s", 0.0, 86_400.0)] = 0.0
    mute_after_s: Annotated[float, within("s", 0.0, 86_400.0)] = 0.0
    mute_for_s: Annotated[float, within("s", 0.0, 86_400.0)] = 0.0
    ack_delay_ms: Annotated[float, within("ms", 0.0, 60_000.0)] = 0.0
    reject_share: Annotated[float, within("1", 0.0, 1.0)] = 0.0
    exit_after_s: Annotated[float, within("s", 0.0, 86_400.0)] = 0.0


@dataclass(frozen=True, slots=True)
class FastmmSettings(MarketSettings):
    """The conditions of a market in wall-clock time.

    Of the market's settings ``latency_ms``, ``feed_cost_ms`` and ``request_cost_ms`` come on top of
    what the network and Python really cost; they are 0 unless set, and the first is not used.
    """

    feed_cost_ms: Annotated[float, within("ms", 0.0, 100.0)] = 0.0
    request_cost_ms: Annotated[float, within("ms", 0.0, 10_000.0)] = 0.0


@dataclass(frozen=True, slots=True)
class LiveSettings(FastmmSettings):
    """The same with the faults of an exchange that is ours."""

    faults: Faults = field(default_factory=Faults)
