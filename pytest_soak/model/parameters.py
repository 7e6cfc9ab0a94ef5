"""Parameters, their bounds, and the one clamp that every change passes through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_soak.model.metrics import exact

if TYPE_CHECKING:
    from collections.abc import Mapping

DUST = Decimal("1e-6")
"""Share of a parameter's precision below which a difference is floating-point dust."""
ROUNDED = 1e-9
"""Share of a value up to which a difference comes from its conversion to other digits or units."""

ANY_FLOAT = Context(prec=700, rounding=ROUND_HALF_EVEN)
"""Enough digits for every float on every grid: no request is too large to be clamped."""


class Corridor(StrEnum):
    """The bounds that a tuner declares to work in."""

    LIMITS = "limits"
    APPLY = "apply"


class Note(StrEnum):
    """What the clamp did to a requested step."""

    NONE = ""
    CAP = "cap"
    FLOOR = "floor"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A closed interval ``[lo, hi]`` in the parameter's unit."""

    lo: float
    hi: float

    def __contains__(self, value: float) -> bool:
        """Tell whether *value* lies inside, the ends included."""
        return self.lo <= value <= self.hi

    def intersect(self, other: Bounds) -> Bounds:
        """Return the part common to both intervals."""
        return Bounds(max(self.lo, other.lo), min(self.hi, other.hi))

    def clamp(self, value: float) -> float:
        """Return the point of the interval nearest to *value*."""
        return min(max(value, self.lo), self.hi)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tunable field of the system under test.

    Args:
        name: The field's name in overrides, reports and profiles.
        unit: The unit of its values, for people.
        limits: What any source may set.
        apply: What live apply may reach.
        calm: The direction, ``"up"`` or ``"down"``, that makes the system calmer.
        precision: The grid on which values lie, in the parameter's unit.
        step: The largest step in one iteration of a tuner that chooses its own steps; 0 if the
            pack does not set one.
        base: Its value in profiles that do not name it, if it has one.
    """

    name: str
    unit: str
    limits: Bounds
    apply: Bounds
    calm: str
    precision: float
    step: float = 0.0
    base: float | None = None

    @property
    def largest_step(self) -> float:
        """The pack's ``step`` (default: a quarter of the limits); at least one grid point."""
        quarter = (self.limits.hi - self.limits.lo) / 4
        return max(self._on_grid(Decimal(str(self.step or quarter)), ROUND_FLOOR), self.precision)

    def corridor(self, corridor: Corridor) -> Bounds:
        """Return the bounds of *corridor*: the limits, or the limits within the apply bounds."""
        if corridor is Corridor.LIMITS:
            return self.limits
        return self.limits.intersect(self.apply)

    def quantize(self, value: float) -> float:
        """Round *value* to the nearest point of the grid; whole grids give an ``int``."""
        return self._on_grid(Decimal(str(value)), ROUND_HALF_EVEN)

    def _on_grid(self, value: Decimal, rounding: str) -> float:
        precision = Decimal(str(self.precision))
        units = (value / precision).to_integral_value(rounding=rounding)
        return plain_number(units * precision)


@dataclass(frozen=True, slots=True)
class Stepped:
    """The outcome of one clamp: the new value, the delta that remained, and what cut it."""

    new: float
    delta: float
    note: Note


def plain_number(value: Decimal) -> float:
    """Return *value* as JSON shows it: a whole number as an ``int``."""
    return int(value) if value == value.to_integral_value() else float(value)


def step(parameter: Parameter, bounds: Bounds, old: float, delta: float) -> Stepped:
    """Move *old* by *delta*, as far as *bounds* and the parameter's grid allow.

    ``new = clamp(old + delta, min(lo, old), max(hi, old))``, then rounded to the grid
    **towards** ``old``. So a step is never turned around, never larger than requested, never
    farther from the bounds than before; a value inside stays inside, and one that started
    outside may step towards them. Exact decimal arithmetic leaves no dust.

    Args:
        parameter: Gives the grid.
        bounds: The corridor of the tuner that asked.
        old: The effective value, inside the bounds or not.
        delta: The requested increment, in the parameter's unit. A difference from the grid of less
            than a millionth of the precision is ignored.

    Returns:
        The new value, the delta that remained, and whether it was cut by the upper bound
        (``cap``), the lower (``floor``), or came to nothing (``hold``).
    """
    before = Decimal(str(old))
    dust = Decimal(str(parameter.precision)) * DUST
    requested = Decimal(str(exact(delta))).quantize(dust, context=ANY_FLOAT)
    lowest = min(Decimal(str(bounds.lo)), before)
    highest = max(Decimal(str(bounds.hi)), before)
    target = before + requested
    reached = min(max(target, lowest), highest)
    rising = requested > 0
    after = Decimal(str(parameter._on_grid(reached, ROUND_FLOOR if rising else ROUND_CEILING)))  # noqa: SLF001 - same module
    if (after <= before) if rising else (after >= before):
        return Stepped(old, 0, Note.HOLD if requested else Note.NONE)
    note = Note.NONE
    if reached != target:
        note = Note.CAP if rising else Note.FLOOR
    return Stepped(plain_number(after), plain_number(after - before), note)


def is_same(one: float, other: float, precision: float) -> bool:
    """Tell whether two values of a parameter are the same number, rounded differently.

    Both tolerances follow the parameter: dust of its *precision*, and a billionth of the value. But
    half a step of the grid is always a difference, however large the value is.

    Args:
        one: A value.
        other: Another one.
        precision: The parameter's; 0 for a field without one.
    """
    if precision and abs(one - other) >= precision / 2:
        return False
    return math.isclose(one, other, rel_tol=ROUNDED, abs_tol=precision * float(DUST))


def overlay(base: Mapping[str, float], overrides: Mapping[str, float]) -> dict[str, float]:
    """Return the effective parameters: *base* overlaid by *overrides*, sorted by name."""
    return dict(sorted({**base, **overrides}.items()))
