"""The system `http` with a program that runs elsewhere: what it answers is measured, or told."""

from __future__ import annotations

import json
import re
import textwrap
import time
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.systems.http.server import free_port
from pytest_soak.systems.http.system import HttpSystem
from tests.endpoints import Text, speaking
from tests.http_soaks import ARGS, METRICS, QUERIES, WELL, WORKERS, prepare, read, report, told
from tests.support import chain_folder, unlike_journal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("nothing_is_left")


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


def measured(folder: Path, text: Text) -> tuple[dict[str, Any], object]:
    """Return the report and state of a slot at whose end a program that did well answers *text*."""
    with speaking(WELL, text) as (url, _):
        system = HttpSystem(read(f'scrape = "{url}/metrics"\nslot_s = 0.02'))
        system.open(folder, None)
        found, state = system.run({}, 1, 0, None)
        system.close()
    assert isinstance(found, dict)
    return found, state


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
    "one endless line": (
        WELL + "rate{" + ",".join(f'a{n}="b"' for n in range(100_000)) + "} 1\n",
        "http://*: a line of the answer has * characters; allowed: 65536",
    ),
    "restarted": (WELL + "process_start_time_seconds 9\n", "the program was restarted during *"),
}


@pytest.mark.parametrize(("text", "line"), MISSING.values(), ids=list(MISSING))
def test_what_is_missing_is_a_problem_of_the_report(
    tmp_path: Path, text: str | tuple[int, str, str], line: str
) -> None:
    found, state = measured(tmp_path, text)
    assert fnmatch(found["problem"], line), found["problem"]
    assert state is None


LACKING = {
    "nothing": (
        "",
        {
            "latency_p95_ms": "latency is not there; allowed: *",
            "error_rate": "errors is not there; *",
            "throughput": "rate is not there; *",
        },
    ),
    "not one": (
        WELL.replace("rate", "ratio"),
        {"throughput": "rate is not there, did you mean 'ratio'[?]; allowed: *"},
    ),
    "several": (
        WELL + 'rate{a="1"} 9\n',
        {"throughput": "rate is 2 series, such as *sum = true"},
    ),
    "NaN": (WELL.replace("200", "NaN"), {"latency_p95_ms": "latency is nan; allowed: *"}),
    "stale": (WELL.replace("100", "100 1000"), {"throughput": "rate is stale: *; allowed: *"}),
}


@pytest.mark.parametrize(("text", "lines"), LACKING.values(), ids=list(LACKING))
def test_a_metric_that_cannot_be_had_is_unusable_and_leaves_the_others(
    tmp_path: Path, text: str, lines: dict[str, str]
) -> None:
    found, _ = measured(tmp_path, text)
    assert "problem" not in found
    others = {"latency_p95_ms": 200, "error_rate": 0.01, "throughput": 100}
    assert found["totals"] == {name: others[name] for name in others if name not in lines}
    assert found["unusable"].keys() == lines.keys()
    for name, line in lines.items():
        assert fnmatch(found["unusable"][name], line), found["unusable"]


def test_a_metric_that_nobody_needs_may_be_unusable(pytester: pytest.Pytester) -> None:
    extra = 'extra = { gauge = "depth" }\n[tool.pytest-soak.packs.demo.metrics.extra]\n'
    with speaking(WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}/metrics"\nslot_s = 0.02', METRICS + extra)
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 0
    assert report(pytester, 3)["unusable"]["extra"].startswith("depth is not there")


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
    stale = "is stale: its sample has the same time at the start and at the end"
    assert f"rate {stale}" in frozen["unusable"]["throughput"]
    assert f"parameter workers: workers {stale}" in frozen["problem"]


def test_a_metric_that_a_kpi_needs_and_that_is_unusable_is_inconclusive(
    pytester: pytest.Pytester,
) -> None:
    with speaking(WELL, WELL.replace("rate", "ratio"), WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}/metrics"\nslot_s = 0.02')
        ran = pytester.runpytest(*ARGS)
    assert ran.ret == 1
    ran.assert_outcomes(passed=3, failed=1)
    line = "| soak_iter | INCONCLUSIVE | throughput is unusable: rate is not there, did you mean*"
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
        ("", "workers is not there; allowed: a series that the program shows"),
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


@pytest.mark.parametrize("metric", ["{ gauge = 'x', sum = true }", "{ gauge = 'y' }"])
def test_a_large_answer_takes_no_longer_than_its_timeout(tmp_path: Path, metric: str) -> None:
    text = "".join(f'x{{a="{number}"}} {number}\n' for number in range(100_000))
    with speaking(text) as (url, _):
        settings = f'scrape = "{url}"\nslot_s = 0.02\ntimeout_s = 0.3'
        system = HttpSystem(read(settings, f"throughput = {metric}"))
        system.open(tmp_path, None)
        begun = time.thread_time()  # others may keep the processor busy, not this thread
        found, _ = system.run({}, 1, 0, None)
        took = time.thread_time() - begun
        system.close()
    assert isinstance(found, dict)
    assert "0.3" in found["problem"], found
    assert took < 1.2  # reading and searching it all takes longer


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
    for text, others in ((f"{series}errors 1\n", "rate is not there"), (long, "")):
        with speaking(f"{text}\n") as (url, _):
            monkeypatch.setenv("TOKEN", older)
            system = HttpSystem(read(f'scrape = "{url}"\nslot_s = 0.02\nsecrets = ["TOKEN"]'))
            system.open(tmp_path, None)
            monkeypatch.setenv("TOKEN", newer)  # as a fixture may that fetches it
            found, _ = system.run({}, 1, 0, None)
            system.close()
        assert isinstance(found, dict)
        told_of = [*found.get("unusable", {}).values(), found.get("problem", "")]
        assert len("".join(told_of)) < 2000
        assert others in "".join(told_of)
        assert re.findall(r"[AB]\d\d\d", "".join(told_of)) == []
