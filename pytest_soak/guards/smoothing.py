"""The guard that smooths requests."""

from dataclasses import dataclass
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import asked
from pytest_soak.model.settings import Number, Setting


class Smoothing(CoreGuard):
    """Cuts a step to the exponential moving average of the requests.

    The average is `alpha` of the new request and the rest of the old average, from 0 at the start
    of the run, over the last 50 iterations; an iteration without a request counts as 0. It is
    rounded to the nearest point of the parameter's grid, so that a constant request is finally
    reached.
    """

    name = "smoothing"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        alpha: Annotated[
            Number, Setting("the share of the new request; 1 is off", least=0.1, most=1)
        ] = 1.0

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Cut every step to the average."""
        alpha = settings.alpha
        for change in decision.moves if alpha < 1 else ():
            parameter = self._pack.parameters[change.parameter]
            average = 0.0
            for delta in reversed((change.requested, *asked(history, change.parameter))):
                average = alpha * delta + (1 - alpha) * average
            smooth = parameter.quantize(average)
            if smooth * change.effective <= 0:
                smooth = 0
            if abs(smooth) < abs(change.effective):
                detail = f"average {average:.4g}"
                decision = decision.cut(self.name, parameter, smooth, detail)
        return decision
