"""The guard that warns when a parameter is far from where the run started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import applied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter


REASON = "drift"


class Drift:
    """Warns when a step took a parameter more than *share* of its corridor from the start.

    The corridor is that of the tuner that moved it. It stops nothing.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"share": 0.25}

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters* with their bounds."""
        self._parameters = parameters

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Warn of each parameter that the step before this iteration took too far."""
        for change in applied(history, 1):
            parameter = self._parameters[change.parameter]
            bounds = parameter.corridor(change.corridor)
            start = history[0].summary.parameters[change.parameter]
            most = settings["share"] * (bounds.hi - bounds.lo) + parameter.precision * 1e-6
            if abs(change.new - start) > most >= abs(change.old - start):
                told = f"{change.new:.10g}, started at {start:.10g}"
                decision = decision.notice(REASON, REASON, change.parameter, told)
        return decision
