"""The system `http` in a run by the hour: its slots, and what is asked for before them."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from pytest_soak.errors import SystemFailure
from pytest_soak.systems.http.system import HttpSystem
from tests.endpoints import speaking
from tests.http_soaks import ARGS, METRICS, QUERIES, WELL, WORKERS, prepare, read, report, told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.endpoints import Text

HOURS = (*ARGS[:-1], "--soak-hours=0.0005", "--soak-slot=0.6")


def test_by_the_hour_the_slot_is_what_is_measured(pytester: pytest.Pytester) -> None:
    with speaking(WELL) as (url, _):
        prepare(pytester, f'scrape = "{url}"')
        ran = pytester.runpytest(*HOURS)
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


def test_a_metric_that_is_not_there_ends_a_run_by_the_hour_at_its_start(
    pytester: pytest.Pytester,
) -> None:
    with speaking(WELL.replace("rate", "ratio")) as (url, _):
        prepare(pytester, f'scrape = "{url}"\nready_s = 0.1')
        ran = pytester.runpytest(*ARGS[:-1], "--soak-hours=9", "--soak-slot=300")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        [
            "system http: before a run by the hour everything in *; this cannot be had within *",
            "  throughput: rate is not there, did you mean 'ratio'[?]; allowed: *",
        ]
    )
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")


def test_a_metric_of_an_optional_kpi_need_not_be_there(pytester: pytest.Pytester) -> None:
    optional = "\n[tool.pytest-soak.packs.demo.kpis.throughput]\noptional = true\n"
    with speaking(WELL.replace("rate", "ratio")) as (url, _):
        prepare(pytester, f'scrape = "{url}"\nready_s = 0.1', METRICS + optional)
        ran = pytester.runpytest(*HOURS)
    assert ran.ret == 0
    assert "throughput" in report(pytester, 1)["unusable"]


def run(settings: str, metrics: str, folder: Path, *texts: Text) -> dict[str, object]:
    """Return the report of two slots of 0.2 s by the hour."""
    with speaking(*texts) as (url, speaker):
        system = HttpSystem(read(f'{settings} = "{url}"\nready_s = 0.15', metrics))
        system.open(folder, 0.5)
        system.run({}, 1, 0, None)
        before = len(speaker.asked)
        found, _ = system.run({}, 2, 0, None)
        system.close()
    assert isinstance(found, dict)
    return {**found, "asked": before, "asked_again": len(speaker.asked) - before}


def test_what_is_there_is_asked_for_once(tmp_path: Path) -> None:
    found = run("scrape", METRICS + WORKERS, tmp_path, WELL + "workers NaN\n", WELL + "workers 2\n")
    assert (found["asked"], found["asked_again"]) == (3, 2)
    assert found["parameters"] == {"workers": 2}
    found = run("prometheus", QUERIES, tmp_path, told("NaN"), told("1"))
    assert (found["asked"], found["asked_again"]) == (6, 3)


def test_what_comes_while_the_program_gets_ready_is_there(tmp_path: Path) -> None:
    found = run("scrape", METRICS, tmp_path, "latency 1\n", WELL)
    assert (found["asked"], found["asked_again"]) == (4, 2)


ABSENT = {
    "a page": (
        "scrape",
        METRICS,
        (200, "text/html", WELL),
        "http://*: it is text/html; *",
    ),
    "no text": ("scrape", METRICS, "all is well\n", "http://*: the answer is no text of Prom*"),
    "a metric": ("scrape", METRICS, "latency 1\nerrors 2\n", "throughput: rate is not there; *"),
    "a parameter": ("scrape", METRICS + WORKERS, WELL, "parameter workers: workers is not there*"),
    "a query": ("prometheus", QUERIES, told(), "throughput: the answer is empty; allowed: *"),
    "a server": (
        "prometheus",
        QUERIES,
        (200, "text/html", "<html>"),
        "throughput: the answer is none of a Prometheus server; *",
    ),
}


@pytest.mark.parametrize(("settings", "metrics", "text", "line"), ABSENT.values(), ids=list(ABSENT))
def test_what_cannot_be_had_is_told_before_the_first_slot(
    tmp_path: Path, settings: str, metrics: str, text: Text, line: str
) -> None:
    with pytest.raises(SystemFailure) as raised:
        run(settings, metrics, tmp_path, text)
    assert any(fnmatch(each.strip(), line) for each in str(raised.value).splitlines()), raised.value


def test_a_secret_in_what_cannot_be_had_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "xyzzy-42")
    with pytest.raises(SystemFailure, match=r"\[secret TOKEN\]") as raised:
        run('secrets = ["TOKEN"]\nscrape', METRICS, tmp_path, "latency xyzzy-42\n")
    assert "xyzzy" not in str(raised.value)
