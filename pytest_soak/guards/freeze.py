"""The guard that leaves well alone: while things go well it lets nothing be tightened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import decisions
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter


REASON = "freeze"
STARTED = "freeze_started"


class Freeze:
    """Stops the tightening of some parameters for a while once *when* held *streak* times in a row.

    Tightening is a step in the parameter's calm direction; relaxing stays free. It starts in the
    iteration that completes the row, which counts as the first of its *iterations*; after the last
    it arms again.
    """

    defaults: ClassVar[Mapping[str, Any]] = {
        "when": (),
        "streak": 2,
        "parameters": (),
        "iterations": 4,
    }

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters*, which know what their calm direction is."""
        self._parameters = parameters

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Start where it is time to, and stop tightening while it lasts."""
        streak, length = settings["streak"], settings["iterations"]
        started = next(
            (
                before.iteration
                for before in decisions(history, length - 1)
                if any(notice.reason == STARTED for notice in before.notices)
            ),
            None,
        )
        if started is None:
            when = [
                Condition(raw["metric"], Op(raw["op"]), raw["value"], streak)
                for raw in settings["when"]
            ]
            if not when or not all(condition.holds(history) for condition in when):
                return decision
            started = decision.iteration
            told = f"iterations {started} to {started + length - 1}"
            decision = decision.notice(REASON, STARTED, detail=told)
        for change in decision.changes:
            if change.parameter not in settings["parameters"]:
                continue
            calm = 1 if self._parameters[change.parameter].calm == "up" else -1
            if change.requested * calm > 0:
                told = f"until iteration {started + length - 1}"
                decision = decision.veto(REASON, change.parameter, REASON, told)
        return decision
