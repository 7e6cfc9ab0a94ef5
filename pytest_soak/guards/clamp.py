"""The last guard: the clamp that every delta passes after all other guards."""

from dataclasses import replace

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Change, Decision
from pytest_soak.model.history import History
from pytest_soak.model.parameters import Note, step


class Clamp(CoreGuard):
    """Keeps every remaining delta in its tuner's corridor and on the parameter's grid."""

    name = "clamp"
    required = True

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Clamp every change; one cut to zero stays listed, marked as held."""
        if not decision.changes:
            return decision
        return replace(decision, changes=tuple(map(self._clamped, decision.changes)))

    def _clamped(self, change: Change) -> Change:
        parameter = self._pack.parameters[change.parameter]
        stepped = step(parameter, parameter.corridor(change.corridor), change.old, change.effective)
        note = stepped.note if stepped.note is not Note.NONE else change.note
        if not stepped.delta:
            note = Note.HOLD
        return replace(change, effective=stepped.delta, new=stepped.new, note=note)
