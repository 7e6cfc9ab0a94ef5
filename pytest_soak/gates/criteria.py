"""The core's kinds of criteria, and how tables and gate settings become KPIs."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_type_hints

import msgspec

from pytest_soak.gates.baseline import Baseline
from pytest_soak.gates.limits import Limits
from pytest_soak.gates.min_n import MinN
from pytest_soak.gates.optional import Optional
from pytest_soak.gates.trend import Trend
from pytest_soak.model.chain import WholeRun  # noqa: TC001 - read when the program runs
from pytest_soak.model.kpi import Criterion, Kpi
from pytest_soak.model.metrics import Op
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.model.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

Kinds: TypeAlias = "tuple[type[Criterion], ...]"

CRITERIA: Kinds = (Limits, MinN, Optional, Trend, Baseline)
"""The core's own. To add a kind, add a file beside this one, a line here and a test."""

SETTING = re.compile(
    r"(?:([^:<>=\s]+) *: *)?([a-z][a-z0-9_.]*|[A-Za-z][A-Za-z0-9_-]*) *(<=|>=|<|>) *(.+)"
)
"""A gate setting, ``word:metric<=rest``. The kinds of criteria read the word and the rest."""
SLIPS = (
    (r"=<|≤", "<="),
    (r"=>|≥", ">="),
    (r" *(?:percent|per cent|pct)$", " %"),
    (r"(\d) *[A-Za-z]+$", r"\1"),  # a unit
    (r" (?:for|on|at) +(?=[\d.]+ *%?$)", " in "),
    (r"( in +[1-9]\d[\d.]*)$", r"\1 %"),
    (r"^(baseline *:.*<=? *)(?=\d)", r"\1+"),
    (r"^(baseline *:.*>=? *)(?=\d)", r"\1-"),
)
"""Slips in gate settings that have one meaning, and what was meant."""


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """The keys of ``[verdict]`` that are not about single KPIs."""

    warm_up: Annotated[
        int | None, Setting("iterations at the start that are neither judged nor tuned on", least=0)
    ] = None
    run: Annotated[WholeRun | None, Setting("the share of all iterations that may be FAIL")] = None
    abort: Annotated[
        bool, Setting("whether a chain ends as soon as its verdict cannot be better than FAIL")
    ] = False


def keys(kind: type[Criterion]) -> tuple[str, ...]:
    """Return the keys of ``[kpis.<metric>]`` that *kind* reads."""
    return tuple(each.name for each in fields(kind.Settings))


def clash(kinds: Mapping[str, type[Criterion]]) -> str:
    """Return which of *kinds*, ``{owner: kind}``, read the same key or word; empty if none do."""
    for what, read in (("key", keys), ("word", lambda kind: kind.words)):
        readers: dict[str, str] = {}
        for owner, kind in kinds.items():
            for name in read(kind):
                if name in readers:
                    return f"{readers[name]} and {owner} both read the {what} {name!r}"
                readers[name] = owner
    return ""


@cache
def kpi_table(kinds: Kinds = CRITERIA) -> type:
    """Return ``[kpis.<metric>]`` as a dataclass: the settings of all *kinds* in one.

    `pytest_soak.packs.check` checks a table by it, and makes the JSON schema from it.
    """
    return make_dataclass("KpiTable", _columns(kinds), frozen=True, kw_only=True)


@cache
def verdict_table(kinds: Kinds = CRITERIA) -> type:
    """Return ``[verdict]`` as a dataclass: settings of the run, and defaults for all KPIs.

    The defaults are the settings of *kinds* that have no unit, as metrics differ in theirs.
    """
    shared = [column for column in _columns(kinds) if not _has_unit(column[1])]
    hints = get_type_hints(VerdictTable, include_extras=True)
    own = [(each.name, hints[each.name], _default_of(each)) for each in fields(VerdictTable)]
    return make_dataclass("VerdictTable", own + shared, frozen=True, kw_only=True)


def _columns(kinds: Kinds) -> list[tuple[str, Any, Any]]:
    columns: list[tuple[str, Any, Any]] = []
    for kind in kinds:
        hints = get_type_hints(kind.Settings, include_extras=True)
        columns += (
            (each.name, hints[each.name], _default_of(each)) for each in fields(kind.Settings)
        )
    return columns


def _has_unit(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    metas = (meta.extra_json_schema or {} for meta in getattr(hint, "__metadata__", ()))
    return any("unit" in told for told in metas)


def _default_of(given: Any) -> Any:  # noqa: ANN401 - a field of any dataclass
    """Return a field with the default of the field *given*, and without its other options."""
    if given.default_factory is not MISSING:
        return field(default_factory=given.default_factory)
    return field(default=given.default)


def kpi_keys(kinds: Kinds = CRITERIA) -> set[str]:
    """Return the keys of ``[kpis.<metric>]`` that *kinds* read."""
    return {key for kind in kinds for key in keys(kind)}


def make_kpi(metric: str, table: Mapping[str, Any], kinds: Kinds = CRITERIA) -> Kpi:
    """Return the KPI that a checked *table* ``[kpis.<metric>]`` describes.

    A kind without any of its keys set gives no criterion.
    """
    criteria = []
    for kind in kinds:
        own = {key: table[key] for key in keys(kind) if key in table}
        if own:
            criteria.append(kind(msgspec.convert(own, kind.Settings)))
    return Kpi(metric, tuple(criteria))


def extra_of(module: str) -> str:
    """Return what to install for a *module* that one of the core's criteria needs."""
    return next((kind.extra for kind in CRITERIA if module in kind.needs), module)


def read_gate(text: str, kinds: Kinds = CRITERIA) -> tuple[str, Mapping[str, object]]:
    """Read a gate setting; return its metric, and what it sets in ``[kpis.<metric>]``.

    Raises:
        ValueError: It cannot be read; the message says what is allowed.
    """
    found = _read(text, kinds)
    if found is None:
        word, colon, _ = text.partition(":")
        known = colon or SETTING.fullmatch(text.strip())
        kind = _kind_of(word.strip() if colon else "", kinds) if known else None
        told = "; or ".join(each.grammar for each in ((kind,) if kind else kinds) if each.words)
        raise ValueError(told + _meant(text, kinds))
    return found


def _kind_of(word: str, kinds: Kinds) -> type[Criterion] | None:
    return next((each for each in kinds if word in each.words), None)


def _read(text: str, kinds: Kinds) -> tuple[str, Mapping[str, object]] | None:
    """Read a gate setting as `read_gate` does; return None if no kind can read it."""
    match = SETTING.fullmatch(text.strip())
    word, metric, op, rest = match.groups() if match else ("", "", "", "")
    kind = _kind_of(word or "", kinds) if match else None
    table = kind.read_gate(word or "", Op(op), rest) if kind else None
    return None if table is None else (metric, table)


def _meant(text: str, kinds: Kinds) -> str:
    """Return a hint at a gate setting that *kinds* can read and *text* may mean; empty if none."""
    mended = text.strip()
    for slip, meant in SLIPS:
        mended = re.sub(slip, meant, mended)
    words = [word for kind in kinds for word in kind.words if word]
    given, colon, rest = mended.partition(":")
    near = difflib.get_close_matches(given.strip().lower(), words, 1) if colon else ()
    wordless = [f"{kind.words[0]}:{mended}" for kind in kinds if kind.words] if not colon else ()
    twice = [rest.strip()] if ":" in rest else ()
    for one in (mended, *(f"{word}:{rest.strip()}" for word in near), *wordless, *twice):
        # A criterion of a plugin may raise anything at what was not meant for it.
        with suppress(Exception):
            if _read(one, kinds):
                return f"; did you mean {safe_repr(one)}?"
    return ""
