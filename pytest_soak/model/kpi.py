"""KPIs: a metric, and the criteria by which it is judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pytest_soak.model.metrics import is_number
from pytest_soak.model.verdict import Judgement, RunJudgement, Threshold, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pytest_soak.model.metrics import Op, Value
    from pytest_soak.model.settings import Mistake
    from pytest_soak.model.stretch import Stretch

SHOWN = 20
"""How many iterations a judgement of a run names."""
ROUNDING = 1e-9
"""How much larger a product of a share may be: 0.29 * 100 is 28.999999999999996."""

Limit: TypeAlias = tuple[Verdict, Threshold]
"""A threshold, and the verdict for a value beyond it."""


@dataclass(frozen=True)
class Criterion:
    """One rule by which a KPI is judged, such as a limit. Pure.

    A kind of criterion is a subclass. It sets the class variables and overrides what it needs to
    judge single iterations, whole runs, or both.

    Args:
        settings: What one KPI sets, an object of the kind's `Settings`.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[Any]]
    """A frozen dataclass: its fields are the keys of ``[kpis.<metric>]`` that this kind reads. A
    field needs a default, usually None."""
    words: ClassVar[tuple[str, ...]] = ()
    """The words before the colon of the gate settings that this kind reads; '' for no colon."""
    grammar: ClassVar[str] = ""
    """How people write its gate settings, for errors."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The modules that judging imports beyond the dependencies; looked for before a run."""
    extra: ClassVar[str] = ""
    """What to install if one of these is missing."""

    settings: Any

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        """Return what a gate setting sets in ``[kpis.<metric>]``, or None if it cannot be read.

        Args:
            word: The text before its colon, one of `words`.
            op: The comparison, which says what is good.
            rest: The text after the comparison.

        Raises:
            ValueError: It sets something that is not allowed; the message says what is allowed.
        """

    @property
    def limits(self) -> Sequence[Limit]:
        """The thresholds of single values, for strategies that look ahead."""
        return ()

    @property
    def optional(self) -> bool:
        """Whether an iteration without the metric is no problem."""
        return False

    def describe(self) -> dict[str, Any]:
        """Return what is set as plain JSON, under the keys of the pack, for the journal."""
        return asdict(self.settings)

    def mistake(self, kpi: Kpi) -> Mistake | None:
        """Return what is wrong with the settings beside the other criteria of *kpi*, or None."""

    def judge(self, metric: str, value: float, n: int | None) -> Judgement | None:
        """Judge one iteration by the *value* of its metric; return None if there is no objection.

        Args:
            metric: The KPI's metric.
            value: A finite number, in the metric's unit.
            n: The number of observations behind it; None if unknown.
        """

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> RunJudgement | None:
        """Judge a run; return None if this kind has no word on runs.

        By default each iteration with the same parameters counts, and none may be beyond a limit.

        Args:
            kpi: The KPI that this is a criterion of.
            stretch: What its metric was in the iterations that the run is judged by.
        """
        if type(self).judge is Criterion.judge:
            return None
        if not stretch.visits:
            return stretch.not_judged(self.name)
        judged = [(one, self.judge(kpi.metric, one.value, one.n)) for one in stretch.visits]
        bad = [(one, word) for one, word in judged if word and word.verdict is not Verdict.PASS]
        worst = max((word.verdict for _, word in bad), default=Verdict.PASS)
        counted = [(one, word) for one, word in bad if word.verdict is worst]
        return RunJudgement(
            self.name,
            kpi.metric,
            worst,
            value=counted[0][0].value if counted else None,
            n=len(judged),
            rule=counted[0][1].rule if counted else "",
            iterations=tuple(one.iteration for one, _ in counted[:SHOWN]),
        )


Ask: TypeAlias = "Callable[[Criterion, str, float, int | None], Judgement | None]"


def _ask(criterion: Criterion, metric: str, value: float, n: int | None) -> Judgement | None:
    return criterion.judge(metric, value, n)


@dataclass(frozen=True, slots=True)
class Kpi:
    """A metric with the criteria by which it is judged; the worst judgement counts.

    Args:
        metric: The metric's name.
        criteria: The rules by which it is judged.
    """

    metric: str
    criteria: tuple[Criterion, ...] = ()

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Every threshold of single values, the mildest verdict first; none without limits."""
        given = (limit for criterion in self.criteria for limit in criterion.limits)
        return tuple(sorted(given, key=lambda limit: limit[0]))

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """What is wrong with the settings of its criteria beside each other."""
        return tuple(filter(None, (each.mistake(self) for each in self.criteria)))

    @property
    def table(self) -> dict[str, Any]:
        """What is set, as the table ``[kpis.<metric>]`` of a pack."""
        tables = (asdict(criterion.settings) for criterion in self.criteria)
        return {key: value for each in tables for key, value in each.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """Return what is set as plain JSON, for the journal."""
        return {key: value for each in self.criteria for key, value in each.describe().items()}

    @property
    def optional(self) -> bool:
        """Whether an iteration without the metric is no problem."""
        return any(each.optional for each in self.criteria)

    def expects(self, metrics: Collection[str]) -> bool:
        """Tell whether an iteration with these *metrics* is judged: always, unless optional."""
        return not self.optional or self.metric in metrics

    def judge(self, value: Value, n: int | None, ask: Ask = _ask) -> Judgement:
        """Judge one iteration; INCONCLUSIVE without a finite *value*.

        *ask* calls a criterion's `judge`.
        """
        if not is_number(value):
            return Judgement(self.metric, Verdict.INCONCLUSIVE, n=n, problem="no value")
        passed = Judgement(self.metric, Verdict.PASS, value, n)
        given = filter(None, (ask(each, self.metric, value, n) for each in self.criteria))
        return max((passed, *given), key=lambda judgement: RANK[judgement.verdict])

    def judge_run(self, stretch: Stretch) -> tuple[RunJudgement, ...]:
        """Return the judgements of the criteria that judge a whole run."""
        return tuple(filter(None, (each.judge_run(self, stretch) for each in self.criteria)))


RANK = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2, Verdict.INCONCLUSIVE: 3}
"""Which judgement of a KPI counts in one iteration: too few observations prove no failure."""
