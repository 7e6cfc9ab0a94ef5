"""Attacks pytest-soak with generated hostile inputs, and counts the outcomes.

    .venv/bin/python -m tests.fuzz.hostile [--inputs 100000] [--seed 0] [--kind KIND] [--round R]

Prints, for each kind of input, how many were tried and how they ended, and how often came what must
never come: a traceback, a damaged file, an unclear error, a broken promise. Exits 1 if any did. A
round follows from the seed, the kind and its number, so that what was found can be had again:
``--kind KIND --round R --inputs 1``. What each kind claims stands in its module.
"""

from __future__ import annotations

import argparse
import sys
from math import ceil

from tests.fuzz.harness import FINDINGS, Kind, Tally, attack
from tests.fuzz.journals import Journals
from tests.fuzz.overrides import Overrides
from tests.fuzz.packs import Packs
from tests.fuzz.reports import Reports
from tests.fuzz.settings import Runs, Settings
from tests.fuzz.states import States
from tests.fuzz.strategies import Answers
from tests.fuzz.texts import Texts

SHARES: dict[type[Kind], float] = {
    Overrides: 200,
    Reports: 300,
    States: 100,
    Answers: 100,
    Texts: 30,
    Packs: 100,
    Journals: 100,
    Settings: 100,
    Runs: 0.5,
}
"""The kinds of inputs, and the share of each in 1000."""


def share_of(kind: type[Kind], inputs: int) -> int:
    """Return how many of *inputs* inputs are of *kind*: its share, and 5 at least."""
    return max(5, ceil(inputs * SHARES[kind] / 1000))


def attack_all(seed: int, inputs: int) -> list[Tally]:
    """Attack with *inputs* inputs, each kind with its share of them."""
    return [attack(kind(), seed, share_of(kind, inputs)) for kind in SHARES]


def table(tallies: list[Tally]) -> str:
    """Return the outcomes as a table."""
    lines = [f"{'kind':12}{'inputs':>8}{'seconds':>9}  " + "  ".join(FINDINGS) + "  how it ended"]
    for tally in tallies:
        counts = "  ".join(f"{tally.count(what):>{len(what)}}" for what in FINDINGS)
        ended = ", ".join(f"{word} {n}" for word, n in sorted(tally.ended.items()))
        lines.append(f"{tally.name:12}{tally.inputs:>8}{tally.seconds:>9.1f}  {counts}  {ended}")
    total = "  ".join(f"{sum(t.count(what) for t in tallies):>{len(what)}}" for what in FINDINGS)
    seconds = sum(tally.seconds for tally in tallies)
    lines.append(f"{'all':12}{sum(t.inputs for t in tallies):>8}{seconds:>9.1f}  {total}")
    return "\n".join(lines)


def main() -> int:
    """Attack and print the outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[kind.name for kind in SHARES])
    parser.add_argument("--round", type=int, default=0)
    args = parser.parse_args()
    if args.kind:
        (kind,) = (kind for kind in SHARES if kind.name == args.kind)
        tallies = [attack(kind(), args.seed, args.inputs, args.round)]
    else:
        tallies = attack_all(args.seed, args.inputs)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a text stream
    print(table(tallies))
    found = [finding for tally in tallies for finding in tally.found]
    alike: dict[str, list[str]] = {}
    for name, what, detail in found:
        *_, place, _, last = ("", "", *detail.strip().splitlines())
        alike.setdefault(f"{what} {place} {last[:60]}", []).append(f"{name}: {what}\n{detail}")
    for same in sorted(alike.values(), key=len, reverse=True):
        print(f"\n{len(same)} like round {same[0]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
