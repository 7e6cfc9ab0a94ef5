"""The README's web service: real processes under real load. Assertions compare ratios only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs.pages import (
    PAGES,
    ROOT,
    Block,
    blocks,
    follow_in_the_repository,
    is_the_example,
)
from tests.programs import left_in
from tests.support import read_json

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "web_service"
PATIENCE_S = 5
"""The timeout of a buyer in seconds, as in `load.py`."""
NEEDED = (
    "locust",
    "starlette",
    "uvicorn",
)  # not imported here: Locust patches the standard library
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not all(map(find_spec, NEEDED)), reason="needs pip install -e '.[examples]'"
    ),
]


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the report in *folder*/latest."""
    found = read_json(folder / "latest" / "TUNING_REPORT.json")["rows"]
    assert isinstance(found, list)
    return found


def copied(folder: Path, changed: str, old: str, new: str) -> Path:
    """Return a copy of the example in which *old* is *new* in the file *changed*."""
    copy = folder / "web_service"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("artifacts", "__pycache__"))
    text = (copy / changed).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (copy / changed).write_text(text.replace(old, new), encoding="utf-8")
    return copy


def soak(copy: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *args],
        cwd=copy,
        env={"PATH": "", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def shown() -> list[Block]:
    return [block for block in blocks(PAGES[0]) if is_the_example(block)]


def test_tuning_makes_it_as_quick_as_the_readme_says(tmp_path: Path) -> None:
    untuned, tuned = shown()
    follow_in_the_repository(untuned, tmp_path / "untuned")
    follow_in_the_repository(tuned, tmp_path / "tuned")
    before = [row["metrics"] for row in rows(tmp_path / "untuned")]
    after = [row["metrics"] for row in rows(tmp_path / "tuned")][-2:]
    slowest = max(metrics["latency_p95_ms"] for metrics in after)
    assert slowest < 0.75 * min(metrics["latency_p95_ms"] for metrics in before)
    assert max(metrics["error_rate"] for metrics in after) < 0.05
    assert min(metrics["error_rate"] for metrics in before) > 0.05
    assert next(row["verified"] for row in rows(tmp_path / "tuned") if row["applied"]) == "true"
    assert not left_in(EXAMPLE)


def test_a_tuner_with_the_wrong_sign_makes_it_worse(tmp_path: Path) -> None:
    copy = copied(
        tmp_path, "web_service.toml", "step = { pool_size = 3 }", "step = { pool_size = -1 }"
    )
    ran = soak(copy, "--soak-iterations=3", "--auto-tune", "--soak-dir=left")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    first, *later = (row["metrics"]["error_rate"] for row in rows(copy / "left"))
    assert min(later) > 1.3 * first, ran.stdout
    assert not left_in(copy)


def test_a_service_that_does_not_start_fails_the_iteration_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    copy = copied(tmp_path, "service.py", "WORK_S = 0.15", 'raise SystemExit("no database")')
    ran = soak(copy, "--soak-iterations=3")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "driver.py ended with exit code 1" in ran.stdout
    assert "no database" in ran.stdout
    assert not left_in(copy)


@pytest.mark.parametrize("seconds", [4, 60])
def test_an_answer_that_is_still_out_when_the_load_ends_counts(
    tmp_path: Path, seconds: int
) -> None:
    """A tenth of the orders take longer than the load lasts; the longer ones, than it is waited."""
    slow = f"await anyio.sleep({seconds} if next(turn) % 10 == 0 else WORK_S)"
    copy = copied(tmp_path, "service.py", "await anyio.sleep(WORK_S)", slow)
    service = copy / "service.py"
    text = service.read_text(encoding="utf-8").replace(
        "import os\n", "import os\nfrom itertools import count\n"
    )
    service.write_text(f"{text}\nturn = count(1)\n", encoding="utf-8")
    ran = soak(copy, "--soak-iterations=1", "--soak-dir=left", '--soak-overrides={"pool_size": 16}')
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    (row,) = rows(copy / "left")
    assert row["verdict"] == "FAIL", ran.stdout
    assert row["metrics"]["latency_p95_ms"] >= 1000 * min(seconds, PATIENCE_S), ran.stdout
    if seconds > PATIENCE_S:
        assert row["metrics"]["error_rate"] > 0.05
    assert not left_in(copy)


@pytest.mark.parametrize(
    ("written", "instead", "used"),
    [
        ('= wanted["pool_size"]', "= 2", "pool_size"),
        ('wanted["timeout_ms"] / 1000', "0.9", "timeout_ms"),
        ("wanted = settings()", "wanted = {'pool_size': 2, 'timeout_ms': 900}", "pool_size"),
    ],
    ids=["pool", "timeout", "both"],
)
def test_a_service_whose_requests_use_other_settings_is_contradicted(
    tmp_path: Path, written: str, instead: str, used: str
) -> None:
    copy = copied(tmp_path, "service.py", written, instead)
    ran = soak(copy, "--soak-iterations=2", "--auto-tune", "--soak-observe=1", "--soak-dir=left")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    first, second = rows(copy / "left")
    assert used in {move["field"] for move in first["moves"]}, ran.stdout
    assert (first["verified"], second["verdict"]) == ("false", "INCONCLUSIVE"), ran.stdout
    assert f"override_not_effective: {used}" in ran.stdout
