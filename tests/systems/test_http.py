"""The system `http` with a real program, a real Prometheus server, and faulty servers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.loader import build_pack
from pytest_soak.packs.overlay import lay_over
from pytest_soak.systems.http.endpoint import read_endpoint
from pytest_soak.systems.http.exposition import Unmeasured
from pytest_soak.systems.http.fetch import NoAnswer, fetch
from pytest_soak.systems.http.promql import read_answer, url_of
from pytest_soak.systems.http.server import free_port
from pytest_soak.systems.http.system import HttpSystem
from tests.endpoints import speaking
from tests.programs import files_left, left_in
from tests.support import DEMO, PATIENCE, chain_folder, read_json, unlike_journal, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _nothing_is_left(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    wait_for(lambda: not left_in(pytester.path))
    wait_for(lambda: not files_left())


def report(pytester: pytest.Pytester, iteration: int) -> dict[str, Any]:
    return read_json(chain_folder(pytester) / f"EDGE_REPORT_{iteration}.json")


# A program that runs elsewhere.


def test_what_answers_is_measured_and_judged(pytester: pytest.Pytester) -> None:
    with speaking(WELL) as (url, speaker):
        prepare(pytester, f'scrape = "{url}/metrics?all=1"\nslot_s = 0.02')
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*system http/busy*", "*    3  *200*0.010*100*PASS*"])
    assert speaker.asked == ["/metrics?all=1"] * 6
    found = report(pytester, 3)
    assert found["totals"] == {"latency_p95_ms": 200, "error_rate": 0.01, "throughput": 100}
    assert "parameters" not in found
    assert "process" not in found["runtime"]
    assert unlike_journal(chain_folder(pytester)) == []


MISSING = {
    "an error": ((500, "text/plain", "oops"), "http://*/metrics: status 500; allowed: 200"),
    "a redirect": ((302, "text/plain", WELL), "http://*/metrics: status 302; allowed: 200"),
    "a page": ((200, "text/html", WELL), "http://*: it is text/html; allowed: text/plain or *"),
    "no metrics": ("all is well\n", "http://*: the answer is no text of Prometheus: *"),
    "a cut OpenMetrics": (
        (200, "application/openmetrics-text", WELL),
        "http://*: the answer broke off: it does not end with # EOF",
    ),
    "half of it": (WELL[:-2], "http://*: the answer broke off: its last line does not end"),
    "nothing": ("", "latency_p95_ms: latency is not there; error_rate: errors is not there; *"),
    "not one": (WELL.replace("rate", "ratio"), "throughput: rate is not there"),
    "several": (WELL + 'rate{a="1"} 9\n', "throughput: rate is 2 series, such as *sum = true"),
    "NaN": (WELL.replace("200", "NaN"), "latency_p95_ms: latency is nan; allowed: *"),
    "stale": (WELL.replace("100", "100 1000"), "throughput: rate is stale: *"),
    "restarted": (WELL + "process_start_time_seconds 9\n", "the program was restarted during *"),
}


@pytest.mark.parametrize(("text", "line"), MISSING.values(), ids=list(MISSING))
def test_what_is_missing_is_a_problem_of_the_report(
    tmp_path: Path, text: str | tuple[int, str, str], line: str
) -> None:
    with speaking(WELL, text) as (url, _):
        system = HttpSystem(read(f'scrape = "{url}/metrics"\nslot_s = 0.02'))
        system.open(tmp_path, None)
        found, state = system.run({}, 1, 0, None)
        system.close()
    assert isinstance(found, dict)
    assert fnmatch(found["problem"], line), found["problem"]
    assert state is None


def test_a_sample_that_a_program_no_longer_updates_is_stale(tmp_path: Path) -> None:
    def at(second: int) -> str:
        time = 9_000_000_000 + second  # the clock of a program may be ahead of ours
        return "".join(f"{line} {time}000\n" for line in f"{WELL}workers 2\n".splitlines())

    with speaking(at(1), at(2)) as (url, _):
        system = HttpSystem(read(f'scrape = "{url}/metrics"\nslot_s = 0.02', METRICS + WORKERS))
        system.open(tmp_path, None)
        moved, frozen = (system.run({}, iteration, 0, None)[0] for iteration in (1, 2))
        system.close()
    assert isinstance(moved, dict)
    assert isinstance(frozen, dict)
    assert "problem" not in moved
    assert moved["parameters"] == {"workers": 2}
    assert frozen["totals"] == {}
    for name in ("throughput: rate", "parameter workers: workers"):
        assert (
            f"{name} is stale: its sample has the same time at the start and at"
            in frozen["problem"]
        )


def test_a_report_with_a_problem_is_inconclusive(pytester: pytest.Pytester) -> None:
    with speaking(WELL, WELL.replace("rate", "ratio"), WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}/metrics"\nslot_s = 0.02')
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.assert_outcomes(passed=3, failed=1)
    line = "| soak_iter | INCONCLUSIVE | throughput: rate is not there |"
    ran.stdout.fnmatch_lines([line, "| kpi_gate | INCONCLUSIVE*"])
    assert unlike_journal(chain_folder(pytester)) == []


def test_without_an_answer_the_slot_is_not_waited_for(pytester: pytest.Pytester) -> None:
    prepare(pytester, f'scrape = "http://127.0.0.1:{free_port()}/metrics"\nslot_s = 999')
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["| soak_iter | INCONCLUSIVE | http://*: connection refused |"])
    assert report(pytester, 1)["totals"] == {}


def test_a_slot_in_which_nothing_was_observed_leaves_its_quantile_undefined(
    pytester: pytest.Pytester,
) -> None:
    metrics = METRICS.replace('gauge = "latency"', 'quantile = 0.95, of = "took"')
    with speaking(WELL + '# TYPE took histogram\ntook_bucket{le="+Inf"} 3\n') as (url, _):
        prepare(pytester, f'scrape = "{url}"\nslot_s = 0.02', metrics)
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    line = "| soak_iter | INCONCLUSIVE | latency_p95_ms is null (undefined) |"
    ran.stdout.fnmatch_lines([line])
    assert report(pytester, 1)["n"] == {"latency_p95_ms": 0}


def test_a_program_elsewhere_reads_its_overrides_and_shows_what_it_uses(
    pytester: pytest.Pytester,
) -> None:
    def text() -> str:
        latest = pytester.path / "artifacts" / "soak" / "latest" / "runtime_overrides.json"
        used = {"workers": 2, **json.loads(latest.read_text())}["workers"]
        return f"latency {100 + 400 / used}\nerrors 0.01\nrate 100\nworkers {used}\n"

    with speaking(text) as (url, _):
        prepare(pytester, f'scrape = "{url}"\nslot_s = 0.02\nsettle_s = 0.01', METRICS + WORKERS)
        ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*workers * 2 ? 4 *verified*latency>240*"])


def test_a_program_that_uses_other_parameters_is_contradicted(pytester: pytest.Pytester) -> None:
    with speaking(WELL + "workers 7\n") as (url, _):
        prepare(pytester, f'scrape = "{url}"\nslot_s = 0.02', METRICS + WORKERS)
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["*INCONCLUSIVE | override_not_effective: workers asked=2 used=7*"])


@pytest.mark.parametrize(
    ("after", "line"),
    [
        ("workers 4\n", "2 at the start of the slot and 4 at its end; see settle_s"),
        ("", "workers is not there"),
    ],
)
def test_a_parameter_that_did_not_hold_for_the_slot_is_no_measurement(
    pytester: pytest.Pytester, after: str, line: str
) -> None:
    with speaking(WELL + "workers 2\n", WELL + after) as (url, _):
        prepare(pytester, f'scrape = "{url}"\nslot_s = 0.02', METRICS + WORKERS)
        ran = pytester.runpytest(*ARGS)
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | parameter workers: {line} |"])


def test_a_scenario_measures_something_else(pytester: pytest.Pytester) -> None:
    more = """
        [tool.pytest-soak.packs.demo.scenarios.calm.http]
        metrics = { throughput = { gauge = "other" } }
        """
    with speaking(WELL + "other 400\n") as (url, _):
        prepare(pytester, f'scrape = "{url}"\nslot_s = 0.02', METRICS + textwrap.dedent(more))
        assert pytester.runpytest(*ARGS, "--soak-scenario=calm").ret == 0
    assert report(pytester, 1)["totals"]["throughput"] == 400


def test_by_the_hour_the_slot_is_what_is_measured(pytester: pytest.Pytester) -> None:
    with speaking(WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}"')
        ran = pytester.runpytest(*ARGS[:-1], "--soak-hours=0.0005", "--soak-slot=0.6")
    assert ran.ret == 0
    assert 0.2 < report(pytester, 1)["runtime"]["measured_s"] < 6


def test_by_the_hour_a_slot_that_has_no_time_left_is_inconclusive(
    pytester: pytest.Pytester,
) -> None:
    with speaking(WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}"\nsettle_s = 0.3')
        ran = pytester.runpytest(*ARGS[:-1], "--soak-hours=0.00017", "--soak-slot=0.2")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["*INCONCLUSIVE | the slot was over before the program was ready*"])


# A Prometheus server that is none.

QUERIES = """
latency_p95_ms = { query = "avg_over_time(latency[{slot}])", factor = 1000 }
error_rate = { query = "avg_over_time(errors[{slot}])" }
throughput = { query = "rate(done_total[{slot}])" }
"""


def told(*values: str) -> tuple[int, str, str]:
    result = [{"metric": {}, "value": [1.5, value]} for value in values]
    data = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return 200, "application/json", json.dumps(data)


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
    line = "error_rate: the answer is empty; throughput: the answer has 2 series; allowed: one, *"
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | {line}"])


def test_a_server_that_is_not_there_is_inconclusive(pytester: pytest.Pytester) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    prepare(pytester, f'prometheus = "{url}"\nslot_s = 0.02', QUERIES)
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | latency_p95_ms: {url}: connection refused; *"])


# What is asked for must make sense.

SCRAPE = 'scrape = "http://127.0.0.1:9/metrics"\n'
SERVER = 'prometheus = "http://127.0.0.1:9"\n'
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


# A real program.


@pytest.mark.process
def test_a_program_is_started_once_tuned_measured_and_ended(pytester: pytest.Pytester) -> None:
    prepare_service(pytester)
    ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*workers * 2 ? 4 *verified*latency>240*"])
    first, last = report(pytester, 1), report(pytester, 3)
    assert first["totals"]["latency_p95_ms"] == pytest.approx(295)
    assert last["totals"]["latency_p95_ms"] == pytest.approx(195)
    assert last["totals"]["error_rate"] == 0
    assert last["n"]["latency_p95_ms"] == last["n"]["error_rate"] > 0
    measured = last["runtime"]["measured_s"]
    assert measured >= 0.5
    assert last["totals"]["throughput"] * measured == pytest.approx(last["n"]["error_rate"], 0.01)
    assert last["runtime"]["process"]["processes"] == 1
    assert last["runtime"]["process"]["rss_mb"] > 1


@pytest.mark.process
def test_a_program_may_be_restarted_for_each_iteration(pytester: pytest.Pytester) -> None:
    body = """
        used = parameters()
        Path(f"ran-{E['PYTEST_SOAK_ITERATION']}-{used['workers']}").touch()
        assert E["PYTEST_SOAK_SEED"] and "PYTEST_SOAK_REPORT" not in E and sys.stdin.read() == ""
        serve()
        while True:
            work(used)
            time.sleep(0.02)
        """
    prepare_service(pytester, body, 'life = "iteration"\nkeeps_state = true')
    ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    assert sorted(path.name for path in pytester.path.glob("ran-*")) == [
        "ran-1-2",
        "ran-2-4",
        "ran-3-4",
    ]


@pytest.mark.process
def test_a_running_program_gets_a_signal_for_new_parameters(pytester: pytest.Pytester) -> None:
    body = """
        used = parameters()
        def reload(*_):
            global used
            used = parameters()
        signal.signal(signal.SIGHUP, reload)
        serve()
        while True:
            work(used)
            time.sleep(0.02)
        """
    prepare_service(pytester, body, 'reload_signal = "SIGHUP"')
    ran = pytester.runpytest(*ARGS, "--auto-tune")
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*workers * 2 ? 4 *verified*latency>240*"])


SLEEPS = """
program = ["{python}", "-c", "import pathlib, time; pathlib.Path('ran').touch(); time.sleep(999)"]
slot_s = 0.02
"""


@pytest.mark.process
@pytest.mark.parametrize("key", ["scrape", "ready"])
def test_where_another_program_answers_none_is_started(pytester: pytest.Pytester, key: str) -> None:
    with speaking(WELL) as (url, _):
        own = {"scrape": "http://127.0.0.1:{port}/metrics", key: f"{url}/x"}
        lines = [f'{name} = "{one}"' for name, one in own.items()]
        prepare(pytester, "\n".join([*lines, SLEEPS]))
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    told = f"{url}/x: another program answers there, as this one is not started yet; allowed: *"
    ran.stdout.fnmatch_lines([f"system http: {told}"])
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")
    assert not (pytester.path / "ran").exists()


@pytest.mark.process
def test_what_is_not_ready_without_the_program_may_stand_before_it(
    pytester: pytest.Pytester,
) -> None:
    with speaking((502, "text/html", "no program"), WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}"\n{SLEEPS}')
        assert pytester.runpytest(*ARGS).ret == 0


@pytest.mark.process
def test_a_port_of_its_own_is_free_again_for_the_next_iteration(pytester: pytest.Pytester) -> None:
    port = free_port()
    body = SERVES.replace("serve()", f'E["PYTEST_SOAK_PORT"] = "{port}"; serve()')
    prepare_service(
        pytester, body, f'scrape = "http://127.0.0.1:{port}/metrics"\nlife = "iteration"'
    )
    assert pytester.runpytest(*ARGS[:-1], "--soak-iterations=2", "--auto-tune").ret == 0


DIES = {
    "before it is ready": ("print('no port'); sys.exit(3)", "ended with exit code 3, * s into *"),
    "while it serves": (
        "serve(); work(parameters()); time.sleep(1); os.kill(os.getpid(), 9)",
        "was ended by signal 9, * s into an iteration*",
    ),
    "in a flood": ("serve()\nwhile True: print('x' * 999)", "wrote more than 3 MB of output*"),
}


@pytest.mark.process
@pytest.mark.parametrize(("body", "line"), DIES.values(), ids=list(DIES))
def test_a_program_that_does_not_serve_the_slot_out_fails_the_chain_at_once(
    pytester: pytest.Pytester, body: str, line: str
) -> None:
    prepare_service(pytester, body, "slot_s = 9999\nready_s = 9999\noutput_mb = 3")
    ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.assert_outcomes(failed=2, skipped=2)
    ran.stdout.fnmatch_lines([f"system http: * service.py {line}"])
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")


@pytest.mark.process
@pytest.mark.parametrize(
    ("planned", "when"),
    [
        (2, "*service.py ended with exit code 0 between two iterations*"),
        (
            1,
            "ERROR: *::test_demo: system http: *service.py ended with exit code 0 after its last*",
        ),
    ],
)
def test_a_program_that_ends_between_two_iterations_or_after_the_last_is_noticed(
    pytester: pytest.Pytester, planned: int, when: str
) -> None:
    prepare_service(
        pytester,
        """
        serve()
        Path("pid").write_text(str(os.getpid()))
        while not Path("end").exists():
            work(parameters())
            time.sleep(0.02)
        """,
    )
    pytester.makepyfile(
        test_demo="""
        import os
        from pathlib import Path

        def test_demo(soak):
            soak.run()
            Path("end").touch()
            os.waitid(os.P_PID, int(Path("pid").read_text()), os.WEXITED | os.WNOWAIT)
        """
    )
    ran = pytester.runpytest(*ARGS[:-1], f"--soak-iterations={planned}")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines([when])


@pytest.mark.process
def test_a_program_that_never_gets_ready_is_inconclusive(pytester: pytest.Pytester) -> None:
    prepare_service(pytester, "time.sleep(999)", "ready_s = 0.3")
    ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert ran.ret == 1
    line = "the program was not ready in 0.3 s: http://127.0.0.1:*/metrics: connection refused"
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | {line} |"])


@pytest.mark.process
@pytest.mark.parametrize("life", ["chain", "iteration"])
def test_a_program_that_sigterm_does_not_end_is_killed_and_reported(
    pytester: pytest.Pytester, life: str
) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
    prepare_service(pytester, deaf, f'life = "{life}"\ngrace_s = 0.3')
    ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
    assert ran.ret == 1
    if life == "chain":
        told = "ERROR: *service.py did not end with SIGTERM in 0.3 s; killed: python* (pid *)"
    else:
        told = "*INCONCLUSIVE | it had to be killed, as SIGTERM did not end it: python* (pid *) |"
    ran.stdout.fnmatch_lines([told])


@pytest.mark.process
def test_a_failed_program_that_ignores_sigterm_is_killed_and_reported(
    pytester: pytest.Pytester,
) -> None:
    body = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        serve()
        while True: print("x" * 999)
        """
    prepare_service(pytester, body, "grace_s = 0.3\noutput_mb = 1")
    ran = pytester.runpytest(*ARGS)
    ran.stdout.fnmatch_lines(["*wrote more than 1 MB*; killed, as SIGTERM did not end it: *"])


@pytest.mark.process
def test_ctrl_c_in_a_slot_ends_the_program(pytester: pytest.Pytester) -> None:
    body = "serve(); work(parameters()); os.kill(os.getppid(), signal.SIGINT); time.sleep(999)"
    prepare_service(pytester, body, "slot_s = 9999")
    ran = pytester.runpytest_subprocess(*ARGS, timeout=PATIENCE)
    assert ran.ret == 2


def test_a_secret_in_a_long_answer_is_masked_before_it_is_shortened(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "".join(f"{number:04d}" for number in range(30))
    monkeypatch.setenv("TOKEN", secret)
    long = "x" * 100 + secret + "y" * 500
    error = json.dumps({"status": "error", "error": long})
    warned = json.dumps({**json.loads(told("1")[2]), "warnings": [long]})
    strange = json.dumps({"status": long, "data": json.loads(told("1")[2])["data"]})
    answers = [(200, "application/json", text) for text in (error, warned, strange)]
    settings = 'slot_s = 0.02\nsecrets = ["TOKEN"]\n'
    one = ARGS[:-1], "--soak-iterations=1"
    with speaking(*answers) as (url, _):
        prepare(pytester, f'prometheus = "{url}"\n{settings}', QUERIES)
        shown = pytester.runpytest(*one[0], one[1]).stdout.str()
    assert "[secret TOKEN]" in shown
    assert "00010002" not in shown
    series = "".join(f'latency{{a="{n}{long}"}} 1\n' for n in range(2))
    for text in (f"latency {long}\n", f"{series}errors 1\nrate 1\n"):
        with speaking(text) as (url, _):
            prepare(pytester, f'scrape = "{url}"\n{settings}')
            shown = pytester.runpytest(*one[0], one[1]).stdout.str()
        assert "[secret TOKEN]" in shown
        assert "00010002" not in shown


@pytest.mark.parametrize("before", range(300, 520, 40))
def test_a_problem_is_masked_then_shortened_and_leaves_room_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    older, newer = ("".join(f"{mark}{number:03d}" for number in range(30)) for mark in "AB")
    long = "x" * before + older + newer + "y" * 30_000
    series = "".join(f'latency{{a="{n}{long}"}} 1\n' for n in range(2))
    for text, others in ((f"{series}errors 1\n", "; throughput: rate is not there"), (long, "")):
        with speaking(f"{text}\n") as (url, _):
            monkeypatch.setenv("TOKEN", older)
            system = HttpSystem(read(f'scrape = "{url}"\nslot_s = 0.02\nsecrets = ["TOKEN"]'))
            system.open(tmp_path, None)
            monkeypatch.setenv("TOKEN", newer)  # as a fixture may that fetches it
            found, _ = system.run({}, 1, 0, None)
            system.close()
        assert isinstance(found, dict)
        assert len(found["problem"]) < 2000
        assert found["problem"].endswith(others)
        assert re.findall(r"[AB]\d\d\d", found["problem"]) == []


@pytest.mark.process
def test_no_secret_of_a_program_is_written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_service(pytester, 'print(E["TOKEN"], flush=True)' + SERVES, 'secrets = ["TOKEN"]')
    assert pytester.runpytest(*ARGS).ret == 4
    monkeypatch.setenv("TOKEN", "xyzzy-42")
    assert pytester.runpytest(*ARGS[:-1], "--soak-iterations=1").ret == 0
    assert (chain_folder(pytester) / "command_output.log").read_text() == "[secret TOKEN]\n"


@pytest.mark.process
def test_in_safe_mode_a_program_runs_dry_without_its_secrets(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = 'print("TOKEN" in E, E.get("PYTEST_SOAK_DRY"), flush=True)'
    prepare_service(pytester, says + SERVES, 'secrets = ["TOKEN"]\nslot_s = 0.1\nsettle_s = 0')
    monkeypatch.setenv("TOKEN", "xyzzy-42")
    for switch, said in (("", "True None\n"), ("1", "False 1\n")):
        monkeypatch.setenv("SOAK_DEMO_ALLOW_MISSING_SECRETS", switch)
        ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=1")
        told = "| safe_mode | ON | SYSTEM=http runs without its secrets |"
        assert (told in ran.outlines) is bool(switch)
        assert (chain_folder(pytester) / "command_output.log").read_text() == said


@pytest.mark.process
def test_resource_use_counts_per_iteration(pytester: pytest.Pytester) -> None:
    body = """
        while time.process_time() < 1:
            pass
        serve()
        while True:
            work(parameters())
            time.sleep(0.1)
        """
    prepare_service(pytester, body, "slot_s = 0.1\nsettle_s = 0.2")
    pytester.runpytest(*ARGS[:-1], "--soak-iterations=2")
    first, second = (report(pytester, one)["runtime"]["process"]["cpu_s"] for one in (1, 2))
    assert first > 0.9
    assert second < first / 2


@pytest.mark.process
def test_an_iteration_may_write_as_much_as_each_other(pytester: pytest.Pytester) -> None:
    body = """
        def write(*_):
            os.write(1, b"x" * 1_999_999 + b"\\n")
        signal.signal(signal.SIGHUP, write)
        write()
        """
    settings = 'output_mb = 3\nreload_signal = "SIGHUP"\nslot_s = 0.1\nsettle_s = 0.5'
    prepare_service(pytester, textwrap.dedent(body) + SERVES, settings)
    ran = pytester.runpytest(*ARGS[:-1], "--soak-iterations=2")
    ran.stdout.no_fnmatch_line("*wrote more than*")
    assert "problem" not in report(pytester, 2)


# A real Prometheus server.

PROMETHEUS = shutil.which("prometheus")
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
@pytest.mark.skipif(
    PROMETHEUS is None, reason="no prometheus on the PATH; see docs/contributing.md"
)
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
@pytest.mark.skipif(
    PROMETHEUS is None, reason="no prometheus on the PATH; see docs/contributing.md"
)
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
    told = "latency_p95_ms: the answer is empty; error_rate: the server refused: *parse error*; "
    matrix = "throughput: the answer is a matrix; allowed: one number at one moment"
    ran.stdout.fnmatch_lines([f"*INCONCLUSIVE | {told}{matrix} |"])
