"""JUnit XML: verdict and KPIs as properties of the gate item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.model.safe_repr import one_line
from pytest_soak.views.protocol import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.model.chain import ChainVerdict
    from pytest_soak.model.verdict import IterationVerdict


class Junit(View):
    """Properties of the gate item."""

    name = "junit"

    def judged(self, loop: SoakLoop, verdict: ChainVerdict, *, again: bool) -> Sequence[Any]:
        """Return the properties."""
        del again
        return gate_properties(loop.plan, loop.controller.judged, verdict)

    def attach(self, item: pytest.Item, report: pytest.TestReport, parts: Sequence[Any]) -> None:
        """Set them on *item*, replacing those of an earlier run of it, and on its *report*."""
        item.user_properties[:] = parts
        report.user_properties = list(parts)


def gate_properties(
    plan: ChainPlan, judged: Sequence[IterationVerdict], verdict: ChainVerdict
) -> list[tuple[str, object]]:
    """Return the properties, as text and numbers only, because a worker has to send them."""
    properties: list[tuple[str, object]] = [
        ("soak_chain", plan.name),
        ("soak_run", plan.run_id),
        ("soak_verdict", verdict.verdict.name),
        ("soak_reasons", one_line(",".join(verdict.reasons))),
        ("soak_settled", verdict.stretch.settled),
    ]
    properties += ((f"soak_iterations_{word}", n) for word, n in verdict.counts.items())
    for judged_run in verdict.criteria:
        name = one_line(f"soak_{judged_run.criterion}_{judged_run.metric or 'all'}")
        word = "not judged" if judged_run.verdict is None else judged_run.verdict.name
        properties.append((name, word))
    for judgement in judged[-1].judgements if judged else ():
        value = "" if judgement.value is None else str(judgement.value)
        properties.append((one_line(f"soak_kpi_{judgement.metric}"), value))
    return properties
