"""The guard that rolls back after two drops in a row, regardless of noise."""

from dataclasses import dataclass

from pytest_soak.guards.protocol import CoreGuard, Enabled
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import MOST_ROLLBACKS
from pytest_soak.model.loss import points

IN_WINDOW = "rollback_in_window"
DROPS = 2


class PlainRollback(CoreGuard):
    """Goes back to the parameters before an apply that was followed by two drops of the objective.

    It is off unless it is switched on: it ignores noise, and on noise alone it acts in most runs.
    """

    name = "plain_rollback"
    rolls_back = True

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        enabled: Enabled = False

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Roll back at the second drop."""
        objective = self._pack.objective
        if objective is None or decision.rollback is not None:
            return decision
        seen = points(history, objective)[-DROPS - 1 :]
        numbers = [one.iteration for one in seen]
        first = decision.iteration - DROPS
        if numbers != [first, first + 1, first + 2] or seen[0].key == seen[-1].key:
            return decision
        values = [one.value for one in seen]
        applied = history[first - 1].applied
        falls = values[0] > values[1] > values[2]
        if not (applied and falls) or len(history.rollbacks) >= MOST_ROLLBACKS:
            return decision
        way = 1 if objective.better == "up" else -1
        shown = " -> ".join(f"{way * value:.4g}" for value in values)
        detail = f"{objective.metric} {shown}"
        if history.latest.in_window:
            return decision.notice(self.name, IN_WINDOW, detail=f"to iteration {first}: {detail}")
        return decision.roll_back(self.name, history[first - 1].summary, detail)
