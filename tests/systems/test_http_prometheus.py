"""The system `http` with a Prometheus server: a real one, and one that only answers."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_soak.systems.http.exposition import Unmeasured
from pytest_soak.systems.http.fetch import NoAnswer, fetch
from pytest_soak.systems.http.promql import read_answer, url_of
from pytest_soak.systems.http.server import free_port
from tests.endpoints import speaking
from tests.http_soaks import ARGS, QUERIES, SERVES, SERVICE, prepare, report, told
from tests.support import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def test_each_query_is_sent_at_the_end_of_the_slot(pytester: pytest.Pytester) -> None:
    with speaking(told("0.2"), told("0.01"), told("100")) as (url, speaker):
        prepare(pytester, f'prometheus = "{url}/prefix/"\nslot_s = 0.02', QUERIES)
        pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert report(pytester, 1)["totals"] == {
        "latency_p95_ms": 200,
        "error_rate": 0.01,
        "throughput": 100,
    }
    assert [path[:40] for path in speaker.asked] == [
        "/prefix/api/v1/query?query=avg_over_time",
        "/prefix/api/v1/query?query=avg_over_time",
        "/prefix/api/v1/query?query=rate%28done_t",
    ]


def test_a_metric_that_the_server_does_not_have_is_inconclusive(
    pytester: pytest.Pytester,
) -> None:
    with speaking(told("0.2"), told(), told("1", "2")) as (url, _):
        prepare(pytester, f'prometheus = "{url}"\nslot_s = 0.02', QUERIES)
        ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert ran.ret == 1
    scraped = "a metric that the server scrapes in the slot, twice for a rate; see settle_s"
    lines = [
        f"*INCONCLUSIVE | error_rate is unusable: the answer is empty; allowed: {scraped} |",
        "*INCONCLUSIVE | throughput is unusable: the answer has 2 series; allowed: one, as of *",
    ]
    ran.stdout.fnmatch_lines(lines)
    assert report(pytester, 1)["totals"] == {"latency_p95_ms": 200}


def test_a_server_that_is_not_there_is_inconclusive(pytester: pytest.Pytester) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    prepare(pytester, f'prometheus = "{url}"\nslot_s = 0.02', QUERIES)
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    line = f"latency_p95_ms is unusable: {url}: connection refused"
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | {line} |"])


PROMETHEUS = shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="no prometheus on the PATH; see docs/contributing.md"
)
CONFIG = """
global: { scrape_interval: 300ms, scrape_timeout: 300ms }
scrape_configs:
  - job_name: service
    static_configs: [{ targets: ["127.0.0.1:%d"] }]
"""
ASKED = """
error_rate = { query = "sum(rate(jobs_total[{slot}])) * 0" }
throughput = { query = "sum(rate(jobs_total[{slot}]))" }

[tool.pytest-soak.packs.demo.http.metrics.latency_p95_ms]
query = "histogram_quantile(0.95, sum by (le) (rate(took_seconds_bucket[{slot}])))"
factor = 1000

[tool.pytest-soak.packs.demo.http.parameters]
workers = { query = "last_over_time(workers[{slot}])" }
"""


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[str]:
    """Start a Prometheus server that scrapes *port*, and give its URL once it does."""
    assert PROMETHEUS is not None
    (folder / "prometheus.yml").write_text(CONFIG % port)
    own = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{own}",
            ],
            stdout=log,
            stderr=log,
        )

        def scrapes() -> bool:
            """Return whether it has scraped its target; that may take 5 s after its start."""
            assert server.poll() is None, (folder / "prometheus.log").read_text()
            try:
                read_answer(fetch(url_of(f"http://127.0.0.1:{own}", "up", 1, 5), 5))
            except (NoAnswer, Unmeasured):
                return False
            return True

        try:
            wait_for(scrapes)
            yield f"http://127.0.0.1:{own}"
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            finally:
                server.kill()
                server.wait()


@pytest.mark.process
@needs_prometheus
def test_a_real_prometheus_server_answers_the_queries(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    port = free_port()
    body = SERVES.replace("serve()", f'E["PYTEST_SOAK_PORT"] = "{port}"; serve()')
    (pytester.path / "service.py").write_text(SERVICE + body)
    with prometheus(tmp_path, port) as url:
        settings = f"""
            program = ["{{python}}", "service.py"]
            prometheus = "{url}"
            ready = "http://127.0.0.1:{port}/metrics"
            ready_s = 60
            settle_s = 1.5
            slot_s = 3
            """
        prepare(pytester, settings, ASKED)
        ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*workers * 2 ? 4 *verified*latency>240*"])
    first, last = report(pytester, 1)["totals"], report(pytester, 3)["totals"]
    assert first["latency_p95_ms"] == pytest.approx(295)
    assert last["latency_p95_ms"] == pytest.approx(195)
    assert last["throughput"] > 1
    assert last["error_rate"] == 0


@pytest.mark.process
@needs_prometheus
def test_what_a_prometheus_server_does_not_know_or_understand_is_inconclusive(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    metrics = """
        latency_p95_ms = { query = "avg_over_time(nothing[{slot}])" }
        error_rate = { query = "rate(([{slot}])" }
        throughput = { query = "prometheus_build_info[{slot}]" }
        """
    with prometheus(tmp_path, free_port()) as url:
        prepare(pytester, f'prometheus = "{url}"\nslot_s = 0.1', textwrap.dedent(metrics))
        ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert ran.ret == 1
    lines = [
        "*INCONCLUSIVE | latency_p95_ms is unusable: the answer is empty; *",
        "*INCONCLUSIVE | error_rate is unusable: the server refused: *parse error*",
        "*INCONCLUSIVE | throughput is unusable: the answer is a matrix; allowed: one number *",
    ]
    ran.stdout.fnmatch_lines(lines)
