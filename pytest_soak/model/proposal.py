"""Proposals: the increments that one tuner asks for, with its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a tuner asks for after one iteration.

    Args:
        deltas: ``{parameter: increment}`` in the parameter's unit; never a target value.
        reasons: Why, in phrases, for the proposal as a whole.
        reason_of: ``{parameter: why}`` where one parameter's reason is narrower.
        withheld: What the tuner's own rules kept back, such as ``multi_fail_guard``.
    """

    deltas: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    reason_of: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()

    def reason(self, parameter: str) -> str:
        """Return the reason given for *parameter*, or the proposal's own."""
        return self.reason_of.get(parameter) or "+".join(self.reasons)


def proposal_fault(proposal: object, known: Mapping[str, object]) -> str:
    """Return what is wrong with what a tuner returned, or an empty string.

    Args:
        proposal: What came back from ``propose``.
        known: The tunable parameters by name.
    """
    if not isinstance(proposal, Proposal):
        return f"returned {proposal!r}, not a Proposal"
    for name, delta in proposal.deltas.items():
        if name not in known:
            return f"wants to change {name!r}; tunable are {', '.join(known)}"
        if isinstance(delta, bool) or not isinstance(delta, int | float):
            return f"gave {delta!r} as the delta of {name}, not a number"
        if not math.isfinite(delta):
            return f"gave {delta!r} as the delta of {name}, not a finite number"
    texts = (*proposal.reasons, *proposal.reason_of.values(), *proposal.withheld)
    if isinstance(proposal.reasons, str) or not all(isinstance(text, str) for text in texts):
        return "gave reasons that are not a tuple of strings"
    return ""
