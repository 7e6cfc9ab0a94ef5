"""Built and installed as a stranger would: two wheels in a fresh environment, and a soak."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytest_soak_optuna", reason="pytest-soak-optuna is not installed")

HERE = Path(__file__).parents[1]
CORE = HERE.parents[1]


@pytest.mark.slow
def test_the_wheels_soak_in_a_fresh_environment(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "PYTEST"))}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "wheels", CORE, HERE)
    wheels = sorted((tmp_path / "wheels").iterdir())
    assert [wheel.name.partition("-")[0] for wheel in wheels] == [
        "pytest_soak",
        "pytest_soak_optuna",
    ]
    run(sys.executable, "-m", "venv", "fresh")
    python = tmp_path / "fresh" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "-q", *wheels)
    (tmp_path / "test_demo.py").write_text("def test_demo(soak):\n    soak.run()\n")
    tuned = ("--auto-tune", "--soak-tuner=optuna", "--soak-optuna-storage=trials")
    told = run(python, "-m", "pytest", "-W", "error", "--soak-iterations=8", *tuned)
    assert "| kpi_gate | PASS |" in told
    assert (tmp_path / "trials").read_text()
    there = run(python, "-m", "pip", "show", "-f", "pytest-soak-optuna")
    assert "py.typed" in there
    assert "LICENSE" in there
