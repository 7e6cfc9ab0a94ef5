"""Does tuning work?

python -m pytest_soak_market.bench [run] [--set development] [--tuner a,b] [--iterations 6,8]
python -m pytest_soak_market.bench search     # draw the regimes anew, with their oracles
python -m pytest_soak_market.bench measure    # the pack's [effects], from development regimes
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from . import regimes
from .arena import NONE, bench_pack, registry
from .measure import effects
from .oracle import search
from .table import run

if TYPE_CHECKING:
    from collections.abc import Sequence

MEASURED = 18
"""How many development regimes the effects come from: those that were known at the time."""
TUNERS = f"{NONE},iter-watcher,trigger-table,random,adaptive"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_soak_market.bench", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("do", nargs="?", choices=("run", "search", "measure"), default="run")
    sets = (regimes.DEVELOPMENT, regimes.HELD_OUT)
    parser.add_argument("--set", dest="which", choices=sets, default=regimes.DEVELOPMENT)
    parser.add_argument("--tuner", default=TUNERS, help="names, with commas between")
    parser.add_argument("--iterations", default="6,8", help="lengths of the chains, likewise")
    parser.add_argument("--seeds", type=int, default=1, help="chains in each regime")
    parser.add_argument("--regimes", type=int, default=None, help="only the first so many")
    parser.add_argument(
        "-p",
        dest="plugins",
        action="append",
        default=[],
        metavar="MODULE",
        help="a plugin that offers tuners",
    )
    parser.add_argument("--keep", type=int, default=20, help="search: regimes to keep of each set")
    given = parser.parse_args(arguments)
    if given.do == "search":
        search(bench_pack(), given.keep)
    elif given.do == "measure":
        print("\n".join(effects(bench_pack(), regimes.load(regimes.DEVELOPMENT)[:MEASURED])))
    else:
        lengths = [int(length) for length in given.iterations.split(",")]
        chosen = regimes.load(given.which)[: given.regimes]
        offers = registry(given.plugins)
        for line in run(offers, chosen, given.tuner.split(","), lengths, given.seeds):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
