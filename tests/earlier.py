"""Runs of one test, run in this process, for tests of what a run is compared with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_soak.config.baseline import with_baseline
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.model.mode import Mode
from pytest_soak.store.folder import JOURNAL
from tests.fuzz.chains import asked, core, planned
from tests.support import linked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GATES = ("baseline:latency_p95_ms<=+10 %", "latency_p95_ms<=500", "error_rate<=0.5")
STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.0, 100.2, 99.8)


def session(day: int) -> str:
    """Return the id of the session of a *day*."""
    return f"202601{day:02}T000000Z-0123ab"


class Given:
    """A system whose latency is given."""

    keeps_state = True

    def __init__(self, values: Sequence[float | None]) -> None:
        self._values = values

    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> tuple[Any, Any]:
        del seed, state
        latency = self._values[iteration - 1]
        totals = {"latency_p95_ms": latency, "error_rate": 0.01, "throughput": 100}
        return {"iteration": iteration, "parameters": parameters, "totals": totals}, None


def soaked(
    folder: Path,
    day: int,
    level: float = 0.0,
    *,
    values: Sequence[float | None] = (),
    ends: bool = True,
    gates: Sequence[str] = GATES,
    **options: Any,
) -> SoakLoop:
    """Run a soak on a *day*, with a latency of about 100 ms and *level*; return its loop, closed.

    Args:
        folder: The folder of the soaks.
        day: The day in January.
        level: What is added to the latency.
        values: The latencies instead.
        ends: Whether it gets its verdict.
        gates: The gate settings.
        options: Settings of the command line.
    """
    given = tuple(values) or tuple(value + level for value in STEADY)
    options = {"gate": list(gates), "session": session(day), "mode": Mode.OFF, **options}
    request = asked(folder, iterations=len(given), **options)
    plan = with_baseline(planned(request, own=True), request, {})
    loop = SoakLoop(plan, core(), folder)
    for iteration in range(1, len(given) + 1):
        loop.run(iteration, Given(given))
    loop.passed = set(range(1, len(given) + 1))
    if ends:
        loop.finish(loop.conclude())
    loop.close()
    return loop


def rewrite(loop: SoakLoop, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the records of a closed *loop*; its hashes fit again."""
    path = loop.store.folder / JOURNAL
    records = [json.loads(text) for text in path.read_text("utf-8").splitlines()]
    change(records)
    path.write_bytes(linked(records))
