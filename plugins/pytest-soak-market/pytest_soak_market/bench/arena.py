"""Runs one tuned chain in one regime, by the engine of every soak."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak import hookspecs
from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.plan import plan_chain
from pytest_soak.config.registry import Registry
from pytest_soak.config.request import SoakRequest, SourcedValue
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.model.mode import Mode
from pytest_soak.packs.loader import load_pack
from pytest_soak_market import plugin as market
from pytest_soak_market.plugin import PACK

from .regimes import NOISE
from .rivals import RivalsPlugin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak import ChainPlan, Pack, Verdict

    from .regimes import Regime

NONE = "none"


@dataclass(frozen=True, slots=True)
class Chain:
    """The result of one chain.

    Args:
        parameters: The final effective parameters.
        points: The effective parameters of each iteration.
        totals: The metrics of each iteration.
        applied: The iterations after which something was applied.
        verdict: The gate's word on the observation window.
    """

    parameters: Mapping[str, float]
    points: Sequence[Mapping[str, float]]
    totals: Sequence[Mapping[str, Any]]
    applied: Sequence[int]
    verdict: Verdict


def registry(modules: Sequence[str] = ()) -> Registry:
    """Return a registry of the core, the market, this benchmark and *modules*."""
    plugins = pytest.PytestPluginManager()
    plugins.add_hookspecs(hookspecs)
    for plugin in (CorePlugin(), market, RivalsPlugin()):
        plugins.register(plugin)
    for module in modules:
        plugins.import_plugin(module)
    return Registry(plugins)


def bench_pack(settings: Mapping[str, float] | None = None) -> Pack:
    """Return the market-maker pack with the noise of this benchmark's shorter iterations."""
    return load_pack(PACK, {"market-maker": overlay(settings or {})})


def overlay(settings: Mapping[str, float]) -> dict[str, Any]:
    """Return the overlay of the pack for a regime: its scenario and the noise."""
    return {"noise": NOISE, "scenarios": {"regime": {"market": dict(settings)}}}


def plan(
    offers: Registry, regime: Regime, tuner: str, iterations: int, seed: int, folder: Path
) -> ChainPlan:
    """Return the plan of one chain, for `soak`; nothing is written to *folder* yet.

    Raises:
        SoakUsageError: Nobody offers the *tuner*, or it asks for what there is not.
    """
    options: dict[str, SourcedValue] = {
        "pack": SourcedValue("market-maker", "bench"),
        "scenario": SourcedValue("regime", "bench"),
        "seed": SourcedValue(seed, "bench"),
    }
    if tuner != NONE:
        options["tuner"] = SourcedValue(tuner, "--tuner")
    mode = Mode.OFF if tuner == NONE else Mode.APPLY
    packs = {"market-maker": overlay(regime.settings)}
    request = SoakRequest(iterations, mode, "bench", folder, options, packs=packs)
    return plan_chain(f"regime-{regime.seed}", request, {}, offers, environ={})


def soak(offers: Registry, regime: Regime, tuner: str, iterations: int, seed: int) -> Chain:
    """Run one chain.

    Args:
        offers: What is installed.
        regime: The market.
        tuner: The tuner's name; ``none`` tunes nothing.
        iterations: How many the chain has.
        seed: The run's seed; the same for all tuners, so that they can be compared in pairs.
    """
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(offers, regime, tuner, iterations, seed, Path(folder))
        loop = SoakLoop(planned, offers, Path(folder))
        try:
            results = [loop.run(number) for number in range(1, iterations + 1)]
            verdict = loop.verdict().verdict
            final = planned.effective(loop.store.overrides)
        finally:
            loop.store.close()
    if any(result.fault for result in results):
        raise RuntimeError(next(result.fault for result in results if result.fault))
    return Chain(
        final,
        [result.parameters for result in results],
        [dict(result.summary.metrics) for result in results],
        [result.iteration for result in results if result.applied],
        verdict,
    )
