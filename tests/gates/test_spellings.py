"""Gate settings as a person guesses them: read as meant, or refused with the allowed form."""

from __future__ import annotations

import re

import pytest

from pytest_soak.gates.baseline import Baseline
from pytest_soak.gates.criteria import CRITERIA, read_gate
from pytest_soak.gates.limits import Limits
from pytest_soak.gates.min_n import MinN
from pytest_soak.gates.trend import Trend
from tests.support import DEMO

LATENCY = {"fail": "> 300"}
HOUR, ITERATION = ({"trend": {"fail": f"> 2 / {unit}"}} for unit in ("h", "iteration"))
LARGER, SMALLER = ({"baseline": {"fail": text}} for text in ("> +10 %", "< -10 %"))
READ = {
    "x<=300": LATENCY,
    "x <= 300": LATENCY,
    " x<= 300 ": LATENCY,
    "fail:x<=300": LATENCY,
    "fail: x<=300": LATENCY,
    "fail : x <= 300": LATENCY,
    "x<300": {"fail": ">= 300"},
    "x>=-300": {"fail": "< -300"},
    "warn:x<=300": {"warn": "> 300"},
    "x<=300 in 95 %": {**LATENCY, "tolerate": {"share": 0.05}},
    "x<=300 in 95%": {**LATENCY, "tolerate": {"share": 0.05}},
    "x<=300 in 99.9 %": {**LATENCY, "tolerate": {"share": 0.001}},
    "trend:x<=2/h": HOUR,
    "trend: x <= 2 / h": HOUR,
    "trend:x<=+2/h": HOUR,
    "trend:x<=2/hour": HOUR,
    "trend:x<=2 / hours": HOUR,
    "trend:x<=2 per h": HOUR,
    "trend:x<=2 per hour": HOUR,
    "trend:x<=2/iteration": ITERATION,
    "trend:x<=2/iterations": ITERATION,
    "trend:x<=2 per iteration": ITERATION,
    "trend:x>=-2/h": {"trend": {"fail": "< -2 / h"}},
    "baseline:x<=+10 %": LARGER,
    "baseline:x<=+10%": LARGER,
    "baseline: x <= + 10 %": LARGER,
    "baseline:x>=-10 %": SMALLER,
    "baseline:x<=+10": {"baseline": {"fail": "> +10"}},
    "min_n:x>=100": {"min_n": 100},
    "min_n: x >= 100": {"min_n": 100},
}
EVERY = "; or ".join(kind.grammar for kind in CRITERIA if kind.words)
LIMITS, MIN_N, TREND, BASELINE = (kind.grammar for kind in (Limits, MinN, Trend, Baseline))
REFUSED = {
    # {what was given: (what is allowed, what may have been meant)}
    "x<=300 in 95": (LIMITS, "x<=300 in 95 %"),
    "x<=300 in 95 percent": (LIMITS, "x<=300 in 95 %"),
    "x<=300 for 95 %": (LIMITS, "x<=300 in 95 %"),
    "x<=300 in 0.95": (LIMITS, ""),
    "x<=300 in95 %": (LIMITS, ""),
    "x<=300 in 0 %": ("a share above 0 % and up to 100 %", ""),
    "x<=300 in 101 %": ("a share above 0 % and up to 100 %", ""),
    "x<=300ms": (LIMITS, "x<=300"),
    "x<=300 ms": (LIMITS, "x<=300"),
    "x<=1e3": (LIMITS, ""),
    "x<=1,000": (LIMITS, ""),
    "x<=.5": (LIMITS, ""),
    "x<=nan": (LIMITS, ""),
    "x<=inf": (LIMITS, ""),
    "x<=": (LIMITS, ""),
    "x=<300": (EVERY, "x<=300"),
    "x=>300": (EVERY, "x>=300"),
    "x≤300": (EVERY, "x<=300"),
    "x=300": (EVERY, ""),
    "x==300": (EVERY, ""),
    "x 300": (EVERY, ""),
    "x": (EVERY, ""),
    "<=300": (EVERY, ""),
    "300>=x": (EVERY, ""),
    "": (EVERY, ""),
    "WARN:x<=250": (EVERY, "warn:x<=250"),
    "warning:x<=250": (EVERY, "warn:x<=250"),
    "warn x<=250": (EVERY, ""),
    "limit:x<=250": (EVERY, ""),
    "warn:trend:x<=1/h": (LIMITS, "trend:x<=1/h"),
    "warn:x<=250 ms": (LIMITS, "warn:x<=250"),
    "x<=2/h": (LIMITS, "trend:x<=2/h"),
    "x<=2 per hour": (LIMITS, "trend:x<=2 per hour"),
    "trend:x<=2": (TREND, ""),
    "trend:x<=2/d": (TREND, ""),
    "trend:x<=2/min": (TREND, ""),
    "trend:x<=2/H": (TREND, ""),
    "trend:x<=2 MB/h": (TREND, ""),
    "trend:x<=2 % / h": (TREND, ""),
    "trend:x=<2/h": (TREND, "trend:x<=2/h"),
    "trend:x=2/h": (TREND, ""),
    "trend:x": (TREND, ""),
    "trend:x<=600 within 72 h": (TREND, ""),
    "trnd:x<=2/h": (EVERY, "trend:x<=2/h"),
    "Trend: x<=2/h": (EVERY, "trend:x<=2/h"),
    "slope:x<=2/h": (EVERY, ""),
    "x<=+10 %": (LIMITS, "baseline:x<=+10 %"),
    "base:x<=+10 %": (EVERY, "baseline:x<=+10 %"),
    "baseline:x<=10 %": (BASELINE, "baseline:x<=+10 %"),
    "baseline:x>=10%": (BASELINE, "baseline:x>=-10%"),
    "baseline:x<=-10 %": (BASELINE, ""),
    "baseline:x>=+10 %": (BASELINE, ""),
    "baseline:x<=+10 percent": (BASELINE, "baseline:x<=+10 %"),
    "baseline:x<=+5 ms": (BASELINE, "baseline:x<=+5"),
    "baseline:x<=worse by 10 %": (BASELINE, ""),
    "min_n:x>100": (MIN_N, ""),
    "min_n:x<=100": (MIN_N, ""),
    "min_n:x>=0": (MIN_N, ""),
    "min_n:x>=1.5": (MIN_N, ""),
    "min-n:x>=100": (EVERY, "min_n:x>=100"),
    "minn:x>=100": (EVERY, "min_n:x>=100"),
    "optional:x": (EVERY, ""),
}


@pytest.mark.parametrize("text", READ)
def test_a_setting_is_read_as_a_person_means_it(text: str) -> None:
    assert read_gate(text) == ("x", READ[text])


@pytest.mark.parametrize("text", REFUSED)
def test_a_setting_that_cannot_be_read_is_told_the_nearest_form_that_can(text: str) -> None:
    allowed, meant = REFUSED[text]
    told = allowed + (f"; did you mean {meant!r}?" if meant else "")
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        read_gate(text)
    if meant:
        assert read_gate(meant)[0] == "x"


@pytest.mark.parametrize("name", ["Latency_P95_ms", "latency-p95-ms", "latency_p95"])
def test_a_metric_that_is_spelt_otherwise_is_told_the_nearest_one(
    pytester: pytest.Pytester, name: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", f"--soak-gate={name}<=300")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    near = f"ERROR: --soak-gate: unknown metric '{name}', did you mean 'latency_p95_ms'?; *"
    result.stderr.fnmatch_lines([near])
