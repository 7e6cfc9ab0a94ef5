"""The criterion ``limits``: a value beyond a threshold is a WARN or a FAIL.

A run may be allowed some of them: its error budget, as in service level objectives (Beyer et al.,
Site Reliability Engineering, 2016, chapter 4).
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pytest_soak.model.kpi import ROUNDING, SHOWN, Criterion, Limit
from pytest_soak.model.metrics import NUMBER, Op, in_full, sensible
from pytest_soak.model.settings import Number, Setting
from pytest_soak.model.verdict import Judgement, RunJudgement, Threshold, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.stretch import Stretch

PATTERN = r"^(<|<=|>|>=) *-?[0-9]+(\.[0-9]+)?$(?!\n)"
WRITTEN = 'a comparison that states what is bad, such as "> 300"'
GOOD = re.compile(r"(?P<limit>-?\d+(?:\.\d+)?)(?: +in +(?P<share>\d+(?:\.\d+)?) *%)?")
"""What follows the comparison of a gate setting: ``300``, or ``300 in 95 %``."""
FEW = 0.1
"""Up to this share of bad iterations a FAIL tells the budget that would have accepted them."""

ThresholdText: TypeAlias = Annotated[str, Setting(pattern=PATTERN, allowed=WRITTEN)]


@dataclass(frozen=True, slots=True)
class Tolerate:
    """How many iterations of a run may be beyond a limit."""

    share: Annotated[Number, Setting("the share of the iterations", least=0, below=1)]
    in_a_row: Annotated[
        int | None, Setting("the most in a row; without it, as many as the share allows", least=1)
    ] = None

    def allows(self, bad: Sequence[int], n: int) -> bool:
        """Tell whether the iterations *bad*, in order, of *n* are within the budget."""
        most = self.in_a_row is None or longest(bad) <= self.in_a_row
        return len(bad) <= self.share * n * (1 + ROUNDING) and most

    def __str__(self) -> str:
        """Return it as it stands in a pack."""
        row = f", in_a_row = {self.in_a_row}" if self.in_a_row else ""
        return f"{{ share = {in_full(self.share)}{row} }}"


def longest(numbers: Sequence[int]) -> int:
    """Return how many of the *numbers*, which rise, follow each other at most."""
    most = now = 1 if numbers else 0
    for before, after in pairwise(numbers):
        now = now + 1 if after == before + 1 else 1
        most = max(most, now)
    return most


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The keys of ``[kpis.<metric>]`` that limits read."""

    warn: Annotated[
        ThresholdText | None, Setting("a value for which this holds is a WARN", unit="metric")
    ] = None
    fail: Annotated[
        ThresholdText | None, Setting("a value for which this holds is a FAIL", unit="metric")
    ] = None
    tolerate: Annotated[
        Tolerate | None, Setting("how many iterations of a run may be beyond a limit")
    ] = None


class Limits(Criterion):
    """Judges each iteration by a WARN and a FAIL threshold, strict or not as written."""

    name: ClassVar = "limits"
    Settings: ClassVar = LimitSettings
    words: ClassVar = ("", "warn", "fail")
    grammar: ClassVar = (
        "METRIC>=X, <=, > or <, before it warn: or fail:, after it a share such as in 95 %"
    )

    settings: LimitSettings

    @cached_property
    def limits(self) -> Sequence[Limit]:
        """Its thresholds, WARN before FAIL."""
        given = ((Verdict.WARN, self.settings.warn), (Verdict.FAIL, self.settings.fail))
        return tuple((verdict, parse_threshold(text)) for verdict, text in given if text)

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        """Turn ``errors<=0.1 in 95 %``, which says what is good, into limit and tolerance."""
        match = GOOD.fullmatch(rest)
        if not match:
            return None
        if not sensible(float(match["limit"])):
            raise ValueError(NUMBER)
        table: dict[str, object] = {word or "fail": f"{op.negated} {match['limit']}"}
        if match["share"]:
            share = float(match["share"])
            if not 0 < share <= 100:  # noqa: PLR2004 - per cent
                msg = "a share above 0 % and up to 100 %"
                raise ValueError(msg)
            table["tolerate"] = {"share": round(1 - share / 100, 12)}
        return table

    def describe(self) -> dict[str, Any]:
        """Return both thresholds as people write them, None for one that is not set."""
        given = {verdict: str(threshold) for verdict, threshold in self.limits}
        budget = self.settings.tolerate
        return {
            "warn": given.get(Verdict.WARN),
            "fail": given.get(Verdict.FAIL),
            **({"tolerate": asdict(budget)} if budget else {}),
        }

    def judge(self, metric: str, value: float, n: int | None) -> Judgement | None:
        """Return the judgement for the worst limit that *value* breaks, or None."""
        for verdict, threshold in reversed(self.limits):
            if threshold.broken_by(value):
                return Judgement(metric, verdict, value, n, str(threshold))
        return None

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> RunJudgement | None:
        """Judge a run: more iterations than tolerated beyond a limit give that limit's verdict.

        Every iteration counts that ran with the parameters of the settled stretch.
        """
        n = len(stretch.visits)
        if not self.limits:
            return None
        if not n:
            return stretch.not_judged(self.name)
        budget = self.settings.tolerate or Tolerate(0)
        detail, tolerated = "", tuple[int, ...]()
        for verdict, threshold in reversed(self.limits):
            bad = [one for one in stretch.visits if threshold.broken_by(one.value)]
            numbers = tuple(one.iteration for one in bad)
            if not budget.allows(numbers, n):
                return RunJudgement(
                    self.name,
                    kpi.metric,
                    verdict,
                    value=threshold.worst(one.value for one in bad),
                    n=n,
                    rule=str(threshold),
                    detail=f"{len(bad)} of {n} iterations{_accepted_by(numbers, n, verdict)}",
                    iterations=numbers[:SHOWN],
                )
            if bad and not detail:
                detail = f"{len(bad)} of {n} iterations {threshold}, tolerated: {budget}"
                tolerated = numbers[:SHOWN]
        return RunJudgement(
            self.name, kpi.metric, Verdict.PASS, n=n, detail=detail, iterations=tolerated
        )


def _accepted_by(bad: Sequence[int], n: int, verdict: Verdict) -> str:
    """Return which budget would have accepted the *bad* iterations, if they are few."""
    if verdict is not Verdict.FAIL or len(bad) > FEW * n:
        return ""
    share = math.ceil(1000 * len(bad) / n) / 1000
    return f"; tolerate = {Tolerate(share, longest(bad))} would accept them"


NO_LIMITS = Limits(LimitSettings()).describe()
"""What the journal says of a KPI without limits; readers of a journal expect its keys."""


def parse_threshold(text: str) -> Threshold:
    """Read a limit such as ``< 2.5``, which matches `PATTERN`."""
    op = text[:2] if text[1] == "=" else text[:1]
    return Threshold(Op(op), float(text[len(op) :]))
