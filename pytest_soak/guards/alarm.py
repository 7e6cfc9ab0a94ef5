"""The guard that warns of a parameter gone far, and then pauses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.headroom import paused
from pytest_soak.model.lookback import change_of, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History


REASON = "alarm"
WARNING = "alarm_warn"


class Alarm:
    """Two levels on a parameter: beyond ``warn`` it warns, beyond ``pause`` it stops going on.

    Where ``pause`` is above ``warn`` high values are alarming and increases are stopped, where it
    is below, low ones and decreases. It looks at the value that is in force, and warns when that
    has crossed the level.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"levels": {}}

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Warn of what crossed its first level; stop what would go on beyond its second."""
        before = history[-2].summary.parameters if len(history) > 1 else {}
        for name, level in settings["levels"].items():
            way = sign(level["pause"] - level["warn"])
            value = decision.parameters[name]
            if way * (value - level["warn"]) > 0:
                was = before.get(name)
                if was is None or way * (was - level["warn"]) <= 0:
                    told = f"{value:.10g} beyond {level['warn']:.10g}"
                    decision = decision.notice(REASON, WARNING, name, told)
            change = change_of(decision, name)
            stopped = paused(value, level)
            if change is not None and stopped * change.requested > 0:
                told = f"{value:.10g} beyond {level['pause']:.10g}"
                decision = decision.veto(REASON, name, REASON, told)
        return decision
