"""Reading a pack from TOML: checked by JSON schema, then by what a schema cannot say."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import jsonschema

from pytest_soak.errors import UNREADABLE, SoakUsageError, why_unreadable
from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.metrics import NUMBER, Metric, Op, is_number, sensible
from pytest_soak.model.pack import (
    Condition,
    Effects,
    MockMetric,
    MultiFail,
    Objective,
    Pack,
    Profile,
    Rule,
    Table,
)
from pytest_soak.model.parameters import Bounds, Corridor, Parameter
from pytest_soak.model.safe_repr import safe_repr, safe_text
from pytest_soak.packs.overlay import TABLE, lay_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from pytest_soak.model.kpi import Kpi


@cache
def _validator() -> Any:  # noqa: ANN401 - jsonschema's validators share no public base class
    text = resources.files(__package__).joinpath("pack.schema.json").read_text("utf-8")
    kind = jsonschema.Draft202012Validator
    strict = kind.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)  # not 2.0
    extend: Any = jsonschema.validators.extend  # it has no types
    return extend(kind, type_checker=strict)(json.loads(text))


def load_pack(
    path: Path | Traversable, overlays: Mapping[str, Mapping[str, Any]] | None = None
) -> Pack:
    """Read and check the pack at *path*.

    Args:
        path: A TOML file.
        overlays: ``{pack: what pyproject.toml changes in it}``.

    Raises:
        SoakUsageError: It cannot be read, or says something that is not allowed; the line names
            file, key and what is allowed.
    """
    source = str(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        msg = f"pack {source}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
    head = data.get("pack")
    name = head.get("name") if isinstance(head, dict) else None
    overlay = (overlays or {}).get(name) if isinstance(name, str) else None
    if overlay:
        data = lay_over(data, overlay)
        source = f"{source} with [{TABLE}.{name}]"
    return build_pack(data, source)


def build_pack(data: Mapping[str, Any], source: str) -> Pack:
    """Build a pack from parsed *data*; *source* is named in errors.

    Raises:
        SoakUsageError: As for `load_pack`.
    """
    found = jsonschema.exceptions.best_match(_validator().iter_errors(data))
    if found is not None:
        where = ".".join(str(part) for part in found.absolute_path) or "the top level"
        msg = f"pack {source}: {safe_text(where)}: {safe_text(found.message)}"
        if found.validator == "additionalProperties":
            msg += f"; allowed: {_list(found.schema['properties']) or 'nothing'}"
        raise SoakUsageError(msg)
    odd = next(_not_finite(data), "")
    if odd:
        msg = f"pack {source}: {safe_text(odd, 600, 300)}; allowed: {NUMBER}"
        raise SoakUsageError(msg)
    head = data["pack"]
    pack = Pack(
        name=head["name"],
        source=source,
        prefix=head["prefix"],
        parameters={name: _parameter(name, raw) for name, raw in data["parameters"].items()},
        profiles={name: Profile(name, dict(raw)) for name, raw in data["profiles"].items()},
        profile=head["profile"],
        metrics={name: _metric(name, raw) for name, raw in data["metrics"].items()},
        kpis=tuple(_kpi(name, raw) for name, raw in data["kpis"].items()),
        tables=_tables(data.get("tuners", {}), data.get("rule", [])),
        tuner=head["tuner"],
        system=head["system"],
        scenario=head["scenario"],
        scenarios=data["scenarios"],
        mock={name: MockMetric(**raw) for name, raw in data.get("mock", {}).items()},
        guards=data.get("guards", {}),
        marker=tuple(head.get("marker", ())),
        columns=tuple(head.get("columns", ())),
        max_inconclusive=head.get("max_inconclusive", 0),
        secrets=tuple(head.get("secrets", ())),
        objective=Objective(**data["objective"]) if "objective" in data else None,
        noise=data.get("noise", {}),
        effects={name: Effects(**raw) for name, raw in data.get("effects", {}).items()},
        binding={
            name: _condition(raw["binding"])
            for name, raw in data["parameters"].items()
            if "binding" in raw
        },
        command=data.get("command", {}),
        http=data.get("http", {}),
        digest=hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest(),
    )
    fault = next(_faults(pack), "")
    if fault:
        msg = f"pack {source}: {safe_text(fault, 600, 300)}"
        raise SoakUsageError(msg)
    return pack


def _not_finite(data: object, where: str = "") -> Iterator[str]:
    """Yield the numbers that TOML can write and nobody can use: inf, nan, and the largest."""
    if isinstance(data, int | float) and not isinstance(data, bool) and not sensible(data):
        yield f"{where} is {safe_repr(data)}"
    entries: Iterable[tuple[object, object]] = ()
    if isinstance(data, Mapping):
        entries = data.items()
    elif isinstance(data, list):
        entries = enumerate(data)
    for key, entry in entries:
        yield from _not_finite(entry, f"{where}.{key}" if where else str(key))


def _parameter(name: str, raw: Mapping[str, Any]) -> Parameter:
    limits = Bounds(*raw["limits"])
    apply = Bounds(*raw.get("apply", raw["limits"]))
    step = raw.get("step", 0.0)
    return Parameter(name, raw["unit"], limits, apply, raw["calm"], raw["precision"], step)


def _metric(name: str, raw: Mapping[str, Any]) -> Metric:
    aliases = tuple(raw.get("aliases", {}).items())
    return Metric(**{"name": name, "label": name, **raw, "aliases": aliases})


def _kpi(name: str, raw: Mapping[str, str]) -> Kpi:
    return make_kpi(name, raw)


def _tables(settings: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> dict[str, Table]:
    rules: dict[str, list[Rule]] = {name: [] for name in settings}
    for row in rows:
        owners = row["tuner"]
        for owner in [owners] if isinstance(owners, str) else owners:
            rules.setdefault(owner, []).append(_rule(row))
    return {name: _table(name, settings.get(name, {}), rows) for name, rows in rules.items()}


def _table(name: str, raw: Mapping[str, Any], rules: list[Rule]) -> Table:
    multi_fail = raw.get("multi_fail")
    return Table(
        name=name,
        rules=tuple(rules),
        corridor=Corridor(raw.get("corridor", Corridor.APPLY)),
        announce=raw.get("announce", False),
        max_changes_per_field=raw.get("max_changes_per_field", 0),
        step_cap=raw.get("step_cap", {}),
        multi_fail=MultiFail(**multi_fail) if multi_fail else None,
    )


def _rule(row: Mapping[str, Any]) -> Rule:
    when = row["when"]
    rest = {key: value for key, value in row.items() if key not in {"tuner", "when"}}
    return Rule(
        all=tuple(_condition(raw) for raw in when.get("all", ())),
        any=tuple(_condition(raw) for raw in when.get("any", ())),
        **rest,
    )


def _condition(raw: Mapping[str, Any]) -> Condition:
    return Condition(raw["metric"], Op(raw["op"]), raw["value"], raw.get("streak", 1))


def _faults(pack: Pack) -> Iterator[str]:
    """Yield what a schema cannot say: names that point nowhere, and bounds that contradict."""
    for parameter in pack.parameters.values():
        yield from _bounds_faults(parameter)
    if pack.profile not in pack.profiles:
        yield f"pack.profile: unknown profile {pack.profile!r}; there are {_list(pack.profiles)}"
    for profile in pack.profiles.values():
        yield from profile_faults(pack, profile)
    if pack.scenario not in pack.scenarios:
        yield f"pack.scenario: unknown {pack.scenario!r}; there are {_list(pack.scenarios)}"
    for where, metric in _metrics_named(pack):
        if not pack.knows(metric):
            yield f"{where}: unknown metric {metric!r}; there are {_list(pack.metrics)}"
    yield from _kind_faults(pack)
    yield from _limit_faults(pack)
    for where, field in _fields(pack):
        if field not in pack.parameters:
            yield f"{where}: unknown parameter {field!r}; there are {_list(pack.parameters)}"
    yield from _rule_faults(pack)
    yield from _guard_faults(pack)
    yield from _mock_faults(pack)
    yield from _effect_faults(pack)


def _bounds_faults(parameter: Parameter) -> Iterator[str]:
    for kind, bounds in (("limits", parameter.limits), ("apply", parameter.apply)):
        where = f"parameters.{parameter.name}.{kind}"
        if bounds.lo > bounds.hi:
            yield f"{where}: {bounds.lo:g} is above {bounds.hi:g}"
        for end in (bounds.lo, bounds.hi):
            if parameter.quantize(end) != end:
                yield f"{where}: {end:g} is no multiple of the precision {parameter.precision:g}"
    common = parameter.corridor(Corridor.APPLY)
    if common.lo > common.hi:
        yield f"parameters.{parameter.name}: limits and apply have nothing in common"


def _metrics_named(pack: Pack) -> Iterator[tuple[str, str]]:
    yield from ((f"kpis.{kpi.metric}", kpi.metric) for kpi in pack.kpis)
    yield from (("pack.marker", name) for name in pack.marker)
    yield from (("pack.columns", name) for name in pack.columns)
    yield from (("mock", name) for name in pack.mock)
    yield from (("noise", name) for name in pack.noise)
    yield from (("effects", name) for name in pack.effects)
    yield from (("objective", pack.objective.metric),) if pack.objective else ()
    for where, condition in _conditions(pack):
        yield where, condition.metric


def _conditions(pack: Pack) -> Iterator[tuple[str, Condition]]:
    for table in pack.tables.values():
        for rule in table.rules:
            yield from ((f"rule {rule.id}", c) for c in (*rule.all, *rule.any))
    for name, condition in pack.binding.items():
        yield f"parameters.{name}.binding", condition
    for raw in pack.guards.get("freeze", {}).get("when", ()):
        yield "guards.freeze.when", _condition(raw)


def _kind_faults(pack: Pack) -> Iterable[str]:
    """Yield the comparisons that can never hold: a word with a number, or with a set of shares."""
    judged = [(f"kpis.{kpi.metric}", kpi.metric) for kpi in pack.kpis]
    judged += [("objective", pack.objective.metric)] if pack.objective else []
    for where, metric in judged:
        kind = pack.kind(metric)
        if kind != "number":
            yield f"{where}: {metric} is of kind {kind}; allowed: a number"
    for where, condition in _conditions(pack):
        kind = pack.kind(condition.metric)
        given = f"{where}: {condition.metric} {condition.op} {condition.value!r}"
        word = condition.op is Op.HAS and isinstance(condition.value, str)
        if kind == "labels" and not word:
            yield f"{given}: a metric of kind labels; allowed: has and a word"
        elif kind == "shares":
            yield f"{given}: a metric of kind shares; allowed: {condition.metric}.REASON"
        elif kind == "number" and (condition.op is Op.HAS or isinstance(condition.value, str)):
            yield f"{given}: a number; allowed: >, >=, <, <= and a number"


def _limit_faults(pack: Pack) -> Iterator[str]:
    """Yield the limits that nothing can break: no float is as large as they are written."""
    for kpi in pack.kpis:
        for _, limit in kpi.limits:
            if not sensible(limit.value):
                yield f"kpis.{kpi.metric}: {limit}; allowed: {NUMBER}"


def _rule_faults(pack: Pack) -> Iterator[str]:
    """Yield the rows that can do nothing, or that cannot be told apart."""
    for table in pack.tables.values():
        seen: set[str] = set()
        for rule in table.rules:
            touched = {*rule.step, *rule.at_least}
            if rule.id in seen:
                yield f"rule {rule.id}: tuner {table.name} has it twice"
            seen.add(rule.id)
            if not touched:
                yield f"rule {rule.id}: changes nothing; allowed: step or at_least"
            for stop in sorted({*rule.not_above, *rule.not_below} - touched):
                yield f"rule {rule.id}: a stop for {stop}, which it does not change"
        for name, cap in table.step_cap.items():
            if cap <= 0:
                yield f"tuners.{table.name}.step_cap.{name}: {cap:g}; allowed: above 0"


def _guard_faults(pack: Pack) -> Iterator[str]:
    """Yield the settings of guards that could never do what they say."""
    for name, level in pack.guards.get("alarm", {}).get("levels", {}).items():
        if level["warn"] == level["pause"]:
            yield (
                f"guards.alarm.levels.{name}: warn and pause are both {level['warn']:g}; allowed: "
                "pause above warn where high values alarm, below it where low ones do"
            )
    freeze = pack.guards.get("freeze", {})
    if freeze.get("when") and not freeze.get("parameters"):
        yield "guards.freeze: when without parameters; allowed: both"
    conflict = pack.guards.get("conflict", {})
    if (conflict.get("policy") == "priority") != bool(conflict.get("priority")):
        yield "guards.conflict: policy 'priority' needs a list priority, and no other takes one"


def _mock_faults(pack: Pack) -> Iterator[str]:
    for name, systems in pack.scenarios.items():
        for given, value in systems.get("mock", {}).items():
            where = f"scenarios.{name}.mock"
            if given not in pack.metrics:
                yield f"{where}: unknown metric {given!r}; there are {_list(pack.metrics)}"
            elif pack.kind(given) == "number" and not is_number(value):
                yield f"{where}.{given} is {safe_repr(value)}; allowed: a finite number"
    for metric in pack.metrics.values():
        if metric.least is not None and metric.most is not None and metric.least > metric.most:
            yield f"metrics.{metric.name}: least {metric.least:g} is above most {metric.most:g}"


def _effect_faults(pack: Pack) -> Iterator[str]:
    """Yield the logarithms of what is not above 0."""
    for kpi in pack.kpis:
        wrong = [limit for _, limit in kpi.limits if limit.value <= 0]
        if kpi.metric in pack.effects and pack.effects[kpi.metric].log and wrong:
            yield f"effects.{kpi.metric}.log: its limit is {wrong[0]}; allowed: limits above 0"


def profile_faults(pack: Pack, profile: Profile) -> Iterator[str]:
    """Yield what is wrong with *profile*: every parameter needs a base inside its limits."""
    for name, parameter in pack.parameters.items():
        base = profile.fields.get(name)
        if base is None:
            yield f"profiles.{profile.name}: no base for parameter {name}"
        elif base not in parameter.limits:
            low, high = parameter.limits.lo, parameter.limits.hi
            yield f"profiles.{profile.name}.{name}: {base:g} is outside {low:g} to {high:g}"
        elif parameter.quantize(base) != base:
            grid = f"{parameter.precision:g}"
            yield f"profiles.{profile.name}.{name}: {base:g} is no multiple of the precision {grid}"


def _fields(pack: Pack) -> Iterator[tuple[str, str]]:
    for table in pack.tables.values():
        for field in table.step_cap:
            yield f"tuners.{table.name}.step_cap", field
        for field in table.multi_fail.step if table.multi_fail else ():
            yield f"tuners.{table.name}.multi_fail.step", field
        for rule in table.rules:
            for part in (rule.step, rule.not_above, rule.not_below, rule.at_least):
                for field in part:
                    yield f"rule {rule.id}", field
    yield from _effect_fields(pack)


def _effect_fields(pack: Pack) -> Iterator[tuple[str, str]]:
    for name, answer in pack.mock.items():
        for field in answer.effects:
            yield f"mock.{name}.effects", field
    for name, expected in pack.effects.items():
        for part, fields in (("mean", expected.mean), ("spread", expected.spread)):
            for field in fields:
                yield f"effects.{name}.{part}", field
    yield from _guard_fields(pack)


def _guard_fields(pack: Pack) -> Iterator[tuple[str, str]]:
    for guard, key in (("budget", "largest"), ("alarm", "levels"), ("freeze", "parameters")):
        for field in pack.guards.get(guard, {}).get(key, ()):
            yield f"guards.{guard}.{key}", field


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
