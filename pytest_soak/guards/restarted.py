"""The guard that does not tune on a system that has just lost its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History

REASON = "restarted"


class Restarted:
    """Stops every change in the first iteration after a resume, of a system that keeps no state."""

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Skip the decision if the system was restarted before the latest iteration."""
        if history.latest.restarted:
            return decision.skip(REASON, REASON)
        return decision
