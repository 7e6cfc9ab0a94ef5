"""The guard that stops tightening while metrics are good."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.lookback import LOOKBACK, decisions
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Condition
from pytest_soak.model.settings import MetricName, Mistake, Number, ParameterName, Setting

STARTED = "freeze_started"


@dataclass(frozen=True, slots=True)
class When:
    """A comparison of a metric with a value."""

    metric: Annotated[MetricName, Setting("what is compared")]
    op: Annotated[Op, Setting("how")]
    value: Annotated[Number | str, Setting("with what; `has` takes a word")]


class Freeze(CoreGuard):
    """Stops tightening for some iterations once `when` held several times in a row.

    Its start is reported as `freeze_started`. Tightening is a step in the parameter's calm
    direction; relaxing is always allowed. The iteration that completes the row is the first frozen
    one. After the last frozen iteration it can start again.
    """

    name = "freeze"

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        when: Annotated[
            tuple[When, ...], Setting("the comparisons of metrics that must all hold")
        ] = ()
        streak: Annotated[
            int,
            Setting("how often in a row they must hold", unit="iterations", least=1, most=LOOKBACK),
        ] = 2
        parameters: Annotated[
            tuple[ParameterName, ...], Setting("what is frozen", unique=True)
        ] = ()
        iterations: Annotated[
            int, Setting("for how long", unit="iterations", least=1, most=LOOKBACK)
        ] = 4

    def faults(self, settings: Settings) -> Iterator[Mistake]:
        """Yield conditions without parameters or the reverse, and conditions that cannot hold."""
        if bool(settings.when) != bool(settings.parameters):
            given, lacking = ("when", "parameters") if settings.when else ("parameters", "when")
            yield Mistake(given, f"without {lacking}", "both, or none of them")
        for place, condition in enumerate(_conditions(settings)):
            fault = self._pack.comparison_fault(condition)
            if fault is not None:
                yield replace(fault, where=f"when.{place}")

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Start if the conditions hold, and stop tightening while it lasts."""
        length = settings.iterations
        started = next(
            (
                before.iteration
                for before in decisions(history, length - 1)
                if any(notice.reason == STARTED for notice in before.notices)
            ),
            None,
        )
        if started is None:
            when = _conditions(settings)
            if not when or not all(condition.holds(history) for condition in when):
                return decision
            started = decision.iteration
            told = f"iterations {started} to {started + length - 1}"
            decision = decision.notice(self.name, STARTED, detail=told)
        for change in decision.changes:
            if change.parameter not in settings.parameters:
                continue
            calm = 1 if self._pack.parameters[change.parameter].calm == "up" else -1
            if change.requested * calm > 0:
                told = f"until iteration {started + length - 1}"
                decision = decision.veto(self.name, change.parameter, self.name, told)
        return decision


def _conditions(settings: Freeze.Settings) -> list[Condition]:
    return [Condition(one.metric, one.op, one.value, settings.streak) for one in settings.when]
