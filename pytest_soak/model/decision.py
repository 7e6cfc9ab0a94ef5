"""Decisions: the deltas that tuners request, and what guards leave of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_soak.model.parameters import Corridor, Note, Parameter, step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.proposal import Proposal
    from pytest_soak.model.summary import Summary


@dataclass(frozen=True, slots=True)
class Request:
    """What one tuner asks for: a delta of one parameter, in the parameter's unit."""

    tuner: str
    parameter: str
    delta: float
    corridor: Corridor
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """A planned change of one parameter.

    Args:
        parameter: Its name.
        old: The effective value before.
        requested: The increment that the tuner asked for.
        effective: The increment that is left; the clamp and guards make it smaller.
        new: The value after, always ``old + effective``.
        note: What the clamp did: cap, floor, hold or nothing.
        reason: The tuner's reason.
        tuner: The tuner that asked.
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
    """What a guard stopped, and its enumerated reason."""

    guard: str
    reason: str
    parameter: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a guard reports without stopping anything: a warning, or a step it made smaller."""

    guard: str
    reason: str
    parameter: str = ""
    detail: str = ""
    cut: bool = False
    """Whether it reports a step that was made smaller, as `Decision.cut` does."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """A return to the parameters of an earlier iteration of the run, all of them at once.

    No tuner asked for it, so clamp, corridor and budget do not apply. `rollback_fault` alone says
    what it may do.

    Args:
        guard: The guard that made it.
        to_iteration: The iteration whose overrides are restored.
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
    """The deltas of one iteration: what was requested, and what is left.

    Args:
        iteration: The iteration after which it was made.
        parameters: The effective parameters before it.
        requests: Everything that tuners asked for.
        changes: What is left, one entry for each parameter; held ones stay listed.
        vetoes: What guards stopped.
        skip_reason: Why nothing is changed, or an empty string.
        asked: ``{parameter: delta}``, the merged requests before any guard stopped one, so that
            guards can look back at what was requested and not applied.
        notices: What guards reported without stopping anything.
        rollback: The return to earlier parameters in place of all changes, or None.
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
        """Make the mappings read-only, so that no guard or tuner moves where a step starts."""
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
        """Return the decision with a notice of *guard*, which stops nothing."""
        return replace(self, notices=(*self.notices, Notice(guard, reason, parameter, detail)))

    def cut(self, guard: str, parameter: Parameter, delta: float, detail: str) -> Decision:
        """Return the decision with the step of *parameter* cut to *delta*, for the reason *guard*.

        If nothing is left on the parameter's grid, the change is stopped for that reason.

        Args:
            guard: The guard that cuts; its name is the reason.
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
        text = f"{old.effective:+.10g} cut to {cut.effective:+.10g}: {detail}"
        notice = Notice(guard, guard, parameter.name, text, cut=True)
        return replace(self, changes=changes, notices=(*self.notices, notice))

    def roll_back(self, guard: str, good: Summary, detail: str) -> Decision:
        """Return the decision to restore the parameters of *good*; every change is stopped."""
        back = Rollback(guard, good.iteration, good.parameters, detail)
        return replace(self.skip(guard, guard, detail), rollback=back)

    @property
    def restored(self) -> dict[str, tuple[float, float]]:
        """What the rollback restores: ``{parameter: (value before, value after)}``."""
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
        return {**{one.parameter: (one.old, one.new) for one in self.moves}, **self.restored}

    @property
    def touched(self) -> tuple[str, ...]:
        """The parameters that get another value, by a change or by a rollback."""
        return tuple(self.moved)

    def overrides(self, before: Mapping[str, float]) -> dict[str, float]:
        """Return the overrides after this decision, given those *before* it."""
        return {**before, **{change.parameter: change.new for change in self.moves}}


def requests_of(tuner: str, proposal: Proposal, corridor: Corridor) -> tuple[Request, ...]:
    """Return a tuner's *proposal* as requests, in the order of the parameters' names."""
    return tuple(
        Request(tuner, name, delta, corridor, proposal.reason(name))
        for name, delta in sorted(proposal.deltas.items())
        if delta
    )


def change_for(request: Request, parameter: Parameter, old: float) -> Change:
    """Return the change that *request* makes of *old*, clamped to its tuner's corridor."""
    stepped = step(parameter, parameter.corridor(request.corridor), old, request.delta)
    return Change(
        parameter=request.parameter,
        old=old,
        requested=request.delta,
        effective=stepped.delta,
        new=stepped.new,
        note=stepped.note,
        reason=request.reason,
        tuner=request.tuner,
        corridor=request.corridor,
    )
