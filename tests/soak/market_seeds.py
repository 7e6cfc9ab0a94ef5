"""Soak the market of `thin_capital` over many seeds, untuned and tuned, and count the verdicts.

    .venv/bin/python tests/soak/market_seeds.py [--from 1] [--to 20] [--tuner NAME] [--jobs 2]

Each seed is two whole pytest runs, as a user starts them. Exits 0 if at least nine in ten seeds
FAIL untuned and at least nine in ten PASS or WARN tuned.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TEST = Path(__file__).with_name("test_market.py")
ENOUGH = 0.9
ITERATIONS = 6


@dataclass(frozen=True)
class Soaked:
    """One run: its exit code, the gate's word, and net_bps in the observation window."""

    exit: int
    verdict: str
    net_bps: list[float]


def soak(seed: int, *tuning: str) -> Soaked:
    """Run one soak in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEST)),
            f"--soak-iterations={ITERATIONS}",
            f"--soak-seed={seed}",
            f"--soak-dir={folder}",
            *tuning,
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MM_")}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        gate = Path(folder) / "latest" / "KPI_GATE.json"
        if not gate.exists():
            sys.exit(f"seed {seed}: no verdict\n{done.stdout}{done.stderr}")
        said = json.loads(gate.read_text(encoding="utf-8"))
    return Soaked(
        done.returncode,
        said["verdict"],
        [round(entry["value"], 2) for entry in said["kpis"]["net_bps"]],
    )


def main() -> int:
    """Soak every seed and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--to", dest="last", type=int, default=20)
    parser.add_argument("--tuner", help="instead of the pack's")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    tuning = ("--auto-tune", *((f"--soak-tuner={args.tuner}",) if args.tuner else ()))
    seeds = range(args.first, args.last + 1)
    print("seed  untuned  exit  net_bps          tuned  exit  net_bps")
    failed = passed = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        untuned = pool.map(soak, seeds)
        tuned = pool.map(lambda seed: soak(seed, *tuning), seeds)
        for seed, before, after in zip(seeds, untuned, tuned, strict=True):
            failed += before.verdict == "FAIL" and before.exit == 1
            passed += after.verdict in {"PASS", "WARN"} and after.exit == 0
            print(
                f"{seed:4}  {before.verdict:7}  {before.exit:4}  {before.net_bps!s:15}"
                f"  {after.verdict:5}  {after.exit:4}  {after.net_bps}",
                flush=True,
            )
    print(f"untuned FAIL {failed} of {len(seeds)}, tuned PASS or WARN {passed} of {len(seeds)}")
    return 0 if min(failed, passed) >= ENOUGH * len(seeds) else 1


if __name__ == "__main__":
    sys.exit(main())
