"""What cannot act together in a pack's ``[http]`` is told whatever system is chosen."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from textwrap import dedent

import pytest

from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.loader import build_pack
from tests.support import DEMO

PACK = """
parameters.pool = { limits = [1, 64], base = 8 }
kpis.latency_ms.fail = "> 200"
kpis.rate.fail = "< 2"
"""
SCRAPE = 'http.scrape = "http://h/metrics"\n'


def mistakes(text: str) -> list[str]:
    """Return the lines of the error for a pack with *text*; none if it is sound."""
    try:
        build_pack(tomllib.loads(PACK + dedent(text)), "shop.toml")
    except SoakUsageError as error:
        return [line.removeprefix("pack shop.toml: ") for line in error.args]
    return []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            SCRAPE + "http.metrics.rate = { rate = 'x', gauge = 'y' }",
            ["http.metrics.rate: gauge and rate; allowed: where it is scraped, one of gauge, *"],
        ),
        (
            "http.metrics.rate = { factor = 2 }",
            [
                (
                    "http.metrics.rate: nothing that says how it is measured; allowed: where it is "
                    "scraped or asked of a Prometheus server, one of gauge, increase, *, query"
                )
            ],
        ),
        (
            SCRAPE + "http.prometheus = 'http://h'\nhttp.metrics.rate.query = 'up'",
            [
                "http: both scrape and prometheus; allowed: one of them: where the metrics come *",
                "http.metrics.rate: up has no {slot}; allowed: *",
            ],
        ),
        (
            "scenarios.noon.http.metrics.rate.query = 'up'",
            ["scenarios.noon.http.metrics.rate: up has no {slot}; allowed: *"],
        ),
        (
            SCRAPE
            + "http.metrics.rate.rate = 'x'\n"
            + "scenarios.noon.http.metrics.rate = { gauge = 'x', from_zero = true }\n"
            + "scenarios.noon.http.grace_s = 0.5\n"
            + "scenarios.night.http.scrape = 'http://:1/'\n"
            + "scenarios.night.http.parameters.pool.rate = 'x'",
            [
                "scenarios.noon.http.metrics.rate: from_zero means nothing to gauge; allowed: *",
                "scenarios.noon.http.grace_s: without a program; allowed: *",
                "scenarios.night.http.scrape: http://:1/: it names no host, or port 0; *",
                "scenarios.night.http.parameters.pool: rate; allowed: where it is scraped, one of*",
            ],
        ),
        (
            SCRAPE + "http.metrics.rate = { gauge = 'x', factr = 2 }\nhttp.grace_s = 2",
            [
                "http.metrics.rate: unknown key 'factr', did you mean 'factor'?; allowed: *",
                "http.grace_s: without a program; allowed: *",
            ],
        ),
        ("http = 3", ["http: 3 given; allowed: a table"]),
        ("scenarios.noon.http = 3", ["scenarios.noon.http: 3 given; allowed: a table"]),
        (
            (
                "metrics.latency_ms = {}\nmetrics.rate = {}\nmetrics.why.kind = 'labels'\n"
                "http.metrics.why.gauge = 'x'"
            ),
            ["http.metrics.why: why is of kind labels; allowed: a number"],
        ),
        # Said in the pack for all scenarios, and told once.
        (
            (
                "http.metrics.rate.query = 'up'\n"
                "scenarios.noon.http.slot_s = 2\nscenarios.night.http.slot_s = 3"
            ),
            ["http.metrics.rate: up has no {slot}; allowed: *"],
        ),
    ],
)
def test_what_cannot_act_together_is_told_without_the_system(text: str, lines: list[str]) -> None:
    told = mistakes(text)
    assert len(told) == len(lines), told
    for line in lines:
        assert any(fnmatch(one, line) for one in told), (line, told)


@pytest.mark.parametrize(
    "text",
    [
        "http.metrics.rate.gauge = 'x'",
        "http.timeout_s = 3",
        "http.ready = 'http://h:{port}'\nscenarios.noon.http.program = ['x']\nscenarios.calm = {}",
        "http.grace_s = 3\nscenarios.noon.http.program = ['x']\nscenarios.calm.mock.rate = 3",
    ],
)
def test_what_is_missing_or_said_by_a_scenario_is_no_mistake(text: str) -> None:
    assert mistakes(text) == []


def test_a_run_of_another_system_tells_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        "[tool.pytest-soak.packs.demo.http.metrics]\nthroughput = { query = 'up' }\n"
    )
    result = pytester.runpytest("--soak-iterations=2", "--soak-system=mock")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *: http.metrics.throughput: up has no {slot}; *"])
