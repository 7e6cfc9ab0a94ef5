"""What the suite soaks: a system whose every number hangs on all that went before, and a tuner.

A delta that was lost, applied twice, or taken from another state changes every later report.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import History
    from pytest_soak.model.pack import Pack

COUNTER = "counter-{}"
PAUSE = "SOAK_FAULTS_PAUSE"
"""How many seconds an iteration lasts, so that a moment at random falls into one."""


class Ledger:
    """Counts its runs in a file of its own, and keeps a hash over all of them as its state."""

    keeps_state = True
    at_work = ""
    """Which chain was last counted in this process, for the killer's notes."""

    def __init__(self, side: str) -> None:
        self._side = side

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        self.count(iteration)
        before: dict[str, Any] = state if isinstance(state, dict) else {"ran": 0, "hash": ""}
        text = json.dumps([before["hash"], iteration, seed, dict(parameters)], sort_keys=True)
        after = {"ran": before["ran"] + 1, "hash": hashlib.sha256(text.encode()).hexdigest()}
        noise = random.Random(after["hash"]).random()
        self.measure()
        totals = {
            "latency_p95_ms": round(390 - 25 * parameters["workers"] + 5 * noise, 6),
            "error_rate": round(0.06 - 0.08 * parameters["backoff_s"], 6),
            "throughput": round(100 + 4 * parameters["workers"] + noise, 6),
        }
        report = {
            "iteration": iteration,
            "parameters": dict(parameters),
            "totals": totals,
            "runtime": after,
        }
        return report, after

    def count(self, iteration: int) -> None:
        """Write down that the iteration was begun, where no part of the soak can undo it."""
        Ledger.at_work = self._side
        append(Path(COUNTER.format(self._side)), f"{iteration}\n")

    def measure(self) -> None:
        """Be at work."""
        time.sleep(float(os.environ.get(PAUSE, "0")))


def append(path: Path, text: str) -> None:
    """Append *text* in one write, which is there even if the process is killed right after."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, text.encode())
    os.close(descriptor)


class Steady:
    """Asks for the same step again and again: one that is lost or doubled shows in the sum."""

    requires = ("throughput",)

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        odd = int(history.latest.number("throughput") * 1000) % 2
        steps = {"workers": 1, "backoff_s": 0.05, "batch_size": -1 - odd}
        return Proposal(steps, ("steady",))


def pytest_soak_tuners() -> dict[str, Callable[[Pack], Steady]]:
    return {"steady": lambda pack: Steady()}


@pytest.fixture
def soak_system(request: pytest.FixtureRequest) -> Ledger:
    callspec = getattr(request.node, "callspec", None)
    return Ledger(callspec.params.get("side", "only") if callspec else "only")
