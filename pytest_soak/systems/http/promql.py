"""Builds queries for a Prometheus server and reads its answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pytest_soak.packs.http import SLOT
from pytest_soak.store.files import parse_json
from pytest_soak.systems.http.exposition import Unmeasured
from pytest_soak.systems.http.fetch import OK

if TYPE_CHECKING:
    from pytest_soak.systems.http.fetch import Answer

MAX_BYTES = 1024 * 1024
"""The largest answer in bytes; one number needs far less. It also bounds the time to read it."""
INFO = "PromQL info: "
"""What an information begins with that older servers put among the warnings."""


def url_of(base: str, query: str, seconds: float, timeout: float) -> str:
    """Return the URL of a *query* over the last *seconds*, for the server at *base*.

    It names no time, so that the server uses its own clock: two clocks need not agree.
    """
    text = query.replace(SLOT, f"{max(1, round(seconds * 1000))}ms")
    given = urlencode({"query": text, "timeout": f"{timeout:g}s"})
    return f"{base.rstrip('/')}/api/v1/query?{given}"


def read_answer(answer: Answer) -> float:
    """Return the one number in the *answer* of a server.

    Raises:
        Unmeasured: There is none, as for `read_number`, or it is not finite.
    """
    number = read_number(answer)
    if not math.isfinite(number):
        msg = f"the answer is {number}; allowed: a finite number. A quotient by 0 has none"
        raise Unmeasured(msg)
    return number


def read_number(answer: Answer) -> float:
    """Return the one number in the *answer* of a server; it may be NaN or infinite.

    Raises:
        Unmeasured: There is none, or more than one, or the server warns, or its answer is partial.
            The text of the server is not shortened: it may hold a secret, and a part of a secret
            is not recognised.
    """
    try:
        reply: Any = parse_json(answer.body)
        status = reply["status"]
        if status == "error":
            msg = f"the server refused: {reply.get('error')}"
            raise Unmeasured(msg)
        kind, result = reply["data"]["resultType"], reply["data"]["result"]
        if kind not in ("scalar", "vector"):
            number = f"one number at one moment, as of last_over_time(NAME[{SLOT}])"
            msg = f"the answer is a {kind}; allowed: {number}"
            raise Unmeasured(msg)
        values = [result] if kind == "scalar" else [series["value"] for series in result]
        numbers = [float(text) for _, text in values]
        given = reply.get("warnings") or []
        warnings = [
            text
            for text in ([given] if isinstance(given, str) else given)
            if not str(text).startswith(INFO)
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        msg = f"the answer is none of a Prometheus server; status {answer.status}"
        raise Unmeasured(msg) from None
    if answer.status != OK or status != "success":
        msg = f"the server answered with status {answer.status}, {status!r}"
        raise Unmeasured(msg)
    if warnings:
        msg = f"the server warns: {warnings}"
        raise Unmeasured(msg)
    if reply.get("isPartial"):
        msg = "the server says that its answer is partial; allowed: an answer from all its storages"
        raise Unmeasured(msg)
    if len(numbers) != 1:
        scraped = "a metric that the server scrapes in the slot, twice for a rate; see settle_s"
        series = f"has {len(numbers)} series; allowed: one, as of sum()" if numbers else ""
        msg = f"the answer {series or f'is empty; allowed: {scraped}'}"
        raise Unmeasured(msg)
    return numbers[0]
