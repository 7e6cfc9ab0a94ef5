"""The maker's parameters: what a profile sets and tuners change."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class MakerParameters:
    """What the maker works with during one iteration.

    Attributes:
        min_interval_ms: least time between two decisions.
        replace_rate_per_min: replaces per minute; what it has not spent it may save for a second.
        base_spread_bps: distance of a quote from the mid.
        base_spread_bps_delta: added to it.
        impact_cap_ratio: size of an order as a share of capital.
        max_delta_ratio: inventory limit as a share of capital.
        tail_age_ms: life of an order that the market has left behind.
        concurrency_limit: orders per side that may be working or on their way.
        slippage_penalty_coef: share of the recent slippage per fill (maker fills count as 0) that
            is added to the distance.
        vip_tilt_cap: largest shift of the quotes along with VIP takers, as a share of the distance.
        inventory_tilt_cap: largest shift of the quotes against inventory, likewise.
    """

    min_interval_ms: float
    replace_rate_per_min: float
    base_spread_bps: float
    base_spread_bps_delta: float
    impact_cap_ratio: float
    max_delta_ratio: float
    tail_age_ms: float
    concurrency_limit: float
    slippage_penalty_coef: float
    vip_tilt_cap: float
    inventory_tilt_cap: float

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, float]) -> MakerParameters:
        """Take the maker's fields out of the effective parameters.

        Raises:
            ValueError: a field is missing, unknown, not a finite number or negative, or a size or
                limit is 0; names it.
        """
        names = {entry.name for entry in fields(cls)}
        for problem, wrong in (
            ("missing", names - set(mapping)),
            ("unknown", set(mapping) - names),
        ):
            if wrong:
                msg = f"market parameters {problem}: {', '.join(sorted(wrong))}"
                raise ValueError(msg)
        for name, value in mapping.items():
            if isinstance(value, bool) or not math.isfinite(value) or value < 0:
                msg = f"market parameter {name} must be a number from 0, got {value!r}"
                raise ValueError(msg)
        for name in ("impact_cap_ratio", "max_delta_ratio", "concurrency_limit"):
            if not mapping[name]:
                msg = f"market parameter {name} must be above 0"
                raise ValueError(msg)
        return cls(**mapping)

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name, for the report's ``parameters``."""
        return asdict(self)
