"""Marker lines: one line for each action, for people and for grep in CI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.engine.controller import RECOMMEND_ONLY
from pytest_soak.model.mode import Mode
from pytest_soak.model.safe_repr import one_line, printable
from pytest_soak.store.artifacts import MANUAL_OVERRIDE, OVERRIDES, PROFILE
from pytest_soak.views.protocol import View
from pytest_soak.views.screen import Screen
from pytest_soak.views.text import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pytest

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.engine.strategies import Proposed
    from pytest_soak.model.chain import ChainVerdict
    from pytest_soak.model.decision import Change, Notice, Rollback
    from pytest_soak.model.pack import Pack
    from pytest_soak.store.store import ChainStore

SELF_CHECKED = 2
"""In how many iterations, from the first, the overrides file is read back and shown."""
LONGEST = 1000
"""How many characters of a line are shown."""
MOST = 200
"""How many lines one item shows."""


class Markers(View):
    """Marker lines on the terminal, as soon as the report of their item arrives."""

    name = "markers"
    _screen: Screen | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find the terminal, if there is one."""
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        self._screen = Screen(reporter) if reporter else None

    def opened(self, loop: SoakLoop, notes: Sequence[str]) -> Sequence[str]:
        """Return the lines of a chain's start."""
        return [*started(loop.plan, loop.store), *notes]

    def ran(self, loop: SoakLoop, result: IterationResult) -> Sequence[str]:
        """Return the lines of one iteration."""
        return [*iteration(loop.plan, result, loop.store.readback), *progress(loop)]

    def repeated(self, loop: SoakLoop, result: IterationResult) -> Sequence[str]:
        """Return the line that says that nothing was applied again."""
        del loop
        return again(result) if result.applied else ()

    def judged(self, loop: SoakLoop, verdict: ChainVerdict, *, again: bool) -> Sequence[str]:
        """Return the lines of a chain's end; they are shown once."""
        return () if again else [*deadline(loop), *gate(loop.plan, verdict)]

    def show(self, nodeid: str, parts: Sequence[str]) -> None:
        """Write the lines, each at the beginning of a line, below the name of their item."""
        screen = self._screen
        if screen is None:
            return
        screen.break_line()
        if screen.reporter.verbosity <= 0:
            screen.write(nodeid)
        for line in parts[:MOST]:
            screen.write(line if len(line) <= LONGEST else f"{line[:LONGEST]}…")
        if len(parts) > MOST:
            screen.write(f"  ... {len(parts) - MOST} more lines")
        screen.reporter.flush()  # a log in CI must show them now, not an iteration later


def started(plan: ChainPlan, store: ChainStore) -> list[str]:
    """Return the lines of a chain's start: profile, given overrides, and their file."""
    lines = [
        f"| profile_apply | OK | PROFILE={plan.profile.name} |",
        f"| runtime_overrides | OK | SOURCE={plan.initial.source} |",
    ]
    for name, field in sorted(plan.initial.fields.items()):
        if field.given != field.value:
            lines.append(
                f"| runtime_override | CLAMP | FIELD={name} FROM={number(field.given)} "
                f"TO={number(field.value)} |"
            )
        lines.append(_adjust(name, field.base, field.value, MANUAL_OVERRIDE))
    if plan.safe:
        # Which secrets a fixture's system declares is known only when it runs.
        runs = "runs" if plan.system else "may run"
        lines.append(f"| safe_mode | ON | SYSTEM={plan.system_name} {runs} without its secrets |")
    if store.put_back:
        lines.append(f"| runtime_overrides | PUT_BACK | {one_line(store.put_back)} |")
    lines += _baseline(plan.compared)
    lines.append(f"| save_applied_profile | OK | {store.folder / PROFILE} |")
    return lines


def _baseline(compared: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the lines that say which runs the chain's run is compared with."""
    if compared is None:
        return
    told = f"SOURCE={one_line(compared['source'])}"
    if compared["level"]:
        told += f" LEVEL={compared['level']['run']}"
    told += f" RUNS={len(compared['runs'])}"
    if compared["why"]:
        yield f"| soak_baseline | NONE | {told} {one_line(compared['why'])} |"
    else:
        yield f"| soak_baseline | OK | {told} LAST={compared['runs'][-1]['run']} |"
    for run in compared["left_out"]:
        yield f"| soak_baseline | LEFT_OUT | RUN={run['run']} {one_line(run['why'])} |"


def iteration(
    plan: ChainPlan, result: IterationResult, readback: Callable[[], Mapping[str, float]]
) -> list[str]:
    """Return the lines of one iteration.

    Args:
        plan: The chain's plan.
        result: The iteration's result.
        readback: Reads the overrides from their file.
    """
    problems = [one_line(str(problem)) for problem in result.summary.problems]
    lines = [f"| soak_iter | INCONCLUSIVE | {problem} |" for problem in problems]
    if plan.mode is Mode.OFF:
        return lines
    for proposed in result.proposed:
        if proposed.announce:
            lines += _tune(plan.pack, result, proposed)
    if not result.proposed:
        unasked = (plan.pack.tables.get(tuner.name) for tuner in plan.tuners)
        reason = result.decision.skip_reason
        lines += [
            f"| soak_iter_tune | SKIP | REASON={reason} |" for t in unasked if t and t.announce
        ]
    back = result.decision.rollback
    if result.applied and back is not None:
        lines += _rolled_back(result, back, readback())
    elif result.applied:
        moves = result.decision.moves
        lines += [_adjust(c.parameter, c.old, c.new, c.reason) for c in moves]
        lines.append(f"| iter_watch | APPLY | iter={result.iteration} params={len(moves)} |")
        lines += map(_change, result.decision.changes)
    else:
        reason = result.decision.skip_reason or "no deltas"
        lines.append(f"| iter_watch | APPLY | SKIP | iter={result.iteration} {reason} |")
        if result.decision.skip_reason in ("", RECOMMEND_ONLY):
            lines += map(_change, result.decision.changes)
    lines += _vetoes(result)
    if result.iteration <= SELF_CHECKED and not result.summary.in_window and back is None:
        lines += _self_check(result, readback())
    lines += (_notice(result.iteration, notice) for notice in result.decision.notices)
    return [printable(line) for line in lines]


def gate(plan: ChainPlan, verdict: ChainVerdict) -> list[str]:
    """Return the lines of a chain's end: no more changes, and the verdict."""
    lines = []
    if plan.mode is Mode.APPLY:
        lines.append("| iter_watch | SUMMARY | steady apply complete |")
    words = []
    if verdict.reasons:
        words.append(f"REASONS={one_line(','.join(verdict.reasons))}")
    if verdict.unverified:
        words.append(f"UNVERIFIED={','.join(map(str, verdict.unverified))}")
    details = f" {' '.join(words)} |" if words else ""
    lines.append(f"| kpi_gate | {verdict.verdict.name} |{details}")
    return lines


def progress(loop: SoakLoop) -> list[str]:
    """Return the progress line of an hours run; none for a run by count."""
    if loop.pace is None:
        return []
    minutes, seconds = divmod(round(loop.pace.left(loop.done)), 60)
    left = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    done = f"DONE={loop.done}/{loop.plan.planned}"
    return [f"| soak_progress | {loop.controller.standing.name} | {done} LEFT={left} |"]


def deadline(loop: SoakLoop) -> list[str]:
    """Return the line of the slots dropped at the deadline, if there were any."""
    if loop.pace is None or not loop.pace.dropped:
        return []
    return [f"| soak_hours | DEADLINE | DROPPED={loop.pace.dropped} OF={loop.plan.planned} |"]


def again(result: IterationResult) -> list[str]:
    """Return the line of an item that ran again after its iteration was recorded."""
    return [f"| iter_watch | APPLY | SKIP | iter={result.iteration} already_applied=true |"]


def _adjust(name: str, old: float, new: float, reason: str) -> str:
    return (
        f"| runtime_adjust | OK | FIELD={name} FROM={number(old)} TO={number(new)} "
        f"REASON={reason} |"
    )


def _tune(pack: Pack, result: IterationResult, proposed: Proposed) -> Iterable[str]:
    """Yield the lines of a trigger table: what it did, and the metrics it used."""
    skipped = result.decision.skip_reason
    if skipped:
        yield f"| soak_iter_tune | SKIP | REASON={skipped} |"
        return
    withheld = proposed.proposal.withheld
    multi_fail = pack.tables[proposed.tuner].multi_fail if proposed.tuner in pack.tables else None
    if multi_fail and multi_fail.reason in withheld:
        yield f"| soak_iter_tune | SKIP | REASON={multi_fail.reason} |"
        withheld = withheld[1:]
    done = [change for change in result.decision.moves if change.tuner == proposed.tuner]
    if not done:
        why = "metrics_stable"
        if proposed.requests:
            own = [c for c in result.decision.changes if c.tuner == proposed.tuner]
            why = "held_at_bounds" if own else "not_taken"
        yield f"| soak_iter_tune | OK | ADJUSTMENTS=0 {why} |"
    else:
        shown = (f" {_metric(pack, result, name)}" for name in pack.marker)
        yield f"| soak_iter_tune | OK | ADJUSTMENTS={len(done)}{''.join(shown)} |"
    yield from (f"  - {reason}" for reason in proposed.proposal.reasons)
    yield from (f"  - withheld: {reason}" for reason in withheld)


def _metric(pack: Pack, result: IterationResult, name: str) -> str:
    metric = pack.metric(name)
    value = result.summary.metrics.get(name)
    shown = f"{value:.{metric.digits}f}" if isinstance(value, int | float) else "none"
    return f"{metric.label}={shown}"


def _change(change: Change) -> str:
    cut = "" if change.effective == change.requested else f" requested={change.requested:+.10g}"
    note = f" [{change.note}]" if change.note else ""
    moved = f"{number(change.old)} → {number(change.new)} (Δ={change.effective:+.10g}{cut})"
    return f"  {change.parameter}: {moved}{note}"


def _vetoes(result: IterationResult) -> Iterable[str]:
    """Yield what guards stopped for single parameters; the skip reason is shown elsewhere."""
    for veto in result.decision.vetoes:
        if veto.parameter:
            detail = f" {veto.detail}" if veto.detail else ""
            yield (
                f"| soak_guard | {veto.reason.upper()} | iter={result.iteration} "
                f"FIELD={veto.parameter}{detail} |"
            )


def _notice(iteration: int, notice: Notice) -> str:
    """Return the line of a guard's notice."""
    words = [f"iter={iteration}"]
    words += [f"FIELD={notice.parameter}"] if notice.parameter else []
    words += [notice.detail] if notice.detail else []
    return f"| soak_guard | {notice.reason.upper()} | {' '.join(words)} |"


def _rolled_back(
    result: IterationResult, back: Rollback, readback: Mapping[str, float]
) -> Iterable[str]:
    """Yield what a rollback did, and what the overrides file then holds."""
    why = f"{back.guard} to iteration {back.to_iteration}"
    restored = result.decision.restored
    yield from (_adjust(name, old, new, why) for name, (old, new) in restored.items())
    yield (
        f"| {back.guard} | OK | iter={result.iteration} TO={back.to_iteration} "
        f"params={len(restored)} {back.detail} |"
    )
    for name, (old, new) in restored.items():
        yield f"  {name}: {number(old)} → {number(new)}"
    yield from _self_check(result, readback)


def _self_check(result: IterationResult, readback: Mapping[str, float]) -> Iterable[str]:
    """Yield the patch, with the values that the overrides file really holds."""
    yield f"| iter_watch | SELF_CHECK | Diff for {OVERRIDES} (iter {result.iteration}) |"
    for operation in result.patch:
        field = operation["path"].removeprefix("/")
        there = "missing" if field not in readback else number(readback[field])
        yield f"  {operation['op']} {operation['path']} {there}"
    if not result.patch:
        yield "  no difference"
