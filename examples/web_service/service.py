"""A small web service: each request waits for a slot of a bounded pool, then holds it for a while.

The pool stands for database connections, for example. Its size and the timeout of a request are
settings, which every request reads from a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

WORK_S = 0.15
"""Seconds that a request holds its slot. It sleeps, so that the machine's speed hardly matters."""
SETTINGS = Path(os.environ["PYTEST_SOAK_PARAMETERS"])
"""All effective parameters. pytest-soak replaces the file atomically."""

pool = anyio.CapacityLimiter(1)
used: dict[str, float] = {}
"""The settings that the last request used; the file may have changed since."""


def settings() -> dict[str, float]:
    """Read the current settings."""
    found: dict[str, float] = json.loads(SETTINGS.read_text(encoding="utf-8"))
    return found


async def order(_: Request) -> Response:
    """Wait for a slot and answer; answer with 503 if none is free in time."""
    wanted = settings()
    pool.total_tokens = wanted["pool_size"]
    began = anyio.current_time()
    with anyio.CancelScope(deadline=began + wanted["timeout_ms"] / 1000) as waiting:
        used["pool_size"] = pool.total_tokens
        used["timeout_ms"] = round(1000 * (waiting.deadline - began))
        await pool.acquire()
    if waiting.cancelled_caught:
        return PlainTextResponse("no slot was free in time", status_code=503)
    try:
        await anyio.sleep(WORK_S)
    finally:
        pool.release()
    return PlainTextResponse("done")


async def tell(_: Request) -> Response:
    """Return the settings that the last request used; none before the first one."""
    return JSONResponse(used)


app = Starlette(routes=[Route("/order", order), Route("/settings", tell)])
