"""Checks the changes of overrides: their order, their decisions, and their effect in reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_soak.model.parameters import overlay
from pytest_soak.model.patch import PATCH_ERRORS, apply, guarded
from pytest_soak.model.problem import EARLY
from pytest_soak.model.report import contradictions, read_report
from pytest_soak.model.summary import Verified
from pytest_soak.store.artifacts import moves
from pytest_soak.store.files import json_hash, line
from pytest_soak.store.journal import ending_after, ending_of
from pytest_soak.verify.finding import Finding, field_differences, location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

APPLY = "apply"
"""The mode in which decisions are applied."""


@dataclass(frozen=True, slots=True)
class Step:
    """One record, with the overrides before and after it.

    Args:
        record: The record.
        config: The configuration in force.
        before: The overrides before it.
        after: The overrides after it, by its own patch.
        faults: Errors in its patch and its hashes.
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

    @property
    def precision(self) -> Mapping[str, float]:
        """The grid of each parameter; none in a run that release 0.1.0 started."""
        precision: Mapping[str, float] = self.config.get("precision", {})
        return precision


def iter_steps(records: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """Yield each record of a valid journal with its overrides; stop after a patch that fails."""
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
                fault = f"its patch does not fit the overrides before it: {error}"
                yield Step(record, config, before, before, (fault,))
                return
            faults = tuple(_patch_faults(record, before, overrides))
        yield Step(record, config, before, overrides, faults)


def _start_faults(record: Mapping[str, Any]) -> Iterator[str]:
    if record["state_after"] != json_hash(record["overrides"]):
        yield "its state_after is not the hash of its overrides"
    if record["config_hash"] != json_hash(record["config"]):
        yield "its config_hash is not the hash of its config"
    unknown = sorted(set(record["overrides"]) - set(record["config"]["base"]))
    if unknown:
        yield f"its overrides have fields that its base lacks: {', '.join(unknown)}"


def _patch_faults(
    record: Mapping[str, Any], before: dict[str, float], after: dict[str, float]
) -> Iterator[str]:
    for name, overrides in (("state_before", before), ("state_after", after)):
        if record[name] != json_hash(overrides):
            yield f"its {name} is not the hash of the overrides {line(overrides)}"
    for name, overrides in (("patch", before), ("inverse", after)):
        bare = [operation for operation in record[name] if operation["op"] != "test"]
        if tuple(record[name]) != guarded(bare, overrides):
            yield f"its {name} does not test each old value first"
    try:
        undone = apply(after, record["inverse"])
    except PATCH_ERRORS as error:
        yield f"its inverse does not fit the overrides after it: {error}"
    else:
        if undone != before:
            yield f"its inverse does not undo its patch: {field_differences(undone, before)}"


def check_states(steps: Iterable[Step]) -> Iterator[Finding]:
    """Yield findings if patches, inverses or hashes of the overrides contradict each other."""
    for step in steps:
        yield from (Finding(location(step.record), fault) for fault in step.faults)


def check_decisions(steps: Iterable[Step]) -> Iterator[Finding]:
    """Yield findings if effective parameters, decisions or rollbacks contradict the overrides."""
    known: dict[int, Mapping[str, float]] = {}
    ran: dict[int, Step] = {}
    ending: Mapping[str, Any] | None = None
    for step in steps:
        record, where = step.record, location(step.record)
        if record["kind"] == "iteration":
            yield from (Finding(where, fault) for fault in _iteration_faults(step, ran))
            ran[record["iteration"]] = step
        if record["kind"] in ("run_started", "iteration"):
            known[record["iteration"]] = step.after
        if record["kind"] == "rolled_back":
            to = record["to_iteration"]
            if known.get(to) != step.after:
                were = f"were {line(known[to])}" if to in known else "are not in the journal"
                what = f"sets {line(step.after)}; the overrides after iteration {to} {were}"
                yield Finding(where, what)
        ended = ending is not None and ending["kind"] == "run_ended"
        if record.get("ended", ended) != ended:
            yield Finding(where, f"its ended is {line(record['ended'])}, expected {line(ended)}")
        ending = ending_after(ending, record)


def _iteration_faults(step: Step, ran: Mapping[int, Step]) -> Iterator[str]:
    record = step.record
    summary, moved = record["summary"], moves(record)
    if summary["parameters"] != step.effective:
        difference = field_differences(summary["parameters"], step.effective)
        yield f"its parameters are not base and overrides: {difference}"
    for change in moved:
        old = step.effective.get(change["parameter"])
        if change["old"] != old:
            yield f"changes {change['parameter']} from {change['old']}, but it was {old}"
    yield from _rollback_faults(record, ran)
    wanted = _wanted(step, ran)
    if step.after != wanted:
        yield f"its patch does not match its decision: {field_differences(step.after, wanted)}"
    if record["applied"]:
        if not moved:
            yield "is marked as applied, but its decision changes nothing"
        if step.config["mode"] != APPLY:
            yield f"is marked as applied, in mode {step.config['mode']}"
        if summary["in_window"]:
            yield "is marked as applied, in the observation window"
    doubts = {
        name: str(Verified.UNKNOWN if used is None else Verified.FALSE)
        for name, used in contradictions(
            summary["parameters"], _used(record), step.precision
        ).items()
    }
    if summary["doubts"] != doubts:
        difference = field_differences(summary["doubts"], doubts)
        yield f"its doubts do not follow from its report: {difference}"


def _rollback_faults(record: Mapping[str, Any], ran: Mapping[int, Step]) -> Iterator[str]:
    """Yield a fault if a guard's rollback sets parameters that its target did not run with."""
    back = record["decision"]["rollback"]
    if back:
        to = back["to_iteration"]
        target = ran[to].record["summary"]["parameters"] if to in ran else {}
        if back["parameters"] != target:
            used = line(back["parameters"])
            yield f"it rolls back to parameters that iteration {to} did not run with: {used}"


def _wanted(step: Step, ran: Mapping[int, Step]) -> Mapping[str, float]:
    """Return the overrides that a decision leads to; for a rollback, those of its target."""
    if not step.record["applied"]:
        return step.before
    back = step.record["decision"]["rollback"]
    if back:
        return ran[back["to_iteration"]].before if back["to_iteration"] in ran else step.before
    return {**step.before, **{change["parameter"]: change["new"] for change in moves(step.record)}}


def _used(record: Mapping[str, Any]) -> Mapping[str, float] | None:
    """Return the parameters in an iteration's report; None if it has none."""
    return read_report(record["report"], record["iteration"], {}).parameters


def verified_in(
    applied: Mapping[str, Any], after: Mapping[str, Any], precision: Mapping[str, float]
) -> tuple[Verified, str]:
    """Return whether the report of the iteration *after* confirms the changes *applied* before it.

    Returns:
        True, false or unknown, computed from the report; and the unconfirmed changes as text.
    """
    asked = {change["parameter"]: change["new"] for change in moves(applied)}
    wrong = contradictions(asked, _used(after), precision)
    text = ", ".join(
        f"{name} was set to {asked[name]}, the report "
        f"{'does not have it' if used is None else f'says {used}'}"
        for name, used in wrong.items()
    )
    if any(used is not None for used in wrong.values()):
        return Verified.FALSE, text
    return (Verified.UNKNOWN if wrong else Verified.TRUE), text


def check_settlements(steps: Sequence[Step]) -> Iterator[Finding]:
    """Yield the changes that the next report does not confirm, and wrong ``settles`` entries."""
    before: Mapping[str, Any] | None = None
    undone = False
    for step in steps:
        record = step.record
        if record["kind"] == "rolled_back" and before and before["applied"] and not undone:
            undone = True
            what = "its changes were rolled back before a report could confirm them"
            yield Finding(location(before), what, note=True)
        if record["kind"] != "iteration":
            continue
        expected = None
        if before and before["applied"] and not undone:
            word, detail = verified_in(before, record, step.precision)
            expected = {"iteration": before["iteration"], "verified": str(word)}
            if word is not Verified.TRUE:
                what = f"iteration {record['iteration']} does not confirm its changes: {detail}"
                yield Finding(location(before), what)
        if record["settles"] != expected:
            what = f"its settles is {line(record['settles'])}, its report gives {line(expected)}"
            yield Finding(location(record), what)
        before, undone = record, False
    if before and before["applied"] and not undone:
        what = "no report confirms its changes: it is the last iteration"
        yield Finding(location(before), what, note=not _as_planned(step.record for step in steps))


def _as_planned(records: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether the run of *records* has ended, and not before its planned iterations ran."""
    ending = ending_of(records)
    if ending is None or ending["kind"] != "run_ended":
        return False
    return not any(problem["kind"] in EARLY for problem in ending["problems"])
