"""The guard that stops a parameter whose steps are cut by a bound again and again."""

from dataclasses import dataclass
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Change, Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import LOOKBACK, change_of, decisions
from pytest_soak.model.parameters import Note
from pytest_soak.model.settings import Setting


class Caps(CoreGuard):
    """Stops a parameter after several requests in a row that were cut by the same bound.

    It is stopped until a request has the other direction. Requests that another guard stopped are
    ignored.
    """

    name = "caps"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        requests: Annotated[
            int, Setting("how many requests in a row are let through", least=1, most=LOOKBACK)
        ] = 3

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Stop the steps of such parameters, also those that the clamp held."""
        for change in decision.changes:
            if self._rests(history, change, settings.requests):
                detail = f"cut {settings.requests} times in a row"
                decision = decision.veto(self.name, change.parameter, self.name, detail)
        return decision

    def _rests(self, history: History, change: Change, most: int) -> bool:
        count = 0
        for before in decisions(history):
            asked = before.asked.get(change.parameter, 0)
            if asked * change.requested < 0:
                return False
            if any((v.guard, v.parameter) == (self.name, change.parameter) for v in before.vetoes):
                return True
            was = change_of(before, change.parameter)
            if was is None:
                continue
            if not self._cut(was):
                return False
            count += 1
            if count == most:
                return True
        return False

    def _cut(self, change: Change) -> bool:
        """Return whether a bound cut *change*, in part or, for a value at the bound, completely."""
        if change.note is not Note.HOLD:
            return change.note is not Note.NONE
        bounds = self._pack.parameters[change.parameter].corridor(change.corridor)
        return change.old >= bounds.hi if change.requested > 0 else change.old <= bounds.lo
