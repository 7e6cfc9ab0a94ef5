"""How far guards let parameters move: for tuners that look ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Headroom: TypeAlias = Mapping[str, tuple[float, float]]
"""``{parameter: (down, up)}``: how far each may move in the next step, in its unit, both >= 0.

A parameter that is missing is not bounded.
"""
UNBOUNDED = (math.inf, math.inf)


def least(headrooms: Iterable[Headroom]) -> dict[str, tuple[float, float]]:
    """Return the headroom that all of *headrooms* leave."""
    left: dict[str, tuple[float, float]] = {}
    for headroom in headrooms:
        for name, (down, up) in headroom.items():
            before = left.get(name, UNBOUNDED)
            left[name] = (min(before[0], down), min(before[1], up))
    return left
