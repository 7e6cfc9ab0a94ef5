"""A real program that leaks is a FAIL, and one that warms up and then stays as it is is a PASS.

The programs run as one process for the whole chain, and nothing but what the operating system says
of them is judged. ``SOAK_LEAK_ITERATIONS=400`` makes the runs longer.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import scipy.stats  # noqa: F401 - before pytester, which would load it a second time

from tests.programs import prepare
from tests.support import chain_folder, read_json

pytestmark = pytest.mark.process

ITERATIONS = int(os.environ.get("SOAK_LEAK_ITERATIONS", "40"))
WARM_UP = ITERATIONS // 3 + 1
MIB = 2**20
STARTS = """
if iteration == "1":
    import threading
    kept, files, asleep = [], [], threading.Event()
    idle = "import sys; sys.stdin.read()"
    helper = subprocess.Popen([sys.executable, "-I", "-S", "-c", idle], stdin=subprocess.PIPE)
"""
LEAKS = """
kept.append(os.urandom(500_000))
files.append(open("program.py"))
threading.Thread(target=asleep.wait, daemon=True).start()
"""
WARMS_UP = f"""
if int(iteration) < {WARM_UP}:
    kept.append(os.urandom({10 * MIB // WARM_UP}))
    if int(iteration) % 2:
        files.append(open("program.py"))
        threading.Thread(target=asleep.wait, daemon=True).start()
"""
SWINGS = """
work = bytearray(200_000 + 7919 * int(iteration) % 13 * 20_000)
answer(totals={"latency_p95_ms": 150, "error_rate": 0.01, "throughput": 100})
"""
SLOPES = {
    "process_program_rss_end_mb": 0.1,
    "process_helper_rss_end_mb": 0.1,
    "process_open_files": 0.2,
    "process_threads": 0.2,
    "process_cpu_s": 0.1,
}
"""The largest slope of each metric, per iteration."""


def soak(pytester: pytest.Pytester, body: str, *args: str) -> Any:
    """Run the program and return what the verdict says."""
    table = "[tool.pytest-soak.packs.demo"
    more = f'{table}.command.processes]\nprogram = "program.py"\nhelper = "stdin.read"\n'
    for metric, slope in SLOPES.items():
        more += f"{table}.metrics.{metric}]\nleast = 0\n{table}.kpis.{metric}]\n"
        more += f'trend = {{ fail = "> {slope} / iteration", least = 24 }}\n'
    prepare(pytester, STARTS + body + SWINGS, long=True, more=more)
    options = ("--soak-system=command", "--soak-scenario=calm", f"--soak-iterations={ITERATIONS}")
    pytester.runpytest("-p", "no:randomly", *options, *args)
    return read_json(chain_folder(pytester) / "KPI_GATE.json")


def trends(gate: Any) -> dict[str, Any]:
    return {each["metric"]: each for each in gate["criteria"] if each["criterion"] == "trend"}


def test_a_program_that_leaks_memory_descriptors_and_threads_fails_with_the_slopes(
    pytester: pytest.Pytester,
) -> None:
    gate = soak(pytester, LEAKS)
    leaking = ["process_program_rss_end_mb", "process_open_files", "process_threads"]
    assert (gate["verdict"], gate["reasons"]) == ("FAIL", leaking)
    found = trends(gate)
    for metric, leak in zip(leaking, (500_000 / MIB, 1, 1), strict=True):
        assert found[metric]["value"] == pytest.approx(leak, rel=0.1)
    assert found["process_helper_rss_end_mb"]["verdict"] == "PASS"
    assert found["process_cpu_s"]["verdict"] == "PASS"


def test_a_program_that_warms_up_and_then_stays_as_it_is_passes(pytester: pytest.Pytester) -> None:
    gate = soak(pytester, WARMS_UP, f"--soak-warm-up={WARM_UP}")
    assert (gate["verdict"], gate["reasons"]) == ("PASS", [])
    found = trends(gate)
    assert {each["verdict"] for each in found.values()} == {"PASS"}
    assert {each["n"] for each in found.values()} == {ITERATIONS - WARM_UP}
    reports = [read_json(chain_folder(pytester) / f"EDGE_REPORT_{n}.json") for n in (1, WARM_UP)]
    before, after = (report["totals"]["process_program_rss_end_mb"] for report in reports)
    assert after > before + 8
