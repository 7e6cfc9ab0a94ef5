"""The guard that does not tune on an iteration that told nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History

REASON = "inconclusive"


class MetricsUsable:
    """Stops every change after an INCONCLUSIVE iteration: nothing defaults to healthy."""

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Skip the decision if the latest iteration is INCONCLUSIVE."""
        summary = history.latest
        if summary.verdict is Verdict.INCONCLUSIVE or summary.problems:
            return decision.skip("metrics_usable", REASON, "; ".join(map(str, summary.problems)))
        return decision
