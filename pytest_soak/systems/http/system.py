"""The system ``http``: scrapes a program, or queries a Prometheus server."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_soak.errors import SystemFailure
from pytest_soak.model.mask import Mask
from pytest_soak.model.metrics import in_full
from pytest_soak.model.report import PROBLEM
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.packs.http import PORT
from pytest_soak.systems.http import promql
from pytest_soak.systems.http.exposition import (
    OPENMETRICS,
    Measure,
    Scrape,
    Unmeasured,
    Value,
    check_shown,
    measure,
    read_text,
    restarted,
)
from pytest_soak.systems.http.fetch import OK, NoAnswer, fetch
from pytest_soak.systems.http.server import ExternalServer, Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.systems.http.endpoint import Endpoint
    from pytest_soak.systems.http.fetch import Answer

METRIC_TYPES = ("text/plain", OPENMETRICS)
"""The media types of metrics; an HTML page is refused."""
EMPTY = Scrape({}, {})
REPORT_SHARE = 0.02
"""The share of a slot by the hour that is left for the work after the measurement."""
READY_INTERVAL = 0.1
"""Seconds between two requests whether a program is ready."""


class HttpSystem:
    """Measures a program over HTTP for the length of a slot.

    A metric without a value is unusable, and the report says why: the iteration is INCONCLUSIVE if
    the gate or a tuner needs it. The iteration fails only if a program that pytest-soak started
    fails, or, by the hour, where something that is to be measured does not exist at the start.
    """

    virtual_time = False

    def __init__(self, endpoint: Endpoint) -> None:
        """Take the settings; nothing is started or requested yet."""
        self._endpoint = endpoint
        self.secrets = endpoint.secrets
        self._mask = Mask.of(self.secrets, os.environ)
        self.keeps_state = endpoint.keeps_state
        self._asked = False
        self._server: Server | ExternalServer = ExternalServer()
        if endpoint.program is not None:
            self._server = Server(endpoint.program, endpoint)
            self.program = list(endpoint.program.arguments)

    def set_environ(self, variables: Mapping[str, str]) -> None:
        """Take the environment *variables* that tell a program what it is run for."""
        self._server.set_environ(variables)

    def open(self, folder: Path, slot: float | None) -> None:
        """Take the length of a slot in seconds, and prepare the server."""
        self._hours_slot = slot
        self._server.open(folder, slot or self._endpoint.slot)

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Measure the program for one slot; return the report and no state.

        Raises:
            SystemFailure: The program could not be started, ended, or wrote too much; or, in the
                first slot by the hour, something that is to be measured is not there.
        """
        del state
        self._mask = self._mask.seeing(os.environ)  # a test may have changed them
        end = math.inf
        if self._hours_slot is not None:
            end = time.monotonic() + self._hours_slot * (1 - REPORT_SHARE)
        report: dict[str, object] = {"iteration": iteration, "totals": {}}
        problem = ""
        with self._server.serving(parameters, iteration, seed):
            try:
                self._measure(report, end)
            except (NoAnswer, Unmeasured) as error:
                problem = "; ".join(self._safe_line(line) for line in error.args)
        return self._server.complete_report(report, problem, iteration), None

    def close(self) -> None:
        """End the program if it was started here.

        Raises:
            SystemFailure: It had to be killed, or had ended before.
        """
        self._server.close()

    def _measure(self, report: dict[str, object], end: float) -> None:
        """Measure until *end* and write the results into *report*.

        Args:
            report: The report to fill.
            end: Seconds of the monotonic clock; infinite in a run by count, which has its own slot.

        Raises:
            NoAnswer: A request was not answered.
            Unmeasured: The slot cannot be used as a whole; one argument for each reason.
            SystemFailure: As for `_ask_once`.
        """
        endpoint = self._endpoint
        self._await_ready(end)
        if self._hours_slot is not None and not self._asked:
            self._ask_once(end)
        self._server.wait_until(time.monotonic() + endpoint.settle)
        since = time.time()
        start = self._scrape() if endpoint.scrape else replace(EMPTY, at=time.monotonic())
        end = start.at + endpoint.slot if end == math.inf else end
        if start.at >= end:
            msg = "the slot was over before the program was ready and had settled"
            raise Unmeasured(msg)
        self._server.wait_until(end)
        problems: list[str] = []
        if endpoint.scrape:
            stop = self._scrape(since)
            start = replace(start, check=stop.check)  # both are searched in its time
            if restarted(start, stop):
                problems.append("the program was restarted during the slot: its start time changed")
        else:
            stop = replace(EMPTY, at=time.monotonic())
        self._read_metrics(report, start, stop)
        used: dict[str, float] = {}
        for name, how in endpoint.parameters.items():
            try:
                used[name] = self._used_value(how, start, stop)
            except (NoAnswer, Unmeasured) as error:
                problems.append(f"parameter {name}: {error}")
        if used:
            report["parameters"] = used
        if problems:
            raise Unmeasured(*problems)

    def _read_metrics(self, report: dict[str, object], start: Scrape, stop: Scrape) -> None:
        """Write the metrics between *start* and *stop* into *report*."""
        values: dict[str, Value] = {}
        unusable: dict[str, str] = {}
        for name, how in self._endpoint.metrics.items():
            try:
                values[name] = self._value(how, start, stop)
            except (NoAnswer, Unmeasured) as error:
                unusable[name] = self._safe_line(str(error))
        report["totals"] = {name: value.value for name, value in values.items()}
        report["n"] = {name: value.n for name, value in values.items() if value.n is not None}
        report["runtime"] = {"measured_s": round(stop.at - start.at, 3)}
        if unusable:
            report["unusable"] = unusable

    def _await_ready(self, end: float) -> None:
        """Wait until the program answers.

        Raises:
            NoAnswer: It was not ready before its timeout or before *end*.
        """
        endpoint = self._endpoint
        url = endpoint.ready or (endpoint.scrape if endpoint.program else "")
        begun = time.monotonic()
        until = min(begun + endpoint.ready_within, end)
        while url:
            now = time.monotonic()
            try:
                self._fetch_ok(url, min(endpoint.timeout, max(until - now, READY_INTERVAL)))
            except NoAnswer as error:
                if now >= until:
                    msg = f"the program was not ready in {until - begun:.3g} s: {error}"
                    raise NoAnswer(msg) from None
                self._server.wait_until(now + READY_INTERVAL)
            else:
                return

    def _ask_once(self, end: float) -> None:
        """Ask for everything that is measured, so that a misspelt name does not cost a night.

        What is not there yet is asked for again, for as long as a program may take to be ready.

        Raises:
            SystemFailure: Something cannot be had.
        """
        ready_within = self._endpoint.ready_within
        until = min(time.monotonic() + ready_within, end)
        while lacking := self._lacking():
            if time.monotonic() >= until:
                lines = "".join(f"\n  {self._safe_line(line)}" for line in lacking)
                msg = (
                    "before a run by the hour everything in [http.metrics] and [http.parameters] "
                    f"is asked for; this cannot be had within ready_s = {ready_within:g}:{lines}"
                )
                raise SystemFailure(msg)
            self._server.wait_until(time.monotonic() + READY_INTERVAL)
        self._asked = True

    def _lacking(self) -> list[str]:
        """Return what cannot be had now, each with the reason."""
        endpoint = self._endpoint
        try:
            scrape = self._scrape() if endpoint.scrape else EMPTY
        except (NoAnswer, Unmeasured) as error:
            return [str(error)]
        lacking = []
        parameters = {f"parameter {name}": how for name, how in endpoint.parameters.items()}
        for name, how in {**endpoint.metrics, **parameters}.items():
            if name in endpoint.optional:
                continue
            try:
                if how.query:
                    promql.read_number(self._query(how.query, self._hours_slot or endpoint.slot))
                else:
                    check_shown(how, scrape)
            except (NoAnswer, Unmeasured) as error:
                lacking.append(f"{name}: {error}")
        return lacking

    def _scrape(self, since: float = -math.inf) -> Scrape:
        """Scrape the program now; a sample older than *since* (seconds since 1970) is stale.

        Everything that is done with the answer has the time of one request.
        """
        timeout = self._endpoint.timeout
        until = time.monotonic() + timeout

        def check() -> None:
            if time.monotonic() > until:
                msg = (
                    f"its answer could not be searched in timeout_s = {timeout:g}; allowed: fewer "
                    "series, or a longer timeout_s"
                )
                raise Unmeasured(msg)

        answer = self._fetch_ok(self._endpoint.scrape, timeout)
        try:
            return read_text(answer.body, time.monotonic(), since, kind=answer.kind, check=check)
        except Unmeasured as error:
            msg = f"{self._url(self._endpoint.scrape)}: {error}"
            raise Unmeasured(msg) from None

    def _value(self, how: Measure, start: Scrape, stop: Scrape) -> Value:
        """Return the value of one metric between *start* and *stop*."""
        if not how.query:
            return measure(how, start, stop)
        answer = self._query(how.query, stop.at - start.at)
        return Value(promql.read_answer(answer) * how.factor)

    def _query(self, query: str, seconds: float) -> Answer:
        """Return the answer of the server to a *query* over the last *seconds*.

        Raises:
            NoAnswer: There is none; the text names the server.
        """
        timeout = self._endpoint.timeout
        url = promql.url_of(self._endpoint.server, query, seconds, timeout)
        try:
            return fetch(url, timeout, max_bytes=promql.MAX_BYTES)
        except NoAnswer as error:
            msg = f"{self._endpoint.server}: {error}"
            raise NoAnswer(msg) from None

    def _used_value(self, how: Measure, start: Scrape, stop: Scrape) -> float:
        """Return the value of a parameter that the program used during the slot."""
        value = self._value(how, start, stop).value
        before = value if how.query else measure(how, EMPTY, start).value
        assert value is not None and before is not None  # noqa: PT018, S101 - only a ratio or quantile can be None
        if value != before:
            first, last = in_full(before), in_full(value)
            msg = f"{first} at the start of the slot and {last} at its end; see settle_s"
            raise Unmeasured(msg)
        return value

    def _fetch_ok(self, url: str, timeout: float) -> Answer:
        """Return the answer of *url* with status 200.

        Raises:
            NoAnswer: There is none, or one with another status or type; the text names the URL.
        """
        target = self._url(url)
        try:
            answer = fetch(target, timeout, accept="text/plain;version=0.0.4")
        except NoAnswer as error:
            msg = f"{target}: {error}"
            raise NoAnswer(msg) from None
        if answer.status != OK:
            msg = f"{target}: status {answer.status}; allowed: {OK}"
            raise NoAnswer(msg)
        if url == self._endpoint.scrape and answer.kind not in METRIC_TYPES:
            msg = f"{target}: it is {answer.kind}; allowed: {' or '.join(METRIC_TYPES)}"
            raise NoAnswer(msg)
        return answer

    def _safe_line(self, line: str) -> str:
        """Return *line* for the report. Masked first: a part of a secret is not recognised."""
        return safe_text(self._mask.text(line), PROBLEM)

    def _url(self, url: str) -> str:
        return url.replace(PORT, str(self._server.port))
