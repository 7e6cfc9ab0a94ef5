"""Verdict and KPIs as properties of the gate item, which JUnit XML shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.model.verdict import ChainVerdict, IterationVerdict


def gate_properties(
    plan: ChainPlan, judged: Sequence[IterationVerdict], verdict: ChainVerdict
) -> list[tuple[str, object]]:
    """Return the properties: plain text and numbers only, or a worker could not send them."""
    properties: list[tuple[str, object]] = [
        ("soak_chain", plan.name),
        ("soak_run", plan.run_id),
        ("soak_verdict", verdict.verdict.name),
        ("soak_reasons", ",".join(verdict.reasons)),
    ]
    for judgement in judged[-1].judgements if judged else ():
        value = "" if judgement.value is None else str(judgement.value)
        properties.append((f"soak_kpi_{judgement.metric}", value))
    return properties
