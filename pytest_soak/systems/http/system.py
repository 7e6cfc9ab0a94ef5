"""The system ``http``: metrics scraped from a program, or asked of a Prometheus server."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_soak.model.mask import Mask
from pytest_soak.model.report import PROBLEM
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.systems.http import promql
from pytest_soak.systems.http.endpoint import PORT
from pytest_soak.systems.http.exposition import (
    OPENMETRICS,
    Measure,
    Scrape,
    Unmeasured,
    Value,
    measure,
    read_text,
    restarted,
)
from pytest_soak.systems.http.fetch import WELL, NoAnswer, fetch
from pytest_soak.systems.http.server import ExternalServer, Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.systems.http.endpoint import Endpoint
    from pytest_soak.systems.http.fetch import Answer

TEXT = ("text/plain", OPENMETRICS)
"""What says to be metrics; a page for people does not."""
NOTHING = Scrape({}, {})
SPARE = 0.02
"""The share of a slot by the hour that is left for what comes after it is measured."""
PAUSE = 0.1
"""Seconds between two questions whether a program is ready."""


class HttpSystem:
    """Measures a program over HTTP for the length of a slot.

    Whatever cannot be told makes the report unusable, and says what it was: the iteration is
    INCONCLUSIVE. Only the end of a program that was started fails it.
    """

    virtual_time = False

    def __init__(self, endpoint: Endpoint) -> None:
        """Take the settings; nothing is started or asked yet."""
        self._endpoint = endpoint
        self.secrets = endpoint.secrets
        self._mask = Mask.of(self.secrets, os.environ)
        self.keeps_state = endpoint.keeps_state
        self._server: Server | ExternalServer = ExternalServer()
        if endpoint.program is not None:
            self._server = Server(endpoint.program, endpoint)
            self.program = list(endpoint.program.arguments)

    def open(self, folder: Path, slot: float | None) -> None:
        """Take the length of a slot, and prepare for the program."""
        self._given = slot
        self._server.open(folder, slot or self._endpoint.slot)

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Let the program serve for one slot, and return what was measured; it keeps no state.

        Raises:
            SystemFailure: The program could not be started, ended, or wrote without end.
        """
        del state
        self._mask = self._mask.seeing(os.environ)
        end = math.inf
        if self._given is not None:
            end = time.monotonic() + self._given * (1 - SPARE)
        report: dict[str, object] = {"iteration": iteration, "totals": {}}
        problem = ""
        with self._server.serving(parameters, iteration, seed):
            try:
                self._measure(report, end)
            except (NoAnswer, Unmeasured) as error:
                problem = "; ".join(self._told(line) for line in error.args)
        return self._server.finished(report, problem, iteration), None

    def close(self) -> None:
        """End the program, where it is ours.

        Raises:
            SystemFailure: It had to be killed.
        """
        self._server.close()

    def _measure(self, report: dict[str, object], end: float) -> None:
        """Fill the *report* with what is measured until *end*, or for the slot of a run by count.

        Raises:
            NoAnswer: Nobody answered.
            Unmeasured: Something of it cannot be told; each has its line.
        """
        endpoint = self._endpoint
        self._await_ready(end)
        self._server.rest(time.monotonic() + endpoint.settle)
        since = time.time()
        start = self._scrape() if endpoint.scrape else replace(NOTHING, at=time.monotonic())
        end = start.at + endpoint.slot if end == math.inf else end
        if start.at >= end:
            msg = "the slot was over before the program was ready and had settled"
            raise Unmeasured(msg)
        self._server.rest(end)
        problems: list[str] = []
        if endpoint.scrape:
            stop = self._scrape(since)
            if restarted(start, stop):
                problems.append("the program was started anew during the slot, as it says itself")
        else:
            stop = replace(NOTHING, at=time.monotonic())
        values: dict[str, Value] = {}
        used: dict[str, float] = {}
        for name, how in endpoint.metrics.items():
            try:
                values[name] = self._value(how, start, stop)
            except (NoAnswer, Unmeasured) as error:
                problems.append(f"{name}: {error}")
        for name, how in endpoint.parameters.items():
            try:
                used[name] = self._used(how, start, stop)
            except (NoAnswer, Unmeasured) as error:
                problems.append(f"parameter {name}: {error}")
        report["totals"] = {name: value.value for name, value in values.items()}
        report["n"] = {name: value.n for name, value in values.items() if value.n is not None}
        report["runtime"] = {"measured_s": round(stop.at - start.at, 3)}
        if used:
            report["parameters"] = used
        if problems:
            raise Unmeasured(*problems)

    def _await_ready(self, end: float) -> None:
        """Wait until the program that was started answers.

        Raises:
            NoAnswer: It does not in the time that it has.
        """
        endpoint = self._endpoint
        url = endpoint.ready or (endpoint.scrape if endpoint.program else "")
        begun = time.monotonic()
        until = min(begun + endpoint.ready_within, end)
        while url:
            now = time.monotonic()
            try:
                self._ask(url, min(endpoint.timeout, max(until - now, PAUSE)))
            except NoAnswer as error:
                if now >= until:
                    msg = f"the program was not ready in {until - begun:.3g} s: {error}"
                    raise NoAnswer(msg) from None
                self._server.rest(now + PAUSE)
            else:
                return

    def _scrape(self, since: float = -math.inf) -> Scrape:
        """Return what the program says now, of which no sample may be older than *since*."""
        answer = self._ask(self._endpoint.scrape, self._endpoint.timeout)
        try:
            return read_text(answer.body, time.monotonic(), since, kind=answer.kind)
        except Unmeasured as error:
            msg = f"{self._url(self._endpoint.scrape)}: {error}"
            raise Unmeasured(msg) from None

    def _value(self, how: Measure, start: Scrape, stop: Scrape) -> Value:
        """Return what one metric came to between *start* and *stop*."""
        if not how.query:
            return measure(how, start, stop)
        timeout = self._endpoint.timeout
        url = promql.url_of(self._endpoint.server, how.query, stop.at - start.at, timeout)
        try:
            return Value(promql.read_answer(fetch(url, timeout)) * how.factor)
        except NoAnswer as error:
            msg = f"{self._endpoint.server}: {error}"
            raise NoAnswer(msg) from None

    def _used(self, how: Measure, start: Scrape, stop: Scrape) -> float:
        """Return the value of a parameter that the program used during the slot."""
        value = self._value(how, start, stop).value
        before = value if how.query else measure(how, NOTHING, start).value
        assert value is not None and before is not None  # noqa: PT018, S101 - a gauge is no ratio
        if not math.isclose(value, before, rel_tol=1e-9):
            msg = f"{before:g} at the start of the slot and {value:g} at its end; see settle_s"
            raise Unmeasured(msg)
        return value

    def _ask(self, url: str, timeout: float) -> Answer:
        """Return what *url* answers with status 200.

        Raises:
            NoAnswer: Nothing, or with another status; the line names the URL.
        """
        told = self._url(url)
        try:
            answer = fetch(told, timeout, accept="text/plain;version=0.0.4")
        except NoAnswer as error:
            msg = f"{told}: {error}"
            raise NoAnswer(msg) from None
        if answer.status != WELL:
            msg = f"{told}: status {answer.status}; allowed: {WELL}"
            raise NoAnswer(msg)
        if url == self._endpoint.scrape and answer.kind not in TEXT:
            msg = f"{told}: it is {answer.kind}; allowed: {' or '.join(TEXT)}"
            raise NoAnswer(msg)
        return answer

    def _told(self, line: str) -> str:
        """Return *line* as the report has it; masked first, as a part of a secret is not found."""
        return safe_text(self._mask.text(line), PROBLEM)

    def _url(self, url: str) -> str:
        return url.replace(PORT, str(self._server.port))
