"""The system in wall-clock time: market maker and exchange are two child processes."""

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
"""Timeout in seconds for the start of a process; long, as the machine may be busy."""
LATE_S = 20.0
"""Seconds beyond slot and drain in which the maker must report."""
OVERRIDES = "runtime_overrides.json"


class LiveSystem:
    """The market maker against our exchange, over a WebSocket on 127.0.0.1.

    Both processes are started once per chain. The maker reads the chain's overrides in each
    iteration, and reports the parameters that it used.
    """

    name = "market-live"
    exchange = "exchange"
    """The module that runs the exchange."""
    secrets: tuple[str, ...] = ()
    virtual_time = False
    keeps_state = False  # the state is in the processes

    def __init__(self, settings: FastmmSettings) -> None:
        """Take the settings; nothing is started before `open`."""
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
            slot: seconds of an iteration; None for those of the scenario.

        Raises:
            SystemFailure: one of them does not start in time.
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
            seed: 64 bits, for the random sizes of the maker's orders.
            state: unused.

        Returns:
            The maker's report, and no state.

        Raises:
            SystemFailure: one of the processes ended, or the maker did not report in time.
        """
        del state
        exchange, maker, folder = self._start()
        report = folder / f"report_{iteration}.json"
        maker.send(
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
            maker.receive(self._slot_s + DRAIN_S + LATE_S)
            exchange.check()
        except SystemFailure:
            self.close()
            raise
        return json.loads(report.read_text(encoding="utf-8")), None

    def close(self) -> None:
        """End both processes."""
        self._maker = self._exchange = self._folder = None
        resources, self._resources = self._resources, ExitStack()
        resources.close()

    def _start(self) -> tuple[Child, Child, Path]:
        """Return the processes and their folder; start them unless they run."""
        if self._exchange is None or self._maker is None or self._folder is None:
            reaper = ProcessReaper()  # closed last: it ends what the others could not
            self._resources.callback(reaper.close)
            self._folder = reaper.folder
            self._exchange = Child.of_module("the exchange", self.exchange, reaper)
            self._resources.callback(self._exchange.end)
            settings = asdict(self._settings)
            self._exchange.send({"settings": settings, "seed": 0, "folder": str(self._folder)})
            port = self._exchange.receive(START_S)
            self._maker = Child.of_module("the market maker", "trader", reaper)
            self._resources.callback(self._maker.end)
            self._maker.send({"system": self.name, "settings": settings, **port})
        return self._exchange, self._maker, self._folder


class FastmmSystem(LiveSystem):
    """The same market maker against ``fastmm-sim-exchange`` of fastmm-engine-live."""

    name = "market-fastmm"
    exchange = "fastmm_exchange"
