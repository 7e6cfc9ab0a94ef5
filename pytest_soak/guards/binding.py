"""The guard that does not tune what the system did not exercise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Condition


REASON = "binding"


class Binding:
    """Stops a parameter that was not binding: where it stands made no difference.

    The pack says by which metric that can be told. Where the metric is undefined nobody can tell,
    and the step passes.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, binding: Mapping[str, Condition]) -> None:
        """Take the pack's conditions, ``{parameter: when it is binding}``."""
        self._binding = binding

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Stop the steps of parameters that the latest iteration did not exercise."""
        for change in decision.changes:
            condition = self._binding.get(change.parameter)
            if condition is None or condition.holds(history):
                continue
            value = history.latest.metrics.get(condition.metric)
            if value is not None:
                shown = f"{value:.4g}" if isinstance(value, int | float) else ",".join(value)
                told = f"{condition.metric}={shown}"
                decision = decision.veto(REASON, change.parameter, REASON, told)
        return decision
