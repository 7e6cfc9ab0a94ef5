"""The states that `run` of a system returns, and the pair with the report.

Claim: a state that is plain JSON is kept and given back as it was; anything else is refused by a
`StrategyFault` that names the system, and the iteration can be had again with a lawful one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.model.safe_repr import safe_repr
from tests.fuzz import values
from tests.fuzz.chains import asked, core, planned, records
from tests.fuzz.harness import promised, taught
from tests.fuzz.reports import Returns, healthy, taken_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

BATCH = 8


def returned(random: Random, report: dict[str, Any]) -> object:
    """Return a pair with a hostile state, or something that is no pair."""
    pick = random.random()
    if pick < 0.5:
        return report, values.anything(random)
    if pick < 0.8:
        return report, values.json_value(random)
    if pick < 0.9:
        return values.anything(random)
    odd = (report, (report,), (report, None, None), [report, None], values.DictLike(report))
    return random.choice(odd)


class States:
    """States and pairs from a hostile system."""

    name = "states"

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        request = asked(root, iterations=BATCH + 2)
        plan = planned(request, own=True)
        loop = SoakLoop(plan, core(), request.folder)
        system = Returns()
        try:
            for iteration in range(1, BATCH + 1):
                report = healthy(plan, plan.effective(loop.store.overrides), iteration)
                system.answer = returned(random, report)
                try:
                    loop.run(iteration, system)
                except StrategyFault as fault:
                    taught(str(fault), "system fixture", "run() returned")
                    promised(kept=loop.done == iteration - 1, promise="refused, yet recorded")
                    system.answer = (report, {"at": iteration})
                    loop.run(iteration, system)
                    yield "refused"
                else:
                    yield "accepted"
                kept(loop, iteration, system.answer)
        finally:
            loop.close()
        taken_up(loop, SoakLoop(plan, core(), request.folder))


def spelt(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def kept(loop: SoakLoop, iteration: int, answer: object) -> None:
    """Check that the state in *answer* is what the store would return."""
    assert isinstance(answer, tuple)
    digest = records(loop.store.folder)[-1]["system_state"]
    back = loop.store.load_state(iteration, digest)
    given = answer[1]
    promised(
        kept=spelt(back) == spelt(given), promise=f"{safe_repr(given)} became {safe_repr(back)}"
    )
