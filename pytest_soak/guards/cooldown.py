"""The guard that gives the system time to settle after a change."""

from dataclasses import dataclass
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import LOOKBACK, earlier
from pytest_soak.model.settings import Setting


class Cooldown(CoreGuard):
    """Skips everything in the first iterations after an apply or a rollback."""

    name = "cooldown"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        iterations: Annotated[
            int, Setting("how long nothing is changed", unit="iterations", least=0, most=LOOKBACK)
        ] = 0

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Skip the decision if the last apply is too recent."""
        pause = settings.iterations
        last = next((e.summary.iteration for e in earlier(history, pause) if e.applied), None)
        if last is None or not decision.moves:
            return decision
        return decision.skip(self.name, self.name, f"applied after iteration {last}, pause {pause}")
