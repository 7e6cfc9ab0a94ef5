"""The settings of the system ``http``: what is run, where its metrics are, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import convert

from pytest_soak.packs.check import refuse
from pytest_soak.packs.document import HttpTable
from pytest_soak.packs.http import Kind, combined_mistakes, http_table, lacking_mistakes
from pytest_soak.systems.command.program import program_of, secrets_of
from pytest_soak.systems.http.exposition import Measure, Series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.model.pack import Pack
    from pytest_soak.packs.document import MeasureTable
    from pytest_soak.systems.command.program import Program

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
        optional: The metrics that need not be there.
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
    optional: frozenset[str] = frozenset()


def read_endpoint(root: Path, pack: Pack, scenario: str) -> Endpoint:
    """Return what the *scenario* or the *pack* says, in this order, key by key.

    Args:
        root: The folder that the program's working folder is named from.
        pack: The pack; its tables were checked.
        scenario: The name of one of its scenarios.

    Raises:
        SoakUsageError: Something is missing, or what is set cannot act together.
    """
    given = http_table(pack, scenario)
    mistakes = [*lacking_mistakes(given), *combined_mistakes(pack, given, {})]
    refuse(f"system http: pack {pack.source}", mistakes)
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
        optional=frozenset(kpi.metric for kpi in pack.kpis if kpi.optional),
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
