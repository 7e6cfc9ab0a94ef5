"""The guard that bounds how far a parameter is moved in a while."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.headroom import BUDGET_WINDOW, used

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter


REASON = "budget"


class Budget:
    """Bounds the sum of the absolute applied steps of a parameter in a sliding window.

    The window is the iteration decided on and the ``window - 1`` before it. Steps to and fro both
    count; steps back by a rollback do not. A step larger than what is left is cut to it.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"window": BUDGET_WINDOW, "largest": {}}

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters* with their grids."""
        self._parameters = parameters

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Cut every step to what is left of the parameter's budget."""
        window = settings["window"]
        for change in decision.moves:
            largest = settings["largest"].get(change.parameter)
            if largest is None:
                continue
            parameter = self._parameters[change.parameter]
            spent = used(history, parameter, window)
            left = max(0, parameter.quantize(largest - spent))
            if abs(change.effective) > left:
                told = f"{spent:.10g} of {largest:.10g} used in {window} iterations"
                decision = decision.cut(
                    REASON, parameter, math.copysign(left, change.effective), told
                )
        return decision
