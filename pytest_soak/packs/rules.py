"""Rules for packs beyond the schema, such as consistent bounds and conditions that can hold."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_soak.model.metrics import NUMBER, in_full, is_number, sensible
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.safe_repr import did_you_mean, safe_repr, safe_text
from pytest_soak.model.settings import Mistake
from pytest_soak.packs.check import check, unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pytest_soak.model.pack import Condition, Pack, Profile
    from pytest_soak.model.parameters import Parameter
    from pytest_soak.packs.check import Names

CLOSE = 0.75
"""From this similarity on (`difflib`), an unknown system or tuner counts as a misspelt one."""
HALF = 0.5
"""Up to this similarity, two short names such as ``x1`` and ``x2`` differ on purpose."""


def broken_rules(pack: Pack, data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the mistakes in *pack*, which was built from *data*."""
    for table in ("parameters", "kpis"):
        if not data.get(table):
            yield Mistake(table, "there are none", f"one entry or more in [{table}]")
    head = data.get("pack", {})
    if isinstance(head, dict) and "replaces" in head and "extends" not in head:
        yield Mistake("pack.replaces", "without extends", "both, or neither")
    for parameter in pack.parameters.values():
        yield from _bounds_mistakes(parameter)
    for profile in pack.profiles.values():
        yield from profile_mistakes(pack, profile)
    yield from _metric_mistakes(pack)
    yield from _judged_mistakes(pack)
    yield from _condition_mistakes(pack)
    yield from _rule_mistakes(pack)
    yield from _tuner_mistakes(pack, data)
    yield from _mock_mistakes(pack)
    for table in ("guards", "scenarios"):
        yield from _not_finite(data.get(table), table)


def profile_mistakes(pack: Pack, profile: Profile, told: Collection[str] = ()) -> Iterator[Mistake]:
    """Yield the mistakes in *profile*: every parameter needs a value inside its limits.

    Args:
        pack: The pack.
        profile: One of its profiles.
        told: Parameters whose value was already reported.
    """
    unknown_fields = [name for name in profile.fields if name not in pack.parameters]
    for name in unknown_fields:
        near = [known for known in pack.parameters if _one_letter_off(name, known)]
        if near:
            what = f"no parameter has this name, did you mean {near[0]!r}?"
            allowed = f"{', '.join(pack.parameters)}, or a name that is not close to them"
            yield Mistake(f"profiles.{profile.name}.{name}", what, allowed)
    for name, parameter in pack.parameters.items():
        if name in told:
            continue
        value = profile.fields.get(name)
        if value is None:
            yield Mistake(
                f"profiles.{profile.name}",
                f"no base for parameter {name}",
                f"{name} = NUMBER, or base = NUMBER in [parameters.{name}]",
            )
            continue
        own = f"profiles.{profile.name}.{name}"
        where = own if value is not parameter.base else f"parameters.{name}.base"
        low, high = parameter.limits.lo, parameter.limits.hi
        if low <= high and value not in parameter.limits:
            yield Mistake(
                where,
                f"{in_full(value)} is outside its limits",
                f"{in_full(low)} to {in_full(high)}",
            )
        elif parameter.quantize(value) != value:
            yield _off_grid(where, value, parameter)


def _one_letter_off(name: str, known: str) -> bool:
    """Return whether one letter is wrong, missing, added or swapped, and most are the same.

    Fields such as ``pool_min`` and ``max_pool`` may stand beside a parameter ``pool_max``.
    """
    matcher = difflib.SequenceMatcher(None, name, known)
    same = sum(block.size for block in matcher.get_matching_blocks())
    return max(len(name), len(known)) - same == 1 and matcher.ratio() > HALF


def _off_grid(where: str, value: float, parameter: Parameter) -> Mistake:
    grid = f"{in_full(parameter.precision)}"
    return Mistake(
        where, f"{in_full(value)} is no multiple of the precision {grid}", f"multiples of {grid}"
    )


def _bounds_mistakes(parameter: Parameter) -> Iterator[Mistake]:
    where = f"parameters.{parameter.name}"
    for bounds, kind in {parameter.apply: "apply", parameter.limits: "limits"}.items():
        if bounds.lo > bounds.hi:
            yield Mistake(
                f"{where}.{kind}", f"{in_full(bounds.lo)} is above {in_full(bounds.hi)}", "[lo, hi]"
            )
        for end in (bounds.lo, bounds.hi):
            if parameter.quantize(end) != end:
                yield _off_grid(f"{where}.{kind}", end, parameter)
    common = parameter.corridor(Corridor.APPLY)
    proper = all(bounds.lo <= bounds.hi for bounds in (parameter.limits, parameter.apply))
    if proper and common.lo > common.hi:
        yield Mistake(where, "limits and apply have nothing in common")


def _metric_mistakes(pack: Pack) -> Iterator[Mistake]:
    for metric in pack.metrics.values():
        if metric.least is not None and metric.most is not None and metric.least > metric.most:
            what = f"least {in_full(metric.least)} is above most {in_full(metric.most)}"
            yield Mistake(f"metrics.{metric.name}", what)
        if metric.words and metric.kind != "labels":
            what = f"a metric of kind {metric.kind} has no words"
            yield Mistake(f"metrics.{metric.name}.words", what, 'kind = "labels"')


def _judged_mistakes(pack: Pack) -> Iterator[Mistake]:
    """Yield KPIs and objectives that cannot be judged: not a number, or an impossible limit."""
    judged = [(f"kpis.{kpi.metric}", kpi.metric) for kpi in pack.kpis]
    judged += [("objective", pack.objective.metric)] if pack.objective else []
    for where, metric in judged:
        kind = pack.kind(metric)
        if kind not in {"number", ""}:  # '' is an unknown metric, which the schema reports
            yield Mistake(where, f"{metric} is of kind {kind}", "a number")
    for kpi in pack.kpis:
        for _, limit in kpi.limits:
            if not sensible(limit.value):
                yield Mistake(f"kpis.{kpi.metric}", f"{limit.op} {limit.value:g}", NUMBER)
            if limit.value <= 0 and kpi.metric in pack.effects and pack.effects[kpi.metric].log:
                where = f"effects.{kpi.metric}.log"
                yield Mistake(where, f"the limit of its KPI is {limit}", "limits above 0")


def _condition_mistakes(pack: Pack) -> Iterator[Mistake]:
    """Yield conditions that can never hold, such as a word compared with a number."""
    for where, condition in _conditions(pack):
        misfit = pack.misfit(condition)
        if misfit is None:
            continue
        kind, allowed = misfit
        metric, value = condition.metric, condition.value
        why = f", but {metric} is of kind {kind}"
        if not kind:
            why = f": unknown word{did_you_mean(value, pack.metrics[metric].words)}"
        yield Mistake(where, f"{metric} {condition.op} {safe_repr(value)}{why}", allowed)


def _conditions(pack: Pack) -> Iterator[tuple[str, Condition]]:
    for table in pack.tables.values():
        for rule in table.rules:
            yield from ((f"rule.{rule.id}", condition) for condition in (*rule.all, *rule.any))
    for name, condition in pack.binding.items():
        yield f"parameters.{name}.binding", condition


def _rule_mistakes(pack: Pack) -> Iterator[Mistake]:
    """Yield rules without an effect, and duplicate ids."""
    for table in pack.tables.values():
        seen: set[str] = set()
        for rule in table.rules:
            where, touched = f"rule.{rule.id}", {*rule.step, *rule.at_least}
            if rule.id in seen:
                yield Mistake(where, f"tuner {table.name} has it twice", "each id once")
            seen.add(rule.id)
            if not touched:
                yield Mistake(where, "it changes nothing", "step or at_least")
            for stop in sorted({*rule.not_above, *rule.not_below} - touched):
                yield Mistake(where, f"a stop for {stop}, which it does not change")


def _tuner_mistakes(pack: Pack, data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield tables of tuners that no rule names, valid or not."""
    named = _named_by_rules(data)
    for name in pack.tables:
        if name not in named:
            what = f"no [[rule]] has the tuner {safe_repr(name)}{did_you_mean(name, named)}"
            allowed = safe_text(", ".join(named), 600, 80) or "a tuner that a [[rule]] names"
            yield Mistake(f"tuners.{name}", what, allowed)


def _named_by_rules(data: Mapping[str, Any]) -> list[str]:
    """Return the tuners that the rules in *data* name."""
    rules = data.get("rule")
    named: list[object] = []
    for row in rules if isinstance(rules, list) else ():
        tuner = row.get("tuner") if isinstance(row, Mapping) else None
        named += tuner if isinstance(tuner, list) else [tuner]
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))


def misspelt_tuners(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield new tuners in the rules of *overlay* whose name is close to one of *base*."""
    tables = [part.get("tuners") for part in (base, overlay)]
    declared = [name for table in tables if isinstance(table, Mapping) for name in table]
    known = list(dict.fromkeys((*_named_by_rules(base), *declared)))
    for name in _named_by_rules(overlay):
        if name not in known and _near(name, known):
            mistake = unknown("rule", "tuner", name, known)
            new = f"{mistake.allowed}; for a new one, add [tuners.{safe_text(name)}]"
            yield replace(mistake, allowed=new)


def named_in_head(
    data: Mapping[str, Any], tuners: Collection[str], systems: Collection[str]
) -> Iterator[Mistake]:
    """Yield what ``[pack]`` in *data* misspells: its tuners or its system.

    A name that is close to no known one may be installed elsewhere, because packs are shared.

    Args:
        data: The pack's tables.
        tuners: The installed tuners; empty if they are not known.
        systems: The installed systems.
    """
    head = data.get("pack")
    if not isinstance(head, Mapping):
        return
    known = [*_named_by_rules(data), *tuners] if tuners else []
    for key, among in {"tuner": known, "system": systems}.items():
        given = head.get(key)
        names = str(given).split(",") if key == "tuner" else [str(given)]
        for name in (one.strip() for one in names):
            if isinstance(given, str) and name not in among and _near(name, among):
                yield unknown(f"pack.{key}", key, name, among)


def _near(name: str, known: Iterable[str]) -> bool:
    """Return whether *name* is close to one of the *known* names."""
    return bool(difflib.get_close_matches(name, known, 1, CLOSE))


def _mock_mistakes(pack: Pack) -> Iterator[Mistake]:
    for name, systems in pack.scenarios.items():
        where = f"scenarios.{name}.mock"
        for metric, value in systems.get("mock", {}).items():
            if metric not in pack.metrics:
                yield unknown(where, "metric", metric, pack.metrics)
            elif pack.kind(metric) == "number" and not is_number(value):
                yield Mistake(f"{where}.{metric}", f"{safe_repr(value)} given", "a finite number")


def system_mistakes(
    data: Mapping[str, Any], systems: Mapping[str, type | None], names: Names
) -> Iterator[Mistake]:
    """Yield the mistakes in the tables of *systems* in the scenarios in *data*."""
    for scenario, tables in _tables_in(data.get("scenarios")):
        for system, table in _tables_in(tables):
            where = f"scenarios.{scenario}.{system}"
            settings = systems.get(system)
            if settings is not None:
                yield from check(table, settings, where, names)[1]
            elif system not in systems and _near(system, systems):
                yield unknown(f"scenarios.{scenario}", "system", system, systems)


def _tables_in(data: object) -> Iterable[tuple[str, Mapping[str, Any]]]:
    entries = data.items() if isinstance(data, Mapping) else ()
    return ((key, entry) for key, entry in entries if isinstance(entry, Mapping))


def _not_finite(data: object, where: str) -> Iterator[Mistake]:
    """Yield numbers that TOML allows but that cannot be used: inf, nan, and the largest."""
    if isinstance(data, int | float) and not isinstance(data, bool) and not sensible(data):
        yield Mistake(where, f"{safe_repr(data)} given", NUMBER)
    entries: Iterable[tuple[object, object]] = ()
    if isinstance(data, Mapping):
        entries = data.items()
    elif isinstance(data, list):
        entries = enumerate(data)
    for key, entry in entries:
        yield from _not_finite(entry, f"{where}.{key}")
