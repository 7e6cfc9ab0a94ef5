"""The guard that makes one change a parameter out of what several tuners ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_soak.model.decision import Decision, Request, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter

REASON = "conflict"


class Conflict:
    """With opposite signs on one parameter nothing is applied; with one sign, the larger step.

    Never the sum: two tuners that see the same trouble would repair it twice.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters*, whose corridors each request passes on its own."""
        self._parameters = parameters

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Turn the requests into changes."""
        wishes: dict[str, list[Request]] = {}
        for wish in decision.requests:
            wishes.setdefault(wish.parameter, []).append(wish)
        for name, group in wishes.items():
            if len({wish.delta > 0 for wish in group}) > 1:
                detail = " ".join(f"{wish.tuner}={wish.delta:+g}" for wish in group)
                decision = decision.veto(REASON, name, REASON, detail)
                continue
            old = decision.parameters[name]
            takes = [take(wish, self._parameters[name], old) for wish in group]
            largest = max(takes, key=lambda change: abs(change.effective))
            decision = replace(decision, changes=(*decision.changes, largest))
        return decision
