"""Measures how often the criteria that judge whole runs are right, with the shipped code.

    .venv/bin/python -m tests.bench.verdict_rates [--runs 2000] [--seed 1] [--only baseline]

Noise has a sigma of 1. Each figure is a share of simulated runs in per cent, with its interval of
95 % (Clopper and Pearson): false alarms / bad runs that are found.

- limits: an iteration above 3 sigma is a FAIL; `tolerate` accepts 5 % of them. An unchanged run
  that fails is a false alarm. A bad run has lost 2 sigma.
- trend: any rise is a FAIL. A bad run grows by 5 sigma from its start to its end.
- baseline: any change to the worse is a FAIL, compared with 5 earlier runs of 7 KPIs. A false alarm
  is an unchanged run with a KPI that is called worse. In a bad run the first KPI has lost 2 sigma.
  Of runs with more than 24 iterations a quarter is simulated.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.signal import lfilter
from scipy.stats import binomtest

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.stretch import Reading, RunValues, Stretch
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from pytest_soak.model.kpi import Kpi

    Numbers: TypeAlias = npt.NDArray[np.float64]
    Noise: TypeAlias = Callable[[Numbers, np.random.Generator], Numbers]
    """Makes noise of normal numbers, in which rows are KPIs and columns are iterations."""

LENGTHS = (6, 8, 24, 96, 288)
LOSS = 2
GROWTH = 5
LONG = 24
"""Longer runs are costly to compare with earlier ones, and fewer are simulated."""
DAY = 288
"""How many iterations a day has, in slots of 5 minutes."""


# ---- noise


def white(normal: Numbers, _: np.random.Generator) -> Numbers:
    """Return noise of iterations that do not depend on each other."""
    return normal


def dependent(*dependence: float) -> Noise:
    """Return noise in which an iteration depends on the one before, AR(1).

    Args:
        dependence: How much, for each KPI; the last number is that of all others.
    """

    def noise(normal: Numbers, _: np.random.Generator) -> Numbers:
        rows = zip(normal, each(dependence, len(normal)), strict=True)
        made = (
            lfilter([1], [1, -by], [row[0], *(math.sqrt(1 - by**2) * row[1:])]) for row, by in rows
        )
        return np.array(list(made))

    return noise


def heavy(normal: Numbers, numbers: np.random.Generator) -> Numbers:
    """Return noise with heavy tails: Student's t with 3 degrees of freedom."""
    return normal / np.sqrt(numbers.chisquare(3, normal.shape))


def skewed(normal: Numbers, _: np.random.Generator) -> Numbers:
    """Return noise that is log-normal, with a long tail above."""
    return (np.exp(normal / 2) - math.exp(1 / 8)) / math.sqrt(math.exp(1 / 2) - math.exp(1 / 4))


def outliers(normal: Numbers, numbers: np.random.Generator) -> Numbers:
    """Return noise with 5 % of outliers, 10 sigma above."""
    return normal + 10 * (numbers.random(normal.shape) < 0.05)


def waves(normal: Numbers, numbers: np.random.Generator) -> Numbers:
    """Return noise on a wave of 1 sigma and a day; the run starts at any time of the day."""
    phase = 2 * math.pi * (np.arange(normal.shape[1]) / DAY + numbers.random())
    return normal + np.sin(phase)


def missing(normal: Numbers, numbers: np.random.Generator) -> Numbers:
    """Return noise that depends, .5, in which a tenth of the iterations have no value."""
    noise = dependent(0.5)(normal, numbers)
    noise[numbers.random(normal.shape) < 0.1] = math.nan
    return noise


def each(given: Sequence[float], kpis: int) -> Numbers:
    """Return a value for each of *kpis*; the last one *given* repeats."""
    return np.array([*given, *[given[-1]] * kpis][:kpis], dtype=float)


NOISES: Mapping[str, Noise] = {
    "white": white,
    "AR(1) .4": dependent(0.4),
    "AR(1) .8": dependent(0.8),
    "heavy tails": heavy,
    "skewed": skewed,
    "outliers": outliers,
    "a tenth missing, AR(1) .5": missing,
    "daily waves": waves,
}


# ---- figures


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
        return f"{100 * self.count / self.runs:.1f} ({low:.1f}-{high:.1f})"


Figures: TypeAlias = "tuple[Share, Share] | None"
"""False alarms, and bad runs that are found; None if no run was judged."""


def stretch(values: Numbers) -> Stretch:
    """Return the stretch of an untuned run; NaN is an iteration without a value."""
    found = enumerate(values.tolist(), 1)
    readings = tuple(Reading(number, value) for number, value in found if not math.isnan(value))
    return Stretch(1, len(values), readings, readings, due=len(values))


def fails(kpi: Kpi, run: Stretch) -> bool | None:
    """Tell whether the last criterion of *kpi* fails a run; None if it is not judged."""
    verdict = kpi.judge_run(run)[-1].verdict
    return None if verdict is None else verdict is Verdict.FAIL


def figures(alarms: Sequence[bool | None], found: Sequence[bool | None]) -> Figures:
    """Return both shares; a run that is not judged is neither an alarm nor found."""
    if found.count(None) == len(found):
        return None
    return Share(sum(map(bool, alarms)), len(alarms)), Share(sum(map(bool, found)), len(found))


@dataclass(frozen=True)
class Alone:
    """A criterion that judges a run by itself.

    Args:
        kpi: The KPI that has it.
        bad: What is added to a run of some iterations, so that it is bad.
    """

    kpi: Kpi
    bad: Callable[[int], Numbers | float]

    def figures(self, noise: Noise, n: int, runs: int, seed: int) -> Figures:
        """Return its figures in *runs* of *n* iterations."""
        numbers = np.random.default_rng(seed)
        alarms, found = [], []
        for _ in range(runs):
            (run,) = noise(numbers.standard_normal((1, n)), numbers)
            alarms.append(fails(self.kpi, stretch(run)))
            found.append(fails(self.kpi, stretch(run + self.bad(n))))
        return figures(alarms, found)


LIMITS = Alone(make_kpi("latency", {"fail": "> 3"}), lambda _: LOSS)
TOLERATE = Alone(make_kpi("latency", {"fail": "> 3", "tolerate": {"share": 0.05}}), lambda _: LOSS)
TREND = Alone(
    make_kpi("rss", {"trend": {"fail": "> 0 / iteration"}}), lambda n: np.linspace(0, GROWTH, n)
)


@dataclass(frozen=True)
class Compared:
    """The criterion ``baseline``, in runs that are compared with earlier ones.

    Args:
        kpis: How many KPIs a run has.
        differ: By how many sigma runs differ, for each KPI; the last number is that of all others.
        alike: How much the KPIs of a run correlate.
        outlier: What is added to one iteration of one earlier run.
        earlier: How many earlier runs there are.
        longer: How many times as long the earlier runs are.
    """

    kpis: int = 7
    differ: tuple[float, ...] = (0,)
    alike: float = 0
    outlier: float = 0
    earlier: int = 5
    longer: int = 1
    kpi: Kpi = field(default=make_kpi("latency", {"baseline": {"fail": "> +0"}}), repr=False)

    def figures(self, noise: Noise, n: int, runs: int, seed: int) -> Figures:
        """Return its figures in *runs* of *n* iterations, in a quarter of them if they are long."""
        numbers = np.random.default_rng(seed)
        alarms, found = [], []
        for _ in range(runs if n <= LONG else runs // 4):
            now, earlier = self._made(noise, n, numbers)
            alarms.append(any(self._fails(now[row], row, earlier) for row in range(self.kpis)))
            found.append(self._fails(now[0] + LOSS, 0, earlier))
        return figures(alarms, found)

    def _made(
        self, noise: Noise, n: int, numbers: np.random.Generator
    ) -> tuple[Numbers, list[tuple[RunValues, ...]]]:
        """Return a run, a row for each KPI, and for each KPI what it was in the earlier runs."""
        before = [self._run(noise, n * self.longer, numbers) for _ in range(self.earlier)]
        before[self.earlier // 2][:, n // 2] += self.outlier
        earlier = [
            tuple(RunValues.of(str(i), row[~np.isnan(row)].tolist()) for i, row in enumerate(rows))
            for rows in zip(*before, strict=True)
        ]
        return self._run(noise, n, numbers), earlier

    def _run(self, noise: Noise, n: int, numbers: np.random.Generator) -> Numbers:
        shift = each(self.differ, self.kpis) * self._normal(1, numbers)[:, 0]
        return noise(self._normal(n, numbers), numbers) + shift[:, None]

    def _normal(self, n: int, numbers: np.random.Generator) -> Numbers:
        own, common = numbers.standard_normal((self.kpis, n)), numbers.standard_normal(n)
        return math.sqrt(1 - self.alike) * own + math.sqrt(self.alike) * common

    def _fails(
        self, now: Numbers, row: int, earlier: Sequence[tuple[RunValues, ...]]
    ) -> bool | None:
        others = (*earlier[:row], *earlier[row + 1 :])
        return fails(self.kpi, replace(stretch(now), earlier=earlier[row], others=others))


BASELINE = Compared()
ROWS: Mapping[str, Mapping[str, tuple[Alone | Compared, Noise]]] = {
    "limits": {name: (LIMITS, noise) for name, noise in NOISES.items()},
    "limits, tolerate": {name: (TOLERATE, noise) for name, noise in NOISES.items()},
    "trend": {name: (TREND, noise) for name, noise in NOISES.items()},
    "baseline": {
        **{name: (BASELINE, noise) for name, noise in NOISES.items()},
        "AR(1) .8 in the first KPI": (BASELINE, dependent(0.8, 0)),
        "AR(1) .8 .8 .5 .5 .2 0 0": (BASELINE, dependent(0.8, 0.8, 0.5, 0.5, 0.2, 0)),
        "runs differ by .25 sigma": (Compared(differ=(0.25,)), white),
        "runs differ by .5 sigma": (Compared(differ=(0.5,)), white),
        "those of two KPIs do": (Compared(differ=(0.5, 0.5, 0)), white),
        "KPIs correlate by .5": (Compared(alike=0.5), white),
        "they do, runs differ by .5": (Compared(alike=0.5, differ=(0.5,)), white),
        "an earlier iteration 20 off": (Compared(outlier=20), white),
        "3 earlier runs": (Compared(earlier=3), white),
        "earlier runs 3 x as long": (Compared(longer=3), white),
        "one KPI": (Compared(kpis=1), white),
        "one KPI, runs differ by .5": (Compared(kpis=1, differ=(0.5,)), white),
    },
}


def table(runs: int, seed: int, only: str = "") -> Iterator[str]:
    """Yield the table of all criteria, or of *only* one, line by line, in Markdown."""
    yield f"| criterion | noise | {' | '.join(map(str, LENGTHS))} |"
    yield f"| --- | --- |{' --- |' * len(LENGTHS)}"
    for criterion, rows in ROWS.items():
        for name, (case, noise) in rows.items() if only in ("", criterion) else ():
            cells = []
            for n in LENGTHS:
                told = case.figures(noise, n, runs, seed)
                cells.append(f"{told[0]} / {told[1]}" if told else "not judged")
            yield f"| {criterion} | {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=ROWS, default="")
    args = parser.parse_args()
    print(f"{args.runs} runs for each figure, seed {args.seed}\n")
    for line in table(args.runs, args.seed, args.only):
        print(line, flush=True)


if __name__ == "__main__":
    main()
