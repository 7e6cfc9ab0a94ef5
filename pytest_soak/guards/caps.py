"""The guard that lets a parameter rest which only ever meets a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import change_of, decisions
from pytest_soak.model.parameters import Note, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Change, Decision
    from pytest_soak.model.history import History


REASON = "caps"


class Caps:
    """Stops a parameter after *requests* in a row that were cut by the same bound.

    It rests until a request turns. Requests that another guard stopped tell nothing of the bound
    and neither count nor break the row.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"requests": 3}

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters*, whose bounds tell a cut step from one too small."""
        self._parameters = parameters

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Stop the steps, held ones too, of parameters that rest."""
        for change in decision.changes:
            if self._rests(history, change, settings["requests"]):
                detail = f"cut {settings['requests']} times in a row"
                decision = decision.veto(REASON, change.parameter, REASON, detail)
        return decision

    def _rests(self, history: History, change: Change, most: int) -> bool:
        count = 0
        for before in decisions(history):
            wish = before.asked.get(change.parameter, 0)
            if wish * change.requested < 0:
                return False
            if any((v.guard, v.parameter) == (REASON, change.parameter) for v in before.vetoes):
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
        """Tell whether a bound cut *change*: in part, or all of it where it stands at the bound."""
        if change.note is not Note.HOLD:
            return change.note is not Note.NONE
        bounds = self._parameters[change.parameter].corridor(change.corridor)
        return change.old >= bounds.hi if change.requested > 0 else change.old <= bounds.lo
