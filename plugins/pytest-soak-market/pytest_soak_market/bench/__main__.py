"""Does tuning work?

python -m pytest_soak_market.bench [run] [--set development] [--tuner a,b] [--iterations 6,8]
python -m pytest_soak_market.bench search     # draw new regimes, with their oracles
python -m pytest_soak_market.bench bounded    # the oracle within the guard `budget`
python -m pytest_soak_market.bench measure    # the pack's [effects], from development regimes
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_soak import SoakUsageError

from . import regimes
from .arena import NONE, bench_pack, plan, registry
from .measure import effects
from .oracle import bounded, search
from .table import run

if TYPE_CHECKING:
    from collections.abc import Sequence

KEEP = {regimes.DEVELOPMENT: 45, regimes.HELD_OUT: 40}
"""The number of regimes in each set."""
MEASURED = 18
"""The number of development regimes that the effects were measured in: all that existed then."""
TUNERS = f"{NONE},iter-watcher,trigger-table,random,adaptive"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_soak_market.bench", description=(__doc__ or "").splitlines()[0]
    )
    commands = ("run", "search", "bounded", "measure")
    parser.add_argument("do", nargs="?", choices=commands, default="run")
    sets = (regimes.DEVELOPMENT, regimes.HELD_OUT)
    parser.add_argument("--set", dest="which", choices=sets, default=regimes.DEVELOPMENT)
    parser.add_argument("--tuner", default=TUNERS, help="names, with commas between")
    parser.add_argument(
        "--iterations", type=lengths, default="6,8", help="lengths of the chains, likewise"
    )
    parser.add_argument("--seeds", type=at_least_one, default=1, help="chains in each regime")
    parser.add_argument("--regimes", type=at_least_one, help="only the first so many")
    parser.add_argument("--skip", type=at_least_one, help="of those, not the first so many")
    parser.add_argument(
        "-p",
        dest="plugins",
        action="append",
        default=[],
        metavar="MODULE",
        help="a plugin that offers tuners",
    )
    parser.add_argument("--keep", type=int, help="search: regimes to keep of each set")
    given = parser.parse_args(arguments)
    if given.do == "search":
        search(bench_pack(), KEEP if given.keep is None else dict.fromkeys(KEEP, given.keep))
    elif given.do == "measure":
        print("\n".join(effects(bench_pack(), regimes.load(regimes.DEVELOPMENT)[:MEASURED])))
    else:
        chosen, tuners = regimes.load(given.which)[: given.regimes], given.tuner.split(",")
        if given.skip and given.skip >= len(chosen):
            parser.error(f"argument --skip: {given.skip}; allowed: fewer than {len(chosen)}")
        chosen = chosen[given.skip :]
        if given.do == "bounded":
            for length in given.iterations:
                print(f"{length} iterations: {bounded(bench_pack(), chosen, length)}", flush=True)
            return 0
        try:
            offers = registry(given.plugins)
        except Exception as error:  # noqa: BLE001 - a user's module may raise anything
            parser.error(f"argument -p: {str(error.__cause__ or error).partition(chr(10))[0]}")
        try:  # before anything runs
            for tuner, length in product(tuners, given.iterations):
                plan(offers, chosen[0], tuner, length, 1, Path())
        except SoakUsageError as error:
            parser.error(str(error))
        for line in run(offers, chosen, tuners, given.iterations, given.seeds):
            print(line, flush=True)
    return 0


def at_least_one(text: str) -> int:
    """Parse a count."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        msg = f"{text!r}; allowed: a whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return number


def lengths(text: str) -> list[int]:
    """Parse lengths of chains, separated by commas."""
    return [at_least_one(length) for length in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
