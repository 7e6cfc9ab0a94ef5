"""Chains that end early: when they do, what is recorded, and what `verify` says of that."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.engine import controller
from pytest_soak.model.chain import is_lost
from tests.support import chain_folder, records, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_soak.model.chain import Outcome

SYSTEM = """
import pytest

LATENCIES = {latencies}

class Given:
    def run(self, parameters, iteration, seed, state):
        latency = LATENCIES[iteration - 1]
        totals = {{"latency_p95_ms": latency, "error_rate": 0.01, "throughput": 100}}
        totals = {{name: value for name, value in totals.items() if value is not None}}
        return {{"iteration": iteration, "parameters": parameters, "totals": totals}}, None

@pytest.fixture
def soak_system():
    return Given()

def test_demo(soak):
    soak.run()
"""
CHECK = ("verify", "--soak-dir", "artifacts/soak")


def soak(
    pytester: pytest.Pytester, latencies: Sequence[float | None], *options: str
) -> tuple[pytest.RunResult, dict[str, Any], int]:
    """Return the result of a soak, its last record, and in how many iterations it ran."""
    pytester.makepyfile(test_demo=SYSTEM.format(latencies=list(latencies)))
    result = pytester.runpytest(f"--soak-iterations={len(latencies)}", *options)
    found = records(chain_folder(pytester))
    return result, found[-1], sum(one["kind"] == "iteration" for one in found)


@pytest.mark.parametrize("tuned", [False, True], ids=["untuned", "tuned"])
def test_a_chain_that_is_lost_ends_if_asked_for(pytester: pytest.Pytester, tuned: bool) -> None:
    options = ("--auto-tune",) if tuned else ()
    result, ending, ran = soak(pytester, [200] + [400] * 9, "--soak-abort", *options)
    assert ran == (3 if tuned else 2)  # a fifth of 9 iterations is 1, and 2 of them failed
    assert (result.ret, ending["verdict"]) == (1, "FAIL")
    assert ending["problems"][0]["kind"] == "aborted"
    assert ending["stretch"]["last"] == ran
    code, lines = told(*CHECK)
    assert code == 0, lines


def test_without_that_it_runs_to_its_end(pytester: pytest.Pytester) -> None:
    assert soak(pytester, [400] * 4)[2] == 4


@pytest.mark.parametrize("latencies", [[None] * 8, [200, *[None] * 7]], ids=["first", "later"])
def test_a_metric_that_is_never_there_ends_a_chain(
    pytester: pytest.Pytester, latencies: Sequence[float | None]
) -> None:
    result, ending, ran = soak(pytester, latencies, "--auto-tune")
    first = latencies[0] is None
    assert (result.ret, ending["verdict"], ran) == (1, "INCONCLUSIVE", 3 if first else 8)
    assert (ending["problems"][0]["kind"] == "never_there") is first
    assert told(*CHECK)[0] == 0


WATCHED = """
class Watcher:
    def observe(self, report, history):
        return {"latency_p95_ms": 200.0}

def pytest_soak_watchers():
    return {"mine": lambda pack: Watcher()}
"""


def test_a_metric_that_is_never_there_may_be_given_by_a_watcher_as_its_message_says(
    pytester: pytest.Pytester,
) -> None:
    result, ending, ran = soak(pytester, [None] * 5)
    assert (ending["problems"][0]["kind"], ran) == ("never_there", 3)
    result.stdout.fnmatch_lines(["*latency_p95_ms is missing from *; *, let a watcher give it, *"])
    pytester.makeconftest(WATCHED)
    result, ending, ran = soak(pytester, [None] * 5)
    assert (result.ret, ending["verdict"], ran) == (0, "PASS", 5)


def test_a_metric_that_the_warm_up_lacks_ends_nothing(pytester: pytest.Pytester) -> None:
    latencies = [None, None, None, 200, 200, 200]
    result, ending, ran = soak(pytester, latencies, "--soak-warm-up=3")
    assert (result.ret, ending["verdict"], ran) == (0, "PASS", 6)


def test_it_is_not_asked_after_each_tolerated_failure_whether_a_chain_is_lost(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(outcomes: Sequence[Outcome], *args: Any, **options: Any) -> bool:
        asked.append(len(outcomes))
        return is_lost(outcomes, *args, **options)

    monkeypatch.setattr(controller, "is_lost", counted)
    gate = "--soak-gate=latency_p95_ms<=300 in 50 %"
    result, _, ran = soak(pytester, [400, 400, 100, 100, 100] * 40, "--soak-abort", gate)
    assert (result.ret, ran, asked[0]) == (0, 200, 1)
    assert all(later >= earlier + 200 // controller.ASKED for earlier, later in pairwise(asked))
    assert len(asked) > 20


def test_a_long_chain_that_is_lost_ends_a_little_later(pytester: pytest.Pytester) -> None:
    latencies = [100, 400, 100, *[400] * 197]
    gate = "--soak-gate=latency_p95_ms<=300 in 90 %"
    _, ending, ran = soak(pytester, latencies, "--soak-abort", gate)
    lost = 2 + 20  # a tenth of 200 may fail, the 21st is one too many
    assert lost <= ran <= lost + 200 // controller.ASKED
    assert ending["problems"][0]["kind"] == "aborted"
