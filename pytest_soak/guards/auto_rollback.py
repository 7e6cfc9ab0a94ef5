"""The guard that takes back changes after which the objective fell by more than noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.lookback import MOST_ROLLBACKS
from pytest_soak.model.loss import Loss, find_loss, points, run_noise
from pytest_soak.model.metrics import is_number
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History
    from pytest_soak.model.kpi import Kpi
    from pytest_soak.model.pack import Objective
    from pytest_soak.model.summary import Summary

REASON = "auto_rollback"
ARMED, NOT_ARMED = "armed", "not_armed"
IN_WINDOW = "rollback_in_window"
PRICE = "rollback_price"


class AutoRollback:
    """Goes back to the last good parameters when the objective is worse than theirs twice in a row.

    `find_loss` says what is worse. The noise is the pack's, or that of at least five iterations of
    the run with unchanged parameters. Until one is known the guard is not armed, and says so in the
    first iteration. It only reports in the observation window, and where a KPI has left FAIL and
    no more KPIs are at FAIL than before: such a loss may be the price of a cure.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, objective: Objective | None, noise: Mapping[str, float], kpis: Sequence[Kpi] = ()
    ) -> None:
        """Take the pack's *objective*, its *noise* by metric, and its *kpis*."""
        self._objective = objective
        self._noise = noise
        self._kpis = kpis

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Roll back where a loss is complete."""
        objective = self._objective
        if objective is None:
            return _not_armed(history, decision, "the pack names no objective")
        told = points(history, objective)
        sigma = self._noise.get(objective.metric)
        if sigma is None:
            noise = run_noise(told)
            if noise is None:
                why = f"the noise of {objective.metric} is not known"
                return _not_armed(history, decision, why)
            sigma = noise.safe
            if run_noise(told[:-1]) is None:
                detail = f"{objective.metric} sigma={noise.sigma:.4g} n={noise.n}"
                decision = decision.notice(REASON, ARMED, detail=detail)
        fresh = bool(told) and told[-1].iteration == decision.iteration
        loss = find_loss(told, sigma) if fresh else None
        if loss is None or len(history.rollbacks) >= MOST_ROLLBACKS:
            return decision
        return self._answer(history, decision, loss, _words(loss, objective, sigma))

    def _answer(self, history: History, decision: Decision, loss: Loss, detail: str) -> Decision:
        """Roll back, or say why not."""
        good, latest = history[loss.good - 1].summary, history.latest
        if latest.in_window:
            return decision.notice(REASON, IN_WINDOW, detail=f"to iteration {loss.good}: {detail}")
        then, now = (
            [kpi.metric for kpi in self._kpis if _fails(kpi, ran)] for ran in (good, latest)
        )
        cured = [metric for metric in then if metric not in now]
        if cured and len(now) <= len(then):
            price = f"{detail}; at FAIL in iteration {loss.good} and not now: {', '.join(cured)}"
            return decision.notice(REASON, PRICE, detail=price)
        return decision.roll_back(REASON, good, detail)


def _fails(kpi: Kpi, summary: Summary) -> bool:
    value = summary.metrics.get(kpi.metric)
    return is_number(value) and any(
        verdict is Verdict.FAIL and threshold.broken_by(value) for verdict, threshold in kpi.limits
    )


def _not_armed(history: History, decision: Decision, why: str) -> Decision:
    return decision.notice(REASON, NOT_ARMED, detail=why) if len(history) == 1 else decision


def _words(loss: Loss, objective: Objective, sigma: float) -> str:
    way = 1 if objective.better == "up" else -1
    return (
        f"{objective.metric} {way * loss.baseline:.4g} (n={loss.n}) -> {way * loss.since:.4g} "
        f"(n={loss.count}), sigma={sigma:.4g}, sum {loss.sum:.3g} > {loss.limit:.3g}"
    )
