"""`pytest-soak calibrate` prints the measured noise as settings for pyproject.toml."""

from __future__ import annotations

import argparse
import tomllib
from typing import TYPE_CHECKING

import pytest

from pytest_soak.commands import calibrate
from pytest_soak.errors import SoakUsageError
from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, read_json

if TYPE_CHECKING:
    from pathlib import Path

BLOCKED = mock_system(
    "blocked",
    after="""
        report["totals"]["blocked"] = {"queue": (iteration % 3) / 10}
        report["totals"]["mood"] = ["fair"]
        report["totals"]["flat"] = 1
        if iteration == 4:
            report["totals"]["latency_p95_ms"] = 10**6
            report["totals"]["error_rate"] = None
    """,
)
METRICS = """
[tool.pytest-soak.packs.demo.metrics]
blocked = { kind = "shares" }
mood = { kind = "labels" }
flat = {}
"""


def calibrated(soak_dir: Path, chain: str | None = None) -> list[str]:
    parser = argparse.ArgumentParser()
    calibrate.add_arguments(parser)
    arguments = parser.parse_args([])
    arguments.soak_dir, arguments.chain, arguments.run = soak_dir, chain, None
    code, lines = calibrate.run(arguments)
    assert code == 0
    return lines


def test_the_noise_of_an_untuned_run_arms_the_next_one(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(BLOCKED)
    pytester.makepyprojecttoml(METRICS)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=40", "--soak-system=blocked")
    lines = calibrated(pytester.path / "artifacts" / "soak")
    noise = tomllib.loads("\n".join(lines))["tool"]["pytest-soak"]["packs"]["demo"]["noise"]
    assert noise["latency_p95_ms"] == pytest.approx(2, rel=0.4)  # not that of the broken iteration
    assert noise["throughput"] == pytest.approx(0.5, rel=0.4)
    assert noise["blocked.queue"] == pytest.approx(0.083, rel=0.05)
    assert "# flat: did not vary, or was measured too rarely" in lines
    assert not [line for line in lines if "mood" in line]
    assert next(line for line in lines if line.startswith("latency")).endswith("# n=39")
    objective = (
        '\n[tool.pytest-soak.packs.demo]\nobjective = { metric = "throughput", better = "up" }\n'
    )
    pytester.makepyprojecttoml(objective + METRICS + "\n".join(lines))
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune", "--soak-system=blocked")
    result.stdout.no_fnmatch_line("*NOT_ARMED*")
    report = read_json(chain_folder(pytester) / "TUNING_REPORT.json")
    assert report["noise"] == noise


def test_a_tuned_run_counts_only_where_parameters_stayed_unchanged(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=12", "--auto-tune")
    (latency,) = [
        line for line in calibrated(pytester.path / "artifacts" / "soak") if "latency" in line
    ]
    assert float(latency.split()[2]) == pytest.approx(2, rel=0.8)
    assert latency.endswith("# n=9")  # after three applies


def test_too_few_iterations_are_an_error_with_advice(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=4")
    with pytest.raises(SoakUsageError, match="run some without --auto-tune first"):
        calibrated(pytester.path / "artifacts" / "soak")


def test_the_chain_is_selected_as_in_other_commands(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_one=DEMO.replace("demo", "one"), test_two=DEMO.replace("demo", "two"))
    pytester.runpytest("--soak-iterations=6", "-p", "no:randomly")
    folder = pytester.path / "artifacts" / "soak"
    assert calibrated(folder, "test_one") != calibrated(folder, "test_two.py::test_two")
    with pytest.raises(
        SoakUsageError, match=r"--chain: needed, because .* has several chains: test_one"
    ):
        calibrated(folder)
