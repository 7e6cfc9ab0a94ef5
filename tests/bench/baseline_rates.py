"""Measures how often the criterion ``baseline`` is right, with the shipped code, on simulated runs.

    .venv/bin/python tests/bench/baseline_rates.py [--runs 2000] [--seed 1] [--kpis 1 7] [--n 8 24]

A run has some KPIs, of sigma 1, and every KPI is compared with the same earlier runs. Any change
to the worse counts, however small: no practical limit helps. An alarm is false if any KPI of an
unchanged run is called worse. A loss of 2 sigma is found if the first KPI, which has it, is called
worse.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.stretch import Reading, RunValues, Stretch
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

KPI = make_kpi("latency", {"baseline": {"fail": "> +0"}})


@dataclass(frozen=True)
class Kind:
    """What the noise of a run is like.

    Args:
        differ: By how many sigma runs differ, for each KPI; the last number is that of all others.
        depend: How much an iteration depends on the one before, as AR(1), likewise.
        alike: How much the KPIs of a run correlate.
        outlier: What is added to one iteration of one earlier run.
        skewed: Whether the noise is log-normal.
        heavy: Whether the noise has heavy tails, t with 3 degrees of freedom.
        earlier: How many earlier runs there are.
        shorter: How many times as long the earlier runs are.
    """

    differ: tuple[float, ...] = (0,)
    depend: tuple[float, ...] = (0,)
    alike: float = 0
    outlier: float = 0
    skewed: bool = False
    heavy: bool = False
    earlier: int = 5
    shorter: int = 1

    def runs(self, kpis: int, n: int, numbers: np.random.Generator) -> list[Numbers]:
        """Return runs, the new one last; each has one row of values for each KPI."""
        lengths = [*[n * self.shorter] * self.earlier, n]
        made = [self._run(kpis, length, numbers) for length in lengths]
        made[self.earlier // 2][:, n // 2] += self.outlier
        return made

    def _run(self, kpis: int, n: int, numbers: np.random.Generator) -> Numbers:
        noise = self._alike((kpis, n), numbers)
        if self.heavy:
            noise = numbers.standard_t(3, (kpis, n)) / math.sqrt(3)
        if self.skewed:
            noise = (np.exp(noise / 2) - math.exp(1 / 8)) / math.sqrt(math.exp(0.25) - 1)
            noise /= math.exp(1 / 8)
        depend = _each(self.depend, kpis)
        for i in range(1, n if any(self.depend) else 0):
            noise[:, i] = depend * noise[:, i - 1] + np.sqrt(1 - depend**2) * noise[:, i]
        shift = _each(self.differ, kpis) * self._alike((kpis, 1), numbers)[:, 0]
        return noise + shift[:, None]

    def _alike(self, shape: tuple[int, int], numbers: np.random.Generator) -> Numbers:
        own, common = numbers.standard_normal(shape), numbers.standard_normal(shape[1])
        return math.sqrt(1 - self.alike) * own + math.sqrt(self.alike) * common


def _each(given: Sequence[float], kpis: int) -> Numbers:
    """Return a value for each of *kpis*; the last one *given* repeats."""
    return np.array([*given, *[given[-1]] * kpis][:kpis], dtype=float)


def worse(now: Numbers, metric: int, earlier: Sequence[tuple[RunValues, ...]]) -> bool:
    """Tell whether the shipped criterion calls a metric of a run worse.

    Args:
        now: Its values.
        metric: Its row in *earlier*.
        earlier: The earlier runs, for each metric.
    """
    readings = tuple(Reading(i, value) for i, value in enumerate(now.tolist(), 1))
    others = (*earlier[:metric], *earlier[metric + 1 :])
    stretch = Stretch(
        1, len(now), readings, readings, due=len(now), earlier=earlier[metric], others=others
    )
    (judgement,) = KPI.judge_run(stretch)
    return judgement.verdict is Verdict.FAIL


def rates(kind: Kind, kpis: int, n: int, runs: int, seed: int) -> tuple[int, int]:
    """Return in how many of *runs* there is a false alarm, and in how many a loss is found."""
    numbers = np.random.default_rng(seed)
    alarms = found = 0
    for _ in range(runs):
        made = kind.runs(kpis, n, numbers)
        earlier = [
            tuple(RunValues.of(str(i), run[row].tolist()) for i, run in enumerate(made[:-1]))
            for row in range(kpis)
        ]
        alarms += any(worse(made[-1][row], row, earlier) for row in range(kpis))
        found += worse(made[-1][0] + 2, 0, earlier)
    return alarms, found


WHITE = Kind()
KINDS = {
    "white": WHITE,
    "runs differ by .25": Kind(differ=(0.25,)),
    "runs differ by .5": Kind(differ=(0.5,)),
    "only two KPIs do": Kind(differ=(0.5, 0.5, 0)),
    "KPIs alike (.5)": Kind(alike=0.5),
    "alike, differ by .5": Kind(alike=0.5, differ=(0.5,)),
    "an outlier of 20": Kind(outlier=20),
    "AR(1) .8": Kind(depend=(0.8,)),
    "AR(1) .8 in one KPI": Kind(depend=(0.8, 0)),
    "AR(1) .8 .8 .5 .5 .2 0": Kind(depend=(0.8, 0.8, 0.5, 0.5, 0.2, 0)),
    "heavy tails": Kind(heavy=True),
    "skewed": Kind(skewed=True),
    "3 earlier runs": Kind(earlier=3),
    "earlier 3 x as long": Kind(shorter=3),
}
PROMISED = {"white", "runs differ by .25", "runs differ by .5", "only two KPIs do"}
"""The kinds in which at most 1 % of false alarms is promised."""


def main() -> None:
    """Print every rate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kpis", type=int, nargs="+", default=[1, 7])
    parser.add_argument("--n", type=int, nargs="+", default=[8, 24, 96, 288])
    args = parser.parse_args()
    print(f"{args.runs} runs for each figure, seed {args.seed}, intervals of 95 %\n")
    print(f"{'noise':24} KPIs   n   false alarms         2 sigma found")
    for name, kind in KINDS.items():
        for kpis in args.kpis:
            for n in args.n:
                shown = ""
                for count in rates(kind, kpis, n, args.runs, args.seed):
                    low, high = binomtest(count, args.runs).proportion_ci(method="wilson")
                    shown += f"{count / args.runs:8.2%} [{low:.2%}, {high:.2%}]"
                print(f"{name:24} {kpis:4} {n:3} {shown}", flush=True)


if __name__ == "__main__":
    main()
