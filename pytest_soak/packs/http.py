"""Rules for the tables ``[http]`` of a pack and of its scenarios, beyond the schema."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_soak.model.settings import Mistake
from pytest_soak.packs.check import sound_data
from pytest_soak.packs.document import HttpTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pytest_soak.model.pack import Pack
    from pytest_soak.packs.check import Names

PORT = "{port}"
"""Stands for a free port, in a program's arguments and in URLs."""
SLOT = "{slot}"
"""Stands for the length of the slot in a query, such as ``5000ms``."""


class Kind(StrEnum):
    """How a metric is computed from the exposed series; also its key in an entry of a table."""

    GAUGE = "gauge"
    INCREASE = "increase"
    RATE = "rate"
    RATIO = "ratio"
    QUANTILE = "quantile"
    QUERY = "query"


MERGED = ("metrics", "parameters", "env")
"""The tables of which a scenario may change single keys."""
NEED_PROGRAM = ("life", "cwd", "env", "grace_s", "output_mb", "reload_signal")
URLS = ("scrape", "prometheus", "ready")
SCRAPED = tuple(kind for kind in Kind if kind is not Kind.QUERY)


def http_table(pack: Pack, scenario: str) -> dict[str, Any]:
    """Return ``[http]`` of *pack* with what the *scenario* changes in it, key by key."""
    return _laid_over(pack.http, pack.scenarios[scenario].get("http", {}))


def _laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {key: {**base.get(key, {}), **own.get(key, {})} for key in MERGED}
    return {**base, **own, **merged}


def http_mistakes(pack: Pack, names: Names) -> Iterator[Mistake]:
    """Yield what cannot act together in the tables ``[http]`` of *pack*, whatever system is run.

    Scenarios without such a table may be for other systems: they are not checked if others have
    one. Nor is it a mistake that something is missing.

    Args:
        pack: The pack; parts of its tables that the schema refuses are left out.
        names: The known names.
    """
    base = _sound(pack.http, names)
    own = {
        name: _sound(tables["http"], names)
        for name, tables in pack.scenarios.items()
        if "http" in tables
    }
    for name, table in own.items():
        yield from combined_mistakes(pack, base, table, f"scenarios.{name}.http")
    if base and not own:
        yield from combined_mistakes(pack, base, {})


def _sound(table: object, names: Names) -> dict[str, Any]:
    return sound_data(table, HttpTable, names) if isinstance(table, dict) else {}


def lacking_mistakes(given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what is missing in the table *given* for a run of the system."""
    if not {"scrape", "prometheus"} & given.keys():
        allowed = (
            f'scrape = "http://127.0.0.1:{PORT}/metrics", or prometheus = "http://127.0.0.1:9090"'
        )
        yield Mistake("http", "no source of metrics", allowed)
    if not given["metrics"]:
        yield Mistake("http", "no metrics", "one entry or more in [http.metrics]")


def combined_mistakes(
    pack: Pack, base: Mapping[str, Any], own: Mapping[str, Any], place: str = ""
) -> Iterator[Mistake]:
    """Yield what cannot act together where *own*, a scenario's table at *place*, changes *base*."""
    given = _laid_over(base, own)

    def where(*keys: str) -> str:
        """Return the full key of what *keys* name: it is the scenario's if that sets it."""
        table: Any = own
        for key in keys:
            table = table.get(key) if table else None
        return ".".join(("http" if table is None else place, *keys))

    if {"scrape", "prometheus"} <= given.keys():
        allowed = "one of them: where the metrics come from"
        yield Mistake(place or "http", "both scrape and prometheus", allowed)
    for key in URLS:
        yield from _url_mistakes(where(key), key, given.get(key, "http://x"))
    if "program" not in given:
        yield from _mistakes_without_program(given, where)
    fits = _kinds_of(given)
    for name, measure in given["metrics"].items():
        at = where("metrics", name)
        if pack.kind(name) != "number":
            yield Mistake(at, f"{name} is of kind {pack.kind(name)}", "a number")
        yield from _measure_mistakes(at, measure, fits)
    shown = [kind for kind in fits if kind in (Kind.GAUGE, Kind.QUERY)]
    for name, measure in given["parameters"].items():
        yield from _measure_mistakes(where("parameters", name), measure, shown)


def _kinds_of(given: Mapping[str, Any]) -> tuple[Kind, ...]:
    """Return the kinds of measures that the source of the table *given* allows."""
    if "prometheus" in given:
        return (Kind.QUERY,)
    return SCRAPED if "scrape" in given else tuple(Kind)


def _mistakes_without_program(
    given: Mapping[str, Any], where: Callable[[str], str]
) -> Iterator[Mistake]:
    for key in URLS:
        if PORT in given.get(key, ""):
            yield Mistake(where(key), f"{PORT} without a program", "the port that it has")
    for key in NEED_PROGRAM:
        if given.get(key):
            yield Mistake(where(key), "without a program", f"program = [...], or no {key}")


def _url_mistakes(where: str, key: str, url: str) -> Iterator[Mistake]:
    """Yield what is wrong with a *url* whose letters the schema has looked at."""
    try:
        parts = urlsplit(url.replace(PORT, "1"))
        what = "" if parts.hostname and parts.port != 0 else "it names no host, or port 0"
        if key == "prometheus" and parts.query:
            what = "a server's URL ends before its /api"
    except ValueError as error:
        what = str(error)
    if what:
        yield Mistake(where, f"{url}: {what}", "such as http://127.0.0.1:9090")


def _measure_mistakes(
    where: str, given: Mapping[str, Any], fits: Collection[Kind]
) -> Iterator[Mistake]:
    kinds = [kind for kind in Kind if kind in given]
    if len(kinds) != 1 or kinds[0] not in fits:
        what = " and ".join(kinds) or "nothing that says how it is measured"
        sources = {True: "scraped", False: "asked of a Prometheus server"}
        ways = " or ".join(dict.fromkeys(sources[kind is not Kind.QUERY] for kind in fits))
        yield Mistake(where, what, f"where it is {ways}, one of {', '.join(fits)}")
        return
    (kind,) = kinds
    keys = {kind, "factor"}
    if kind is not Kind.QUERY:
        keys |= {"labels", "sum"}
    if kind not in (Kind.QUERY, Kind.GAUGE):
        keys |= {"from_zero"}
    needed = {Kind.RATIO: {"of"}, Kind.QUANTILE: {"of"}}.get(kind, set())
    keys |= needed | ({"of_labels"} if kind is Kind.RATIO else set())
    for key in sorted(given.keys() - keys):
        yield Mistake(where, f"{key} means nothing to {kind}", ", ".join(sorted(keys)))
    for key in sorted(needed - given.keys()):
        yield Mistake(where, f"{kind} without {key}", f"{key} = the name of a metric")
    if kind is Kind.QUERY and SLOT not in given["query"]:
        yield Mistake(
            where,
            f"{given['query']} has no {SLOT}",
            f"a query over the slot, such as last_over_time(NAME[{SLOT}]), as any other may be "
            "answered from before it",
        )
