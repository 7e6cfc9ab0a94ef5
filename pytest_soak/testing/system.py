"""The check of a system: a few real iterations of it."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import what_raised
from pytest_soak.model.metrics import in_full
from pytest_soak.model.parameters import overlay
from pytest_soak.model.report import contradictions, read_report
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.store.artifacts import OVERRIDES
from pytest_soak.testing.checks import as_pack, facts_fault
from pytest_soak.testing.promises import BrokenPromise, Promise
from pytest_soak.testing.watched import TookTooLong, limited

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from pytest_soak.model.pack import Pack

SEED = 0x5EED
GRACE_S = 2.0
"""Seconds that a process may take to end after the system was closed."""
PYTHONS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Processes that Python itself keeps running."""


@dataclass(frozen=True)
class _Slot:
    """What one iteration was given and what it returned, copied at that time."""

    iteration: int
    parameters: Mapping[str, float]
    state: object
    report: Any
    left: object


class _Trial:
    """A system under test: it is made, opened, run and closed as in a chain."""

    def __init__(
        self, factory: Callable[..., Any], pack: Pack, scenario: str, seconds: float
    ) -> None:
        self._factory, self._pack, self._scenario = factory, pack, scenario
        self._seconds = seconds
        self._plugin = getattr(factory, "__module__", "unknown")
        self.who = f"plugin {self._plugin}, hook pytest_soak_systems"

    def broken(self, promise: Promise, what: str, slot: _Slot | None = None) -> BrokenPromise:
        story: tuple[str, ...] = ()
        if slot is not None:
            story = (f"iteration {slot.iteration} with {dict(slot.parameters)}",)
        return BrokenPromise(promise, self.who, what, story)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Give a new system, opened if it has an ``open``, and close it at the end."""
        try:
            made = self._factory(copy.deepcopy(self._pack), self._scenario)
        except (Exception, SystemExit) as error:
            raise self.broken(Promise.READY, f"the factory {what_raised(error)}") from error
        self.who = f"plugin {self._plugin}, hook pytest_soak_systems, {type(made).__name__!r}"
        if not callable(getattr(made, "run", None)):
            what = f"the factory returned {safe_repr(made)}, which has no run()"
            raise self.broken(Promise.READY, what)
        with tempfile.TemporaryDirectory() as folder:
            self._folder = Path(folder)
            before = set(_children())
            try:
                if hasattr(made, "open"):
                    self._call(Promise.READY, "open()", lambda: made.open(self._folder, None))
                yield made
            except BaseException:  # the first broken promise is reported
                with suppress(BrokenPromise):
                    self._close(made, before)
                raise
            self._close(made, before)

    def _close(self, made: Any, before: set[Any]) -> None:  # noqa: ANN401 - third-party code
        """Close a system, and end the processes that it left running."""
        try:
            if hasattr(made, "close"):
                self._call(Promise.ANSWERS, "close()", made.close)
        finally:
            left = _left(before)
        if left:
            what = f"processes still run after close(): {', '.join(left)}"
            raise self.broken(Promise.OUTSIDE, what)

    def _call(
        self, promise: Promise, name: str, call: Callable[[], object], slot: _Slot | None = None
    ) -> object:
        """Return what *call* returns in time; an exception breaks *promise*."""
        try:
            with limited(self._seconds):
                return call()
        except TookTooLong as late:
            what = f"{name} took longer than {self._seconds:g} s and was ended ({late.where})"
            raise self.broken(Promise.IN_TIME, what, slot) from None
        except (Exception, SystemExit) as error:
            raise self.broken(promise, f"{name} {what_raised(error)}", slot) from error

    def run(
        self,
        system: Any,  # noqa: ANN401 - third-party code
        iteration: int,
        parameters: Mapping[str, float],
        state: object,
    ) -> _Slot:
        """Run one iteration, and check what needs no other iteration."""
        asked, held = dict(parameters), copy.deepcopy(state)
        slot = _Slot(iteration, parameters, copy.deepcopy(state), None, None)
        base = self._pack.profiles[self._pack.profile].fields
        overrides = {name: value for name, value in parameters.items() if base[name] != value}
        (self._folder / OVERRIDES).write_text(json.dumps(overrides), encoding="utf-8")
        returned = self._call(
            Promise.ANSWERS,
            "run()",
            lambda: system.run(asked, iteration, SEED + iteration, held),
            slot,
        )
        if asked != parameters or held != state:
            raise self.broken(Promise.INPUTS, "run() changed its parameters or its state", slot)
        if not isinstance(returned, tuple) or len(returned) != 2:  # noqa: PLR2004 - a pair
            what = f"run() returned {safe_repr(returned)}, not the pair (report, state)"
            raise self.broken(Promise.ANSWERS, what, slot)
        report, left = returned
        for part, promise in ((report, Promise.REPORT), (left, Promise.STATE)):
            if not _is_plain(part):
                raise self.broken(promise, f"not plain JSON: {safe_repr(part)}", slot)
        return _Slot(iteration, parameters, state, copy.deepcopy(report), copy.deepcopy(left))


def check_system(
    factory: Callable[..., Any],
    *,
    pack: Pack | Path | str | None = None,
    scenario: str = "",
    answers_to: Sequence[str] = (),
    echoes: bool = True,
    facts: Collection[str] = (),
    seconds: float = 60.0,
) -> None:
    """Check that a system keeps every promise, by running it for a few iterations.

    Args:
        factory: The factory, as the hook offers it: ``pack, scenario -> system``.
        pack: The domain: a `Pack`, or the path of its TOML file; the demo pack unless given.
        scenario: The scenario; the pack's unless given.
        answers_to: Parameters of which each, moved from one limit to the other, must change a
            metric; for a system whose time is virtual.
        echoes: Whether its reports must contain the parameters that were used.
        facts: Metrics of the pack that watchers give; its reports must not have them.
        seconds: How long ``open``, ``close`` and one iteration may each take, in wall-clock time.

    Raises:
        BrokenPromise: A promise was broken.
    """
    __tracebackhide__ = True
    domain = as_pack(pack)
    trial = _Trial(factory, domain, scenario or domain.scenario, seconds)
    unknown = [name for name in answers_to if name not in domain.parameters]
    if unknown:
        what = f"`answers_to` names {', '.join(map(safe_repr, unknown))}"
        known = ", ".join(domain.parameters)
        raise trial.broken(Promise.READY, f"{what}; the parameters of pack {domain.name}: {known}")
    fault = facts_fault(facts, domain)
    if fault:
        raise trial.broken(Promise.READY, fault)
    settings = _parameters(domain)
    with trial.opened() as system:
        virtual = bool(getattr(system, "virtual_time", False))
        keeps = bool(getattr(system, "keeps_state", False))
        slots: list[_Slot] = []
        for iteration, parameters in enumerate(settings, 1):
            state = slots[-1].left if slots else None
            slots.append(trial.run(system, iteration, parameters, state))
            _check_report(trial, slots[-1], domain, facts, echoes=echoes)
    if virtual:
        with trial.opened() as system:
            for slot in slots:
                _same(trial, slot, trial.run(system, slot.iteration, slot.parameters, slot.state))
    if keeps:
        last = slots[-1]
        state = json.loads(json.dumps(last.state))  # as a resume reads it from its file
        with trial.opened() as system:
            again = trial.run(system, last.iteration, last.parameters, state)
        _check_report(trial, again, domain, facts, echoes=echoes)
        if virtual:
            _same(trial, last, again, Promise.STATE)
    for name in answers_to:
        _check_answers(trial, domain, name)


def _parameters(pack: Pack) -> list[dict[str, float]]:
    """Return the base of *pack*, its parameters at their lowest and highest, and the base again."""
    base = pack.profiles[pack.profile].fields
    low = {name: one.limits.lo for name, one in pack.parameters.items()}
    high = {name: one.limits.hi for name, one in pack.parameters.items()}
    return [overlay(base, laid) for laid in ({}, low, high, {})]


def _check_report(
    trial: _Trial, slot: _Slot, pack: Pack, facts: Collection[str], *, echoes: bool
) -> None:
    report = read_report(slot.report, slot.iteration, pack.metrics)
    measured, metrics = report.measured, (kpi.metric for kpi in pack.required_kpis)
    own = [name for name in metrics if name.partition(".")[0] not in facts]
    faults = [f"{metric} {fault}" for metric, fault in measured.lacking(own).items()]
    faults += [
        f"the report has {name}, which is one of `facts`"
        for name in facts
        if name not in measured.absent
    ]
    problem = str(report.problem or "; ".join(faults))
    if problem:
        raise trial.broken(Promise.REPORT, problem, slot)
    wrong = contradictions(slot.parameters, report.parameters, pack.precision)
    untold = [name for name, used in wrong.items() if used is None]
    if untold and echoes:
        raise trial.broken(Promise.ECHO, f"the report lacks {', '.join(untold)}", slot)
    for name, used in wrong.items():
        if used is not None:
            asked = in_full(slot.parameters[name])
            what = f"{name}: asked for {asked}, the report says {in_full(used)}"
            raise trial.broken(Promise.ECHO, what, slot)


def _same(trial: _Trial, first: _Slot, again: _Slot, promise: Promise = Promise.REPEATABLE) -> None:
    if (first.report, first.left) != (again.report, again.left):
        how = "a new object" + (" with the state from a file" if promise is Promise.STATE else "")
        which = [
            f"{name} {safe_repr(value)}, then {safe_repr(again.report['totals'].get(name))}"
            for name, value in first.report["totals"].items()
            if again.report["totals"].get(name) != value
        ]
        what = f"{how} differs: {'; '.join(which[:3]) or 'not in the totals'}"
        raise trial.broken(promise, what, first)


def _check_answers(trial: _Trial, pack: Pack, name: str) -> None:
    base = pack.profiles[pack.profile].fields
    totals = []
    for value in (pack.parameters[name].limits.lo, pack.parameters[name].limits.hi):
        with trial.opened() as system:
            slot = trial.run(system, 1, overlay(base, {name: value}), None)
        totals.append(slot.report["totals"])
    if totals[0] == totals[1]:
        what = f"{name} has the same metrics at its lowest and at its highest value"
        raise trial.broken(Promise.ANSWERS_TO, what, slot)


def _is_plain(value: object) -> bool:
    """Return whether *value* is unchanged after writing and reading it as JSON."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _children() -> list[Any]:
    """Return all descendants of this process; none where psutil is missing."""
    try:
        from pytest_soak.systems.command.processes import descendants  # noqa: PLC0415 - needs psutil
    except ModuleNotFoundError:
        return []
    return list(descendants(os.getpid()))


def _left(before: set[Any]) -> list[str]:
    """Return the processes that were started since and did not end by themselves; end them."""
    until = time.monotonic() + GRACE_S
    while True:
        left = {one: line for one in _children() if one not in before and (line := _line(one))}
        if not left or time.monotonic() > until:
            break
        time.sleep(0.02)
    for one in left:
        with suppress(Exception):  # it may have ended meanwhile
            one.kill()
    return [f"{one.pid} {safe_repr(line)}" for one, line in left.items()]


def _line(process: Any) -> str:  # noqa: ANN401 - psutil's, which may be missing
    """Return the command line of a process; empty if it has ended or is Python's own."""
    line = ""
    with suppress(Exception):  # it may have ended meanwhile
        # A program that has just been started has no command line yet.
        line = " ".join(process.cmdline()) or process.name()
    return "" if any(name in line for name in PYTHONS) else line
