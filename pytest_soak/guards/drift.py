"""The guard that warns of a parameter far from its start."""

from dataclasses import dataclass
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import applied
from pytest_soak.model.settings import Number, Setting


class Drift(CoreGuard):
    """Warns when a step takes a parameter far from its start in this run. It stops nothing."""

    name = "drift"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        share: Annotated[
            Number,
            Setting("how far, as a share of the corridor of the tuner that moved it", above=0),
        ] = 0.25

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Warn of each parameter that the step before this iteration took too far."""
        for change in applied(history, 1):
            parameter = self._pack.parameters[change.parameter]
            bounds = parameter.corridor(change.corridor)
            start = history[0].summary.parameters[change.parameter]
            most = settings.share * (bounds.hi - bounds.lo) + parameter.precision * 1e-6
            if abs(change.new - start) > most >= abs(change.old - start):
                detail = f"{change.new:.10g}, started at {start:.10g}"
                decision = decision.notice(self.name, self.name, change.parameter, detail)
        return decision
