"""A small web service: each request waits for a slot of a bounded pool, then holds it for a while.

What the pool stands for is a number of database connections, say. Its size and how long a request
may wait for one are settings, read anew from a file while the service runs.
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
"""How long a request holds its slot. It sleeps: queueing decides here, not the machine's speed."""
SETTINGS = Path(os.environ["PYTEST_SOAK_PARAMETERS"])
"""Written anew by pytest-soak, always whole: the profile with the overrides laid over it."""

pool = anyio.CapacityLimiter(1)
used: dict[str, float] = {}
"""The settings that the last request used, whatever the file says by now."""


def settings() -> dict[str, float]:
    """Read the settings, as they are now."""
    found: dict[str, float] = json.loads(SETTINGS.read_text(encoding="utf-8"))
    return found


async def order(_: Request) -> Response:
    """Answer once there was a slot, or with 503 where none was free in time."""
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
    """Tell the settings that the last request used; none before the first one."""
    return JSONResponse(used)


app = Starlette(routes=[Route("/order", order), Route("/settings", tell)])
