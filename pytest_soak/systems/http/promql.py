"""Builds queries for a Prometheus server and reads its answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pytest_soak.store.files import parse_json
from pytest_soak.systems.http.exposition import Unmeasured
from pytest_soak.systems.http.fetch import OK

if TYPE_CHECKING:
    from pytest_soak.systems.http.fetch import Answer

SLOT = "{slot}"
"""Stands for the length of the slot in a query, such as ``5000ms``."""


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
        Unmeasured: There is none, or more than one, or the server warns. The text of the server is
            not shortened: it may hold a secret, and a part of a secret is not recognised.
    """
    try:
        reply: Any = parse_json(answer.body)
        status = reply["status"]
        if status == "error":
            msg = f"the server refused: {reply.get('error')}"
            raise Unmeasured(msg)
        kind, result = reply["data"]["resultType"], reply["data"]["result"]
        if kind not in ("scalar", "vector"):
            msg = f"the answer is a {kind}; allowed: one number at one moment"
            raise Unmeasured(msg)
        values = [result] if kind == "scalar" else [series["value"] for series in result]
        numbers = [float(text) for _, text in values]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        msg = f"the answer is none of a Prometheus server; status {answer.status}"
        raise Unmeasured(msg) from None
    if answer.status != OK or status != "success":
        msg = f"the server answered with status {answer.status}, {status!r}"
        raise Unmeasured(msg)
    if reply.get("warnings"):
        msg = f"the server warns: {reply['warnings']}"
        raise Unmeasured(msg)
    if len(numbers) != 1:
        series = f"has {len(numbers)} series; allowed: one, as of sum()" if numbers else "is empty"
        msg = f"the answer {series}"
        raise Unmeasured(msg)
    if not math.isfinite(numbers[0]):
        msg = f"the answer is {numbers[0]}; allowed: a finite number"
        raise Unmeasured(msg)
    return numbers[0]
