"""The guard that warns of a far value of a parameter, and then stops it."""

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

    warn: Annotated[Number, Setting("a value beyond it is reported", unit="the parameter's")]
    pause: Annotated[Number, Setting("beyond it no step goes further", unit="the parameter's")]

    @property
    def way(self) -> int:
        """The direction of the alarm: 1 for high values, -1 for low ones."""
        return sign(self.pause - self.warn)

    def stops(self, value: float) -> int:
        """Return the direction, 1 or -1, in which *value* must go no further, or 0."""
        return self.way if self.way * (value - self.pause) > 0 else 0


class Alarm(CoreGuard):
    """Warns (`alarm_warn`) when a value crosses `warn`; stops further steps beyond `pause`.

    With `pause` above `warn` it acts on high values and increases, with `pause` below `warn` on
    low values and decreases.
    """

    name = "alarm"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        levels: Annotated[
            Mapping[ParameterName, Level],
            Setting("beyond `warn` a value is reported, beyond `pause` it goes no further"),
        ] = field(default_factory=dict)

    def faults(self, settings: Settings) -> Iterator[Mistake]:
        """Yield the levels without a direction."""
        for name, level in settings.levels.items():
            if not level.way:
                yield Mistake(
                    f"levels.{name}",
                    f"warn and pause are both {level.warn:g}",
                    "pause above warn for an alarm on high values, below it for low values",
                )

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Warn of values that crossed `warn`; stop steps that go further beyond `pause`."""
        before = history[-2].summary.parameters if len(history) > 1 else {}
        for name, level in settings.levels.items():
            value = decision.parameters[name]
            if level.way * (value - level.warn) > 0:
                was = before.get(name)
                if was is None or level.way * (was - level.warn) <= 0:
                    detail = f"{value:.10g} beyond {level.warn:.10g}"
                    decision = decision.notice(self.name, WARNING, name, detail)
            change = change_of(decision, name)
            if change is not None and level.stops(value) * change.requested > 0:
                detail = f"{value:.10g} beyond {level.pause:.10g}"
                decision = decision.veto(self.name, name, self.name, detail)
        return decision

    def headroom(
        self, history: History, parameters: Mapping[str, float], settings: Settings
    ) -> Headroom:
        """Leave nothing in the direction in which a parameter is stopped."""
        left = {}
        for name, level in settings.levels.items():
            stopped = level.stops(parameters[name])
            left[name] = (
                0.0 if stopped < 0 else math.inf,
                0.0 if stopped > 0 else math.inf,
            )
        return left
