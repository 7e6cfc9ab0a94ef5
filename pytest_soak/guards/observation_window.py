"""The guard that keeps the last iterations free of changes."""

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History


class ObservationWindow(CoreGuard):
    """Skips everything in the observation window, on which the verdict is taken."""

    name = "observation_window"
    required = True

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Skip the decision if its iteration belongs to the window."""
        if history.latest.in_window:
            return decision.skip(self.name, self.name)
        return decision
