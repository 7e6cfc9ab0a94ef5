"""What a pack says about the system `http` must make sense."""

from __future__ import annotations

import sys
from fnmatch import fnmatch

import pytest

from pytest_soak.errors import SoakUsageError
from tests.http_soaks import ARGS, METRICS, QUERIES, SCRAPE, SERVER, WORKERS, prepare, read

pytestmark = pytest.mark.usefixtures("nothing_is_left")

MISTAKES = {
    "no source": ("", METRICS, 'http: no source of metrics; allowed: scrape = "http://*'),
    "both": (SCRAPE + SERVER, METRICS, "http: both scrape and prometheus; allowed: *"),
    "no metrics": (SCRAPE, "", "http: no metrics; allowed: one entry or more in [[]http.metrics]"),
    "no host": ('scrape = "http://:9/"', METRICS, "http.scrape: http://:9/: it names no host*"),
    "no port": ('ready = "http://h:x"\n' + SCRAPE, METRICS, "http.ready: http://h:x: *"),
    "a query in the URL": (
        SERVER[:-2] + '?x"',
        QUERIES,
        "http.prometheus: *?x: a server's URL ends*",
    ),
    "a port of nobody": (
        'scrape = "http://h:{port}/"',
        METRICS,
        "http.scrape: {port} without a program; allowed: the port that it has*",
    ),
    "half a program": (
        SCRAPE + "grace_s = 3",
        METRICS,
        "http.grace_s: without a program; allowed: *",
    ),
    "unknown metric": (
        SCRAPE,
        METRICS + 'speed = { gauge = "x" }',
        "http.metrics: unknown metric 'speed'; allowed: latency_p95_ms, error_rate, throughput",
    ),
    "a metric that is no number": (
        SCRAPE,
        METRICS
        + 'full = { gauge = "x" }\n[tool.pytest-soak.packs.demo.metrics.full]\nkind = "shares"',
        "http.metrics.full: full is of kind shares; allowed: a number",
    ),
    "unknown parameter": (
        SCRAPE,
        METRICS + WORKERS + 'size = { gauge = "x" }',
        "http.parameters: unknown parameter 'size'; allowed: workers, *",
    ),
    "no kind": (
        SCRAPE,
        "throughput = { factor = 2 }",
        "*: nothing that says how it is measured; allowed: where it is scraped, one of gauge, i*",
    ),
    "two kinds": (
        SCRAPE,
        'throughput = { rate = "x", gauge = "y" }',
        "http.metrics.throughput: gauge and rate; allowed: where it is scraped, *",
    ),
    "a query of no server": (
        SCRAPE,
        QUERIES,
        "http.metrics.latency_p95_ms: query; allowed: where it is scraped, one of gauge, *",
    ),
    "no query": (
        SERVER,
        METRICS,
        "*: gauge; allowed: where it is asked of a Prometheus server, one of query",
    ),
    "a rate as a parameter": (
        SCRAPE,
        METRICS + WORKERS.replace("gauge", "rate"),
        "http.parameters.workers: rate; allowed: where it is scraped, one of gauge",
    ),
    "no slot": (
        SERVER,
        'throughput = { query = "up" }',
        "http.metrics.throughput: up has no {slot}; allowed: a query over the slot, such as *",
    ),
    "what means nothing": (
        SCRAPE,
        'throughput = { gauge = "x", of_labels = { a = "1" } }',
        "http.metrics.throughput: of_labels means nothing to gauge; allowed: factor, gauge, *",
    ),
    "nothing to take it of": (
        SCRAPE,
        "throughput = { quantile = 0.5 }",
        "http.metrics.throughput: quantile without of; allowed: of = the name of a metric*",
    ),
    "another scheme": (
        'scrape = "ftp://h/"',
        METRICS,
        "http.scrape: 'ftp://h/' given; allowed: an http or https URL without *",
    ),
    "a password": ('scrape = "http://a:b@h/"', METRICS, "http.scrape: *given; allowed: *"),
}


@pytest.mark.parametrize(("settings", "metrics", "line"), MISTAKES.values(), ids=list(MISTAKES))
def test_settings_that_cannot_be_are_a_mistake(settings: str, metrics: str, line: str) -> None:
    with pytest.raises(SoakUsageError) as raised:
        read(settings, metrics)
    told = str(raised.value).replace("demo.toml: ", "demo.toml: \n").splitlines()
    assert told[0] in {"pack demo.toml: ", "system http: pack demo.toml: "}
    assert any(fnmatch(entry.strip(), line) for entry in told), raised.value


def test_settings_that_cannot_be_are_a_usage_error(pytester: pytest.Pytester) -> None:
    prepare(pytester, "")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(
        ["ERROR: system http: pack *: http: no source of metrics; allowed: scrape = *"]
    )


def test_without_prometheus_client_it_is_a_usage_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(pytester, SCRAPE)
    with monkeypatch.context() as patch:
        for name in [one for one in sys.modules if one.startswith("pytest_soak.systems.")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "prometheus_client", None)
        patch.setitem(sys.modules, "prometheus_client.parser", None)
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(
        ["ERROR: system http: needs prometheus_client*; install pytest-soak[[]http]"]
    )
