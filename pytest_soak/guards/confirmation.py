"""The guard that applies only what was asked for several times in a row."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History


REASON = "confirmation"


class Confirmation:
    """Stops a step that was not asked for, in its direction, in *iterations* in a row.

    Counts requests, whether they were applied or not; an iteration in which nothing was asked of
    the parameter, or in which no tuner was asked at all, breaks the row.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"iterations": 1}

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Stop the steps that were not asked for often enough."""
        wanted = settings["iterations"]
        for change in decision.moves:
            count = 1
            for delta in islice(asked(history, change.parameter, wanted), wanted - 1):
                if delta * change.requested <= 0:
                    break
                count += 1
            if count < wanted:
                detail = f"asked for {count} of {wanted} times in a row"
                decision = decision.veto(REASON, change.parameter, REASON, detail)
        return decision
