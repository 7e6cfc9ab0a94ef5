"""The rule that takes a change back after two drops in a row, noise or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import MOST_ROLLBACKS
from pytest_soak.model.loss import points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Objective

REASON = "plain_rollback"
IN_WINDOW = "rollback_in_window"
DROPS = 2


class PlainRollback:
    """Goes back to the parameters before an apply that two drops of the objective followed.

    It knows nothing of noise and is off: on noise alone it fires in most runs (docs/guards.md has
    the figures).
    """

    defaults: ClassVar[Mapping[str, Any]] = {"enabled": False}

    def __init__(self, objective: Objective | None) -> None:
        """Take the pack's *objective*; without one it does nothing."""
        self._objective = objective

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Roll back where the second drop is complete."""
        if self._objective is None or decision.rollback is not None:
            return decision
        told = points(history, self._objective)[-DROPS - 1 :]
        numbers = [one.iteration for one in told]
        first = decision.iteration - DROPS
        if numbers != [first, first + 1, first + 2] or told[0].key == told[-1].key:
            return decision
        values = [one.value for one in told]
        applied = history[first - 1].applied
        falls = values[0] > values[1] > values[2]
        if not (applied and falls) or len(history.rollbacks) >= MOST_ROLLBACKS:
            return decision
        way = 1 if self._objective.better == "up" else -1
        shown = " -> ".join(f"{way * value:.4g}" for value in values)
        detail = f"{self._objective.metric} {shown}"
        if history.latest.in_window:
            return decision.notice(REASON, IN_WINDOW, detail=f"to iteration {first}: {detail}")
        return decision.roll_back(REASON, history[first - 1].summary, detail)
