"""The guard that holds parameters which the system did not exercise."""

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History


class Binding(CoreGuard):
    """Stops a parameter that the latest iteration did not exercise, so that it made no difference.

    The condition is the pack's `binding` of the parameter. While its metric is undefined, steps
    pass.
    """

    name = "binding"

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Stop the steps of parameters that the latest iteration did not exercise."""
        for change in decision.changes:
            condition = self._pack.binding.get(change.parameter)
            if condition is None or condition.holds(history):
                continue
            value = history.latest.metrics.get(condition.metric)
            if value is not None:
                shown = f"{value:.4g}" if isinstance(value, int | float) else ",".join(value)
                detail = f"{condition.metric}={shown}"
                decision = decision.veto(self.name, change.parameter, self.name, detail)
        return decision
