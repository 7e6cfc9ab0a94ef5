"""What a scenario sets of a market in wall-clock time: the market, and what goes wrong in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pytest_soak_market.market.settings import (
    MarketSettings,
    check_setting,
    known_settings,
    setting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULTS = "faults"


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

    drop_after_s: float = setting(0.0, "s", 0.0, 86_400.0)
    drop_for_s: float = setting(0.0, "s", 0.0, 86_400.0)
    mute_after_s: float = setting(0.0, "s", 0.0, 86_400.0)
    mute_for_s: float = setting(0.0, "s", 0.0, 86_400.0)
    ack_delay_ms: float = setting(0.0, "ms", 0.0, 60_000.0)
    reject_share: float = setting(0.0, "1", 0.0, 1.0)
    exit_after_s: float = setting(0.0, "s", 0.0, 86_400.0)

    def __post_init__(self) -> None:
        """Check every value against its declared range."""
        for entry in fields(self):
            check_setting(entry.name, getattr(self, entry.name), entry.default, entry.metadata)


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The conditions of a market in wall-clock time, and the faults of its exchange.

    Of the market's settings ``latency_ms``, ``feed_cost_ms`` and ``request_cost_ms`` come on top of
    what the network and Python really cost; they are 0 unless set, and the first is not used.
    """

    market: MarketSettings
    faults: Faults = field(default_factory=Faults)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> LiveSettings:
        """Build settings from a scenario's mapping: a market's, and a table ``faults``.

        Raises:
            ValueError: an unknown key, a value of the wrong type or out of range.
        """
        market: dict[str, Any] = {"feed_cost_ms": 0.0, "request_cost_ms": 0.0, **mapping}
        faults = market.pop(FAULTS, {})
        if not isinstance(faults, dict):
            msg = f"market setting {FAULTS} must be a table, got {faults!r}"
            raise ValueError(msg)  # noqa: TRY004 - one kind of error for whatever a scenario says wrong
        return cls(MarketSettings.from_mapping(market), Faults(**known_settings(Faults, faults)))

    @classmethod
    def without_faults(cls, mapping: Mapping[str, Any]) -> LiveSettings:
        """Build settings for an exchange that is not ours to break.

        Raises:
            ValueError: as for `from_mapping`, or there is a table ``faults``.
        """
        if FAULTS in mapping:
            msg = f"market setting {FAULTS} is for market-live alone, whose exchange is ours"
            raise ValueError(msg)
        return cls.from_mapping(mapping)

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_mapping` makes these settings of."""
        return {**asdict(self.market), FAULTS: asdict(self.faults)}
