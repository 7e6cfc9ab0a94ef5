"""Market regimes drawn by seed, and the file of those that are kept.

The range of every setting was chosen on development seeds alone, so that all KPIs fail somewhere.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import convert

from pytest_soak_market.market import MarketSettings, MarketSystem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEPT = Path(__file__).with_name("regimes.json")
SLOT_S = 60.0
"""Simulated seconds of an iteration: a quarter of the pack's, to save computing time."""

NOISE = {
    "net_bps": 0.07,
    "cancel_ratio": 0.015,
    "order_age_p95_ms": 22.0,
    "maker_share": 0.006,
    "adverse_bps_p95": 0.28,
    "slippage_bps_p95": 0.3,
    "ws_lag_p95_ms": 3.0,
}
"""Between iterations of ``SLOT_S`` with unchanged parameters; `python -m pytest_soak_market.bench
measure` prints what it rests on."""

DEVELOPMENT, HELD_OUT = "development", "held-out"
FIRST_SEED = {DEVELOPMENT: 1, HELD_OUT: 10_001}
"""The drawing seed at which each set begins. Single held-out regimes must not be looked at."""

EVEN = {
    "taker_patience_bps": (0.5, 1.3),
    "toxicity": (0.0, 0.3),
    "maker_distance_bps": (1.3, 2.5),
    "maker_rebate_bps": (1.6, 2.4),
    "requote_bps": (0.15, 0.5),
    "size_variation": (0.1, 0.6),
    "risk_room": (0.3, 0.8),
    "hedge_trigger": (0.7, 1.3),
    "hedge_target": (0.1, 0.7),
}
"""Settings drawn evenly between two values."""

BY_FACTOR = {
    "volatility_bps": (0.8, 3.5),
    "taker_rate": (50.0, 250.0),
    "taker_size": (1_500.0, 6_000.0),
    "capital": (25_000.0, 200_000.0),
    "queue_depth": (1_000.0, 12_000.0),
    "latency_ms": (0.1, 5.0),
    "decision_cost_ms": (0.5, 100.0),
}
"""Settings whose logarithm is drawn evenly."""

REVERSAL = (0.01, 0.5)
"""1 - flow_persistence, drawn in the same way."""


@dataclass(frozen=True, slots=True)
class Best:
    """The result of the offline search: parameters, and on how many unseen seeds they pass."""

    parameters: Mapping[str, float]
    passes: int
    seeds: int

    @property
    def share(self) -> float:
        """The share of unseen seeds on which the parameters pass."""
        return self.passes / self.seeds


@dataclass(frozen=True, slots=True)
class Regime:
    """A market that fails untuned and that some parameters repair.

    Args:
        seed: The drawing seed.
        which: ``development`` or ``held-out``.
        settings: The market's settings that differ from the default.
        oracle: ``{"fail": ..., "warn": ...}``: the best parameters against the FAIL limits alone,
            and against WARN limits as well.
        noise: ``{metric: sigma}`` between untuned iterations of different seeds.
    """

    seed: int
    which: str
    settings: Mapping[str, float]
    oracle: Mapping[str, Best]
    noise: Mapping[str, float]


def draw(seed: int) -> dict[str, float]:
    """Draw a market's settings."""
    rng = Random(f"regime:{seed}")  # noqa: S311 - reproducible draws, nothing to protect
    settings = {name: rng.uniform(*ends) for name, ends in EVEN.items()}
    for name, ends in BY_FACTOR.items():
        settings[name] = _by_factor(rng, *ends)
    settings["flow_persistence"] = 1 - _by_factor(rng, *REVERSAL)
    return {"slot_s": SLOT_S} | {name: float(f"{value:.4g}") for name, value in settings.items()}


def _by_factor(rng: Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def simulate(
    settings: Mapping[str, float], parameters: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Run one iteration from a fresh start and return its metrics."""
    system = MarketSystem(convert(settings, MarketSettings))
    report: dict[str, Any] = system.run(parameters, 1, seed, None)[0]
    totals: dict[str, Any] = report["totals"]
    return totals


def load(which: str, path: Path = KEPT) -> list[Regime]:
    """Read the kept regimes of one set, in the order of their drawing seeds."""
    kept = json.loads(path.read_text(encoding="utf-8"))["regimes"]
    return [
        Regime(**{**raw, "oracle": {name: Best(**best) for name, best in raw["oracle"].items()}})
        for raw in kept
        if raw["which"] == which
    ]


def how_many_drawn(path: Path = KEPT) -> dict[str, int]:
    """Return how many regimes of each set were drawn for those in the file."""
    if not path.exists():
        return dict.fromkeys(FIRST_SEED, 0)
    drawn: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["drawn"]
    return drawn


def save(found: Sequence[Regime], drawn: Mapping[str, int], path: Path = KEPT) -> None:
    """Write kept regimes, and how many were drawn for them, one regime a line."""
    rows = ",\n".join(f"  {json.dumps(asdict(regime), sort_keys=True)}" for regime in found)
    text = f'{{\n "drawn": {json.dumps(drawn)},\n "regimes": [\n{rows}\n ]\n}}\n'
    path.write_text(text, encoding="utf-8")
