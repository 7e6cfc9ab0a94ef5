"""The benchmark's table: every tuner over every regime, in pairs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from .arena import NONE, bench_pack, soak
from .score import score, sign_test

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_soak.config.registry import Registry

    from .regimes import Regime
    from .score import Score

HEAD = (
    f"{'tuner':14} {'no FAIL':>7} {'no WARN':>7} {'PASS':>5} {'reached':>7} {'first':>5}"
    f" {'KPIs bad':>10} {'steps':>5} {'unsafe':>6}   against none      against random"
)
RANDOM = "random"


def run(
    offers: Registry,
    regimes: Sequence[Regime],
    tuners: Sequence[str],
    lengths: Sequence[int],
    seeds: int,
) -> Iterator[str]:
    """Run every tuner in every regime and yield the lines of the table.

    Args:
        offers: What is installed.
        regimes: The markets.
        tuners: Their names; ``none`` is no tuning, ``random`` is random search.
        lengths: How many iterations a chain has; one table each.
        seeds: How many chains each tuner has in each regime.
    """
    pack = bench_pack()
    best = {
        level: statistics.fmean(regime.oracle[level].share for regime in regimes)
        for level in ("fail", "warn")
    }
    for length in lengths:
        yield f"{length} iterations, {len(regimes)} regimes, {seeds} chains in each"
        yield HEAD
        yield f"{'oracle':14} {best['fail']:7.2f} {best['warn']:7.2f}"
        scores: dict[str, list[Score]] = {}
        for tuner in tuners:
            scores[tuner] = [
                score(pack, regime, soak(offers, regime, tuner, length, seed))
                for regime in regimes
                for seed in range(1, seeds + 1)
            ]
        for tuner in tuners:
            against = [
                _against(scores[tuner], scores[other]) if other in scores and other != tuner else ""
                for other in (NONE, RANDOM)
            ]
            yield _row(tuner, scores[tuner]) + "   " + f"{against[0]:16}  {against[1]}".rstrip()
        yield ""


def _row(tuner: str, scores: Sequence[Score]) -> str:
    reached = [each.reached for each in scores if each.reached]
    applied = sum(each.applied for each in scores)
    unsafe = sum(each.unsafe for each in scores)
    return (
        f"{tuner:14}"
        f" {statistics.fmean(each.fail for each in scores):7.2f}"
        f" {statistics.fmean(each.warn for each in scores):7.2f}"
        f" {statistics.fmean(each.verdict == 'PASS' for each in scores):5.2f}"
        f" {len(reached) / len(scores):7.2f}"
        f" {statistics.median(reached) if reached else float('nan'):5.1f}"
        f" {statistics.fmean(each.before for each in scores):4.2f}"
        f" →{statistics.fmean(each.after for each in scores):4.2f}"
        f" {applied:5}"
        f" {unsafe / applied if applied else 0:6.1%}"
    )


def _against(scores: Sequence[Score], others: Sequence[Score]) -> str:
    """Return the numbers of pairs with a higher and a lower share without FAIL, and the p value."""
    pairs = [(a.fail, b.fail) for a, b in zip(scores, others, strict=True)]
    better = sum(a > b for a, b in pairs)
    worse = sum(a < b for a, b in pairs)
    return f"+{better} -{worse} p={sign_test(better, worse):.2g}"
