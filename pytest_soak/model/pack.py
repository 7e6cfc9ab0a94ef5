"""The pack: a domain as data. Parameters, profiles, scenarios, rules, KPIs, effects.

Some of these dataclasses are also the shape of a table in a pack's TOML (`packs/document.py`), so
their annotations are read when the program runs.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pytest_soak.model.chain import WholeRun
from pytest_soak.model.kpi import Kpi
from pytest_soak.model.metrics import Metric, Op, find_metric
from pytest_soak.model.parameters import Corridor, Parameter
from pytest_soak.model.settings import MetricName, Mistake, Number, ParameterName, Setting

if TYPE_CHECKING:
    from pytest_soak.model.history import History


@dataclass(frozen=True, slots=True)
class Condition:
    """``metric op value`` in each of the last *streak* iterations."""

    metric: MetricName
    op: Op
    value: Number | str
    streak: Annotated[int, Setting("in how many iterations in a row it must hold", least=1)] = 1

    def holds(self, history: "History") -> bool:
        """Tell whether it holds after the latest iteration; where undefined, it does not."""
        if len(history) < self.streak:
            return False
        for entry in history[-self.streak :]:
            value = entry.summary.metrics.get(self.metric)
            if value is None or not self.op.holds(value, self.value):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table: when it fires, and by how much it steps.

    Args:
        id: Its name within the table.
        reason: What is written as the reason of its changes.
        all: Conditions that must all hold.
        any: Conditions of which one must hold, where there are any.
        step: ``{parameter: delta}``.
        not_above: ``{parameter: value}`` beyond which this rule does not raise it.
        not_below: ``{parameter: value}`` beyond which this rule does not lower it.
        at_least: ``{parameter: value}``: a step up just large enough to reach it.
        only_if_no_other: Fires only where no other rule of its table does.
        priority: Where rules of different priority touch one field, the highest alone counts.
    """

    id: str
    reason: str
    all: tuple[Condition, ...] = ()
    any: tuple[Condition, ...] = ()
    step: Mapping[str, float] = field(default_factory=dict)
    not_above: Mapping[str, float] = field(default_factory=dict)
    not_below: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    only_if_no_other: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class MultiFail:
    """With *triggers* rules or more at once, *step* replaces them all."""

    triggers: Annotated[int, Setting(least=1)]
    step: Mapping[ParameterName, Number]
    reason: str


@dataclass(frozen=True, slots=True)
class Table:
    """A tuner made of rules.

    Args:
        name: The tuner's name.
        rules: Its rows, in order.
        corridor: The bounds it works in.
        announce: Whether its triggers are announced by ``soak_iter_tune`` marker lines.
        max_changes_per_field: How many rules may change one field in one iteration.
        step_cap: ``{parameter: largest sum of steps in one iteration}``.
        multi_fail: The calming package, where the table has one.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    corridor: Corridor = Corridor.APPLY
    announce: bool = False
    max_changes_per_field: int = 0
    step_cap: Mapping[str, float] = field(default_factory=dict)
    multi_fail: MultiFail | None = None


@dataclass(frozen=True, slots=True)
class MockMetric:
    """How one metric of the mock answers to the parameters.

    ``value = start + sum(effect * (parameter - base)) + noise * N(0, 1)``
    """

    effects: Mapping[ParameterName, Number] = field(default_factory=dict)
    noise: Annotated[Number, Setting(least=0)] = 0.0
    n: Annotated[int, Setting(least=0)] = 0


@dataclass(frozen=True, slots=True)
class Effects:
    """How one metric of the real system is expected to answer, as far as that was measured.

    Args:
        mean: ``{parameter: change of the metric per unit}``; 0 for those not named.
        spread: ``{parameter: standard deviation of that change}`` over systems or conditions.
        bend: The standard deviation, in the metric's unit, of what a straight line misses.
        log: Whether all this is said of the metric's natural logarithm: where answers are ratios.
    """

    mean: Mapping[ParameterName, Number] = field(default_factory=dict)
    spread: Mapping[ParameterName, Annotated[Number, Setting(least=0)]] = field(
        default_factory=dict
    )
    bend: Annotated[Number, Setting(least=0)] | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A named base of the parameters, with fields that no tuner touches."""

    name: str
    fields: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Objective:
    """The metric that sums up how well the system does, and the direction that is better."""

    metric: MetricName
    better: Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Pack:
    """Everything that a domain tells the core, checked when it was loaded.

    Args:
        name: Its name.
        source: Where it was read from, for errors.
        prefix: What the names of its environment variables begin with, such as ``MM_``.
        parameters: The tunable fields by name.
        profiles: The bases by name.
        profile: The profile used unless another is asked for.
        metrics: The metrics by name; also the schema of its reports.
        kpis: What the gate looks at.
        tables: The tuners made of rules, by name.
        tuner: The tuner used under ``--auto-tune`` unless another is asked for.
        system: The system that is soaked unless another is asked for.
        scenario: The scenario used unless another is asked for.
        scenarios: ``{name: {system: settings}}``.
        mock: ``{metric: how it answers}`` for the mock system.
        guards: ``{guard: its table}``, checked when the guards are made.
        layers: ``{source: its tables}`` of its files and overlays, the last one on top; for errors.
        bases: The names of the packs that it extends.
        marker: The metrics that ``soak_iter_tune`` marker lines show.
        columns: The metrics that the closing table shows beside the KPIs.
        max_inconclusive: How many iterations before the last two may be INCONCLUSIVE.
        warm_up: How many iterations at the start are neither judged nor tuned on.
        whole_run: The share of all iterations that may be bad; None for the default.
        abort: Whether a chain ends as soon as its verdict cannot be better than FAIL.
        digest: The SHA-256 of its data, so that a changed pack can be told.
        secrets: Environment variables that every system of this domain needs.
        objective: The metric by which the run's progress is told, where the pack has one.
        noise: ``{metric: sigma}`` between iterations with unchanged parameters, where known.
        effects: ``{metric: how it is expected to answer}``, where it was measured.
        binding: ``{parameter: when it is binding}``, where a metric tells.
        command: The program of the system ``command``, and how it is run, where the pack says so.
        http: What the system ``http`` measures, and where, likewise.
    """

    name: str
    source: str
    prefix: str
    parameters: Mapping[str, Parameter]
    profiles: Mapping[str, Profile]
    profile: str
    metrics: Mapping[str, Metric]
    kpis: tuple[Kpi, ...]
    tables: Mapping[str, Table]
    tuner: str
    system: str
    scenario: str
    scenarios: Mapping[str, Mapping[str, Mapping[str, Any]]]
    mock: Mapping[str, MockMetric] = field(default_factory=dict)
    guards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    marker: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    max_inconclusive: int = 0
    warm_up: int = 0
    whole_run: WholeRun | None = None
    abort: bool = False
    digest: str = ""
    secrets: tuple[str, ...] = ()
    objective: Objective | None = None
    noise: Mapping[str, float] = field(default_factory=dict)
    effects: Mapping[str, Effects] = field(default_factory=dict)
    binding: Mapping[str, Condition] = field(default_factory=dict)
    command: Mapping[str, Any] = field(default_factory=dict)
    http: Mapping[str, Any] = field(default_factory=dict)

    @property
    def safe_switch(self) -> str:
        """The environment variable that, with 1, asks for a run without secrets."""
        return f"{self.prefix}ALLOW_MISSING_SECRETS"

    def knows(self, metric: str) -> bool:
        """Tell whether *metric*, or the shares it is one of, is in the schema of reports."""
        return find_metric(metric, self.metrics) is not None

    def metric(self, name: str) -> Metric:
        """Return the metric called *name*; a share, ``blocked.quota``, has its name as a label."""
        return self.metrics.get(name) or Metric(name, name, least=0, most=1)

    def kind(self, metric: str) -> str:
        """Return what *metric* is: ``number`` (a share is one), ``shares``, ``labels``, or ''."""
        found = find_metric(metric, self.metrics)
        return found.kind if found else ""

    @property
    def required_kpis(self) -> tuple[Kpi, ...]:
        """The KPIs whose metric every system must have: those that can be steered by."""
        return tuple(kpi for kpi in self.kpis if not kpi.optional)

    @property
    def precision(self) -> dict[str, float]:
        """The grid of each parameter, in its unit."""
        return {name: parameter.precision for name, parameter in self.parameters.items()}

    @property
    def names(self) -> dict[str, Collection[str]]:
        """The names that settings may refer to: ``{"parameter": ..., "metric": ...}``."""
        return {"parameter": self.parameters, "metric": MetricNames(self)}

    def misfit(self, condition: Condition) -> tuple[str, str] | None:
        """Return why *condition* can never hold, whatever is measured, or None if it can.

        Returns:
            The kind of its metric, or '' where that knows no such word; and what is allowed.
        """
        kind, value = self.kind(condition.metric), condition.value
        text, has = isinstance(value, str), condition.op is Op.HAS
        if kind == "labels" and not (has and text):
            return kind, "has and a word"
        words = self.metrics[condition.metric].words if kind == "labels" else ()
        if words and value not in words:
            return "", ", ".join(words)
        if kind == "shares":
            return kind, f"{condition.metric}.REASON"
        if kind == "number" and (has or text):
            return kind, ">, >=, <, <= and a number"
        return None

    def comparison_fault(self, condition: Condition) -> Mistake | None:
        """Return why *condition* of a guard can never hold, whatever is measured, or None."""
        misfit = self.misfit(condition)
        if misfit is None:
            return None
        kind, allowed = misfit
        what = {"": "unknown word", "number": "a number"}.get(kind, f"a metric of kind {kind}")
        given = f"{condition.metric} {condition.op} {condition.value!r}"
        return Mistake("", f"{given}: {what}", allowed)


@dataclass(frozen=True, slots=True)
class MetricNames(Collection[str]):
    """The names of a pack's metrics; those of single shares, ``blocked.quota``, are not listed."""

    pack: Pack

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a metric, or share."""
        return isinstance(name, str) and self.pack.knows(name)

    def __iter__(self) -> Iterator[str]:
        """Give the names of the metrics."""
        return iter(self.pack.metrics)

    def __len__(self) -> int:
        """Return how many metrics there are."""
        return len(self.pack.metrics)
