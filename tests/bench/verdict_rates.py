"""Measures how often the criteria that judge whole runs are right, on simulated runs.

    .venv/bin/python -m tests.bench.verdict_rates [--runs 4000] [--seed 1]

Every run is judged by the shipped criterion. Noise has a sigma of 1; any slope above 0 is to be
called a FAIL. An alarm is false if there is no growth. Growth of 5 sigma is spread evenly over the
run. Intervals are Clopper and Pearson's, of 95 %. Another criterion is another function in TABLES.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.signal import lfilter
from scipy.stats import binomtest

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.stretch import Reading, Stretch
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    Numbers: TypeAlias = npt.NDArray[np.float64]
    Noise: TypeAlias = Callable[[int, np.random.Generator], Numbers]

LENGTHS = (6, 24, 96, 288)
GROWTH = 5
DAY = 288
"""How many iterations a day has, in slots of 5 minutes."""
KPI = make_kpi("rss", {"trend": {"fail": "> 0 / iteration", "least": 8}})


def white(n: int, numbers: np.random.Generator) -> Numbers:
    """Return noise of iterations that do not depend on each other."""
    return numbers.standard_normal(n)


def dependent(dependence: float) -> Noise:
    """Return noise in which an iteration depends on the one before, AR(1)."""

    def noise(n: int, numbers: np.random.Generator) -> Numbers:
        shocks = math.sqrt(1 - dependence**2) * white(n, numbers)
        made: Numbers = lfilter([1], [1, -dependence], shocks, zi=dependence * white(1, numbers))[0]
        return made

    return noise


def heavy(n: int, numbers: np.random.Generator) -> Numbers:
    """Return noise with heavy tails: Student's t with 3 degrees of freedom."""
    return numbers.standard_t(3, n) / math.sqrt(3)


def outliers(n: int, numbers: np.random.Generator) -> Numbers:
    """Return noise with 5 % of outliers, 10 sigma above."""
    return white(n, numbers) + 10 * (numbers.random(n) < 0.05)


def waves(n: int, numbers: np.random.Generator) -> Numbers:
    """Return noise on a wave of 1 sigma and a day; the run starts at any time of the day."""
    phase = 2 * math.pi * (np.arange(n) / DAY + numbers.random())
    return white(n, numbers) + np.sin(phase)


def missing(n: int, numbers: np.random.Generator) -> Numbers:
    """Return noise that depends, .5, in which a tenth of the iterations have no value."""
    noise = dependent(0.5)(n, numbers)
    noise[numbers.random(n) < 0.1] = math.nan
    return noise


NOISES: Mapping[str, Noise] = {
    "white": white,
    "AR(1) .3": dependent(0.3),
    "AR(1) .5": dependent(0.5),
    "AR(1) .8": dependent(0.8),
    "heavy tails": heavy,
    "outliers": outliers,
    "a tenth missing, AR(1) .5": missing,
    "daily waves": waves,
}
PROMISED = [name for name in NOISES if name != "daily waves"]
"""The noises with which the rates from 96 iterations on are promised."""


@dataclass(frozen=True)
class Share:
    """In how many of some runs something happened."""

    count: int
    runs: int

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the true share."""
        low, high = binomtest(self.count, self.runs).proportion_ci(method="exact")
        return float(low), float(high)

    def __str__(self) -> str:
        """Return it in per cent, with its interval."""
        low, high = (100 * end for end in self.interval)
        return f"{100 * self.count / self.runs:5.1f} % ({low:.1f} to {high:.1f})"


def trend_fails(values: Numbers) -> bool | None:
    """Tell whether the shipped criterion fails a run; None if it is not judged."""
    readings = tuple(
        Reading(iteration, value)
        for iteration, value in enumerate(values.tolist(), 1)
        if not math.isnan(value)
    )
    (judged,) = KPI.judge_run(Stretch(1, len(values), readings, readings, due=len(values)))
    return None if judged.verdict is None else judged.verdict is Verdict.FAIL


def trend(name: str, n: int, runs: int, seed: int) -> tuple[Share, Share] | None:
    """Return in how many *runs* there is a false alarm, and in how many growth is found.

    Args:
        name: The noise.
        n: The length of a run; None is returned if it is too short to be judged.
        runs: How many runs are simulated.
        seed: The seed of the noise.
    """
    numbers = np.random.default_rng(seed)
    growth = np.linspace(0, GROWTH, n)
    alarms = found = 0
    for _ in range(runs):
        noise = NOISES[name](n, numbers)
        failed = trend_fails(noise)
        if failed is None:
            return None
        alarms += failed
        found += bool(trend_fails(noise + growth))
    return Share(alarms, runs), Share(found, runs)


def trends(runs: int, seed: int) -> Iterator[str]:
    """Yield the table of the criterion ``trend`` line by line, in Markdown."""
    yield "| trend: noise | iterations | false alarms | 5 sigma found |"
    yield "| --- | --- | --- | --- |"
    for name in NOISES:
        for n in LENGTHS:
            told = trend(name, n, runs, seed)
            alarms, found = told or ("not judged", "not judged")
            yield f"| {name} | {n} | {alarms} | {found} |"


TABLES: tuple[Callable[[int, int], Iterator[str]], ...] = (trends,)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(f"{args.runs} runs for each figure, seed {args.seed}")
    for table in TABLES:
        print()
        for line in table(args.runs, args.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
