"""The structure of a pack's TOML. Its check and JSON schema are made from these dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pytest_soak.model.pack import Condition, Effects, MockMetric, MultiFail, Objective
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.settings import MetricName, Number, ParameterName, Setting

END = r"$(?!\n)"
"""The end of a text; ``$`` alone also matches before a line break."""
Field: TypeAlias = Annotated[
    str,
    Setting(
        pattern=f"^[a-z][a-z0-9_]*{END}", allowed="lower case letters, digits and _, a letter first"
    ),
]
Variable: TypeAlias = Annotated[
    str,
    Setting(
        pattern=f"^[A-Z][A-Z0-9_]*{END}", allowed="capital letters, digits and _, a letter first"
    ),
]
Url: TypeAlias = Annotated[
    str,
    Setting(
        pattern=f'^https?://[!-"$-?A-~]+{END}',
        allowed="an http or https URL without a password or #",
    ),
]
Series: TypeAlias = Annotated[
    str,
    Setting(pattern=f"^[a-zA-Z_:][a-zA-Z0-9_:]*{END}", allowed="the name of a Prometheus metric"),
]
Label: TypeAlias = Annotated[
    str,
    Setting(pattern=f"^[a-zA-Z_][a-zA-Z0-9_]*{END}", allowed="the name of a Prometheus label"),
]
Words: TypeAlias = Annotated[
    tuple[Annotated[str, Setting(pattern=rf"^[^\u0000]*{END}", allowed="text without a NUL")], ...],
    Setting(filled=True),
]
Bounds: TypeAlias = tuple[Number, Number]
Numbers: TypeAlias = Mapping[ParameterName, Number]
Positive: TypeAlias = Annotated[Number, Setting(above=0)]
NotNegative: TypeAlias = Annotated[Number, Setting(least=0)]
MetricNames: TypeAlias = Annotated[tuple[MetricName, ...], Setting(unique=True)]
Labels: TypeAlias = Mapping[Label, str | Annotated[tuple[str, ...], Setting(filled=True)]]
Secrets: TypeAlias = Annotated[tuple[Variable, ...], Setting(unique=True)]


@dataclass(frozen=True, slots=True)
class Head:
    """``[pack]``."""

    name: Annotated[
        str,
        Setting(
            pattern=f"^[a-z][a-z0-9-]*{END}",
            allowed="lower case letters, digits and -, a letter first",
        ),
    ] = "pack"
    extends: Annotated[str, Setting("the pack, or the TOML file, that this one extends")] = ""
    replaces: Annotated[
        tuple[Annotated[str, Setting(names="table")], ...],
        Setting("the tables of that pack that are dropped, not merged", unique=True),
    ] = ()
    prefix: Annotated[
        str,
        Setting(
            "the beginning of its environment variables",
            pattern=f"^([A-Z][A-Z0-9]*_)+{END}",
            allowed="capital letters and digits, _ at the end, such as WEB_",
        ),
    ] = ""
    profile: Annotated[str, Setting(names="profile")] = ""
    tuner: str = ""
    system: str = ""
    scenario: Annotated[str, Setting(names="scenario")] = ""
    max_inconclusive: Annotated[int, Setting(least=0)] = 0
    marker: MetricNames = ()
    columns: MetricNames = ()
    secrets: Secrets = ()


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """``[parameters.<name>]``."""

    limits: Annotated[Bounds, Setting("[lo, hi]: what any source may set")]
    apply: Annotated[Bounds, Setting("[lo, hi]: what tuning may reach")] | None = None
    base: Annotated[Number, Setting("its value in profiles that do not name it")] | None = None
    unit: str = ""
    calm: Annotated[Literal["up", "down"], Setting("the calmer direction")] = "up"
    precision: Annotated[Positive, Setting("the grid on which its values lie")] | None = None
    step: Annotated[Positive, Setting("the largest step of one iteration")] | None = None
    binding: Annotated[Condition, Setting("when it makes a difference")] | None = None


@dataclass(frozen=True, slots=True)
class MetricTable:
    """``[metrics.<name>]``."""

    label: str = ""
    unit: str = ""
    kind: Literal["number", "shares", "labels"] = "number"
    least: Number | None = None
    most: Number | None = None
    digits: Annotated[int, Setting(least=0, most=6)] = 2
    aliases: Mapping[str, Number] = field(default_factory=dict)
    words: Annotated[tuple[str, ...], Setting("what labels may be; any unless set")] = ()


@dataclass(frozen=True, slots=True)
class TunerTable:
    """``[tuners.<name>]``."""

    corridor: Corridor = Corridor.APPLY
    announce: bool = False
    max_changes_per_field: Annotated[int, Setting(least=1)] | None = None
    step_cap: Mapping[ParameterName, Positive] = field(default_factory=dict)
    multi_fail: MultiFail | None = None


Conditions: TypeAlias = Annotated[tuple[Condition, ...], Setting(filled=True)]


@dataclass(frozen=True, slots=True)
class When:
    """``when`` of a rule."""

    all: Conditions = ()
    any: Conditions = ()


@dataclass(frozen=True, slots=True)
class RuleTable:
    """``[[rule]]``."""

    tuner: str | Annotated[tuple[str, ...], Setting(unique=True, filled=True)]
    id: str
    when: Annotated[When, Setting(filled=True)]
    reason: str
    step: Numbers = field(default_factory=dict)
    not_above: Numbers = field(default_factory=dict)
    not_below: Numbers = field(default_factory=dict)
    at_least: Numbers = field(default_factory=dict)
    only_if_no_other: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ProgramTable:
    """The common keys of ``[command]`` and ``[http]``: a program that is run."""

    program: Words | None = None
    cwd: str = ""
    env: Mapping[
        Annotated[
            str, Setting(pattern=f"^[A-Za-z_][A-Za-z0-9_]*{END}", allowed="the name of a variable")
        ],
        str,
    ] = field(default_factory=dict)
    grace_s: NotNegative = 5.0
    output_mb: Positive = 100
    keeps_state: bool = False
    secrets: Secrets = ()
    processes: Annotated[
        Mapping[Field, Annotated[str, Setting(pattern=".", allowed="text")]],
        Setting("{name: a text in the command line} of processes that are measured by themselves"),
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandTable(ProgramTable):
    """``[command]``."""

    life: Literal["iteration", "chain"] = "iteration"
    limit_s: Positive | None = None


@dataclass(frozen=True, slots=True)
class MeasureTable:
    """``[http.metrics.<name>]`` and ``[http.parameters.<name>]``."""

    gauge: Series | None = None
    increase: Series | None = None
    rate: Series | None = None
    ratio: Series | None = None
    quantile: Annotated[Number, Setting(above=0, below=1)] | None = None
    query: Annotated[str, Setting(pattern=".", allowed="a query in PromQL")] | None = None
    of: Series | None = None
    labels: Labels = field(default_factory=dict)
    of_labels: Labels = field(default_factory=dict)
    sum: bool = False
    from_zero: bool = False
    factor: Number = 1.0


@dataclass(frozen=True, slots=True)
class HttpTable(ProgramTable):
    """``[http]``."""

    life: Literal["iteration", "chain"] = "chain"
    scrape: Url | None = None
    prometheus: Url | None = None
    ready: Url | None = None
    ready_s: Positive = 30.0
    reload_signal: Literal["SIGHUP", "SIGUSR1", "SIGUSR2", ""] = ""
    settle_s: NotNegative = 0.0
    slot_s: Positive = 10.0
    timeout_s: Positive = 10.0
    metrics: Mapping[MetricName, MeasureTable] = field(default_factory=dict)
    parameters: Mapping[ParameterName, MeasureTable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A pack's file."""

    pack: Head = field(default_factory=Head)
    parameters: Mapping[Field, ParameterTable] = field(default_factory=dict)
    profiles: Annotated[Mapping[str, Mapping[str, Number]], Setting(filled=True)] = field(
        default_factory=dict
    )
    metrics: Annotated[Mapping[Field, MetricTable], Setting(filled=True)] = field(
        default_factory=dict
    )
    kpis: Mapping[MetricName, Annotated[Mapping[str, Any], Setting(filled=True)]] = field(
        default_factory=dict
    )
    verdict: Mapping[str, Any] = field(default_factory=dict)
    objective: Objective | None = None
    noise: Mapping[MetricName, Positive] = field(default_factory=dict)
    tuners: Mapping[str, TunerTable] = field(default_factory=dict)
    rule: tuple[RuleTable, ...] = ()
    guards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effects: Mapping[MetricName, Effects] = field(default_factory=dict)
    mock: Mapping[MetricName, MockMetric] = field(default_factory=dict)
    command: CommandTable = field(default_factory=CommandTable)
    http: HttpTable = field(default_factory=HttpTable)
    scenarios: Annotated[Mapping[str, Mapping[str, Mapping[str, Any]]], Setting(filled=True)] = (
        field(default_factory=dict)
    )


@dataclass(frozen=True, slots=True)
class ReplayTable:
    """``[scenarios.<name>.replay]``: a recording has no settings."""


SYSTEMS: Mapping[str, type | None] = {
    "mock": None,
    "command": CommandTable,
    "http": HttpTable,
    "replay": ReplayTable,
}
"""The systems whose ``[scenarios.<name>.<system>]`` a pack itself knows, with its dataclass.

The tables of others are checked by the `Settings` that the installed system declares.
The keys of the mock are the pack's metrics, which `broken_rules` checks.
"""
