"""The guard that skips tuning after an iteration without usable metrics."""

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.verdict import Verdict

REASON = "inconclusive"


class MetricsUsable(CoreGuard):
    """Skips everything after an INCONCLUSIVE iteration; reason `inconclusive`."""

    name = "metrics_usable"
    required = True

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Skip the decision if the latest iteration is INCONCLUSIVE."""
        summary = history.latest
        if summary.verdict is Verdict.INCONCLUSIVE or summary.problems:
            return decision.skip(self.name, REASON, "; ".join(map(str, summary.problems)))
        return decision
