"""Reading a pack from TOML: the packs it extends, the check, and the defaults."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from pytest_soak.errors import UNREADABLE, SoakUsageError, what_raised, why_unreadable
from pytest_soak.gates.criteria import CRITERIA, VerdictTable, kpi_table, make_kpi, verdict_table
from pytest_soak.model.chain import WholeRun
from pytest_soak.model.metrics import Metric
from pytest_soak.model.pack import Pack, Profile, Rule, Table
from pytest_soak.model.parameters import Bounds, Parameter
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.model.settings import Mistake
from pytest_soak.packs.check import check, refuse, sound_part
from pytest_soak.packs.document import (
    SYSTEMS,
    Document,
    MetricTable,
    ParameterTable,
    RuleTable,
    TunerTable,
)
from pytest_soak.packs.http import http_mistakes
from pytest_soak.packs.order import called, in_order, within
from pytest_soak.packs.overlay import TABLE, lay_over
from pytest_soak.packs.rules import broken_rules, misspelt_tuners, named_in_head, system_mistakes
from pytest_soak.store.files import read_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from pytest_soak.gates.criteria import Kinds
    from pytest_soak.model.kpi import Kpi
    from pytest_soak.packs.check import Names

File: TypeAlias = "Path | Traversable"
Find: TypeAlias = "Callable[[str, str], File]"
"""``(name, source) -> file`` of an installed pack; errors name the source."""
Systems: TypeAlias = Mapping[str, type | None]
"""``{installed system: the dataclass of its settings, or None}``."""

Layers: TypeAlias = "Mapping[str, Mapping[str, Any]]"
"""``{source: its tables}``: files that extend each other and their overlays, the lowest first."""
Guards: TypeAlias = "Callable[[Mapping[str, object], Names], Sequence[Mistake]]"
"""``(tables of guards, known names) -> mistakes`` that are found without a sound pack."""

OF_RUN = set(VerdictTable.__dataclass_fields__)
"""The keys of ``[verdict]`` that are not about single KPIs."""
DEFAULT = "default"
"""The name of the profile and the scenario of a pack without any."""
DEFAULT_TUNER = "adaptive"


def none_installed(name: str, source: str) -> File:
    """Refuse the *name* of a pack where installed packs are not known."""
    msg = f"{source}: no installed pack {name!r} is known here; allowed: a path that ends in .toml"
    raise SoakUsageError(msg)


def load_pack(
    path: File,
    overlays: Mapping[str, Mapping[str, Any]] | None = None,
    find: Find = none_installed,
    systems: Systems | None = None,
    kinds: Kinds = CRITERIA,
    *,
    guards: Guards | None = None,
    tuners: Collection[str] = (),
) -> Pack:
    """Read and check the pack at *path*.

    Args:
        path: A TOML file.
        overlays: ``{pack: what pyproject.toml changes in it}``.
        find: Finds an installed pack that this one extends.
        systems: The installed systems, whose tables in scenarios are checked too.
        kinds: The installed kinds of criteria, whose keys a KPI may have.
        guards: Finds the mistakes in guards' tables, to show them with those of the pack. The
            tables of a sound pack are checked when the guards are made.
        tuners: The installed tuners, if they are known.

    Raises:
        SoakUsageError: It cannot be read, or contains mistakes. There is one line per mistake,
            with the key, what was given, and what is allowed.
    """
    overlays = overlays or {}
    whole, source, names, layers = _layered(path, overlays, find)
    pack = build_pack(whole, source, systems, kinds, guards=guards, layers=layers, tuners=tuners)
    return replace(pack, bases=tuple(names[1:]), layers=layers)


def _read(path: File) -> dict[str, Any]:
    try:
        if isinstance(path, Path):
            return tomllib.loads(read_text(path))
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # in a package that is no folder
    except UNREADABLE as error:
        msg = f"pack {path}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None


def _name_from(path: File) -> str:
    """Return the name of a pack that does not set one, made from the name of its file."""
    return re.sub(r"[^a-z0-9]+", "-", Path(str(path)).stem.lower()).strip("-0123456789") or "pack"


def _layered(
    path: File,
    overlays: Mapping[str, Mapping[str, Any]],
    find: Find,
    above: tuple[str, ...] = (),
) -> tuple[Mapping[str, Any], str, tuple[str, ...], Layers]:
    """Return a file over the packs that it extends, each with its overlay.

    Args:
        path: The file; paths in it are relative to its folder.
        overlays: As for `load_pack`.
        find: Finds an installed pack.
        above: The files that extend this one.

    Returns:
        The tables, the files for errors, the names of all these packs, its own first, and the
        tables of each file and overlay, the lowest first.
    """
    own, source = _read(path), str(path)
    head = own.setdefault("pack", {})
    name = head.setdefault("name", _name_from(path)) if isinstance(head, dict) else None
    overlay = overlays.get(name, {}) if isinstance(name, str) else {}
    if overlay:
        source = f"{source} with [{TABLE}.{name}]"
    data = lay_over(own, overlay)
    changes = f"pyproject.toml, [{TABLE}.{name}]"
    layers = {f"pack {path}": own, **({changes: overlay} if overlay else {})}
    head = data["pack"]
    wanted = head.get("extends") if isinstance(head, dict) else None
    if not isinstance(wanted, str):
        refuse(changes, [*misspelt_tuners(own, overlay)])
        return data, source, (str(name),), layers
    above = (*above, os.path.realpath(str(path)))
    asked = f"pack {path}: pack.extends"
    if wanted.endswith(".toml"):
        base: File = cast("Path", path).parent / wanted
    else:
        base = find(wanted, asked)
    if os.path.realpath(str(base)) in above:
        circle = " → ".join(Path(file).name for file in (*above, str(base)))
        msg = f"{asked}: {circle} is a circle; allowed: a pack that does not extend this one"
        raise SoakUsageError(msg)
    below, sources, names, lower = _layered(base, overlays, find, above)
    source = f"{source} over {sources}"
    replaced = head.get("replaces")
    if isinstance(replaced, list):
        lacking = [
            key for key in Document.__dataclass_fields__ if key in replaced and key not in below
        ]
        allowed = safe_text(", ".join(below))
        mistakes = [
            Mistake("pack.replaces", f"{base} has no table {key!r}", allowed) for key in lacking
        ]
        refuse(f"pack {source}", mistakes)
        below = {key: part for key, part in below.items() if key not in replaced}
    refuse(f"pack {path}", [*misspelt_tuners(below, own)])
    merged = lay_over(below, own, f"pack {path}")
    refuse(changes, [*misspelt_tuners(merged, overlay)])
    return lay_over(merged, overlay), source, (str(name), *names), {**lower, **layers}


def build_pack(
    data: Mapping[str, Any],
    source: str,
    systems: Systems | None = None,
    kinds: Kinds = CRITERIA,
    *,
    guards: Guards | None = None,
    layers: Layers | None = None,
    tuners: Collection[str] = (),
) -> Pack:
    """Build a pack from parsed *data*; *source* and *layers* are named in errors.

    Raises:
        SoakUsageError: As for `load_pack`.
    """
    whole = _with_tables(data)
    names = _names(whole)
    document, found = check(whole, Document, names=names)
    installed = {**(systems or {}), **SYSTEMS}
    mistakes = [
        *found,
        *system_mistakes(whole, installed, names),
        *named_in_head(whole, tuners, installed),
    ]
    document = document or sound_part(whole, Document, names)
    table = kpi_table(kinds)
    rules = verdict_table(kinds)
    mistakes += check(document.verdict, rules, "verdict", names)[1]
    verdict = _given(document.verdict, rules, names)
    shared = {key: value for key, value in verdict.items() if key not in OF_RUN}
    kpis: list[Kpi] = []
    unfit: list[Mistake] = []
    for name, given in document.kpis.items():
        mistakes += check(given, table, f"kpis.{name}", names)[1]
        try:
            kpi = make_kpi(name, {**shared, **_given(given, table, names)}, kinds)
            unfit += kpi.mistakes
            kpis.append(kpi)
        except Exception as error:  # noqa: BLE001 - a criterion of a plugin may raise anything
            mistakes.append(Mistake(f"kpis.{name}", f"its criterion {what_raised(error)}"))
    pack = replace(
        _pack(document, tuple(kpis), data, source),
        warm_up=verdict.get("warm_up") or 0,
        whole_run=msgspec.convert(verdict.get("run"), WholeRun | None),
        abort=bool(verdict.get("abort")),
    )
    wrong = [called(mistake.where, whole) for mistake in mistakes]
    mistakes += [  # without those that follow from another mistake
        mistake
        for mistake in (*unfit, *broken_rules(pack, whole), *http_mistakes(pack, names))
        if not any(within(where, mistake.where) for where in wrong)
    ]
    if mistakes and guards is not None:
        told = [mistake.where for mistake in mistakes]
        mistakes += [
            mistake
            for mistake in guards(document.guards, names)
            if not any(within(mistake.where, where) for where in told)
        ]
    refuse(f"pack {source}", in_order(mistakes, whole), layers)
    return pack


def _given(data: Mapping[str, Any], kind: type, names: Names) -> dict[str, Any]:
    """Return what the sound keys of *data* set."""
    sound = asdict(sound_part(dict(data), kind, names))
    return {key: sound[key] for key in data if key in sound}


def _with_tables(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return *data* with the default tables added."""
    kpis = data.get("kpis")
    metrics: dict[str, Any] = {name: {} for name in kpis} if isinstance(kpis, dict) else {}
    usual = {"profiles": {DEFAULT: {}}, "metrics": metrics, "scenarios": {DEFAULT: {}}}
    return {**data, **{key: usual[key] for key in usual if usual[key] and key not in data}}


class Metrics(dict[str, Any]):
    """The metrics that a pack may refer to: those in its table, and ``shares.REASON``."""

    def __contains__(self, name: object) -> bool:
        """Return whether *name* is a metric."""
        table, dot, _ = str(name).partition(".")
        entry = self.get(table)
        return entry is not None and (
            not dot or (isinstance(entry, dict) and entry.get("kind") == "shares")
        )


def _names(data: Mapping[str, Any]) -> Names:
    """Return the names that a pack may refer to, without kinds whose own table is invalid."""
    kinds = ("parameter", "profile", "scenario", "metric")
    tables = {kind: data.get(f"{kind}s") for kind in kinds}
    names: dict[str, Collection[str]] = {
        kind: table for kind, table in tables.items() if table and isinstance(table, dict)
    }
    if "metric" in names:
        names["metric"] = Metrics(data["metrics"])
    return {**names, "table": list(Document.__dataclass_fields__)}


def _pack(document: Document, kpis: tuple[Kpi, ...], data: Mapping[str, Any], source: str) -> Pack:
    """Return the pack that *document* describes, with all defaults."""
    head = document.pack
    parameters = {name: _parameter(name, table) for name, table in document.parameters.items()}
    tables = _tables(document)
    usual = next((system for system in ("command", "http") if system in data), "mock")
    return Pack(
        name=head.name,
        source=source,
        prefix=head.prefix or f"{head.name.upper().replace('-', '_')}_",
        parameters=parameters,
        profiles={
            name: profile_of(parameters, name, fields) for name, fields in document.profiles.items()
        },
        profile=head.profile or next(iter(document.profiles), DEFAULT),
        metrics={name: _metric(name, table) for name, table in document.metrics.items()},
        kpis=kpis,
        tables=tables,
        tuner=head.tuner or next(iter(tables), DEFAULT_TUNER),
        system=head.system or usual,
        scenario=head.scenario or next(iter(document.scenarios), DEFAULT),
        scenarios=document.scenarios,
        mock=document.mock,
        guards=document.guards,
        marker=head.marker,
        columns=head.columns,
        max_inconclusive=head.max_inconclusive,
        secrets=head.secrets,
        objective=document.objective,
        noise=document.noise,
        effects=document.effects,
        binding={
            name: table.binding for name, table in document.parameters.items() if table.binding
        },
        command=data.get("command", {}),
        http=data.get("http", {}),
        digest=hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest(),
    )


def profile_of(
    parameters: Mapping[str, Parameter], name: str, fields: Mapping[str, float]
) -> Profile:
    """Return the profile *name*: its *fields*, and the bases of all other parameters."""
    bases = {key: one.base for key, one in parameters.items() if one.base is not None}
    return Profile(name, {**bases, **fields})


def _parameter(name: str, table: ParameterTable) -> Parameter:
    return Parameter(
        name,
        table.unit,
        Bounds(*table.limits),
        Bounds(*(table.apply or table.limits)),
        table.calm,
        table.precision or _precision(table),
        table.step or 0.0,
        table.base,
    )


def _precision(table: ParameterTable) -> float:
    """Return 1 for whole numbers, otherwise a power of ten that divides the given numbers.

    It is at most a hundredth of the range of the limits.
    """
    given = [*table.limits, *(table.apply or ()), *(() if table.base is None else (table.base,))]
    if all(isinstance(number, int) for number in given):
        return 1
    exponents = [Decimal(str(number)).normalize().as_tuple().exponent for number in given]
    low, high = map(Decimal, map(str, table.limits))
    share = (abs(high - low) / 100 or Decimal(1)).adjusted()
    return float(Decimal(1).scaleb(max(-FINEST, min(0, share, *map(int, exponents)))))


FINEST = 30
"""The most digits after the point in a default precision."""


def _metric(name: str, table: MetricTable) -> Metric:
    aliases = tuple(table.aliases.items())
    bounds = table.least, table.most
    return Metric(
        name,
        table.label or name,
        table.unit,
        table.kind,
        *bounds,
        table.digits,
        aliases,
        table.words,
    )


def _tables(document: Document) -> dict[str, Table]:
    rules: dict[str, list[Rule]] = {name: [] for name in document.tuners}
    for row in document.rule:
        rule = Rule(all=row.when.all, any=row.when.any, **_parts(row, "tuner", "when"))
        for owner in [row.tuner] if isinstance(row.tuner, str) else row.tuner:
            rules.setdefault(owner, []).append(rule)
    tables = {}
    for name, rows in rules.items():
        settings = document.tuners.get(name, TunerTable())
        most = settings.max_changes_per_field or 0
        parts = _parts(settings, "max_changes_per_field")
        tables[name] = Table(name=name, rules=tuple(rows), max_changes_per_field=most, **parts)
    return tables


def _parts(table: RuleTable | TunerTable, *without: str) -> dict[str, Any]:
    """Return the fields of *table* by name."""
    return {one.name: getattr(table, one.name) for one in fields(table) if one.name not in without}
