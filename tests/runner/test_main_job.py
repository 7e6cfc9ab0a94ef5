"""The main job as a user starts it: the repository's own soaks, tuned and untuned."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_soak_market.plugin import PACK

from tests.support import patches, read_json, records

ROOT = Path(__file__).parents[2]


def soak(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the soaks of the repository in a process of their own."""
    command = [sys.executable, "-m", "pytest", "tests/soak", "--soak-iterations=6"]
    environment = {key: value for key, value in os.environ.items() if "PYTEST" not in key}
    return subprocess.run(
        [*command, f"--soak-dir={folder}", "-p", "no:cacheprovider", *args],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def chains(folder: Path) -> dict[str, Path]:
    """Return the folders of the chains that ran last, by the names of their tests."""
    began = sorted(folder.glob("test_*"), key=lambda path: str(records(path)[0]["run"]))
    return {path.name.rpartition("-")[0]: path for path in began}


def test_tuned_untuned_tuned_and_distributed_in_one_folder(tmp_path: Path) -> None:
    tuned = soak(tmp_path, "--auto-tune")
    assert tuned.returncode == 0, tuned.stdout
    assert re.search(r"14 passed", tuned.stdout)
    assert tuned.stdout.count("| kpi_gate | PASS |") == 2
    first = {name: patches(path) for name, path in chains(tmp_path).items()}
    assert first.keys() == {"test_market", "test_mock"}
    assert all(patch[0] for patch in first.values())

    untuned = soak(tmp_path)
    assert untuned.returncode == 1, untuned.stdout
    assert re.search(r"2 failed, 12 passed", untuned.stdout)
    gates = [read_json(path / "KPI_GATE.json") for path in chains(tmp_path).values()]
    assert [gate["verdict"] for gate in gates] == ["FAIL", "FAIL"]

    again = soak(tmp_path, "--auto-tune", "-n2")
    assert again.returncode == 0, again.stdout
    assert {name: patches(path) for name, path in chains(tmp_path).items()} == first


def test_every_trigger_fires_on_the_way_of_the_mock(tmp_path: Path) -> None:
    told = soak(tmp_path, "--auto-tune", "-k", "test_mock").stdout
    for reason in (
        "| soak_iter_tune | SKIP | REASON=multi_fail_guard |",
        "REASON=cancel_ratio>0.55",
        "  - withheld: adverse/slippage>threshold",
        "REASON=order_age>330",
        "ws_lag>120 |",
        "REASON=net_bps<2.5",
    ):
        assert reason in told


@pytest.mark.parametrize(
    ("step", "changed"),
    [
        ("min_interval_ms = 20, replace_rate_per_min = -30 }", "min_interval_ms = 25 }"),
        ('base_spread_bps_delta = 0.02 }\nreason = "net_bps<2.5"', None),
        ("tail_age_ms = 50", "tail_age_ms = 60"),
        ("step = { min_interval_ms = 20 }", "step = { min_interval_ms = 30 }"),
    ],
)
def test_a_changed_trigger_step_fails_the_recording(
    tmp_path: Path, step: str, changed: str | None
) -> None:
    text = PACK.read_text(encoding="utf-8")
    assert step in text
    pack = tmp_path / "changed.toml"
    new = changed or step.replace("0.02", "0.03")
    pack.write_text(text.replace(step, new), encoding="utf-8")
    done = soak(tmp_path / "soak", "--auto-tune", "-k", "test_mock", f"--soak-pack={pack}")
    assert done.returncode == 1
    assert re.search(r'- \{"op": "(add|replace)", "path": "/\w+", "value": [\d.]+\}', done.stdout)
    assert "record it with --snapshot-update" in done.stdout
