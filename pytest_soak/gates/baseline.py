"""The criterion ``baseline``: a run that is worse than earlier runs is a WARN or a FAIL.

A run counts once, as the mean of its iterations, because the iterations of one run depend on each
other. How much runs differ is estimated from the earlier runs: by a t test for one new value, with
a variance that is never below what all KPIs of the run have in common (after Smyth, Linear models
and empirical Bayes methods, 2004, and Satterthwaite, An approximate distribution of estimates of
variance components, 1946). ``tests/bench/verdict_rates.py`` measures how often it is right.
"""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeAlias

from pytest_soak.model.kpi import Criterion
from pytest_soak.model.metrics import NUMBER, Op, sensible
from pytest_soak.model.settings import Mistake, Setting
from pytest_soak.model.stretch import RunValues
from pytest_soak.model.verdict import RunJudgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.stretch import Stretch

FEWEST_RUNS = 3
"""With fewer earlier runs nobody knows how much runs differ."""
LOSS = 2
"""A loss of so many sigma is the one that a verdict says how often it is found."""
ALARMS = 0.0095
"""The share of runs that are called worse without being worse, over all KPIs that are compared. The
promise is 1 %."""
ALIKE = 0.35
"""How much two KPIs of one run are assumed to correlate; so many KPIs tell less than their sum."""
SHORT = 8
"""In runs of this length the noise of iterations, which all KPIs have, hides how much runs differ.
In longer runs other KPIs tell less: how much runs differ is each KPI's own."""
UNLIKE = 4
"""KPIs differ in that, if the runs of one differ so much more than those of most."""
FADES, FADES_UNLIKE = 0.2, 1
"""How fast they tell less with the length of runs, as a power: so that the level is kept where some
KPIs differ from run to run by half a sigma and others do not. ``verdict_rates.py`` measures it."""
FAR = 6
"""A KPI tells about others as if its runs differed at most this much more than those of most."""

PATTERN = r"^(worse by|>=? *\+|<=? *-) *[0-9]+(\.[0-9]+)?( *%)?$(?!\n)"
WRITTEN = '"worse by 10 %", or a change that is bad: "> +10 %", "< -10 %", "> +5"'
SIDED = '"> +10 %" if more is bad, "< -10 %" if less is bad, or a fail or warn limit of this KPI'
PARTS = re.compile(r"(worse by|[<>]=?) *[+-]? *([\d.]+) *(%?)")
GOOD = re.compile(r"([+-]) *(\d+(?:\.\d+)?) *(%?)")
"""What follows the comparison of a gate setting: ``+10 %``."""

ChangeText: TypeAlias = Annotated[str, Setting(pattern=PATTERN, allowed=WRITTEN)]


@dataclass(frozen=True, slots=True)
class Compare:
    """How a run is compared with earlier ones."""

    fail: Annotated[ChangeText | None, Setting("a change for which this holds is a FAIL")] = None
    warn: Annotated[ChangeText | None, Setting("a change for which this holds is a WARN")] = None
    runs: Annotated[
        int, Setting("with how many earlier runs at most, the newest", least=FEWEST_RUNS)
    ] = 5
    least: Annotated[
        int, Setting("the fewest iterations with a value, of this run and an earlier one", least=2)
    ] = 8


@dataclass(frozen=True, slots=True)
class BaselineSettings:
    """The key of ``[kpis.<metric>]`` that this criterion reads."""

    baseline: Annotated[Compare | None, Setting("the comparison with earlier runs")] = None


class Change(NamedTuple):
    """A limit of a change.

    Args:
        text: The limit as it was written.
        op: Its comparison; None for ``worse by``.
        size: The size of the change, 0 or more.
        relative: Whether the size is in per cent of the earlier runs; else in the metric's unit.
    """

    text: str
    op: Op | None
    size: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Change:
        """Read a limit that matches `PATTERN`."""
        op, size, per_cent = PARTS.fullmatch(text).groups()  # type: ignore[union-attr]
        return cls(text, None if op == "worse by" else Op(op), float(size), bool(per_cent))

    def word(self, effect: Effect, bad: Op) -> str:
        """Return what *effect* is by this limit: worse, better, same or cannot tell.

        Both must say so, the limit and the interval.

        Args:
            effect: A change in the metric's unit.
            bad: ``>`` if more is worse, ``<`` if less is.
        """
        op = self.op or bad
        size = self.size / 100 * abs(effect.before) if self.relative else self.size
        strict = self.op not in (Op.GE, Op.LE)
        way = 1 if op in (Op.GT, Op.GE) else -1
        low, high = sorted((way * effect.low, way * effect.high))
        value = way * effect.value
        beyond = abs(value) > size if strict else abs(value) >= size
        if beyond and low > 0:
            return "worse"
        if beyond and high < 0:
            return "better"
        return "same" if -size <= low and high <= size else "cannot tell"


class Effect(NamedTuple):
    """How much a run differs from earlier ones, in the metric's unit.

    Args:
        before: The mean of the earlier runs.
        now: The mean of this run.
        reach: How far the change could be from what was measured, to either side.
        sigma: The noise of an iteration.
        found: In which share of such runs a loss of `LOSS` sigma has an interval without 0.
        p: How likely a change of at least this size is by chance, in any of the KPIs that are
            compared; below twice `ALARMS` where the interval has no 0 in it. None without noise.
    """

    before: float
    now: float
    reach: float
    sigma: float
    found: float
    p: float | None = None

    @property
    def value(self) -> float:
        """The change."""
        return self.now - self.before

    @property
    def low(self) -> float:
        """The lower end of the interval in which the change is expected."""
        return self.value - self.reach

    @property
    def high(self) -> float:
        """The upper end of that interval."""
        return self.value + self.reach


class Baseline(Criterion):
    """Compares a run with earlier runs; worse is a WARN or a FAIL."""

    name: ClassVar = "baseline"
    Settings: ClassVar = BaselineSettings
    words: ClassVar = ("baseline",)
    grammar: ClassVar = "baseline:METRIC<=+10 % or >=-10 %, without % in the metric's unit"
    needs: ClassVar = ("numpy", "scipy")
    extra: ClassVar = "pytest-soak[stats]"

    settings: BaselineSettings

    @cached_property
    def changes(self) -> tuple[tuple[Verdict, Change], ...]:
        """Its limits, FAIL before WARN."""
        given = self.settings.baseline or Compare()
        texts = ((Verdict.FAIL, given.fail), (Verdict.WARN, given.warn))
        return tuple((verdict, Change.parse(text)) for verdict, text in texts if text)

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        """Turn ``latency<=+10 %``, which says which change is good, into a comparison."""
        match = GOOD.fullmatch(rest)
        if not match or (match[1] == "+") is not (op in (Op.LE, Op.LT)):
            return None
        sign, size, per_cent = match.groups()
        if not sensible(float(size)):
            raise ValueError(NUMBER)
        return {word: {"fail": f"{op.negated} {sign}{size}{' %' if per_cent else ''}"}}

    def describe(self) -> dict[str, Any]:
        """Return what is set, without what is not."""
        given = asdict(self.settings.baseline or Compare())
        return {self.name: {key: value for key, value in given.items() if value is not None}}

    def mistake(self, kpi: Kpi) -> Mistake | None:
        """Return what is wrong: no limit, or ``worse`` where nothing says what worse is."""
        where = f"kpis.{kpi.metric}.baseline"
        if not self.changes:
            return Mistake(where, "neither fail nor warn is set", WRITTEN)
        for verdict, change in self.changes:
            key = f"{where}.{verdict.name.lower()}"
            if not sensible(change.size):
                return Mistake(key, f"{change.size:g} given", NUMBER)
            if change.op is None and not kpi.limits:
                return Mistake(key, f"{change.text!r}, but no limit says what is worse", SIDED)
        return None

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> RunJudgement | None:
        """Judge a run: a change beyond a limit that cannot be chance gives that limit's verdict."""
        given = self.settings.baseline
        if given is None:
            return None
        values = [one.value for one in stretch.settled]
        earlier = _usable(stretch.earlier, given)
        rule = self.changes[0][1].text
        judged = RunJudgement(self.name, kpi.metric, None, n=len(values), rule=rule)
        if problem := _not_judged(stretch, given, len(earlier)):
            missing = stretch.required and len(earlier) < FEWEST_RUNS
            return replace(
                judged, verdict=Verdict.INCONCLUSIVE if missing else None, problem=problem
            )
        if len(values) < given.least:
            problem = f"{len(values)} usable values, {given.least} needed"
            return replace(judged, verdict=Verdict.INCONCLUSIVE, problem=problem)
        others = [_usable(runs, given) for runs in stretch.others]
        others = [runs for runs in others if len(runs) >= FEWEST_RUNS]
        effect = compare(RunValues.of("", values), earlier, others, stretch.level)
        bad = kpi.limits[-1][1].op if kpi.limits else Op.GT
        words = [(verdict, change, change.word(effect, bad)) for verdict, change in self.changes]
        broken = (one for one in words if one[2] == "worse")
        verdict, change, word = next(broken, (Verdict.PASS, *words[-1][1:]))
        scale, unit = _scale(effect, change)
        value, low, high = (scale * each for each in (effect.value, effect.low, effect.high))
        runs = f"against {len(earlier)} runs, the last {earlier[-1].run}"
        if stretch.level:
            runs = f"against {stretch.level.run}, with the spread of {len(earlier)} runs"
        told = f"{value:+.3g}{unit} [{low:+.3g}, {high:+.3g}]"
        loss = f"{LOSS} sigma ({LOSS * effect.sigma:.3g}) in {100 * effect.found:.0f} %"
        rate = f"{100 * ALARMS:.2g} % false alarms over all KPIs, finds a loss of {loss}"
        return replace(
            judged,
            verdict=verdict,
            value=value,
            low=low,
            high=high,
            rule=change.text,
            detail=f"{word}: {runs}: {effect.before:.4g} -> {effect.now:.4g}, {told}; "
            f"expected: {rate}",
        )


def _usable(runs: Sequence[RunValues], given: Compare) -> tuple[RunValues, ...]:
    """Return the newest of *runs* that are long enough."""
    return tuple(run for run in runs if run.n >= given.least)[-given.runs :]


def _not_judged(stretch: Stretch, given: Compare, usable: int) -> str:
    """Return why a run is not judged, by plan; empty if it is."""
    if not stretch.earlier:
        return stretch.no_baseline or "no baseline yet"
    if stretch.due < given.least:
        return f"{stretch.due} iterations to judge by plan, {given.least} needed"
    if usable < FEWEST_RUNS:
        short = len(stretch.earlier) - usable
        fewer = f"; {short} with fewer than {given.least} values" if short else ""
        return f"{usable} of {FEWEST_RUNS} earlier runs{fewer}"
    return ""


def _scale(effect: Effect, change: Change) -> tuple[float, str]:
    """Return the factor from the metric's unit to that of *change*, and its sign.

    There are no per cent of zero: then the change is told in the metric's unit.
    """
    largest = abs(effect.value) + effect.reach
    if change.relative and effect.before and math.isfinite(100 / abs(effect.before) * largest):
        return 100 / abs(effect.before), " %"
    return 1, ""


def compare(
    now: RunValues,
    earlier: Sequence[RunValues],
    others: Sequence[Sequence[RunValues]] = (),
    level: RunValues | None = None,
) -> Effect:
    """Return how much a metric changed, with an interval for all KPIs together.

    The variance of a run's mean is that between the earlier runs, but at least what one would
    expect from the noise within these runs: that, times the ratio of both which all KPIs have on
    average. With few runs the variance of a single KPI is too small by chance too often.

    Args:
        now: The metric in this run.
        earlier: The metric in three earlier runs or more.
        others: The same for each other KPI that is compared.
        level: The metric in the one run that is the level, not among the earlier ones; None for
            their mean, which is better known.
    """
    from scipy.special import ndtr, stdtr, stdtrit  # noqa: PLC0415 - slow, and an extra

    length = _length(earlier)
    between, within = _variances(earlier)
    ratios = [b / w for b, w in map(_variances, (earlier, *others)) if w and math.isfinite(b / w)]
    told = 0.0  # how many other KPIs tell about this one
    if within and math.isfinite(between / within):
        usual = statistics.median_low(ratios)
        pooled = statistics.fmean(min(ratio, FAR * usual) for ratio in ratios)
        between = max(between, pooled * within)
        fades = FADES_UNLIKE if max(ratios) > UNLIKE * usual else FADES
        told = len(ratios) / (1 + (len(ratios) - 1) * ALIKE**2) - 1
        told *= min(1, SHORT / length) ** fades
    freedom = (len(earlier) - 1) * (1 + told)
    shorter = max(1, length / now.n)  # the mean of a shorter run varies more
    known = max(1, length / level.n) if level else 1 / len(earlier)
    error = math.sqrt(between * (shorter + known))
    reach = -float(stdtrit(freedom, ALARMS / (1 + len(others)))) * error
    sigma = math.sqrt(within * length)
    found = float(ndtr((LOSS * sigma - reach) / error)) if error else 1.0
    before = level.mean if level else statistics.fmean(run.mean for run in earlier)
    p = None
    if error:
        alone = 2 * float(stdtr(freedom, -abs(now.mean - before) / error))
        p = min(1.0, alone * (1 + len(others)))
    return Effect(before, now.mean, reach, sigma, found, p)


def _length(runs: Sequence[RunValues]) -> float:
    """Return the usual length of *runs*: what matters is the mean of 1 / n."""
    return statistics.harmonic_mean([run.n for run in runs])


def _variances(runs: Sequence[RunValues]) -> tuple[float, float]:
    """Return the variance of the means of *runs*, and what the noise within them explains."""
    degrees = sum(run.n - 1 for run in runs)
    noise = sum((run.n - 1) * run.sigma**2 for run in runs) / degrees
    return statistics.variance(run.mean for run in runs), noise / _length(runs)
