"""Decisions: what became of the proposals on their way through the guards."""

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
    cut: bool = False
    """Whether it tells of a step made smaller, as `Decision.cut` does."""


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
        notice = Notice(guard, guard, parameter.name, told, cut=True)
        return replace(self, changes=changes, notices=(*self.notices, notice))

    def roll_back(self, guard: str, good: Summary, detail: str) -> Decision:
        """Return the decision to go back to the parameters of *good*; every change is stopped."""
        back = Rollback(guard, good.iteration, good.parameters, detail)
        return replace(self.skip(guard, guard, detail), rollback=back)

    @property
    def restored(self) -> dict[str, tuple[float, float]]:
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
