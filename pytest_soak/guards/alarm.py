"""The guard that warns of a parameter that has gone far, and then pauses it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.headroom import Headroom
from pytest_soak.model.history import History
from pytest_soak.model.lookback import change_of, sign
from pytest_soak.model.settings import Mistake, Number, ParameterName, Setting

WARNING = "alarm_warn"


@dataclass(frozen=True, slots=True)
class Level:
    """The two levels of one parameter."""

    warn: Annotated[Number, Setting("a value beyond it is told", unit="the parameter's")]
    pause: Annotated[Number, Setting("a value beyond it goes no further", unit="the parameter's")]

    @property
    def way(self) -> int:
        """The direction that alarms: 1 where high values do, -1 where low ones do."""
        return sign(self.pause - self.warn)

    def stops(self, value: float) -> int:
        """Return the direction, 1 or -1, in which *value* may go no further, or 0."""
        return self.way if self.way * (value - self.pause) > 0 else 0


class Alarm(CoreGuard):
    """Warns (`alarm_warn`) when a value in force crosses `warn`; stops steps beyond `pause`.

    With `pause` above `warn` high values alarm and increases are stopped; with `pause` below it
    low values and decreases.
    """

    name = "alarm"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        levels: Annotated[
            Mapping[ParameterName, Level],
            Setting("beyond `warn` a value is told, beyond `pause` it goes no further"),
        ] = field(default_factory=dict)

    def faults(self, settings: Settings) -> Iterator[Mistake]:
        """Yield the levels that tell no direction."""
        for name, level in settings.levels.items():
            if not level.way:
                yield Mistake(
                    f"levels.{name}",
                    f"warn and pause are both {level.warn:g}",
                    "pause above warn where high values alarm, below it where low ones do",
                )

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Tell which values crossed their first level; stop what goes on beyond the second."""
        before = history[-2].summary.parameters if len(history) > 1 else {}
        for name, level in settings.levels.items():
            value = decision.parameters[name]
            if level.way * (value - level.warn) > 0:
                was = before.get(name)
                if was is None or level.way * (was - level.warn) <= 0:
                    told = f"{value:.10g} beyond {level.warn:.10g}"
                    decision = decision.notice(self.name, WARNING, name, told)
            change = change_of(decision, name)
            if change is not None and level.stops(value) * change.requested > 0:
                told = f"{value:.10g} beyond {level.pause:.10g}"
                decision = decision.veto(self.name, name, self.name, told)
        return decision

    def headroom(
        self, history: History, parameters: Mapping[str, float], settings: Settings
    ) -> Headroom:
        """Leave nothing in the direction in which a parameter is paused."""
        left = {}
        for name, level in settings.levels.items():
            stopped = level.stops(parameters[name])
            left[name] = (
                0.0 if stopped < 0 else math.inf,
                0.0 if stopped > 0 else math.inf,
            )
        return left
