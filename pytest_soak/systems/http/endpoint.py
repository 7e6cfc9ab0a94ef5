"""The settings of the system ``http``: what is run, where its metrics are, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import convert

from pytest_soak.model.settings import Mistake
from pytest_soak.packs.check import refuse
from pytest_soak.packs.document import HttpTable
from pytest_soak.systems.command.program import program_of, secrets_of
from pytest_soak.systems.http.exposition import Kind, Measure, Series
from pytest_soak.systems.http.promql import SLOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pytest_soak.model.pack import Pack
    from pytest_soak.packs.document import MeasureTable
    from pytest_soak.systems.command.program import Program

PORT = "{port}"
"""Stands for a free port, in a program's arguments and in URLs."""
SLOT_LENGTH = 10.0
"""Seconds that are measured in an iteration of a run by count, unless the pack says otherwise."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where metrics come from, and how.

    Args:
        scrape: The URL of a program's metrics in the text format, or ''.
        server: The URL of a Prometheus server, or ''. Either this or the other.
        metrics: ``{metric: how it is measured}``.
        parameters: ``{parameter: where the program shows the value that it uses}``.
        program: The program that is run, None where it runs already.
        for_chain: Whether one process of it serves the whole chain.
        ready: The URL that answers with 200 once the program is ready, or ''.
        ready_within: Seconds in which it has to.
        signal: The name of the signal by which a running program is told of new parameters, or ''.
        settle: Seconds between new parameters and the start of what is measured.
        slot: Seconds that are measured in a run by count.
        timeout: Seconds that one request may take.
        secrets: The environment variables that the program needs and whose values are never shown.
        keeps_state: Whether nothing is lost where the soak goes on in another process.
    """

    scrape: str
    server: str
    metrics: Mapping[str, Measure]
    parameters: Mapping[str, Measure] = field(default_factory=dict)
    program: Program | None = None
    for_chain: bool = True
    ready: str = ""
    ready_within: float = 30.0
    signal: str = ""
    settle: float = 0.0
    slot: float = SLOT_LENGTH
    timeout: float = 10.0
    secrets: tuple[str, ...] = ()
    keeps_state: bool = False


def read_endpoint(root: Path, pack: Pack, scenario: str) -> Endpoint:
    """Return what the *scenario* or the *pack* says, in this order, key by key.

    Args:
        root: The folder that the program's working folder is named from.
        pack: The pack; its tables were checked.
        scenario: The name of one of its scenarios.

    Raises:
        SoakUsageError: Something is missing, or what is set cannot act together.
    """
    own = pack.scenarios[scenario].get("http", {})
    merged = {key: {**pack.http.get(key, {}), **own.get(key, {})} for key in MERGED}
    given = {**pack.http, **own, **merged}
    refuse(f"system http: pack {pack.source}", list(_mistakes(pack, given)))
    table = convert(given, HttpTable)
    program = None
    if table.program:
        program = program_of(table, table.program, root, pack, "http")
    return Endpoint(
        scrape=table.scrape or "",
        server=table.prometheus or "",
        metrics={name: _measure(measure) for name, measure in table.metrics.items()},
        parameters={name: _measure(measure) for name, measure in table.parameters.items()},
        program=program,
        for_chain=table.life == "chain",
        ready=table.ready or "",
        ready_within=table.ready_s,
        signal=table.reload_signal,
        settle=table.settle_s,
        slot=table.slot_s,
        timeout=table.timeout_s,
        secrets=secrets_of(pack, table),
        keeps_state=table.keeps_state,
    )


MERGED = ("metrics", "parameters", "env")
"""The tables of which a scenario may change single keys."""
NEED_PROGRAM = ("life", "cwd", "env", "grace_s", "output_mb", "reload_signal")
URLS = ("scrape", "prometheus", "ready")


def _mistakes(pack: Pack, given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what a schema cannot say."""
    server = "prometheus" in given
    if ("scrape" in given) == server:
        what = "both scrape and prometheus" if server else "no source of metrics"
        yield Mistake(
            "http",
            what,
            f'scrape = "http://127.0.0.1:{PORT}/metrics", or prometheus = "http://127.0.0.1:9090"',
        )
    for key in URLS:
        yield from _url_mistakes(key, given.get(key, "http://x"))
    if "program" not in given:
        yield from _mistakes_without_program(given)
    if not given["metrics"]:
        yield Mistake("http", "no metrics", "one entry or more in [http.metrics]")
    scraped = tuple(kind for kind in Kind if kind is not Kind.QUERY)
    for table, fits in (("metrics", scraped), ("parameters", (Kind.GAUGE,))):
        for name, measure in given[table].items():
            where = f"http.{table}.{name}"
            if table == "metrics" and pack.kind(name) != "number":
                yield Mistake(where, f"{name} is of kind {pack.kind(name)}", "a number")
            yield from _measure_mistakes(where, measure, (Kind.QUERY,) if server else fits)


def _mistakes_without_program(given: Mapping[str, Any]) -> Iterator[Mistake]:
    for key in URLS:
        if PORT in given.get(key, ""):
            yield Mistake(f"http.{key}", f"{PORT} without a program", "the port that it has")
    for key in NEED_PROGRAM:
        if given.get(key):
            yield Mistake(f"http.{key}", "without a program", f"program = [...], or no {key}")


def _url_mistakes(key: str, url: str) -> Iterator[Mistake]:
    """Yield what is wrong with a *url* whose letters the schema has looked at."""
    try:
        parts = urlsplit(url.replace(PORT, "1"))
        what = "" if parts.hostname and parts.port != 0 else "it names no host, or port 0"
        if key == "prometheus" and parts.query:
            what = "a server's URL ends before its /api"
    except ValueError as error:
        what = str(error)
    if what:
        yield Mistake(f"http.{key}", f"{url}: {what}", "such as http://127.0.0.1:9090")


def _measure_mistakes(
    where: str, given: Mapping[str, Any], fits: Collection[Kind]
) -> Iterator[Mistake]:
    kinds = [kind for kind in Kind if kind in given]
    if len(kinds) != 1 or kinds[0] not in fits:
        what = " and ".join(kinds) or "nothing that says how it is measured"
        source = "asked of a Prometheus server" if Kind.QUERY in fits else "scraped"
        allowed = ", ".join(kind for kind in Kind if kind in fits)
        yield Mistake(where, what, f"where it is {source}, one of {allowed}")
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


def _measure(table: MeasureTable) -> Measure:
    kind = next(kind for kind in Kind if getattr(table, kind) is not None)
    named = table.of if kind is Kind.QUANTILE else getattr(table, kind)
    return Measure(
        kind=kind,
        series=None if kind is Kind.QUERY else Series(str(named), _labels(table.labels)),
        of=Series(str(table.of), _labels(table.of_labels)) if kind is Kind.RATIO else None,
        quantile=table.quantile or 0.0,
        query=table.query or "",
        together=table.sum,
        from_zero=table.from_zero,
        factor=table.factor,
    )


def _labels(given: Mapping[str, str | tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {label: (value,) if isinstance(value, str) else value for label, value in given.items()}
