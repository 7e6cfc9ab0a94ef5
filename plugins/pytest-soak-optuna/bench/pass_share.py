"""Soak over many seeds untuned, with the pack's tuner and with optuna, and compare the verdicts.

    python plugins/pytest-soak-optuna/bench/pass_share.py [--to 10] [--iterations 8] [--jobs 2]
        [--only CASE]

Each verdict is that of a whole pytest run, as a user starts it. Needs pytest-soak-market beside.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from math import comb
from pathlib import Path

CASES = {
    "demo/mock/busy": ("--soak-pack=demo",),
    "market-maker/mock/stressed": (
        "--soak-pack=market-maker",
        "--soak-system=mock",
        "--soak-scenario=stressed",
    ),
    "market-maker/market/thin_capital": (
        "--soak-pack=market-maker",
        "--soak-scenario=thin_capital",
    ),
}
TUNERS = {
    "untuned": (),
    "the pack's": ("--auto-tune",),
    "optuna": ("--auto-tune", "--soak-tuner=optuna"),
}
GOOD = {"PASS", "WARN"}


def soak(seed: int, iterations: int, args: tuple[str, ...]) -> str:
    """Run one soak in a folder of its own and return its verdict."""
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test_it.py"
        test.write_text("def test_it(soak):\n    soak.run()\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
        command += [f"--rootdir={folder}", f"--soak-iterations={iterations}", f"--soak-seed={seed}"]
        command += [f"--soak-dir={folder}/soak", *args]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MM_", "SOAK_"))}
        done = subprocess.run(  # noqa: S603 - our own command
            command, check=False, capture_output=True, text=True, env=environment, cwd=folder
        )
        gate = Path(folder) / "soak" / "latest" / "KPI_GATE.json"
        if not gate.exists():
            sys.exit(f"seed {seed}: no verdict\n{done.stdout}{done.stderr}")
        verdict: str = json.loads(gate.read_text(encoding="utf-8"))["verdict"]
    return verdict


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p of *better* against *worse* pairs, if either were as likely."""
    n = better + worse
    tail = sum(comb(n, k) for k in range(max(better, worse), n + 1)) / 2.0**n
    return min(1.0, 2 * tail)


def main() -> None:
    """Soak every case with every seed and print a line for each tuner."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--to", dest="last", type=int, default=10)
    parser.add_argument("--only", metavar="CASE", choices=CASES, help=", ".join(CASES))
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    seeds = range(args.first, args.last + 1)
    for case, given in CASES.items():
        if args.only not in {None, case}:
            continue
        print(f"{case}, {args.iterations} iterations, seeds {args.first} to {args.last}")
        good: dict[str, list[bool]] = {}
        for tuner, how in TUNERS.items():
            one = lambda seed, how=how, given=given: soak(seed, args.iterations, (*given, *how))  # noqa: E731
            with ThreadPoolExecutor(args.jobs) as pool:
                words = list(pool.map(one, seeds))
            good[tuner] = [word in GOOD for word in words]
            print(
                f"  {tuner:10} PASS or WARN {sum(good[tuner])} of {len(words)}, "
                f"PASS {words.count('PASS')}  {' '.join(words)}",
                flush=True,
            )
        for other in ("untuned", "the pack's"):
            pairs = list(zip(good["optuna"], good[other], strict=True))
            better, worse = pairs.count((True, False)), pairs.count((False, True))
            p = sign_test(better, worse)
            print(f"  optuna against {other}: better {better}, worse {worse}, p = {p:.3f}")


if __name__ == "__main__":
    main()
