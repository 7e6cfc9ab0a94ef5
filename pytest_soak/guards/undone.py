"""The guard that does not try again in a run what was rolled back in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.model.headroom import undone
from pytest_soak.model.lookback import MOST_ROLLBACKS, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History

REASON = "undone"
FROZEN = "rollback_freeze"


class Undone:
    """Stops steps that go where a rollback came back from; after the second one, everything.

    A parameter that was rolled back does not go beyond the value that was restored, in the
    direction that was undone. It may go the other way, and come back to that value.
    """

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Stop what was tried before."""
        rollbacks = len(history.rollbacks)
        if rollbacks >= MOST_ROLLBACKS and decision.moves:
            return decision.skip(REASON, FROZEN, f"rolled back {rollbacks} times")
        for name, bad, good in undone(history):
            way = sign(bad - good)
            for change in decision.moves:
                onwards = way * change.effective > 0 and way * (change.new - good) > 0
                if change.parameter == name and onwards:
                    detail = f"{bad:.10g} rolled back to {good:.10g}"
                    decision = decision.veto(REASON, name, REASON, detail)
        return decision
