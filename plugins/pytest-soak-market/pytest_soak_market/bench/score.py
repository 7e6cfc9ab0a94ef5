"""The figures of the benchmark: results of a tuner's chains, significance of differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .limits import broken
from .oracle import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak import Pack

    from .arena import Chain
    from .regimes import Regime

SURE = 2.0
"""The number of standard deviations of a difference from which a change is more than noise."""


@dataclass(frozen=True, slots=True)
class Score:
    """The scores of one chain.

    Args:
        regime: The drawing seed of its regime.
        fail: The share of unseen seeds on which its final parameters leave no KPI at FAIL.
        warn: The same, and none at WARN either.
        verdict: The gate's word on the observation window.
        reached: The first iteration with no KPI at FAIL, 0 if there was none.
        before: KPIs at FAIL or WARN in the first iteration.
        after: The same in the last one.
        applied: How many steps were applied.
        unsafe: How many of them were followed by a KPI newly at FAIL, by more than noise.
    """

    regime: int
    fail: float
    warn: float
    verdict: str
    reached: int
    before: int
    after: int
    applied: int
    unsafe: int


def score(pack: Pack, regime: Regime, chain: Chain) -> Score:
    """Judge *chain*: its final parameters on unseen seeds, and each step it took."""
    judged = judge(pack, regime.settings, chain.parameters)
    half = len(judged) // 2
    clean = [n for n, totals in enumerate(chain.totals, 1) if not [*broken(pack, totals, "fail")]]
    steps = [(chain.totals[n - 1], chain.totals[n]) for n in chain.applied]
    return Score(
        regime=regime.seed,
        fail=sum(judged[:half]) / half,
        warn=sum(judged[half:]) / half,
        verdict=chain.verdict.name,
        reached=min(clean, default=0),
        before=len([*broken(pack, chain.totals[0], "warn")]),
        after=len([*broken(pack, chain.totals[-1], "warn")]),
        applied=len(steps),
        unsafe=sum(_unsafe(pack, regime, *step) for step in steps),
    )


def _unsafe(
    pack: Pack, regime: Regime, before: Mapping[str, Any], after: Mapping[str, Any]
) -> bool:
    """Return whether a KPI is newly at FAIL after a change by more than noise."""
    new = {*broken(pack, after, "fail")} - {*broken(pack, before, "fail")}
    for metric in new:
        sigma = max(regime.noise[metric], pack.noise[metric]) * math.sqrt(2)
        if after[metric] is None or abs(after[metric] - before[metric]) > SURE * sigma:
            return True
    return False


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p of a sign test (Dixon and Mood, 1946); ties are left out before."""
    pairs = better + worse
    tail = sum(math.comb(pairs, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / (1 << pairs))
