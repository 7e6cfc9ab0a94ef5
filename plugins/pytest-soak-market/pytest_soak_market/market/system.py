"""The system ``market``: the market in virtual time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, cast

from .parameters import MakerParameters
from .report import account, measure, virtual_time
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import MarketSettings

WARM_UP_S = 0.5
HORIZON_S = 1.0


class MarketSystem:
    """A market maker quoting into an order book with background flow, in virtual time.

    It needs no secrets. It keeps state: orders, inventory, the market and the maker's memory carry
    over from one iteration to the next.
    """

    secrets: tuple[str, ...] = ()
    virtual_time = True
    keeps_state = True

    def __init__(self, settings: MarketSettings) -> None:
        """Take the settings of the market."""
        self._settings = settings

    @staticmethod
    def check(parameters: Mapping[str, float]) -> None:
        """Refuse parameters that the maker cannot run with.

        Raises:
            ValueError: one is missing, unknown or outside its range.
        """
        MakerParameters.from_mapping(parameters)

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object | None
    ) -> tuple[dict[str, object], object]:
        """Run one iteration of ``slot_s`` simulated seconds.

        The first half second is warm-up and not measured. Fills in the last second have no mid one
        second later; they are left out of what needs it (see the report's ``n``).

        Arguments:
            parameters: all effective fields of the maker.
            iteration: its number, from 1.
            seed: 64 bits; the only source of randomness.
            state: what the iteration before returned, or None for the first.

        Returns:
            The report, and the state for the next iteration; both are JSON values.

        Raises:
            ValueError: a parameter is missing, unknown or not a number from 0.
        """
        used = MakerParameters.from_mapping(parameters)
        memory = cast("Mapping[str, Any] | None", state)
        session = Session(self._settings, used, Random(seed), WARM_UP_S, memory)  # noqa: S311 - a game
        start_s = session.recorder.start_s
        end_s = start_s - WARM_UP_S + self._settings.slot_s
        session.run(start_s)
        session.maker.blocks.clear()
        session.run(end_s)
        session.drain()
        recorder = session.recorder
        fills = recorder.fills(HORIZON_S, end_s)
        totals, counts = measure(recorder, fills, session.maker.blocks)
        report: dict[str, object] = {
            "iteration": iteration,
            "start": virtual_time(start_s),
            "end": virtual_time(end_s),
            "parameters": used.as_dict(),
            "totals": totals,
            "n": counts,
            "symbols": {self._settings.symbol: account(recorder, fills)},
            "runtime": {
                "system": "market",
                "slot_s": self._settings.slot_s,
                "measured_s": end_s - start_s,
                "horizon_s": HORIZON_S,
            },
        }
        return report, session.dump()
