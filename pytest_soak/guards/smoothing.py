"""The guard that smooths what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter


REASON = "smoothing"


class Smoothing:
    """Lets through the exponential moving average of the requests, never more than was asked for.

    ``average = alpha * requested + (1 - alpha) * average before``, from 0 at the start of the run,
    over the last 50 iterations; an iteration without a request counts as 0. It is rounded to the
    nearest point of the parameter's grid, so that a constant request is met in the end. An alpha
    of 1 switches it off.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"alpha": 1.0}

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters* with their grids."""
        self._parameters = parameters

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Cut every step to the average."""
        alpha = settings["alpha"]
        for change in decision.moves if alpha < 1 else ():
            parameter = self._parameters[change.parameter]
            average = 0.0
            for delta in reversed((change.requested, *asked(history, change.parameter))):
                average = alpha * delta + (1 - alpha) * average
            smooth = parameter.quantize(average)
            if smooth * change.effective <= 0:
                smooth = 0
            if abs(smooth) < abs(change.effective):
                told = f"average {average:.4g}"
                decision = decision.cut(REASON, parameter, smooth, told)
        return decision
