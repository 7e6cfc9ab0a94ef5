"""How far the pack's guards let a parameter move: for them, and for tuners that look ahead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_soak.model.lookback import applied, sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.parameters import Parameter

BUDGET_WINDOW = 5


def used(history: History, parameter: Parameter, window: int) -> float:
    """Return the sum of the absolute steps of *parameter* in *window* iterations, this one last."""
    past = applied(history, window - 1)
    spent = [abs(step.effective) for step in past if step.parameter == parameter.name]
    return parameter.quantize(math.fsum(spent))


def paused(value: float, level: Mapping[str, float]) -> int:
    """Return the direction, 1 or -1, in which an alarm's *level* lets *value* go no further, or 0.

    Where ``pause`` is above ``warn`` high values are alarming, where it is below, low ones.
    """
    way = sign(level["pause"] - level["warn"])
    return way if way * (value - level["pause"]) > 0 else 0


def undone(history: History) -> Iterator[tuple[str, float, float]]:
    """Yield what rollbacks took back: ``(parameter, the value it had, the one restored)``."""
    for entry in history.rollbacks:
        if entry.decision is not None:
            for name, (bad, good) in entry.decision.undone.items():
                yield name, bad, good


def room(
    pack: Pack, history: History, parameters: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Return how far each parameter may go down and up in the next step, in its unit, both >= 0.

    By what the pack sets for the guards `budget` and `alarm`, and by what was rolled back; infinite
    where none of them says anything. Other guards may still stop a step.
    """
    down = dict.fromkeys(pack.parameters, math.inf)
    up = dict.fromkeys(pack.parameters, math.inf)
    budget, alarm = pack.guards.get("budget", {}), pack.guards.get("alarm", {})
    if budget.get("enabled", True):
        for name, largest in budget.get("largest", {}).items():
            spent = used(history, pack.parameters[name], budget.get("window", BUDGET_WINDOW))
            down[name] = up[name] = max(0.0, pack.parameters[name].quantize(largest - spent))
    if alarm.get("enabled", True):
        for name, level in alarm.get("levels", {}).items():
            way = paused(parameters[name], level)
            if way:
                (up if way > 0 else down)[name] = 0.0
    for name, bad, good in undone(history):
        side = up if bad > good else down
        left = sign(bad - good) * (good - parameters[name])
        side[name] = min(side[name], max(0.0, left))
    return {name: (down[name], up[name]) for name in pack.parameters}
