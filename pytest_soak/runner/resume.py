"""Resuming a run: which one, from which iteration, and whether it is allowed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.config.request import Resume
from pytest_soak.errors import SoakUsageError, file_fault
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.artifacts import GATE, report_name
from pytest_soak.store.cell import cell_id, run_age, session_of
from pytest_soak.store.files import StoreError
from pytest_soak.store.folder import JOURNAL, RUNS, chains_in, refuse_busy, runs_in
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
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.request import SoakRequest
    from pytest_soak.runner.chain import Chain


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run of a chain that has begun.

    Args:
        run: Its id.
        chain: The folder of its chain.
        folder: The folder with its files: that of the chain, or one in ``runs``.
        settled: The last iteration in its journal.
        started: The record of its start.
        ended: Whether it has a verdict.
        over: Whether it has ended, its reports are written, and nothing follows in its journal.
    """

    run: str
    chain: Path
    folder: Path
    settled: int
    started: Mapping[str, Any]
    ended: bool
    over: bool

    @property
    def cell(self) -> str:
        """The id of its cell."""
        return cell_id(self.started["config"])

    def tests(self, plan: ChainPlan) -> bool:
        """Return whether it is of the test of *plan*, whatever its other settings."""
        return bool(self.started["config"].get("chain") == plan.name)

    def changed(self, plan: ChainPlan) -> list[str]:
        """Return one phrase for each setting of *plan* that is not the run's.

        The settings of a run that has ended may be those of its last resume, too. It stays compared
        with the runs that were found when it began.
        """
        now = _without_baseline(plan.describe())
        then = {**_without_baseline(self.started["config"]), "overrides": self.started["overrides"]}
        changed = differences(then, {**now, "overrides": plan.initial.overrides})
        return [] if changed and self.ended and self._last_resume() == (now, changed) else changed

    def _last_resume(self) -> tuple[Any, Any]:
        """Return the settings of the last resume, and what had changed by it, as recorded."""
        found: tuple[Any, Any] = None, None
        with suppress(StoreError):  # the journal is damaged, which is told when it is opened
            for record in stream_journal(self.folder / JOURNAL, healing=True):
                if record.get("kind") == "run_resumed":
                    config = _without_baseline(record.get("config") or {})
                    found = config, record.get("differences")
        return found


def _without_baseline(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "baseline"}


def earlier_run(chain: Path, folder: Path) -> EarlierRun | None:
    """Return the run of a *chain* whose files are in *folder*, or None if none has begun there."""
    first, last = first_and_last(folder / JOURNAL) or ({}, {})
    if first.get("kind") != "run_started":
        return None
    ended = says_ended(last)
    over = ended and (folder / GATE).exists() and not ends_torn(folder / JOURNAL)
    return EarlierRun(first["run"], chain, folder, last["iteration"], first, ended, over)


def earlier_runs(chain: Path) -> list[EarlierRun]:
    """Return every run in the folder of a *chain* that has begun, the newest first."""
    found = (earlier_run(chain, folder) for folder in runs_in(chain).values())
    return [run for run in found if run]


def newest_unfinished(chain: Path) -> EarlierRun | None:
    """Return the newest run in the folder of a *chain* that is not over, or None."""
    return next((run for run in earlier_runs(chain) if not run.over), None)


def runs_to_resume(soak_dir: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the runs that can be resumed, and those that can be told again.

    Read once, on the controller: a worker that joins late must resume the same runs, even if they
    have ended in the meantime.

    Returns:
        ``{chain's folder: run id}`` of the newest unfinished run in each folder that has one; and
        of the run in each other folder, which was begun or resumed last.
    """
    unfinished, ended = {}, {}
    for chain in chains_in(soak_dir):
        newest, last = newest_unfinished(chain), earlier_run(chain, chain)
        if newest:
            unfinished[chain.name] = newest.run
        elif last:
            ended[chain.name] = last.run
    return unfinished, ended


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


def resume_chains(chains: Iterable[Chain], request: SoakRequest) -> None:
    """Resume the newest unfinished run of every chain, if that was asked for.

    The chains of a pytest run belong together. If one of them is unfinished, those that had ended
    are told again without running, and those that had not begun begin in the same run. If none is,
    those that were begun or resumed last are told again, unless their settings were others.

    Raises:
        SoakUsageError: A journal cannot be read, or the settings are not those that the unfinished
            run was started with, and ``--soak-resume=force`` was not given.
    """
    planned = [(chain, chain.plan) for chain in chains if chain.plan]
    if not request.resume:
        for chain, plan in planned:
            chain.notes = _left_unfinished(plan, request.folder)
        return
    unfinished, ended = _read(request.unfinished, request), _read(request.ended, request)
    to_finish = {plan.name: _newest(unfinished, plan, request) for _, plan in planned}
    told = {plan.name: _newest(ended, plan, request, same=True) for _, plan in planned}
    going_on = any(to_finish.values())
    chosen = to_finish if going_on else told
    sessions = {session_of(run.run) for run in chosen.values() if run}
    session = max(sessions, key=run_age, default="")
    for chain, plan in planned:
        refuse_unreadable(request.folder / plan.slug)
        run = to_finish[plan.name] or _of_session(session, (*unfinished, *ended), plan, request)
        changed = run.changed(plan) if run else []
        if run and (going_on or not changed):
            _resume(chain, plan, run, changed, request)
        else:
            chain.plan = plan.identified(request.session if run or not session else session)
            chain.notes = _nothing_to_resume(chain.plan, unfinished, request.folder)


def _read(runs: Mapping[str, str], request: SoakRequest) -> list[EarlierRun]:
    """Return *runs*, ``{chain's folder: run id}``, as they are now."""
    found = []
    for name, run in runs.items():
        chain = request.folder / name
        places = (earlier_run(chain, folder) for folder in (chain, chain / RUNS / run))
        found += [there for there in places if there and there.run == run]
    return found


def _newest(
    runs: Iterable[EarlierRun], plan: ChainPlan, request: SoakRequest, *, same: bool = False
) -> EarlierRun | None:
    """Return the newest of *runs* that *plan* may resume; with the *same* settings only.

    It is of the plan's cell. By force it may be of another cell of the test.
    """
    force = request.resume is Resume.FORCE
    able = [run for run in runs if run.tests(plan) and (force or run.cell == plan.cell)]
    able = [run for run in able if not (same and run.changed(plan))]
    return max(able, key=lambda run: (run.cell == plan.cell, run_age(run.run)), default=None)


def _of_session(
    session: str, known: Iterable[EarlierRun], plan: ChainPlan, request: SoakRequest
) -> EarlierRun | None:
    """Return the run that *plan* may resume and that began in *session*, or None."""
    folders = {run.chain for run in known if run.tests(plan)}
    runs = (run for folder in folders for run in earlier_runs(folder))
    return _newest((run for run in runs if session_of(run.run) == session), plan, request)


def _left_unfinished(plan: ChainPlan, soak_dir: Path) -> list[str]:
    """Return the marker line of a new run that leaves an unfinished one behind, if it does."""
    unfinished = newest_unfinished(soak_dir / plan.slug)
    if unfinished is None or unfinished.run == plan.run_id:
        return []
    progress = f"RUN={unfinished.run} SETTLED={unfinished.settled}"
    return [f"| soak_resume | UNFINISHED | {progress} kept; resume it with --soak-resume |"]


def _nothing_to_resume(
    plan: ChainPlan, unfinished: Iterable[EarlierRun], soak_dir: Path
) -> list[str]:
    """Return the marker lines of a new run that begins as there is none to resume."""
    if plan.run_id in runs_in(soak_dir / plan.slug):  # another worker has begun it
        return []
    lines = ["| soak_resume | NONE | no unfinished run, a new one starts |"]
    for run in unfinished:
        if run.tests(plan):
            progress = f"RUN={run.run} SETTLED={run.settled}"
            settings = f"has other settings ({'; '.join(run.changed(plan))})"
            lines.append(
                f"| soak_resume | OTHER | {progress} {settings}; --soak-resume=force resumes it |"
            )
    return lines


def _resume(
    chain: Chain, plan: ChainPlan, run: EarlierRun, changed: list[str], request: SoakRequest
) -> None:
    """Let *chain* go on with a *run*, or tell its verdict again if it has ended."""
    if run.chain.name != plan.slug:
        refuse_unreadable(run.chain)
    try:
        records = check_run(run.chain, run.run)
    except (JournalError, OSError) as error:
        msg = f"--soak-resume: {file_fault(error)}"
        raise SoakUsageError(msg) from None
    if changed and request.resume is not Resume.FORCE:
        msg = (
            f"--soak-resume: run {run.run} of {plan.name} was started with other settings: "
            f"{'; '.join(changed)}; allowed: the same settings, or --soak-resume=force"
        )
        raise SoakUsageError(msg)
    # A late worker would find the lock of another worker of this pytest run.
    if run.chain.name != plan.slug and not request.late:
        refuse_busy(run.chain)
    chain.plan = replace(
        plan,
        cell=run.cell,
        slug=run.chain.name,
        run_id=run.run,
        resumed=True,
        settled=run.settled,
        differences=tuple(changed),
        compared=run.started["config"].get("baseline"),
    )
    chain.resumed, chain.told = run.settled, run.ended and not changed
    progress = f"RUN={run.run} SETTLED={run.settled}"
    if chain.told:
        chain.notes = [f"| soak_resume | ENDED | {progress} its verdict is told again |"]
        return
    forced = f" FORCED={';'.join(changed)}" if changed else ""
    chain.notes = [f"| soak_resume | OK | {progress}{forced} |"]
    lost = run.folder / report_name(run.settled + 1)
    if lost.exists():
        line = f"| soak_resume | DAMAGE | {lost.name} is of an iteration without a record |"
        chain.notes.append(line)
    untold = untold_test(records)
    if untold:
        what = f"ITER={untold} nothing tells whether its test passed; it runs again on the record"
        chain.notes.append(f"| soak_resume | UNKNOWN | {what} |")
    chain.resumed -= bool(untold)
