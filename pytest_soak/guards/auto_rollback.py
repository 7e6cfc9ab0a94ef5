"""The rule that takes changes back which cost more of the objective than noise explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.loss import Loss, find_loss, points, run_noise
from pytest_soak.model.past import MOST_ROLLBACKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Objective

REASON = "auto_rollback"
ARMED, NOT_ARMED = "armed", "not_armed"
IN_WINDOW = "rollback_in_window"


class AutoRollback:
    """Goes back to the last good parameters where the objective fell, twice in a row, below them.

    What "below" means is told in `find_loss`. The noise is the pack's; without it, that of at
    least five iterations of the run with unchanged parameters; until then it is not armed, and
    says so in the first iteration. In the observation window it reports, and rolls nothing back.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, objective: Objective | None, noise: Mapping[str, float]) -> None:
        """Take the pack's *objective*, and its *noise* by metric."""
        self._objective = objective
        self._noise = noise

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Roll back where a loss is complete."""
        objective = self._objective
        if objective is None:
            return _not_armed(history, decision, "the pack names no objective")
        told = points(history, objective)
        sigma = self._noise.get(objective.metric)
        if sigma is None:
            noise = run_noise(told)
            if noise is None:
                why = f"the noise of {objective.metric} is not known"
                return _not_armed(history, decision, why)
            sigma = noise.safe
            if run_noise(told[:-1]) is None:
                detail = f"{objective.metric} sigma={noise.sigma:.4g} n={noise.n}"
                decision = decision.notice(REASON, ARMED, detail=detail)
        if not told or told[-1].iteration != decision.iteration:
            return decision
        loss = find_loss(told, sigma)
        if loss is None or len(history.rollbacks) >= MOST_ROLLBACKS:
            return decision
        detail = _words(loss, objective, sigma)
        if history.latest.in_window:
            return decision.notice(REASON, IN_WINDOW, detail=f"to iteration {loss.good}: {detail}")
        return decision.roll_back(REASON, history[loss.good - 1].summary, detail)


def _not_armed(history: History, decision: Decision, why: str) -> Decision:
    return decision.notice(REASON, NOT_ARMED, detail=why) if len(history) == 1 else decision


def _words(loss: Loss, objective: Objective, sigma: float) -> str:
    way = 1 if objective.better == "up" else -1
    return (
        f"{objective.metric} {way * loss.baseline:.4g} (n={loss.n}) -> {way * loss.since:.4g} "
        f"(n={loss.count}), sigma={sigma:.4g}, sum {loss.sum:.3g} > {loss.limit:.3g}"
    )
