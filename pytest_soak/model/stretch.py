"""The stretch: the iterations that the verdict on a run is taken on, and what a KPI was in them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pytest_soak.model.verdict import RunJudgement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


NO_VALUE = "no usable value in the stretch"


class Reading(NamedTuple):
    """A usable value of one metric in one iteration.

    Args:
        iteration: The iteration's number.
        value: A finite number, in the metric's unit.
        n: The number of observations behind it; None if unknown.
        hours: The time from the start of the run to the end of the iteration; None if unknown.
    """

    iteration: int
    value: float
    n: int | None = None
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class RunValues:
    """What one metric was in the settled stretch of one run, summed up.

    Args:
        run: The run's id.
        n: How many usable values there were.
        mean: Their mean without outliers, in the metric's unit.
        sigma: Their standard deviation around it, in the same unit; 0 for a single value.
    """

    run: str
    n: int
    mean: float
    sigma: float

    @classmethod
    def of(cls, run: str, values: Sequence[float]) -> RunValues:
        """Sum up the *values* of a *run*, one or more."""
        kept = _without_outliers(values)
        mean = statistics.fmean(kept)
        sigma = statistics.stdev(kept, mean) if len(kept) > 1 else 0.0
        return cls(run, len(values), mean, sigma)


FAR = 6 * 1.4826
"""An outlier is so many median deviations away from the median: 6 sigma of a normal distribution
(the Hampel identifier: Davies and Gather, The identification of multiple outliers, 1993)."""
FEW = 0.2
"""Up to this share of the values are outliers; if there are more, all count."""


def _without_outliers(values: Sequence[float]) -> Sequence[float]:
    """Return the *values* without outliers; all if more than half of them are the same."""
    middle = statistics.median(values)
    most = FAR * statistics.median(abs(value - middle) for value in values)
    kept = [value for value in values if abs(value - middle) <= most]
    return kept if most and len(values) - len(kept) <= FEW * len(values) else values


@dataclass(frozen=True, slots=True)
class Baseline:
    """The earlier runs that a run is compared with.

    Args:
        runs: For each run, the oldest first, ``{metric: what it was in that run}``.
        compared: The metrics whose KPIs are compared with them.
        why: Why there is no run; empty if there is one.
        required: Whether missing or too few runs make the verdict INCONCLUSIVE.
        level: The run whose values are the level, such as one that a person accepted; the others
            then only tell how much runs differ. None if the level is the mean of the runs.
    """

    runs: tuple[Mapping[str, RunValues], ...] = ()
    compared: tuple[str, ...] = ()
    why: str = "no baseline yet"
    required: bool = False
    level: Mapping[str, RunValues] | None = None

    def of(self, metric: str) -> tuple[RunValues, ...]:
        """Return what *metric* was in the runs that have it, the oldest first.

        None if the run that is the level lacks it.
        """
        if self.level is not None and metric not in self.level:
            return ()
        return tuple(run[metric] for run in self.runs if metric in run)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One metric in the iterations that a run is judged by.

    Args:
        first: The first iteration of the settled stretch.
        last: The last iteration.
        settled: The usable values in the settled stretch, in order.
        visits: The same, and before them those of earlier iterations that ran with the same
            parameters after the warm-up.
        due: How many iterations the stretch has by plan: the observation window of a tuned run, the
            planned iterations without the warm-up of an untuned one.
        cuts: The iterations before which the system was restarted.
        earlier: The runs to compare with, the oldest first.
        level: The one of which the values are the level; None for the mean of those runs.
        no_baseline: Why there is no run to compare with; empty if there is one.
        required: Whether it is INCONCLUSIVE if the earlier runs are missing or too few.
        others: The earlier runs of each other KPI of the chain that is compared with them.
        metric: The metric.
        ran: How many iterations of the settled stretch ran without a problem.
        absent: In how many of these an optional metric was not there.
        seen: Whether it was there in any iteration of the run.
    """

    first: int
    last: int
    settled: Sequence[Reading] = ()
    visits: Sequence[Reading] = ()
    due: int = 0
    cuts: frozenset[int] = frozenset()
    earlier: tuple[RunValues, ...] = ()
    level: RunValues | None = None
    no_baseline: str = ""
    required: bool = False
    others: tuple[tuple[RunValues, ...], ...] = ()
    metric: str = ""
    ran: int = 0
    absent: int = 0
    seen: bool = True

    def not_judged(self, criterion: str, problem: str = NO_VALUE, rule: str = "") -> RunJudgement:
        """Return that a *criterion* did not judge the metric, and why."""
        n = len(self.settled)
        return RunJudgement(criterion, self.metric, None, n=n, rule=rule, problem=problem)

    @property
    def pieces(self) -> tuple[tuple[Reading, ...], ...]:
        """The settled values in pieces, cut where the system was restarted; empty pieces left out.

        In a piece that was cut, ``hours`` still count from the start of the run.
        """
        return tuple(filter(None, self._pieces()))

    @property
    def longest(self) -> int:
        """The most iterations between restarts, with or without usable values."""
        return max(end - start for start, end in pairwise(self._bounds))

    @property
    def _bounds(self) -> tuple[int, ...]:
        """The first iteration of each piece, and the one after the last."""
        inner = (cut for cut in self.cuts if self.first < cut <= self.last)
        return (self.first, *sorted(inner), self.last + 1)

    def _pieces(self) -> Iterator[tuple[Reading, ...]]:
        for start, end in pairwise(self._bounds):
            yield tuple(one for one in self.settled if start <= one.iteration < end)
