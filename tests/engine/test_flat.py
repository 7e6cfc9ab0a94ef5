"""The last of many iterations costs what the hundredth did: calls and objects are counted.

`tests/bench/cost.py` measures seconds and kilobytes, on a machine that has nothing else to do.
"""

from __future__ import annotations

import json

import pytest

COUNTS = """
import gc
import json
import sys

calls, objects, seen = [], {}, 0

def count(frame, event, argument):
    global seen
    seen += event == "call"

def pytest_runtest_logstart(nodeid):
    calls.append(seen)
    sys.setprofile(None)
    if len(calls) % 50 == 1:
        gc.collect()
        objects[len(calls) - 1] = len(gc.get_objects())
    sys.setprofile(count)

def pytest_unconfigure():
    sys.setprofile(None)
    with open("counted.json", "w") as file:
        json.dump([{n: calls[n] for n in objects}, objects], file)
"""
EARLY, LATE = ("100", "200"), ("300", "400")
PLANNED = 401


@pytest.mark.parametrize("tuner", ["demo-table", "adaptive"])
def test_an_iteration_costs_the_same_however_many_came_before(
    pytester: pytest.Pytester, tuner: str
) -> None:
    pytester.makeconftest(COUNTS)
    pytester.makepyfile(test_demo="def test_demo(mock_soak): mock_soak.run()")
    arguments = ("-q", "-p", "no:randomly", "--auto-tune", f"--soak-tuner={tuner}")
    length = (f"--soak-iterations={PLANNED}", "--soak-observe=2")  # less is done in the window
    ran = pytester.runpytest_subprocess(*arguments, *length)
    assert ran.ret == 0
    for counts in json.loads((pytester.path / "counted.json").read_text()):
        early, late = (counts[end] - counts[begin] for begin, end in (EARLY, LATE))
        assert 0 < late <= 1.02 * early
