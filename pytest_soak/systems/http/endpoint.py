"""The settings of the system ``http``: what is run, where its metrics are, and what they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.mask import Mask
from pytest_soak.systems.command.program import Program, secrets_of, with_python
from pytest_soak.systems.http.exposition import Kind, Measure, Series
from pytest_soak.systems.http.promql import SLOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pytest_soak.model.pack import Pack

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
        secrets: The environment variables that the program needs and that nobody may see.
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
        pack: The pack; its schema was checked.
        scenario: The name of one of its scenarios.

    Raises:
        SoakUsageError: It says nothing, or what cannot be.
    """
    own = pack.scenarios[scenario].get("http", {})
    merged = {key: {**pack.http.get(key, {}), **own.get(key, {})} for key in MERGED}
    table = {**pack.http, **own, **merged}
    fault = next(_faults(pack, table), "")
    if fault:
        msg = (
            f"system http: {fault} (in [http] of pack {pack.source}, or in "
            f"[tool.pytest-soak.packs.{pack.name}.http] of pyproject.toml)"
        )
        raise SoakUsageError(msg)
    secrets = secrets_of(pack, table, "http")
    return Endpoint(
        scrape=table.get("scrape", ""),
        server=table.get("prometheus", ""),
        metrics={name: _measure(raw) for name, raw in table["metrics"].items()},
        parameters={name: _measure(raw) for name, raw in table["parameters"].items()},
        program=_program(root, pack, table, secrets) if "program" in table else None,
        for_chain=table.get("life", "chain") == "chain",
        ready=table.get("ready", ""),
        ready_within=table.get("ready_s", 30.0),
        signal=table.get("reload_signal", ""),
        settle=table.get("settle_s", 0.0),
        slot=table.get("slot_s", SLOT_LENGTH),
        timeout=table.get("timeout_s", 10.0),
        secrets=secrets,
        keeps_state=table.get("keeps_state", False),
    )


MERGED = ("metrics", "parameters", "env")
"""The tables of which a scenario may change single keys."""
NEED_PROGRAM = ("life", "cwd", "env", "grace_s", "output_mb", "reload_signal")
URLS = ("scrape", "prometheus", "ready")


def _program(root: Path, pack: Pack, table: Mapping[str, Any], secrets: tuple[str, ...]) -> Program:
    return Program(
        arguments=with_python(table["program"]),
        cwd=root / table.get("cwd", ""),
        env=table["env"],
        for_chain=False,  # it serves one, but is not asked on its input
        limit=None,
        grace=table.get("grace_s", 5.0),
        output=table.get("output_mb", 100) * 1e6,
        keeps_state=False,
        secrets=secrets,
        safe=bool(secrets) and os.environ.get(pack.safe_switch) == "1",
        mask=Mask.of(secrets, os.environ),
        metrics=frozenset(pack.metrics),
    )


def _faults(pack: Pack, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a schema cannot say."""
    server = "prometheus" in table
    if ("scrape" in table) == server:
        given = "both scrape and prometheus" if server else "no source of metrics"
        yield (
            f'{given}; allowed: scrape = "http://127.0.0.1:{PORT}/metrics", or prometheus = '
            '"http://127.0.0.1:9090"'
        )
    for key in URLS:
        yield from _url_faults(key, table.get(key, "http://x"))
    if "program" not in table:
        yield from _faults_without_program(table)
    if not table["metrics"]:
        yield "no metrics; allowed: one entry or more in [http.metrics]"
    numbers = [name for name in pack.metrics if pack.kind(name) == "number"]
    scraped = tuple(kind for kind in Kind if kind is not Kind.QUERY)
    for where, known, fits in (
        ("metrics", numbers, scraped),
        ("parameters", list(pack.parameters), (Kind.GAUGE,)),
    ):
        for name, raw in table[where].items():
            if name not in known:
                yield f"{where}.{name}: unknown; there are {', '.join(known)}"
            yield from _measure_faults(f"{where}.{name}", raw, (Kind.QUERY,) if server else fits)


def _faults_without_program(table: Mapping[str, Any]) -> Iterator[str]:
    for key in URLS:
        if PORT in table.get(key, ""):
            yield f"{key}: {PORT} without a program; allowed: the port that it has"
    for key in NEED_PROGRAM:
        if table.get(key):
            yield f"{key} without a program; allowed: program = [...], or no {key}"


def _url_faults(key: str, url: str) -> Iterator[str]:
    """Yield what is wrong with a *url* whose letters the schema has looked at."""
    try:
        parts = urlsplit(url.replace(PORT, "1"))
        fault = "" if parts.hostname and parts.port != 0 else "it names no host, or port 0"
        if key == "prometheus" and parts.query:
            fault = "a server's URL ends before its /api"
    except ValueError as error:
        fault = str(error)
    if fault:
        yield f"{key}: {url}: {fault}; allowed: such as http://127.0.0.1:9090"


def _measure_faults(where: str, raw: Mapping[str, Any], fits: Collection[Kind]) -> Iterator[str]:
    kinds = [kind for kind in Kind if kind in raw]
    if len(kinds) != 1 or kinds[0] not in fits:
        given = " and ".join(kinds) or "nothing that says how it is measured"
        source = "asked of a Prometheus server" if Kind.QUERY in fits else "scraped"
        allowed = ", ".join(kind for kind in Kind if kind in fits)
        yield f"{where}: {given}; allowed where it is {source}: one of {allowed}"
        return
    (kind,) = kinds
    keys = {kind, "factor"}
    if kind is not Kind.QUERY:
        keys |= {"labels", "sum"}
    if kind not in (Kind.QUERY, Kind.GAUGE):
        keys |= {"from_zero"}
    needed = {Kind.RATIO: {"of"}, Kind.QUANTILE: {"of"}}.get(kind, set())
    keys |= needed | ({"of_labels"} if kind is Kind.RATIO else set())
    for key in sorted(raw.keys() - keys):
        yield f"{where}: {key} means nothing to {kind}; allowed: {', '.join(sorted(keys))}"
    for key in sorted(needed - raw.keys()):
        yield f"{where}: {kind} without {key}; allowed: {key} = the name of a metric"
    if kind is Kind.QUERY and SLOT not in raw["query"]:
        yield (
            f"{where}: {raw['query']} has no {SLOT}; allowed: a query over the slot, such as "
            f"last_over_time(NAME[{SLOT}]), as any other may be answered from before it"
        )


def _measure(raw: Mapping[str, Any]) -> Measure:
    kind = next(kind for kind in Kind if kind in raw)
    named = raw.get("of") if kind is Kind.QUANTILE else raw[kind]
    return Measure(
        kind=kind,
        series=None if kind is Kind.QUERY else Series(str(named), _labels(raw.get("labels", {}))),
        of=Series(raw["of"], _labels(raw.get("of_labels", {}))) if kind is Kind.RATIO else None,
        quantile=raw.get("quantile", 0.0),
        query=raw.get("query", ""),
        together=raw.get("sum", False),
        from_zero=raw.get("from_zero", False),
        factor=raw.get("factor", 1.0),
    )


def _labels(raw: Mapping[str, str | list[str]]) -> dict[str, tuple[str, ...]]:
    return {
        label: (given,) if isinstance(given, str) else tuple(given) for label, given in raw.items()
    }
