"""The limits and prior beliefs that the learning tuner takes from a pack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_soak.model.metrics import Op, in_full
from pytest_soak.model.pack import Effects
from pytest_soak.model.verdict import Verdict
from pytest_soak.tuners.response import Belief

if TYPE_CHECKING:
    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.verdict import Threshold

UNKNOWN_NOISE = 0.02
"""Noise where none is declared, as a share of the KPI's limit."""
UNKNOWN_EFFECT = 0.5
"""The standard deviation of an effect over the whole range of a parameter: a share of the limit if
no effect is declared, a share of the effect if it is declared without a spread."""
LEAST_NOISE = 1e-5
"""The smallest noise, as a share of the limit; float rounding would hide a smaller one."""
LEAST = 1e-3
"""On a log scale a value below this share of the limit counts as this share."""

TAIL = -3.0
"""Beyond this many standard deviations on the bad side the log of a probability is a straight line,
so that a hopeless KPI still has a gradient, and does not outweigh all others."""
TAIL_CHANCE = math.log(0.5 * math.erfc(-TAIL / math.sqrt(2)))
TAIL_SLOPE = 2.5


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold of a KPI.

    Args:
        metric: The KPI's metric.
        value: The threshold, on the scale of the KPI.
        bad: The side on which it is broken: 1 above, -1 below.
        fails: Whether breaking it is a FAIL and not a WARN.
        text: The limit as text.
    """

    metric: str
    value: float
    bad: int
    fails: bool
    text: str

    def broken_by(self, value: float) -> bool:
        """Return whether *value* is on the bad side."""
        return self.bad * (value - self.value) > 0

    def chance(self, mean: float, sigma: float) -> float:
        """Return the log of the probability that a value ~ N(mean, sigma^2) keeps this limit."""
        z = self.bad * (self.value - mean) / sigma
        if z > TAIL:
            return math.log(0.5 * math.erfc(-z / math.sqrt(2)))
        return TAIL_CHANCE + TAIL_SLOPE * (z - TAIL)


@dataclass(frozen=True, slots=True)
class Outlook:
    """One KPI for the tuner.

    Args:
        metric: Its metric.
        limits: Its thresholds.
        belief: Its dependence on the parameters, as assumed before the run.
        size: The size of its limit, in the metric's unit.
        log: Whether its scale is logarithmic.
    """

    metric: str
    limits: tuple[Limit, ...]
    belief: Belief
    size: float
    log: bool

    def see(self, value: float) -> float:
        """Return *value* on the scale of this KPI."""
        return math.log(max(value, LEAST * self.size)) if self.log else value


def outlook(pack: Pack, kpi: Kpi) -> Outlook:
    """Return the outlook of *kpi*, which has limits, from *pack*."""
    size = abs(kpi.limits[0][1].value) or 1.0
    effects = _effects(pack, kpi.metric)
    if effects.log and any(threshold.value <= 0 for _, threshold in kpi.limits):
        effects = Effects()  # a gate setting allows such limits; they have no logarithm
    limits = tuple(
        _limit(kpi.metric, threshold, fails=verdict is Verdict.FAIL, log=effects.log)
        for verdict, threshold in kpi.limits
    )
    belief = _belief(pack, kpi.metric, effects, size)
    return Outlook(kpi.metric, limits, belief, size, effects.log)


def _limit(metric: str, threshold: Threshold, *, fails: bool, log: bool) -> Limit:
    value = math.log(threshold.value) if log else threshold.value
    bad = 1 if threshold.op in {Op.GT, Op.GE} else -1
    text = f"{metric}{threshold.op}{in_full(threshold.value)}"
    return Limit(metric, value, bad, fails, text)


def _effects(pack: Pack, metric: str) -> Effects:
    """Return the declared effects on *metric*, or those of the mock if none are declared."""
    if not pack.effects and metric in pack.mock:
        return Effects(pack.mock[metric].effects)
    return pack.effects.get(metric, Effects())


def _belief(pack: Pack, metric: str, effects: Effects, size: float) -> Belief:
    noise = pack.noise.get(metric, 0.0)
    if not noise and metric in pack.mock:
        noise = pack.mock[metric].noise
    noise = max(noise, LEAST_NOISE * size) if noise else UNKNOWN_NOISE * size
    scale = size
    if effects.log:
        noise, scale = noise / size, 1.0
    means, spreads = [], []
    for name, parameter in pack.parameters.items():
        reach = parameter.limits.hi - parameter.limits.lo
        mean = effects.mean.get(name, 0.0) * reach
        unsure = UNKNOWN_EFFECT * (abs(mean) if effects.mean else scale) + noise
        means.append(mean)
        spreads.append(effects.spread[name] * reach if name in effects.spread else unsure)
    bend = noise if effects.bend is None else effects.bend
    return Belief(tuple(means), tuple(spreads), bend, noise, scale)
