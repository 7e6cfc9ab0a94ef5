"""The guard that bounds how far a parameter moves in a number of iterations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.headroom import Headroom
from pytest_soak.model.history import History
from pytest_soak.model.lookback import LOOKBACK, applied
from pytest_soak.model.parameters import Parameter
from pytest_soak.model.settings import Number, ParameterName, Setting


class Budget(CoreGuard):
    """Bounds the sum of a parameter's absolute applied steps in the last iterations.

    A step larger than the rest of the budget is cut to it. Steps in both directions count; steps of
    a rollback do not.
    """

    name = "budget"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        window: Annotated[
            int,
            Setting(
                "how many iterations are added up, the one decided on included",
                unit="iterations",
                least=1,
                most=LOOKBACK,
            ),
        ] = 5
        largest: Annotated[
            Mapping[ParameterName, Annotated[Number, Setting(above=0)]],
            Setting("the largest sum for each parameter", unit="the parameter's"),
        ] = field(default_factory=dict)

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Cut every step to the rest of the parameter's budget."""
        window = settings.window
        for change in decision.moves:
            largest = settings.largest.get(change.parameter)
            if largest is None:
                continue
            parameter = self._pack.parameters[change.parameter]
            spent, left = _used(history, parameter, window, largest)
            if abs(change.effective) > left:
                detail = f"{spent:.10g} of {largest:.10g} used in {window} iterations"
                delta = math.copysign(left, change.effective)
                decision = decision.cut(self.name, parameter, delta, detail)
        return decision

    def headroom(
        self, history: History, parameters: Mapping[str, float], settings: Settings
    ) -> Headroom:
        """Leave the rest of each budget."""
        headroom = {}
        for name, largest in settings.largest.items():
            _, left = _used(history, self._pack.parameters[name], settings.window, largest)
            headroom[name] = (left, left)
        return headroom


def _used(
    history: History, parameter: Parameter, window: int, largest: float
) -> tuple[float, float]:
    """Return how much of a budget was spent, and how much is left.

    Args:
        history: Every iteration so far.
        parameter: The parameter of the budget.
        window: How many iterations are added up, the one decided on included.
        largest: The budget, in the parameter's unit.
    """
    past = applied(history, window - 1)
    steps = [abs(step.effective) for step in past if step.parameter == parameter.name]
    spent = parameter.quantize(math.fsum(steps))
    return spent, max(0.0, parameter.quantize(largest - spent))
