"""Reports that systems return: any Python object.

Claim: the iteration is judged by the pack's rules, on values that the report really holds, or it is
INCONCLUSIVE with a phrase for why; nothing is raised; every file is what the journal says, views
can show it, a worker of pytest-xdist can send it, and the run can be taken up again.
"""

from __future__ import annotations

import marshal
import math
import operator
from typing import TYPE_CHECKING, Any

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.model.verdict import Verdict
from pytest_soak.views import junit, markers, rows
from pytest_soak.views.terminal import change_rows, changes_table, metrics_table
from tests.fuzz import values
from tests.fuzz.chains import DEMO, MARKET, asked, core, planned, projections
from tests.fuzz.harness import Finding, promised, taught

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from random import Random

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.model.kpi import Limit
    from pytest_soak.model.metrics import Metric

BATCH = 8
WORSE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class Returns:
    """A system that returns a given answer."""

    def __init__(self) -> None:
        self.answer: object = None

    def run(self, parameters: object, iteration: int, seed: int, state: object) -> Any:
        return self.answer


def healthy(plan: ChainPlan, parameters: Mapping[str, float], iteration: int) -> dict[str, Any]:
    """Return a valid report."""
    totals: dict[str, Any] = {}
    for metric in plan.pack.metrics.values():
        if metric.kind == "number":
            totals[metric.name] = (metric.least or 0) + 0.1
        elif metric.kind == "shares":
            totals[metric.name] = {"risk": {"count": 3, "share": 0.2}, "other": 0.3}
        else:
            totals[metric.name] = ["fees"]
    for kpi in plan.pack.kpis:
        for _, limit in reversed(kpi.limits):
            totals[kpi.metric] = limit.value * (1.2 if limit.op.startswith("<") else 0.8)
    counts = dict.fromkeys(plan.pack.metrics, 100)
    return {
        "iteration": iteration,
        "parameters": dict(parameters),
        "totals": totals,
        "n": counts,
        "runtime": {"system": "fuzz"},
    }


def hostile(random: Random, report: dict[Any, Any], metrics: Mapping[str, Metric]) -> object:
    """Return *report* with up to four of its parts made hostile."""
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        part = random.choice(("totals", "n", "parameters"))
        pick = random.random()
        if pick < 0.1:
            return values.anything(random)
        if pick < 0.4:
            worse_keys(random, report)
        elif pick < 0.9 and type(report.get(part)) is dict:
            worse_part(random, report[part], metrics)
        elif pick < 0.95 and type(report.get(part)) is dict:
            report[part] = random.choice((values.DictLike, values.TouchyDict))(report[part])
        else:
            return random.choice((values.DictLike, values.TouchyDict))(report)
    return report


def worse_keys(random: Random, report: dict[Any, Any]) -> None:
    """Add an unknown key to *report*, or remove a key or its value."""
    there = random.choice((*report, "totals"))
    how = random.randrange(4)
    if how == 0:
        report[there] = values.anything(random)
    elif how == 1:
        report.pop(there, None)
    elif how == 2:
        report[values.key(random)] = values.anything(random)
    else:
        report["iteration"] = values.number(random)


def worse_part(random: Random, part: dict[Any, Any], metrics: Mapping[str, Metric]) -> None:
    """Make one entry of totals, counts or parameters hostile."""
    there = random.choice((*part, "throughput"))
    how = random.randrange(6)
    if how == 0:
        part.pop(there, None)
    elif how == 1:
        aliases = [alias for metric in metrics.values() for alias, _ in metric.aliases]
        part[random.choice([*aliases, values.key(random)])] = values.anything(random)
    else:
        part[there] = values.anything(random)


class Reports:
    """Reports from a hostile system."""

    name = "reports"

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        pack = random.choice((DEMO, MARKET))
        tuner = "demo-table" if pack == DEMO else "trigger-table,iter-watcher"
        request = asked(root, pack, iterations=BATCH + 2, tuner=tuner)
        plan = planned(request, own=True)
        loop = SoakLoop(plan, core(), request.folder)
        system = Returns()
        try:
            for iteration in range(1, BATCH + 1):
                parameters = plan.effective(loop.store.overrides)
                report = healthy(plan, parameters, iteration)
                given = hostile(random, report, plan.pack.metrics)
                system.answer = (given, None)
                result = loop.run(iteration, system)
                check(result, given, plan)
                shown(loop, result)
                yield result.summary.verdict.name
        finally:
            loop.close()
        taken_up(loop, SoakLoop(plan, core(), request.folder))


def check(result: IterationResult, given: object, plan: ChainPlan) -> None:
    """Check that the verdict rests on values that the report really has."""
    summary = result.summary
    for problem in summary.problems:
        taught(str(problem))
    if summary.verdict is Verdict.INCONCLUSIVE:
        promised(kept=bool(summary.problems), promise="INCONCLUSIVE without a word")
        promised(kept=not result.applied, promise="tuned on an INCONCLUSIVE iteration")
    totals = dict.get(given, "totals") if isinstance(given, dict) else None
    counts = dict.get(given, "n") if isinstance(given, dict) else None
    for name, value in summary.metrics.items():
        if value is None or isinstance(value, tuple):
            continue
        promised(kept=type(value) in (int, float), promise=f"{name} is a {type(value).__name__}")
        held = found(totals, plan.pack.metrics, name)
        promised(kept=value in held, promise=f"{name}={value!r} is made up, there is {held!r}")
        n = dict.get(counts, name) if isinstance(counts, dict) else None
        empty = type(n) in (int, float) and n == 0
        promised(kept=not empty, promise=f"{name} rests on nothing")
    words = [Verdict.INCONCLUSIVE] if summary.problems else []
    words += [word(summary.metrics.get(kpi.metric), kpi.limits) for kpi in plan.pack.kpis]
    if not summary.problems:
        promised(kept=summary.verdict is max(words), promise=f"{summary.verdict} is not {words}")


def found(totals: object, metrics: Mapping[str, Metric], name: str) -> list[float]:
    """Return the finite numbers in *totals* for the metric *name*."""
    if not isinstance(totals, dict):
        return []
    whole, dot, reason = name.partition(".")
    if dot:
        shares = dict.get(totals, whole)
        entry = dict.get(shares, reason) if isinstance(shares, dict) else None
        told = [entry, dict.get(entry, "share") if isinstance(entry, dict) else None]
        if isinstance(shares, dict):  # a key that only reads as the reason
            told += [held for name, held in dict.items(shares) if isinstance(name, str)]
        factors = [(each, 1.0) for each in told]
    else:
        factors = [(dict.get(totals, name), 1.0)]
        factors += [(dict.get(totals, alias), by) for alias, by in metrics[name].aliases]
    numbers = []
    for value, factor in factors:
        exact = finite(value)
        if exact is not None:
            numbers += [exact, exact * factor]
    return numbers


def finite(value: object) -> float | None:
    """Return *value* as a finite number of Python's own, or None; never asks the object itself."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = float.__add__(value, 0.0)
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        value = int.__add__(value, 0)
        return value if abs(value) < 10**308 else None
    return None


def word(value: object, limits: Sequence[Limit]) -> Verdict:
    """Return the verdict on one KPI, computed independently."""
    number = finite(value)
    if number is None:
        return Verdict.INCONCLUSIVE
    broken = [verdict for verdict, limit in limits if WORSE[limit.op](number, limit.value)]
    return max(broken, default=Verdict.PASS)


def shown(loop: SoakLoop, result: IterationResult) -> None:
    """Check that every view can show the iteration, and that a worker can send it."""
    lines = markers.iteration(loop.plan, result, loop.store.readback)
    row = rows.iteration_row("chain", loop, result.iteration)
    sent(row)
    for line in lines:
        promised(kept="\n" not in line, promise=f"a marker of several lines: {line[:200]!r}")
    metrics_table([row])
    changes_table(list(change_rows([row])))


def sent(row: Any) -> None:
    """Check that *row* has only built-in types, as execnet requires."""
    try:
        marshal.dumps(row)
    except ValueError as error:
        what = "broken promise"
        raise Finding(what, f"a row that no worker can send: {error}") from None


def taken_up(loop: SoakLoop, again: SoakLoop) -> None:
    """Check that a run opened *again* is the same, and can be ended."""
    try:
        promised(kept=again.done == loop.done, promise=f"{again.done} of {loop.done} taken up")
        promised(kept=again.store.overrides == loop.store.overrides, promise="other overrides")
        before, after = (
            [entry.summary for entry in each.controller.entries] for each in (loop, again)
        )
        promised(kept=before == after, promise="another history")
        verdict = again.verdict()
        again.finish(verdict)
        sent(junit.gate_properties(again.plan, again.controller.judged, verdict))
        sent(rows.verdict_row("chain", again, verdict))
        rows.explanation(again, verdict)
    finally:
        again.close()
    projections(again)
