"""The guard that does not repeat what was rolled back in the same run."""

import math
from collections.abc import Iterator, Mapping

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.headroom import Headroom, least
from pytest_soak.model.history import History
from pytest_soak.model.lookback import MOST_ROLLBACKS, sign

FROZEN = "rollback_freeze"


class Undone(CoreGuard):
    """Stops steps beyond the value that a rollback restored, in the direction that was undone.

    Steps in the other direction, and back to that value, are allowed. After the second rollback of
    a run it skips everything (`rollback_freeze`).
    """

    name = "undone"
    required = True

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Stop steps that were rolled back before."""
        rollbacks = len(history.rollbacks)
        if rollbacks >= MOST_ROLLBACKS and decision.moves:
            return decision.skip(self.name, FROZEN, f"rolled back {rollbacks} times")
        for name, bad, good in _undone(history):
            way = sign(bad - good)
            for change in decision.moves:
                onwards = way * change.effective > 0 and way * (change.new - good) > 0
                if change.parameter == name and onwards:
                    detail = f"{bad:.10g} rolled back to {good:.10g}"
                    decision = decision.veto(self.name, name, self.name, detail)
        return decision

    def headroom(
        self, history: History, parameters: Mapping[str, float], settings: NoSettings
    ) -> Headroom:
        """Leave only the distance back to the restored values."""
        return least(_left(parameters, *undone) for undone in _undone(history))


def _left(parameters: Mapping[str, float], name: str, bad: float, good: float) -> Headroom:
    way = sign(bad - good)
    left = max(0.0, way * (good - parameters[name]))
    return {name: (math.inf, left) if way > 0 else (left, math.inf)}


def _undone(history: History) -> Iterator[tuple[str, float, float]]:
    """Yield what rollbacks undid: ``(parameter, the value it had, the restored one)``."""
    for decision in filter(None, (entry.decision for entry in history.rollbacks)):
        for name, (bad, good) in decision.restored.items():
            yield name, bad, good
