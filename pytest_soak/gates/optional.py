"""The criterion ``optional``: a metric that a system does not have is not judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pytest_soak.model.kpi import Criterion
from pytest_soak.model.settings import Setting
from pytest_soak.model.verdict import RunJudgement, Verdict

if TYPE_CHECKING:
    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.stretch import Stretch


@dataclass(frozen=True, slots=True)
class OptionalSettings:
    """The key of ``[kpis.<metric>]`` that it reads."""

    optional: Annotated[bool, Setting("a system that never has the metric is not judged by it")] = (
        False
    )


class Optional(Criterion):
    """Accepts that a system never has a metric; one that it has only at times is INCONCLUSIVE."""

    name: ClassVar = "optional"
    Settings: ClassVar = OptionalSettings

    settings: OptionalSettings

    @property
    def optional(self) -> bool:
        """Whether the metric may be missing."""
        return self.settings.optional

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> RunJudgement | None:
        """Return INCONCLUSIVE if the metric was there in some iterations of the run only."""
        if not self.optional or not stretch.absent or not stretch.seen:
            return None
        there = stretch.ran - stretch.absent
        problem = f"has a value in only {there} of {stretch.ran} iterations"
        return RunJudgement(self.name, kpi.metric, Verdict.INCONCLUSIVE, n=there, problem=problem)
