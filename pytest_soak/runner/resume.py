"""Resuming an unfinished run: which one, from which iteration, and whether it is allowed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.config.request import Resume
from pytest_soak.errors import SoakUsageError, file_fault
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.artifacts import GATE, report_name
from pytest_soak.store.folder import JOURNAL, chains_in, run_age, runs_in
from pytest_soak.store.journal import (
    JournalError,
    ends_torn,
    first_and_last,
    has_line,
    says_ended,
    stream_journal,
    untold_test,
)
from pytest_soak.verify.load import check_run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.request import SoakRequest
    from pytest_soak.runner.chain import Chain


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run of a chain that has begun.

    Args:
        run: Its id.
        settled: The last iteration in its journal.
        started: The record of its start.
        over: Whether it has ended, its reports are written, and nothing follows in its journal.
    """

    run: str
    settled: int
    started: Mapping[str, Any]
    over: bool


def earlier_runs(folder: Path) -> list[EarlierRun]:
    """Return every run in the chain's *folder* that has begun, the newest first."""
    found = []
    for run, place in runs_in(folder).items():
        first, last = first_and_last(place / JOURNAL) or ({}, {})
        if first.get("kind") == "run_started":
            over = says_ended(last) and (place / GATE).exists() and not ends_torn(place / JOURNAL)
            found.append(EarlierRun(run, last["iteration"], first, over))
    return found


def newest_unfinished(folder: Path) -> EarlierRun | None:
    """Return the newest run in the chain's *folder* that is not over, or None."""
    return next((run for run in earlier_runs(folder) if not run.over), None)


def unfinished_runs(soak_dir: Path) -> dict[str, str]:
    """Return the newest unfinished run of each chain that has one, ``{chain's folder: run id}``.

    Read once, on the controller: a worker that joins late must resume the same runs, even if they
    have ended in the meantime.
    """
    found = ((folder.name, newest_unfinished(folder)) for folder in chains_in(soak_dir))
    return {name: unfinished.run for name, unfinished in found if unfinished}


def refuse_unreadable(folder: Path) -> None:
    """Refuse to resume if the newest run's journal does not say which run it is of.

    A run that was killed before its first record was complete has no reports; it is not refused.

    Raises:
        SoakUsageError: The journal does not say it. To resume an older run, or to start a new one,
            would not be what was asked for.
    """
    path = folder / JOURNAL
    first, _ = first_and_last(path) or ({}, {})
    try:
        whole = bool(first) or has_line(path)
    except OSError as error:
        msg = f"--soak-resume: {file_fault(error)}"
        raise SoakUsageError(msg) from None
    reports = sorted(folder.glob(report_name("*")))
    if first.get("kind") == "run_started" or not (whole or reports):
        return
    found = "its first or its last line is no record"
    if not whole:
        found = f"has not even a first record, and {reports[0].name} lies beside it"
    msg = f"--soak-resume: {path}: {found}; without --soak-resume a new run puts it aside"
    raise SoakUsageError(msg)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one phrase for each setting that has changed: ``seed: 0 then, 1 now``."""
    return [
        f"{safe_text(key)}: {safe_text(json.dumps(then.get(key)))} then, "
        f"{safe_text(json.dumps(now.get(key)))} now"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]


def resume_chains(chains: Collection[Chain], request: SoakRequest) -> None:
    """Resume the newest unfinished run of every chain, if that was asked for.

    The chains of a pytest run belong together. If one of them is unfinished, those that had ended
    are reported again without running, and those that had not begun begin in the same run.

    Raises:
        SoakUsageError: As for `resume_chain`.
    """
    slugs = [chain.plan.slug for chain in chains if chain.plan]
    newest = max((request.unfinished.get(slug, "") for slug in slugs), key=run_age, default="")
    for chain in chains:
        if chain.plan:
            run = request.unfinished.get(chain.plan.slug, newest)
            chain.plan, chain.resumed, chain.notes = resume_chain(chain.plan, request, run)


def resume_chain(
    plan: ChainPlan, request: SoakRequest, run_id: str
) -> tuple[ChainPlan, int, list[str]]:
    """Return the plan of the run to resume, the last iteration not to run, and marker lines.

    Args:
        plan: The chain's plan, for a run of its own.
        request: What was asked for.
        run_id: The run to resume; empty if there is none.

    Raises:
        SoakUsageError: The configuration is not the one the run was started with, and
            ``--soak-resume=force`` was not given; or the journal or state to resume is damaged.
    """
    folder = request.folder / plan.slug
    if not request.resume:
        unfinished = newest_unfinished(folder)
        if unfinished is None or unfinished.run == plan.run_id:
            return plan, 0, []
        progress = f"RUN={unfinished.run} SETTLED={unfinished.settled}"
        line = f"| soak_resume | UNFINISHED | {progress} kept; resume it with --soak-resume |"
        return plan, 0, [line]
    refuse_unreadable(folder)
    begun = {earlier.run: earlier for earlier in earlier_runs(folder)}
    if run_id not in begun:
        none = ["| soak_resume | NONE | no unfinished run, a new one starts |"]
        return replace(plan, run_id=run_id or plan.run_id), 0, [] if plan.run_id in begun else none
    unfinished = begun[run_id]
    try:
        check_run(folder, run_id)
    except (JournalError, OSError) as error:
        msg = f"--soak-resume: {file_fault(error)}"
        raise SoakUsageError(msg) from None
    progress = f"RUN={unfinished.run} SETTLED={unfinished.settled}"
    then = {**unfinished.started["config"], "overrides": unfinished.started["overrides"]}
    changed = differences(then, {**plan.describe(), "overrides": plan.initial.overrides})
    if changed and request.resume is not Resume.FORCE:
        msg = (
            f"--soak-resume: run {unfinished.run} of {plan.name} was started with other settings: "
            f"{'; '.join(changed)}; allowed: the same settings, or --soak-resume=force"
        )
        raise SoakUsageError(msg)
    plan = replace(plan, run_id=unfinished.run, resumed=True, differences=tuple(changed))
    forced = f" FORCED={';'.join(changed)}" if changed else ""
    notes = [f"| soak_resume | OK | {progress}{forced} |"]
    lost = folder / report_name(unfinished.settled + 1)
    if lost.exists():
        notes.append(f"| soak_resume | DAMAGE | {lost.name} is of an iteration without a record |")
    untold = untold_test(stream_journal(runs_in(folder)[unfinished.run] / JOURNAL, healing=True))
    if untold:
        what = f"ITER={untold} nothing tells whether its test passed; it runs again on the record"
        notes.append(f"| soak_resume | UNKNOWN | {what} |")
    return plan, unfinished.settled - bool(untold), notes
