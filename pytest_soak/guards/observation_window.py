"""The guard that keeps the last iterations free of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History

REASON = "observation_window"


class ObservationWindow:
    """Stops every change in the observation window, on which the verdict is taken."""

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Skip the decision if its iteration belongs to the window."""
        if history.latest.in_window:
            return decision.skip(REASON, REASON)
        return decision
