"""The guard that skips tuning while a system has just lost its state."""

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History


class Restarted(CoreGuard):
    """Skips everything in the first iteration after a resume of a system that keeps no state."""

    name = "restarted"
    required = True

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Skip the decision if the system was restarted before the latest iteration."""
        if history.latest.restarted:
            return decision.skip(self.name, self.name)
        return decision
