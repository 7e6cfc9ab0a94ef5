"""The guard that rolls back changes after which the objective got worse by more than noise."""

from pytest_soak.guards.protocol import CoreGuard, NoSettings
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.kpi import Kpi
from pytest_soak.model.lookback import MOST_ROLLBACKS
from pytest_soak.model.loss import Loss, find_loss, points, run_noise
from pytest_soak.model.metrics import is_number
from pytest_soak.model.pack import Objective
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Verdict

ARMED, NOT_ARMED = "armed", "not_armed"
IN_WINDOW = "rollback_in_window"
PRICE = "rollback_price"


class AutoRollback(CoreGuard):
    """Goes back to the last good parameters when the objective is worse than theirs twice in a row.

    `find_loss` says what is worse. The noise is the pack's, or that of at least five iterations of
    the run with unchanged parameters. Until the noise is known the guard is not armed, and says so
    in the first iteration. It only reports, without a rollback, in the observation window and where
    a KPI has left FAIL and no more KPIs are at FAIL than before: the loss may be the price of that.
    """

    name = "auto_rollback"
    rolls_back = True

    def review(self, history: History, decision: Decision, settings: NoSettings) -> Decision:
        """Roll back if the objective is worse than before."""
        objective = self._pack.objective
        if objective is None:
            return self._not_armed(history, decision, "the pack names no objective")
        seen = points(history, objective)
        sigma = self._pack.noise.get(objective.metric)
        if sigma is None:
            noise = run_noise(seen)
            if noise is None:
                why = f"the noise of {objective.metric} is not known"
                return self._not_armed(history, decision, why)
            sigma = noise.safe
            if run_noise(seen[:-1]) is None:
                detail = f"{objective.metric} sigma={noise.sigma:.4g} n={noise.n}"
                decision = decision.notice(self.name, ARMED, detail=detail)
        fresh = bool(seen) and seen[-1].iteration == decision.iteration
        loss = find_loss(seen, sigma) if fresh else None
        if loss is None or len(history.rollbacks) >= MOST_ROLLBACKS:
            return decision
        return self._answer(history, decision, loss, _words(loss, objective, sigma))

    def _answer(self, history: History, decision: Decision, loss: Loss, detail: str) -> Decision:
        """Roll back, or report why not."""
        good, latest = history[loss.good - 1].summary, history.latest
        if latest.in_window:
            where = f"to iteration {loss.good}: {detail}"
            return decision.notice(self.name, IN_WINDOW, detail=where)
        then, now = (
            [kpi.metric for kpi in self._pack.kpis if _fails(kpi, ran)] for ran in (good, latest)
        )
        cured = [metric for metric in then if metric not in now]
        if cured and len(now) <= len(then):
            price = f"{detail}; at FAIL in iteration {loss.good} and not now: {', '.join(cured)}"
            return decision.notice(self.name, PRICE, detail=price)
        return decision.roll_back(self.name, good, detail)

    def _not_armed(self, history: History, decision: Decision, why: str) -> Decision:
        if len(history) > 1:
            return decision
        return decision.notice(self.name, NOT_ARMED, detail=why)


def _fails(kpi: Kpi, summary: Summary) -> bool:
    value = summary.metrics.get(kpi.metric)
    return is_number(value) and any(
        verdict is Verdict.FAIL and threshold.broken_by(value) for verdict, threshold in kpi.limits
    )


def _words(loss: Loss, objective: Objective, sigma: float) -> str:
    way = 1 if objective.better == "up" else -1
    return (
        f"{objective.metric} {way * loss.baseline:.4g} (n={loss.n}) -> {way * loss.since:.4g} "
        f"(n={loss.count}), sigma={sigma:.4g}, sum {loss.sum:.3g} > {loss.limit:.3g}"
    )
