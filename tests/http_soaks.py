"""Soaks of the system `http`: a pack's table, its metrics, and a real program."""

from __future__ import annotations

import json
import textwrap
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.packs.loader import build_pack
from pytest_soak.packs.overlay import lay_over
from pytest_soak.systems.http.endpoint import read_endpoint
from tests.support import DEMO, chain_folder, read_json

if TYPE_CHECKING:
    import pytest

    from pytest_soak.systems.http.endpoint import Endpoint

ARGS = ("-p", "no:randomly", "--soak-system=http", "--soak-iterations=3")
TABLE = "tool.pytest-soak.packs.demo.http"
METRICS = """
latency_p95_ms = { gauge = "latency" }
error_rate = { gauge = "errors" }
throughput = { gauge = "rate" }
"""
WELL = "latency 200\nerrors 0.01\nrate 100\n"
SERVICE = """
import json, os, signal, sys, threading, time
from pathlib import Path
from prometheus_client import Counter, Gauge, Histogram, start_http_server

E = os.environ

def parameters():
    return json.loads(Path(E["PYTEST_SOAK_PARAMETERS"]).read_text())

took = Histogram("took_seconds", "How long a job took.", buckets=(0.05, 0.1, 0.2, 0.3, 0.5))
jobs = Counter("jobs", "Jobs that ended.", ["outcome"])
workers = Gauge("workers", "Workers in use.")

def work(used):
    workers.set(used["workers"])
    for _ in range(30):
        took.observe(0.08 + 0.4 / used["workers"])
        jobs.labels("done").inc()

def serve():
    start_http_server(int(E["PYTEST_SOAK_PORT"]), addr="127.0.0.1")

"""
SERVES = """
serve()
while True:
    work(parameters())
    time.sleep(0.02)
"""
SERVICE_METRICS = """
latency_p95_ms = { quantile = 0.95, of = "took_seconds", factor = 1000 }
throughput = { rate = "jobs_total", sum = true, from_zero = true }

[tool.pytest-soak.packs.demo.http.metrics.error_rate]
ratio = "jobs_total"
labels = { outcome = "failed" }
of = "jobs_total"
sum = true
from_zero = true
"""
DEFAULTS = {
    "program": ["{python}", "service.py"],
    "scrape": "http://127.0.0.1:{port}/metrics",
    "ready_s": 60,
    "slot_s": 0.5,
    "settle_s": 1,
}
WORKERS = f"\n[{TABLE}.parameters]\nworkers = {{ gauge = 'workers' }}\n"
QUERIES = """
latency_p95_ms = { query = "avg_over_time(latency[{slot}])", factor = 1000 }
error_rate = { query = "avg_over_time(errors[{slot}])" }
throughput = { query = "rate(done_total[{slot}])" }
"""

SCRAPE = 'scrape = "http://127.0.0.1:9/metrics"\n'
SERVER = 'prometheus = "http://127.0.0.1:9"\n'


def prepare(pytester: pytest.Pytester, settings: str, metrics: str = METRICS) -> None:
    """Write a soak with *settings* of the table and its *metrics*."""
    settings = textwrap.dedent(settings)
    pytester.makepyprojecttoml(f"[{TABLE}]\n{settings}\n[{TABLE}.metrics]\n{metrics}")
    pytester.makepyfile(test_demo=DEMO)


def prepare_service(
    pytester: pytest.Pytester, body: str = SERVES, settings: str = "", more: str = WORKERS
) -> None:
    """Write a soak of a real program, of which *body* is the end."""
    (pytester.path / "service.py").write_text(SERVICE + textwrap.dedent(body))
    given = tomllib.loads(textwrap.dedent(settings))
    rows = {**DEFAULTS, **given}.items()
    prepare(
        pytester,
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in rows),
        SERVICE_METRICS + more,
    )


def read(settings: str, metrics: str = METRICS) -> Endpoint:
    """Return what the demo pack says with *settings* and *metrics*."""
    overlay = tomllib.loads(f"[{TABLE}]\n{settings}\n[{TABLE}.metrics]\n{metrics}")
    demo = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text()
    data = lay_over(tomllib.loads(demo), overlay["tool"]["pytest-soak"]["packs"]["demo"])
    return read_endpoint(Path.cwd(), build_pack(data, "demo.toml"), "busy")


def report(pytester: pytest.Pytester, iteration: int) -> dict[str, Any]:
    return read_json(chain_folder(pytester) / f"EDGE_REPORT_{iteration}.json")


def told(*values: str) -> tuple[int, str, str]:
    result = [{"metric": {}, "value": [1.5, value]} for value in values]
    data = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return 200, "application/json", json.dumps(data)
