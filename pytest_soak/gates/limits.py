"""The criterion ``limits``: a value beyond a threshold is a WARN or a FAIL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pytest_soak.model.kpi import Criterion, Limit
from pytest_soak.model.metrics import NUMBER, Op, sensible
from pytest_soak.model.settings import Setting
from pytest_soak.model.verdict import Judgement, Threshold, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATTERN = r"^(<|<=|>|>=) *-?[0-9]+(\.[0-9]+)?$(?!\n)"
WRITTEN = 'a comparison that states what is bad, such as "> 300"'
GOOD = re.compile(r"-?\d+(?:\.\d+)?")
"""The number of a gate setting."""

ThresholdText: TypeAlias = Annotated[str, Setting(pattern=PATTERN, allowed=WRITTEN)]


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The keys of ``[kpis.<metric>]`` that limits read."""

    warn: Annotated[
        ThresholdText | None, Setting("a value for which this holds is a WARN", unit="metric")
    ] = None
    fail: Annotated[
        ThresholdText | None, Setting("a value for which this holds is a FAIL", unit="metric")
    ] = None


class Limits(Criterion):
    """Judges each iteration by a WARN and a FAIL threshold, strict or not as written."""

    name: ClassVar = "limits"
    Settings: ClassVar = LimitSettings
    words: ClassVar = ("", "warn", "fail")
    grammar: ClassVar = "METRIC>=X, <=, > or <, before it warn: or fail:"

    settings: LimitSettings

    @cached_property
    def limits(self) -> Sequence[Limit]:
        """Its thresholds, WARN before FAIL."""
        given = ((Verdict.WARN, self.settings.warn), (Verdict.FAIL, self.settings.fail))
        return tuple((verdict, parse_threshold(text)) for verdict, text in given if text)

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        """Turn ``errors<=0.1``, which says what is good, into the limit ``> 0.1``."""
        if not GOOD.fullmatch(rest):
            return None
        if not sensible(float(rest)):
            raise ValueError(NUMBER)
        return {word or "fail": f"{op.negated} {rest}"}

    def describe(self) -> dict[str, Any]:
        """Return both thresholds as people write them, None for one that is not set."""
        given = {verdict: str(threshold) for verdict, threshold in self.limits}
        return {"warn": given.get(Verdict.WARN), "fail": given.get(Verdict.FAIL)}

    def judge(self, metric: str, value: float, n: int | None) -> Judgement | None:
        """Return the judgement for the worst limit that *value* breaks, or None."""
        for verdict, threshold in reversed(self.limits):
            if threshold.broken_by(value):
                return Judgement(metric, verdict, value, n, str(threshold))
        return None


NO_LIMITS = Limits(LimitSettings()).describe()
"""What the journal says of a KPI without limits; readers of a journal expect its keys."""


def parse_threshold(text: str) -> Threshold:
    """Read a limit such as ``< 2.5``, which matches `PATTERN`."""
    op = text[:2] if text[1] == "=" else text[:1]
    return Threshold(Op(op), float(text[len(op) :]))
