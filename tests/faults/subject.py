"""The subject of the suite: a tuner, and a system whose numbers depend on its whole history.

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
"""Duration of an iteration in seconds, so that a random moment falls into one."""


class Ledger:
    """Counts its runs in its own file, and has a hash over all of them as its state."""

    keeps_state = True
    at_work = ""
    """The chain that was counted last in this process, for the killer's notes."""

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
        """Record the start of the iteration in a file that no part of the soak changes."""
        Ledger.at_work = self._side
        append(Path(COUNTER.format(self._side)), f"{iteration}\n")

    def measure(self) -> None:
        """Take the time of an iteration."""
        time.sleep(float(os.environ.get(PAUSE, "0")))


def append(path: Path, text: str) -> None:
    """Append *text* in one write, which survives a kill right after it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, text.encode())
    os.close(descriptor)


class Steady:
    """Always asks for the same step, so that a lost or doubled one shows in the sum."""

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
