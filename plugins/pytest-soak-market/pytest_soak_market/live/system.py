"""The market maker as a process, against an exchange as another: a system in wall-clock time."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_soak import ProcessReaper, SystemFailure
from pytest_soak_market.market.parameters import MakerParameters

from .children import Child
from .trader import DRAIN_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .settings import FastmmSettings

START_S = 30.0
"""The longest that a program may take to start, on a machine that is busy."""
LATE_S = 20.0
"""How much longer than its slot and a drain the maker may take to report."""
OVERRIDES = "runtime_overrides.json"


class LiveSystem:
    """Our market maker over a WebSocket of 127.0.0.1, against our exchange; both are processes.

    They are started once per chain and ended with it. The maker reads the chain's overrides anew
    for each iteration, and tells what it used.
    """

    name = "market-live"
    exchange = "exchange"
    """The module that runs the exchange."""
    secrets: tuple[str, ...] = ()
    virtual_time = False
    keeps_state = False  # it ends with its processes

    def __init__(self, settings: FastmmSettings) -> None:
        """Soak under these settings; nothing is started before `open`."""
        self._settings = settings
        self._slot_s = settings.slot_s
        self._overrides: Path | None = None
        self._resources = ExitStack()
        self._folder: Path | None = None
        self._exchange: Child | None = None
        self._maker: Child | None = None

    @staticmethod
    def check(parameters: Mapping[str, float]) -> None:
        """Refuse parameters that the maker cannot run with.

        Raises:
            ValueError: one is missing, unknown or outside its range.
        """
        MakerParameters.from_mapping(parameters)

    def open(self, folder: Path, slot: float | None) -> None:
        """Start the exchange and the maker.

        Arguments:
            folder: the chain's folder, with its overrides.
            slot: seconds of an iteration; the scenario's unless given.

        Raises:
            SystemFailure: one of them does not start.
        """
        self._overrides = folder / OVERRIDES
        if slot is not None:
            self._slot_s = slot
        self._start()

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object | None
    ) -> tuple[object, object]:
        """Let the maker trade for a slot.

        Arguments:
            parameters: all effective fields of the maker.
            iteration: its number, from 1.
            seed: 64 bits, for what the maker varies by chance.
            state: nothing; it has none.

        Returns:
            The maker's report, and no state.

        Raises:
            SystemFailure: one of the processes ended, or the maker did not report in time.
        """
        del state
        exchange, maker, folder = self._start()
        report = folder / f"report_{iteration}.json"
        maker.tell(
            {
                "iteration": iteration,
                "seed": seed,
                "slot_s": self._slot_s,
                "parameters": dict(parameters),
                "overrides": str(self._overrides) if self._overrides else None,
                "report": str(report),
            }
        )
        try:
            maker.answer(self._slot_s + DRAIN_S + LATE_S)
            exchange.check()
        except SystemFailure:
            self.close()
            raise
        return json.loads(report.read_text(encoding="utf-8")), None

    def close(self) -> None:
        """End both processes, whatever they are doing."""
        self._maker = self._exchange = self._folder = None
        resources, self._resources = self._resources, ExitStack()
        resources.close()

    def _start(self) -> tuple[Child, Child, Path]:
        """Return the processes and their folder; start what is not running."""
        if self._exchange is None or self._maker is None or self._folder is None:
            kept = ProcessReaper()  # the last to be closed: it ends whatever the others could not
            self._resources.callback(kept.close)
            self._folder = kept.folder
            self._exchange = Child.of_module("the exchange", self.exchange, kept)
            self._resources.callback(self._exchange.end)
            settings = asdict(self._settings)
            self._exchange.tell({"settings": settings, "seed": 0, "folder": str(self._folder)})
            where = self._exchange.answer(START_S)
            self._maker = Child.of_module("the market maker", "trader", kept)
            self._resources.callback(self._maker.end)
            self._maker.tell({"system": self.name, "settings": settings, **where})
        return self._exchange, self._maker, self._folder


class FastmmSystem(LiveSystem):
    """The same market maker against ``fastmm-sim-exchange``, which others wrote."""

    name = "market-fastmm"
    exchange = "fastmm_exchange"
