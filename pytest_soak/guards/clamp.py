"""The last guard: the one clamp, whatever the guards before it made of a delta."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_soak.model.parameters import Note, Parameter, step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Change, Decision
    from pytest_soak.model.history import History


class Clamp:
    """Passes every delta that is left through its tuner's corridor and the parameter's grid."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters*."""
        self._parameters = parameters

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Clamp every change; one cut to nothing stays listed, marked as held."""
        if not decision.changes:
            return decision
        return replace(decision, changes=tuple(map(self._clamped, decision.changes)))

    def _clamped(self, change: Change) -> Change:
        parameter = self._parameters[change.parameter]
        stepped = step(parameter, parameter.corridor(change.corridor), change.old, change.effective)
        note = stepped.note if stepped.note is not Note.NONE else change.note
        if not stepped.delta:
            note = Note.HOLD
        return replace(change, effective=stepped.delta, new=stepped.new, note=note)
