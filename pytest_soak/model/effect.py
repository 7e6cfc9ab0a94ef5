"""Effects: how an apply changed a metric, compared with noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGMAS = 2
"""How many sigma the difference of two means must exceed to be more than noise."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The change of one metric from the iterations before an apply to those after it.

    Args:
        before: The mean of the iterations with the parameters before; None if there are none.
        n_before: How many iterations these are.
        after: The mean of the iterations with the parameters after; None if there are none.
        n_after: How many iterations these are.
        change: Their difference; None if one of the two is missing.
        noise: The sigma of one iteration; None if it is unknown.
        beyond_noise: Whether the change is more than noise; None if that is unknown.
    """

    before: float | None
    n_before: int
    after: float | None
    n_after: int
    change: float | None
    noise: float | None
    beyond_noise: bool | None


def effect(before: Sequence[float], after: Sequence[float], noise: float | None) -> Effect:
    """Compare the means of *before* and *after*.

    A change is beyond noise if it exceeds two sigma of the difference of the two means,
    ``noise * sqrt(1 / n_before + 1 / n_after)``.
    """
    first = math.fsum(before) / len(before) if before else None
    last = math.fsum(after) / len(after) if after else None
    if first is None or last is None:
        return Effect(first, len(before), last, len(after), None, noise, None)
    beyond = None
    if noise is not None:
        scale = noise * math.sqrt(1 / len(before) + 1 / len(after))
        beyond = abs(last - first) > SIGMAS * scale
    return Effect(first, len(before), last, len(after), last - first, noise, beyond)
