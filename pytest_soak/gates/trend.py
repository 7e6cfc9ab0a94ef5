"""The criterion ``trend``: a metric must not rise or fall too fast over a run, as a leak does.

The series is the longest piece of the settled stretch between restarts of the system. Its slope is
beyond a limit only if the whole interval of the slope is. ``tests/bench/verdict_rates.py`` measures
how often that is right.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeAlias

from pytest_soak.model.kpi import Criterion
from pytest_soak.model.metrics import NUMBER, Op, in_full, sensible
from pytest_soak.model.settings import Mistake, Setting
from pytest_soak.model.verdict import RunJudgement, Threshold, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.gates.slope import Slope
    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.stretch import Reading, Stretch

DIGITS = "[0-9]+(?:[.][0-9]+)?"
SLOPE = rf"^(<|<=|>|>=) *(-?{DIGITS}) */ *(h|iteration)$(?!\n)"
REACHES = rf"^(-?{DIGITS}) +within +({DIGITS}) *(h|iteration)s?$(?!\n)"
GOOD = re.compile(rf"([+-]?{DIGITS}) *(?:/|per ) *(h|iteration)(?:(?<=h)ours?|(?<=n)s)?")
"""What follows the comparison of a gate setting: ``2 / h``, or ``2 per hour``."""
WRITTEN = 'a slope that is bad, such as "> 2 / h" or "< -2 / iteration"'
FAR = 1e6
"""What happens later than this, in hours or iterations, is not foretold."""

SlopeText: TypeAlias = Annotated[str, Setting(pattern=SLOPE, allowed=WRITTEN)]
ReachesText: TypeAlias = Annotated[
    str,
    Setting(
        pattern=REACHES,
        allowed='a value and a time, such as "600 within 72 h" or "600 within 500 iterations"',
    ),
]


@dataclass(frozen=True, slots=True)
class TrendRule:
    """How fast a metric may rise or fall."""

    warn: Annotated[SlopeText | None, Setting("a slope for which this holds is a WARN")] = None
    fail: Annotated[SlopeText | None, Setting("a slope for which this holds is a FAIL")] = None
    reaches: Annotated[
        ReachesText | None,
        Setting("a FAIL if the metric, going on like this, reaches the value within the time"),
    ] = None
    least: Annotated[
        int, Setting("how many usable values it needs, with no restart between them", least=8)
    ] = 24


@dataclass(frozen=True, slots=True)
class TrendSettings:
    """The key of ``[kpis.<metric>]`` that this criterion reads."""

    trend: Annotated[
        TrendRule | None, Setting("how fast the metric may rise or fall over a run")
    ] = None


class SlopeLimit(NamedTuple):
    """A limit of the slope, and the verdict for a slope beyond it."""

    verdict: Verdict
    threshold: Threshold
    unit: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.threshold} / {self.unit}"


class Target(NamedTuple):
    """A value that the metric must not reach within a time."""

    value: float
    time: float
    unit: str


class Forecast(NamedTuple):
    """When a line reaches a value, counted from the end of the series; infinite if never.

    Args:
        value: The value.
        first: By the end of the slope's interval that reaches it first.
        expected: By the slope itself.
        last: By the other end.
    """

    value: float
    first: float
    expected: float
    last: float

    @classmethod
    def of(cls, slope: Slope, value: float, *, rising: bool) -> Forecast:
        """Return when *slope* reaches *value*, from below if *rising*."""
        sign = 1 if rising else -1
        times = []
        for each in (slope.low, slope.value, slope.high):
            way = sign * (value - slope.at(slope.end, each))
            ahead = way / (sign * each) if sign * each > 0 else math.inf
            times.append(0.0 if way <= 0 else ahead)
        return cls(value, *(reversed(times) if rising else times))

    def text(self, unit: str) -> str:
        """Return it for people; empty if the value is not in sight."""
        name = "h" if unit == "h" else "iterations"
        first, expected, last = (in_full(float(f"{min(one, FAR):.3g}")) for one in self[1:])
        if self.expected == 0:
            return f"has reached {in_full(self.value)}"
        if self.last <= FAR:
            return f"reaches {in_full(self.value)} in {expected} {name} ({first} to {last} {name})"
        if self.first <= FAR:
            return f"reaches {in_full(self.value)} in {first} {name} at the earliest"
        return ""


class Trend(Criterion):
    """Judges how fast a metric rises or falls, and when it reaches a value."""

    name: ClassVar = "trend"
    Settings: ClassVar = TrendSettings
    words: ClassVar = ("trend",)
    grammar: ClassVar = "trend:METRIC<=X/h or X/iteration, <, >= or >"
    needs: ClassVar = ("numpy", "scipy")
    extra: ClassVar = "pytest-soak[stats]"

    settings: TrendSettings

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        """Turn ``trend:rss_mb<=2/h``, which says what is good, into the slope that is a FAIL."""
        match = GOOD.fullmatch(rest)
        if not match:
            return None
        if not sensible(float(match[1])):
            raise ValueError(NUMBER)
        return {word: {"fail": f"{op.negated} {match[1].removeprefix('+')} / {match[2]}"}}

    @cached_property
    def rule(self) -> TrendRule:
        """What is set."""
        return self.settings.trend or TrendRule()

    @cached_property
    def slopes(self) -> tuple[SlopeLimit, ...]:
        """The limits of the slope, FAIL before WARN."""
        given = ((Verdict.FAIL, self.rule.fail), (Verdict.WARN, self.rule.warn))
        parts = ((verdict, _parts(SLOPE, text)) for verdict, text in given if text)
        return tuple(
            SlopeLimit(verdict, Threshold(Op(op), float(limit)), unit)
            for verdict, (op, limit, unit) in parts
        )

    @cached_property
    def target(self) -> Target | None:
        """The value that must not be reached; None if it is not set."""
        if not self.rule.reaches:
            return None
        value, time, unit = _parts(REACHES, self.rule.reaches)
        return Target(float(value), float(time), unit)

    @cached_property
    def units(self) -> set[str]:
        """The units of time, which must be one: ``h`` or ``iteration``."""
        return {one.unit for one in (*self.slopes, self.target) if one}

    def describe(self) -> dict[str, Any]:
        """Return what is set, without what is not."""
        given = asdict(self.rule)
        return {"trend": {key: value for key, value in given.items() if value is not None}}

    def mistake(self, kpi: Kpi) -> Mistake | None:
        """Return what is wrong: nothing to judge by, a number too large, or two units."""
        where = f"kpis.{kpi.metric}.trend"
        numbers = [one.threshold.value for one in self.slopes]
        numbers += self.target[:2] if self.target else ()
        for number in numbers:
            if not sensible(number):
                return Mistake(where, f"{number:g} given", NUMBER)
        if not self.units:
            return Mistake(where, "neither fail nor warn nor reaches is set", WRITTEN)
        if len(self.units) > 1:
            return Mistake(where, "per h and per iteration given", "one of them for all")
        return None

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> RunJudgement:
        """Judge a run by the slope of the longest piece, if that has enough usable values."""
        (unit,) = self.units
        series = _series(stretch, unit)
        n, least = len(series), self.rule.least
        rule = str(self.slopes[0]) if self.slopes else str(self.rule.reaches)
        judged = RunJudgement(self.name, kpi.metric, Verdict.INCONCLUSIVE, n=n, rule=rule)
        if problem := self._not_judged(stretch, series, unit):
            return replace(judged, verdict=None, problem=problem)
        if n < least:
            return replace(judged, problem=f"{n} usable values without a restart, {least} needed")
        # It needs the extra, and is slow to import.
        from pytest_soak.gates.slope import rates, slope_of  # noqa: PLC0415

        slope = slope_of([_place(one, unit) for one in series], [one.value for one in series])
        if slope is None:
            return replace(judged, problem="its iterations took no time")
        false, found = rates(n, slope.dependence)
        reached = self._reached(kpi, slope)
        verdict, broken = max(
            self._broken(slope, reached), key=lambda one: one[0], default=(Verdict.PASS, rule)
        )
        fails = {limit for verdict, limit in kpi.limits if verdict is Verdict.FAIL}
        forecasts = [Forecast.of(slope, one.value, rising=rises(one)) for one in fails]
        if reached and reached not in forecasts:
            forecasts.append(reached)
        rate = f"{100 * false:.1f} % false alarms, finds a growth of 5 sigma in {100 * found:.0f} %"
        told = (
            *(one.text(unit) for one in forecasts),
            _piece(series, stretch),
            f"simulated: {rate}",
        )
        return replace(
            judged,
            verdict=verdict,
            value=slope.value,
            low=slope.low,
            high=slope.high,
            rule=broken,
            detail="; ".join(filter(None, told)),
        )

    def _not_judged(self, stretch: Stretch, series: Sequence[Reading], unit: str) -> str:
        """Return why a run is not judged, by plan; empty if it is."""
        least = self.rule.least
        if stretch.due < least:
            return f"{stretch.due} iterations to judge by plan, {least} needed"
        if stretch.longest < least <= stretch.last - stretch.first + 1:
            return f"at most {stretch.longest} iterations without a restart, {least} needed"
        if stretch.settled and not series and unit == "h":
            return "the time of its iterations is unknown"
        return ""

    def _broken(self, slope: Slope, reached: Forecast | None) -> Iterator[tuple[Verdict, str]]:
        """Yield the verdict of each rule that is broken, with the rule."""
        for limit in self.slopes:
            if limit.threshold.broken_by(slope.low if rises(limit.threshold) else slope.high):
                yield limit.verdict, str(limit)
        if self.target and reached and reached.last <= self.target.time:
            yield Verdict.FAIL, str(self.rule.reaches)

    def _reached(self, kpi: Kpi, slope: Slope) -> Forecast | None:
        """Return when the target is reached; None if there is none.

        Limits tell from which side. Without limits it is the side on which the series starts.
        """
        if not self.target:
            return None
        limits = [*(one.threshold for one in self.slopes), *(limit for _, limit in kpi.limits)]
        below = slope.at(slope.start, slope.value) < self.target.value
        return Forecast.of(slope, self.target.value, rising=rises(limits[0]) if limits else below)


def rises(threshold: Threshold) -> bool:
    """Tell whether a rise breaks *threshold*."""
    return threshold.op in (Op.GT, Op.GE)


def _parts(pattern: str, text: str) -> Sequence[str]:
    """Return the groups of the *pattern* that *text* matches, as its `Setting` has checked."""
    return re.match(pattern, text).groups()  # type: ignore[union-attr]


def _series(stretch: Stretch, unit: str) -> list[Reading]:
    """Return the longest piece of *stretch*; of iterations with a time, if the *unit* is ``h``."""
    pieces = (
        [one for one in piece if one.hours is not None or unit != "h"] for piece in stretch.pieces
    )
    return max(pieces, key=len, default=[])


def _place(one: Reading, unit: str) -> float:
    """Return where a value is in the run, in *unit*."""
    return one.hours or 0.0 if unit == "h" else one.iteration


def _piece(series: Sequence[Reading], stretch: Stretch) -> str:
    """Return which piece of the run was judged; empty if there is only one."""
    if len(stretch.pieces) == 1:
        return ""
    first, last = series[0].iteration, series[-1].iteration
    return f"iterations {first} to {last}, the longest piece without a restart"
