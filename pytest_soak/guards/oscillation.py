"""The guard that holds a parameter which is moved up and down in turn."""

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import applied, asked, sign

ALTERNATION = 3
"""How many applied steps of alternating direction make an oscillation."""


class Oscillation(CoreGuard):
    """Holds a parameter whose last three applied steps were + - + or - + -.

    It is held until two requests in a row, applied or not, have the same direction. Steps of a
    rollback do not count, because no tuner requested them.
    """

    name = "oscillation"

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Stop the steps of parameters that oscillate."""
        if not decision.moves:
            return decision
        steps: dict[str, list[int]] = {}
        for step in applied(history):
            steps.setdefault(step.parameter, []).append(sign(step.effective))
        for change in decision.moves:
            signs = steps.get(change.parameter, [])[:ALTERNATION]
            alternated = signs in ([1, -1, 1], [-1, 1, -1])
            before = next((delta for delta in asked(history, change.parameter) if delta), 0)
            if alternated and before * change.requested <= 0:
                detail = "applied " + " ".join("+" if one > 0 else "-" for one in reversed(signs))
                decision = decision.veto(self.name, change.parameter, self.name, detail)
        return decision
