"""Decisions: what became of the proposals on their way through the guards."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_soak.model.metrics import is_number
from pytest_soak.model.parameters import Bounds, Corridor, Note, Parameter, step
from pytest_soak.model.shown import brief, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.history import History, Summary
    from pytest_soak.model.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Request:
    """One tuner's wish for one parameter."""

    tuner: str
    parameter: str
    delta: float
    corridor: Corridor
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to one parameter.

    Args:
        parameter: Its name.
        old: The effective value before.
        requested: The increment that the tuner asked for.
        effective: The increment that is left; equal to *requested* until a guard cuts it.
        new: The value after, always ``old + effective``.
        note: What the clamp did: cap, floor, hold or nothing.
        reason: The tuner's reason.
        tuner: Who asked.
        corridor: The corridor that the tuner declared.
    """

    parameter: str
    old: float
    requested: float
    effective: float
    new: float
    note: Note
    reason: str
    tuner: str
    corridor: Corridor


@dataclass(frozen=True, slots=True)
class Veto:
    """A guard's word: what it stopped, and its enumerated reason."""

    guard: str
    reason: str
    parameter: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a guard has to tell where it stopped nothing: a warning, or a step it made smaller."""

    guard: str
    reason: str
    parameter: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rollback:
    """A return to the parameters of an earlier iteration of the run, all of them at once.

    No tuner asked for it, so no clamp, corridor or budget has a say; what it may do is told by
    `rollback_fault` alone.

    Args:
        guard: The rule that made it.
        to_iteration: The iteration whose overrides are to be in force again.
        parameters: The effective parameters of that iteration.
        detail: Why, with figures.
    """

    guard: str
    to_iteration: int
    parameters: Mapping[str, float]
    detail: str = ""

    def __post_init__(self) -> None:
        """Make the parameters read-only."""
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True, slots=True)
class Decision:
    """The deltas of one iteration, from request to what is left of them.

    Args:
        iteration: The iteration after which it was taken.
        parameters: The effective parameters it was taken on.
        requests: Everything that tuners asked for.
        changes: What is left, one entry a parameter; those held by the clamp stay listed.
        vetoes: What guards stopped.
        skip_reason: Why nothing at all is changed, or an empty string.
        asked: ``{parameter: delta}``: what the requests came to before any guard said no to it,
            so that a guard can tell what was asked for earlier and never applied.
        notices: What guards have to tell besides.
        rollback: The return to earlier parameters that takes the place of all changes, if any.
    """

    iteration: int
    parameters: Mapping[str, float] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()
    changes: tuple[Change, ...] = ()
    vetoes: tuple[Veto, ...] = ()
    skip_reason: str = ""
    asked: Mapping[str, float] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    rollback: Rollback | None = None

    def __post_init__(self) -> None:
        """Make the mappings read-only: a guard or a tuner cannot move where a step starts."""
        for name in ("parameters", "asked"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def moves(self) -> tuple[Change, ...]:
        """The changes that really move a value."""
        return tuple(change for change in self.changes if change.effective)

    def skip(self, guard: str, reason: str, detail: str = "") -> Decision:
        """Return the decision with every change stopped, for *reason*."""
        veto = Veto(guard, reason, detail=detail)
        first = self.skip_reason or reason
        return replace(self, changes=(), vetoes=(*self.vetoes, veto), skip_reason=first)

    def veto(self, guard: str, parameter: str, reason: str, detail: str = "") -> Decision:
        """Return the decision with the change of *parameter* stopped, for *reason*."""
        return replace(
            self,
            changes=tuple(change for change in self.changes if change.parameter != parameter),
            vetoes=(*self.vetoes, Veto(guard, reason, parameter, detail)),
        )

    def notice(self, guard: str, reason: str, parameter: str = "", detail: str = "") -> Decision:
        """Return the decision with a word of *guard* that stops nothing."""
        return replace(self, notices=(*self.notices, Notice(guard, reason, parameter, detail)))

    def cut(self, guard: str, parameter: Parameter, delta: float, detail: str) -> Decision:
        """Return the decision with the step of *parameter* made *delta*, for the reason *guard*.

        A step of which nothing is left on the parameter's grid is stopped, with that reason.

        Args:
            guard: Who cuts, which is also the reason.
            parameter: Whose change to cut; it must be among the changes.
            delta: The step that may remain, in the parameter's unit.
            detail: Why, with figures.
        """
        (old,) = (change for change in self.changes if change.parameter == parameter.name)
        stepped = step(parameter, parameter.corridor(old.corridor), old.old, delta)
        if not stepped.delta:
            return self.veto(guard, parameter.name, guard, detail)
        cut = replace(old, effective=stepped.delta, new=stepped.new, note=stepped.note)
        changes = tuple(cut if change is old else change for change in self.changes)
        told = f"{old.effective:+.10g} cut to {cut.effective:+.10g}: {detail}"
        return replace(self, changes=changes).notice(guard, guard, parameter.name, told)

    def roll_back(self, guard: str, good: Summary, detail: str) -> Decision:
        """Return the decision to go back to the parameters of *good*; every change is stopped."""
        back = Rollback(guard, good.iteration, good.parameters, detail)
        return replace(self.skip(guard, guard, detail), rollback=back)

    @property
    def undone(self) -> dict[str, tuple[float, float]]:
        """What the rollback changes: ``{parameter: (value before, value after)}``."""
        if self.rollback is None:
            return {}
        return {
            name: (self.parameters[name], value)
            for name, value in sorted(self.rollback.parameters.items())
            if self.parameters[name] != value
        }

    @property
    def moved(self) -> dict[str, tuple[float, float]]:
        """What gets another value, by a change or by the rollback: ``{parameter: (old, new)}``."""
        return {**{one.parameter: (one.old, one.new) for one in self.moves}, **self.undone}

    @property
    def touched(self) -> tuple[str, ...]:
        """The parameters that get another value, by a change or by a rollback."""
        return tuple(self.moved)

    def overrides(self, before: Mapping[str, float]) -> dict[str, float]:
        """Return the overrides after this decision, given those *before* it."""
        return {**before, **{change.parameter: change.new for change in self.moves}}


def request(tuner: str, proposal: Proposal, corridor: Corridor) -> tuple[Request, ...]:
    """Return a tuner's *proposal* as requests, in the order of the parameters' names."""
    return tuple(
        Request(tuner, name, delta, corridor, proposal.reason(name))
        for name, delta in sorted(proposal.deltas.items())
        if delta
    )


def take(wish: Request, parameter: Parameter, old: float) -> Change:
    """Return what *wish* comes to when it passes the one clamp of its tuner's corridor."""
    stepped = step(parameter, parameter.corridor(wish.corridor), old, wish.delta)
    return Change(
        parameter=wish.parameter,
        old=old,
        requested=wish.delta,
        effective=stepped.delta,
        new=stepped.new,
        note=stepped.note,
        reason=wish.reason,
        tuner=wish.tuner,
        corridor=wish.corridor,
    )


def breach(change: Change, parameter: Parameter, effective: float) -> str:
    """Return how *change* breaks the promise of the clamp, or an empty string.

    The last check before anything is written; no guard and no tuner can talk its way past it.

    Args:
        change: What is about to be applied.
        parameter: Its parameter.
        effective: The value that the parameter really has.
    """
    if change.old != effective:
        return f"{change.parameter} would start from {change.old:g}, it is {effective:g}"
    bounds: Bounds = parameter.corridor(change.corridor)
    wide = Bounds(min(bounds.lo, change.old), max(bounds.hi, change.old))
    if change.new not in wide:
        return f"{change.parameter} would be {change.new:g}, outside {wide.lo:g} to {wide.hi:g}"
    if change.effective * change.requested < 0:
        return f"{change.parameter} would turn {change.requested:g} into {change.effective:g}"
    dust = math.ulp(max(abs(change.old), abs(change.new)))  # old + delta is a sum of floats
    tolerance = max(parameter.precision * 1e-6, 2 * dust)
    if not abs(change.effective) <= abs(change.requested) + tolerance:
        return f"{change.parameter} would move {change.effective:g}, asked {change.requested:g}"
    if abs(change.old + change.effective - change.new) > tolerance:
        return f"{change.parameter} would be {change.new:g}, not old + delta"
    return ""


def malformed(decision: Decision) -> str:
    """Return what in *decision* is of a type that it may not have, or an empty string."""
    given: dict[str, object] = {  # a stranger's code need not be typed
        name: getattr(decision, name) for name in ("changes", "vetoes", "notices")
    }
    for name, value in given.items():
        if not isinstance(value, tuple):
            return f"gave {shown(value)} as its {name}, not a tuple"
    skip_reason: object = decision.skip_reason
    if not isinstance(skip_reason, str):
        return f"gave {shown(skip_reason)} as its skip_reason, not text"
    rollback: object = decision.rollback
    if not (rollback is None or isinstance(rollback, Rollback)):
        return f"gave {shown(rollback)} as its rollback, not a Rollback or None"
    faults = (
        _asked_fault(decision.asked),
        *map(_change_fault, decision.changes),
        *(_word_fault(Veto, word) for word in decision.vetoes),
        *(_word_fault(Notice, word) for word in decision.notices),
    )
    return next(filter(None, faults), "")


def _asked_fault(asked: object) -> str:
    told = asked.items() if isinstance(asked, MappingProxyType) else [(None, asked)]
    lawful = all(isinstance(name, str) and is_number(delta) for name, delta in told)
    return "" if lawful else f"gave {shown(asked)} as asked, not {{parameter: delta}}"


def _change_fault(change: object) -> str:
    if not isinstance(change, Change) or not isinstance(change.note, Note):
        return f"gave {shown(change)} as a Change"
    delta: object = change.effective
    if not isinstance(delta, float | int):
        return f"gave {shown(delta)} as the effective delta of a Change"
    return ""


def _word_fault(kind: type[Veto | Notice], word: object) -> str:
    if not isinstance(word, kind) or not all(isinstance(text, str) for text in astuple(word)):
        return f"gave {shown(word)} as a {kind.__name__}"
    return "" if word.guard and word.reason else f"gave {shown(word)}, without guard or reason"


def rollback_fault(decision: Decision, history: History) -> str:
    """Return what forbids the rollback of *decision*, or an empty string.

    Its own strict rule: the target must be exactly the parameters of an earlier iteration of this
    run, nothing else may be changed with it, and never in the observation window.

    Args:
        decision: What is about to be done.
        history: Every iteration so far, the one decided on included.
    """
    back = decision.rollback
    if back is None:
        return ""
    if decision.moves:
        return f"{back.guard} rolled back and changed {decision.moves[0].parameter} besides"
    if history.latest.in_window:
        return f"{back.guard} rolled back in the observation window"
    good = [one.summary for one in history[:-1] if one.summary.iteration == back.to_iteration]
    if not good or good[0].parameters != back.parameters:
        return f"{back.guard} rolled back to what iteration {back.to_iteration} did not run with"
    return ""


def loosened(before: Decision, after: Decision, *, rolls_back: bool = False) -> str:
    """Return how a guard gave more than it was given, or an empty string.

    A guard may drop a change or make its delta smaller; what was asked for, by whom, from where
    and in which corridor is not a guard's to rewrite. Only the core's own rules roll back.
    """
    if after.rollback is not before.rollback and not (rolls_back and before.rollback is None):
        return "made, changed or dropped a rollback"
    given = {change.parameter: change for change in before.changes}
    for change in after.changes:
        was = given.pop(change.parameter, None)
        if was is None:
            return f"added a change of {brief(str(change.parameter))}"
        for name in ("old", "requested", "reason", "tuner", "corridor"):
            if getattr(was, name) != getattr(change, name):
                return f"rewrote {name} of the change of {change.parameter}"
        smaller = abs(change.effective) <= abs(was.effective)  # false also for NaN
        if change.effective * was.effective < 0 or not smaller:
            return (
                f"made the delta of {change.parameter} {change.effective:g} "
                f"out of {was.effective:g}"
            )
    return _rewritten(before, after)


def _rewritten(before: Decision, after: Decision) -> str:
    """Return what of the story so far a guard told otherwise, or an empty string."""
    for name in ("iteration", "parameters", "requests", "asked"):
        if getattr(before, name) != getattr(after, name):
            return f"rewrote what was asked for: {name}"
    if after.vetoes[: len(before.vetoes)] != before.vetoes:
        return "took back a veto"
    if after.notices[: len(before.notices)] != before.notices:
        return "took back a notice"
    if before.skip_reason and not after.skip_reason:
        return f"took back the skip {brief(before.skip_reason)}"
    if after.skip_reason and after.moves:
        return f"skipped for {brief(after.skip_reason)}, but left changes"
    return ""
