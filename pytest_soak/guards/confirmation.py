"""The guard that allows only steps that were requested several times in a row."""

from dataclasses import dataclass
from itertools import islice
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import LOOKBACK, asked
from pytest_soak.model.settings import Setting


class Confirmation(CoreGuard):
    """Stops a step that was not asked for, in its direction, in several iterations in a row.

    Requests count whether they were applied or not. An iteration without a request for the
    parameter, or without tuning at all, breaks the row.
    """

    name = "confirmation"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        iterations: Annotated[
            int,
            Setting(
                "how often in a row a step must be asked for",
                unit="iterations",
                least=1,
                most=LOOKBACK,
            ),
        ] = 1

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Stop the steps that were not asked for often enough."""
        wanted = settings.iterations
        for change in decision.moves:
            count = 1
            for delta in islice(asked(history, change.parameter, wanted), wanted - 1):
                if delta * change.requested <= 0:
                    break
                count += 1
            if count < wanted:
                detail = f"asked for {count} of {wanted} times in a row"
                decision = decision.veto(self.name, change.parameter, self.name, detail)
        return decision
