"""The changes: does each follow from the one before, was it decided so, and was it seen?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_soak.model.parameters import overlay
from pytest_soak.model.patch import PATCH_ERRORS, apply, guarded
from pytest_soak.model.report import contradictions, read_report
from pytest_soak.model.summary import Verified
from pytest_soak.store.artifacts import moves
from pytest_soak.store.files import line
from pytest_soak.store.journal import ending_after, has_ended
from pytest_soak.store.store import state_hash
from pytest_soak.verify.finding import Finding, at, unlike

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

APPLY = "apply"
"""The mode in which decisions are applied."""


@dataclass(frozen=True, slots=True)
class Step:
    """One record, with the overrides around it.

    Args:
        record: The record.
        config: The configuration in force.
        before: The overrides before it.
        after: The overrides after it, by its own patch.
        faults: What its patch and its hashes are not.
    """

    record: Mapping[str, Any]
    config: Mapping[str, Any]
    before: Mapping[str, float]
    after: Mapping[str, float]
    faults: tuple[str, ...] = ()

    @property
    def effective(self) -> dict[str, float]:
        """The effective parameters before it."""
        return overlay(self.config["base"], self.before)


def replay(records: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """Yield every step of a sound journal; after a patch that does not fit, no further one."""
    config: Mapping[str, Any] = {}
    overrides: dict[str, float] = {}
    for record in records:
        kind, before = record["kind"], overrides
        faults: tuple[str, ...] = ()
        config = record["config"] if kind in ("run_started", "run_resumed") else config
        if kind == "run_started":
            overrides = dict(record["overrides"])
            faults = tuple(_start_faults(record))
        elif kind in ("iteration", "rolled_back"):
            try:
                overrides = apply(before, record["patch"])
            except PATCH_ERRORS as error:
                told = f"its patch does not fit the overrides before it: {error}"
                yield Step(record, config, before, before, (told,))
                return
            faults = tuple(_patch_faults(record, before, overrides))
        yield Step(record, config, before, overrides, faults)


def _start_faults(record: Mapping[str, Any]) -> Iterator[str]:
    if record["state_after"] != state_hash(record["overrides"]):
        yield "its state_after is not the hash of its overrides"
    if record["config_hash"] != hashlib.sha256(line(record["config"]).encode()).hexdigest():
        yield "its config_hash is not that of its config"
    unknown = sorted(set(record["overrides"]) - set(record["config"]["base"]))
    if unknown:
        yield f"overrides what its base does not have: {', '.join(unknown)}"


def _patch_faults(
    record: Mapping[str, Any], before: dict[str, float], after: dict[str, float]
) -> Iterator[str]:
    for name, overrides in (("state_before", before), ("state_after", after)):
        if record[name] != state_hash(overrides):
            yield f"its {name} is not the hash of the overrides there, {line(overrides)}"
    for name, there in (("patch", before), ("inverse", after)):
        bare = [operation for operation in record[name] if operation["op"] != "test"]
        if tuple(record[name]) != guarded(bare, there):
            yield f"its {name} does not test each old value first"
    try:
        undone = apply(after, record["inverse"])
    except PATCH_ERRORS as error:
        yield f"its inverse does not fit the overrides after it: {error}"
    else:
        if undone != before:
            yield f"its inverse does not undo its patch: {unlike(undone, before)}"


def check_states(steps: Iterable[Step]) -> Iterator[Finding]:
    """Yield where patches, inverses and hashes of the overrides do not follow each other."""
    for step in steps:
        yield from (Finding(at(step.record), fault) for fault in step.faults)


def check_decisions(steps: Iterable[Step]) -> Iterator[Finding]:
    """Yield where a record's effective parameters or its decision are not what took place."""
    known: dict[int, Mapping[str, float]] = {}
    ran: dict[int, Step] = {}
    ending: Mapping[str, Any] | None = None
    for step in steps:
        record, where = step.record, at(step.record)
        if record["kind"] == "iteration":
            yield from (Finding(where, fault) for fault in _iteration_faults(step, ran))
            ran[record["iteration"]] = step
        if record["kind"] in ("run_started", "iteration"):
            known[record["iteration"]] = step.after
        if record["kind"] == "rolled_back":
            to = record["to_iteration"]
            if known.get(to) != step.after:
                was = f"were {line(known[to])}" if to in known else "are not in the journal"
                told = f"makes them {line(step.after)}; the overrides after iteration {to} {was}"
                yield Finding(where, told)
        ended = ending is not None and ending["kind"] == "run_ended"
        if record.get("ended", ended) != ended:
            yield Finding(where, f"says ended: {record['ended']}, the journal says otherwise")
        ending = ending_after(ending, record)


def _iteration_faults(step: Step, ran: Mapping[int, Step]) -> Iterator[str]:
    record = step.record
    summary, moved = record["summary"], moves(record)
    if summary["parameters"] != step.effective:
        told = unlike(summary["parameters"], step.effective)
        yield f"its parameters are not base and overrides: {told}"
    for change in moved:
        old = step.effective.get(change["parameter"])
        if change["old"] != old:
            yield f"changes {change['parameter']} from {change['old']}, it was {old}"
    yield from _rollback_faults(record, ran)
    wanted = _wanted(step, ran)
    if step.after != wanted:
        yield f"its patch is not its decision: {unlike(step.after, wanted)}"
    if record["applied"]:
        if not moved:
            yield "says that it applied something, its decision moves nothing"
        if step.config["mode"] != APPLY:
            yield f"says that it applied something, in mode {step.config['mode']}"
        if summary["in_window"]:
            yield "says that it applied something, in the observation window"
    doubts = {
        name: str(Verified.UNKNOWN if used is None else Verified.FALSE)
        for name, used in contradictions(summary["parameters"], _used(record)).items()
    }
    if summary["doubts"] != doubts:
        told = unlike(summary["doubts"], doubts)
        yield f"its doubts are not what its report gives: {told}"


def _rollback_faults(record: Mapping[str, Any], ran: Mapping[int, Step]) -> Iterator[str]:
    """Yield what a guard's rollback goes back to, where nothing ran with it."""
    back = record["decision"]["rollback"]
    if back:
        to = back["to_iteration"]
        good = ran[to].record["summary"]["parameters"] if to in ran else {}
        if back["parameters"] != good:
            told = line(back["parameters"])
            yield f"it rolls back to what iteration {to} did not run with: {told}"


def _wanted(step: Step, ran: Mapping[int, Step]) -> Mapping[str, float]:
    """Return the overrides that a decision makes; a rollback those that its target ran with."""
    if not step.record["applied"]:
        return step.before
    back = step.record["decision"]["rollback"]
    if back:
        return ran[back["to_iteration"]].before if back["to_iteration"] in ran else step.before
    return {**step.before, **{change["parameter"]: change["new"] for change in moves(step.record)}}


def _used(record: Mapping[str, Any]) -> Mapping[str, float] | None:
    """Return the parameters that an iteration's report tells, None where it is silent."""
    return read_report(record["report"], record["iteration"], {}).parameters


def seen(applied: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Verified, str]:
    """Return whether the report of the iteration *after* shows what was *applied* before it.

    Recomputed from the report itself.

    Returns:
        True, false or unknown, and in words what was not seen.
    """
    asked = {change["parameter"]: change["new"] for change in moves(applied)}
    wrong = contradictions(asked, _used(after))
    told = ", ".join(
        f"{name} was set to {asked[name]}, the report "
        f"{'does not tell it' if used is None else f'says {used}'}"
        for name, used in wrong.items()
    )
    if any(used is not None for used in wrong.values()):
        return Verified.FALSE, told
    return (Verified.UNKNOWN if wrong else Verified.TRUE), told


def check_settlements(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the changes that the next report does not show, and what is told otherwise of them."""
    before: Mapping[str, Any] | None = None
    undone = False
    for record in records:
        if record["kind"] == "rolled_back" and before and before["applied"] and not undone:
            undone = True
            what = "its changes were rolled back before a report could show them"
            yield Finding(at(before), what, note=True)
        if record["kind"] != "iteration":
            continue
        due = None
        if before and before["applied"] and not undone:
            word, told = seen(before, record)
            due = {"iteration": before["iteration"], "verified": str(word)}
            if word is not Verified.TRUE:
                where = f"iteration {record['iteration']}"
                yield Finding(at(before), f"its changes were not seen in {where}: {told}")
        if record["settles"] != due:
            told = f"its settles is {line(record['settles'])}, its report gives {line(due)}"
            yield Finding(at(record), told)
        before, undone = record, False
    if before and before["applied"] and not undone:
        over = has_ended(records)
        what = "its changes were seen by no report: no iteration came after them"
        yield Finding(at(before), what, note=not over)
