"""The guard that lets a system settle after an apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import earlier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History


REASON = "cooldown"


class Cooldown:
    """Stops every change in the first *iterations* after an apply, a rollback included."""

    defaults: ClassVar[Mapping[str, Any]] = {"iterations": 0}

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Skip the decision if something was applied too short a while ago."""
        pause = settings["iterations"]
        last = next((e.summary.iteration for e in earlier(history, pause) if e.applied), None)
        if last is None or not decision.moves:
            return decision
        return decision.skip(REASON, REASON, f"applied after iteration {last}, pause {pause}")
