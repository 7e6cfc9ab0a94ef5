"""What no guard and no tuner may do to a decision. Checked before anything is written."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_soak.model.decision import Change, Notice, Rollback, Veto
from pytest_soak.model.metrics import in_full, is_number
from pytest_soak.model.parameters import Bounds, Note
from pytest_soak.model.safe_repr import safe_repr, safe_text

if TYPE_CHECKING:
    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter


def breach(change: Change, parameter: Parameter, effective: float) -> str:
    """Return how *change* breaks the promise of the clamp, or an empty string.

    The last check before anything is written; no guard and no tuner can avoid it.

    Args:
        change: What is about to be applied.
        parameter: Its parameter.
        effective: The value that the parameter really has.
    """
    if change.old != effective:
        return (
            f"{change.parameter} would start from {in_full(change.old)}, it is {in_full(effective)}"
        )
    bounds: Bounds = parameter.corridor(change.corridor)
    wide = Bounds(min(bounds.lo, change.old), max(bounds.hi, change.old))
    if change.new not in wide:
        wanted = f"outside {in_full(wide.lo)} to {in_full(wide.hi)}"
        return f"{change.parameter} would be {in_full(change.new)}, {wanted}"
    asked, moved = in_full(change.requested), in_full(change.effective)
    if change.effective * change.requested < 0:
        return f"{change.parameter} would turn {asked} into {moved}"
    dust = math.ulp(max(abs(change.old), abs(change.new)))  # old + delta is a sum of floats
    tolerance = max(parameter.precision * 1e-6, 2 * dust)
    if not abs(change.effective) <= abs(change.requested) + tolerance:
        return f"{change.parameter} would move {moved}, asked {asked}"
    if abs(change.old + change.effective - change.new) > tolerance:
        return f"{change.parameter} would be {in_full(change.new)}, not old + delta"
    return ""


def malformed(decision: Decision) -> str:
    """Return which part of *decision* has a wrong type, or an empty string."""
    given: dict[str, object] = {  # a plugin's code may give any type
        name: getattr(decision, name) for name in ("changes", "vetoes", "notices")
    }
    for name, value in given.items():
        if not isinstance(value, tuple):
            return f"gave {safe_repr(value)} as its {name}, not a tuple"
    skip_reason: object = decision.skip_reason
    if not isinstance(skip_reason, str):
        return f"gave {safe_repr(skip_reason)} as its skip_reason, not text"
    rollback: object = decision.rollback
    if not (rollback is None or isinstance(rollback, Rollback)):
        return f"gave {safe_repr(rollback)} as its rollback, not a Rollback or None"
    faults = (
        _asked_fault(decision.asked),
        *map(_change_fault, decision.changes),
        *(_word_fault(Veto, word) for word in decision.vetoes),
        *(_word_fault(Notice, word) for word in decision.notices),
    )
    return next(filter(None, faults), "")


def _asked_fault(asked: object) -> str:
    pairs = asked.items() if isinstance(asked, MappingProxyType) else [(None, asked)]
    lawful = all(isinstance(name, str) and is_number(delta) for name, delta in pairs)
    return "" if lawful else f"gave {safe_repr(asked)} as asked, not {{parameter: delta}}"


def _change_fault(change: object) -> str:
    if not isinstance(change, Change) or not isinstance(change.note, Note):
        return f"gave {safe_repr(change)} as a Change"
    delta: object = change.effective
    if not isinstance(delta, float | int):
        return f"gave {safe_repr(delta)} as the effective delta of a Change"
    return ""


def _word_fault(kind: type[Veto | Notice], word: object) -> str:
    if not isinstance(word, kind) or not _is_lawful(word):
        return f"gave {safe_repr(word)} as a {kind.__name__}"
    return "" if word.guard and word.reason else f"gave {safe_repr(word)}, without guard or reason"


def _is_lawful(word: Veto | Notice) -> bool:
    texts: tuple[object, ...] = (word.guard, word.reason, word.parameter, word.detail)
    lawful = isinstance(word, Veto) or isinstance(word.cut, bool)
    return lawful and all(isinstance(text, str) for text in texts)


def rollback_fault(decision: Decision, history: History) -> str:
    """Return what forbids the rollback of *decision*, or an empty string.

    It must restore exactly the parameters of an earlier iteration of this run, change nothing
    else, and not happen in the observation window.

    Args:
        decision: What is about to be applied.
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
    """Return how a guard loosened a decision, or an empty string.

    A guard may drop a change or make its delta smaller. It must not rewrite what was requested, by
    which tuner, from which value and in which corridor. Only guards of the core roll back.
    """
    if after.rollback is not before.rollback and not (rolls_back and before.rollback is None):
        return "made, changed or dropped a rollback"
    given = {change.parameter: change for change in before.changes}
    for change in after.changes:
        was = given.pop(change.parameter, None)
        if was is None:
            return f"added a change of {safe_text(str(change.parameter))}"
        for name in ("old", "requested", "reason", "tuner", "corridor"):
            if getattr(was, name) != getattr(change, name):
                return f"rewrote {name} of the change of {change.parameter}"
        smaller = abs(change.effective) <= abs(was.effective)  # false also for NaN
        if change.effective * was.effective < 0 or not smaller:
            return (
                f"made the delta of {change.parameter} {in_full(change.effective)} "
                f"out of {in_full(was.effective)}"
            )
    return _rewritten(before, after)


def _rewritten(before: Decision, after: Decision) -> str:
    """Return what a guard changed of earlier requests, vetoes or notices, or an empty string."""
    for name in ("iteration", "parameters", "requests", "asked"):
        if getattr(before, name) != getattr(after, name):
            return f"rewrote what was asked for: {name}"
    if after.vetoes[: len(before.vetoes)] != before.vetoes:
        return "took back a veto"
    if after.notices[: len(before.notices)] != before.notices:
        return "took back a notice"
    if before.skip_reason and not after.skip_reason:
        return f"took back the skip {safe_text(before.skip_reason)}"
    if after.skip_reason and after.moves:
        return f"skipped for {safe_text(after.skip_reason)}, but left changes"
    return ""
