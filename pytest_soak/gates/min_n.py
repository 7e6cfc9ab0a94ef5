"""The criterion ``min_n``: a value of too few observations proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pytest_soak.model.kpi import Criterion
from pytest_soak.model.metrics import Op
from pytest_soak.model.settings import Setting
from pytest_soak.model.verdict import Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.stretch import Stretch


@dataclass(frozen=True, slots=True)
class MinNSettings:
    """The key of ``[kpis.<metric>]`` that it reads."""

    min_n: Annotated[
        int | None, Setting("fewer observations in an iteration are INCONCLUSIVE", least=1)
    ] = None


class MinN(Criterion):
    """Makes a KPI INCONCLUSIVE in each iteration that has, or tells, too few observations.

    A percentile p needs at least 1 / (1 - p) of them: 20 for the 95th, 100 for the 99th. With fewer
    it is the largest value.
    """

    name: ClassVar = "min_n"
    Settings: ClassVar = MinNSettings
    words: ClassVar = ("min_n",)
    grammar: ClassVar = "min_n:METRIC>=N, the fewest observations of an iteration"

    settings: MinNSettings

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        """Read ``min_n:latency_p95_ms>=100``."""
        del word
        known = op is Op.GE and rest.isascii() and rest.isdigit() and 0 < len(rest) <= MOST_DIGITS
        return {"min_n": int(rest)} if known and int(rest) else None

    def judge(self, metric: str, value: float, n: int | None) -> Judgement | None:
        """Return INCONCLUSIVE for fewer observations than asked for, or for an unknown number."""
        least = self.settings.min_n
        if least is None or (n is not None and n >= least):
            return None
        problem = f"n is {'not told' if n is None else n}, min_n is {least}"
        return Judgement(metric, Verdict.INCONCLUSIVE, value, n, problem=problem)

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> None:
        """Say nothing of a run: iterations that are INCONCLUSIVE are counted."""


MOST_DIGITS = 15
