"""Going on with a run that was broken off: which one, from where, and whether it may be."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SoakUsageError
from pytest_soak.options import Resume
from pytest_soak.store.folder import JOURNAL, runs_in
from pytest_soak.store.journal import first_and_last

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.options import SoakRequest
    from pytest_soak.plan import ChainPlan


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run without its end.

    Args:
        run: Its id.
        settled: The last iteration in its journal.
        started: The record of its start.
    """

    run: str
    settled: int
    started: Mapping[str, Any]


def newest_unfinished(folder: Path) -> Unfinished | None:
    """Return the newest run in the chain's *folder* that has no end, or None."""
    for run, place in runs_in(folder).items():
        first, last = first_and_last(place / JOURNAL) or ({}, {})
        over = last.get("kind") == "run_ended" or last.get("ended")
        if first.get("kind") == "run_started" and not over:
            return Unfinished(run, last["iteration"], first)
    return None


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one phrase for each setting that is not what it was: ``seed: 0 then, 1 now``."""
    return [
        f"{key}: {json.dumps(then.get(key))} then, {json.dumps(now.get(key))} now"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]


def resume_chain(plan: ChainPlan, request: SoakRequest) -> tuple[ChainPlan, int, list[str]]:
    """Return the plan of the run to go on with, its last settled iteration, and what to tell.

    Raises:
        SoakUsageError: The configuration is not the one the run was started with, and
            ``--soak-resume=force`` was not given.
    """
    unfinished = newest_unfinished(request.folder / plan.slug)
    if unfinished is None or unfinished.run == plan.run_id:
        told = ["| soak_resume | NONE | no unfinished run, a new one starts |"]
        return plan, 0, told if request.resume and unfinished is None else []
    progress = f"RUN={unfinished.run} SETTLED={unfinished.settled}"
    if not request.resume:
        line = f"| soak_resume | UNFINISHED | {progress} kept; go on with it: --soak-resume |"
        return plan, 0, [line]
    then = {**unfinished.started["config"], "overrides": unfinished.started["overrides"]}
    changed = differences(then, {**plan.describe(), "overrides": plan.seeding.overrides})
    if changed and request.resume is not Resume.FORCE:
        msg = (
            f"--soak-resume: run {unfinished.run} of {plan.name} was started otherwise: "
            f"{'; '.join(changed)}; allowed: the same settings, or --soak-resume=force"
        )
        raise SoakUsageError(msg)
    plan = replace(plan, run_id=unfinished.run, resumed=True, differences=tuple(changed))
    forced = f" FORCED={';'.join(changed)}" if changed else ""
    return plan, unfinished.settled, [f"| soak_resume | OK | {progress}{forced} |"]
