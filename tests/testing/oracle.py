"""The rules of the core, computed a second time without the guards that enforce them."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pytest_soak.config.registry import declared_corridor
from pytest_soak.model.lookback import LOOKBACK, MOST_ROLLBACKS
from pytest_soak.model.mode import Mode
from pytest_soak.model.parameters import Corridor
from pytest_soak.testing.promises import Promise
from pytest_soak.testing.watched import Breach
from pytest_soak.testing.world import OTHER_CORRIDORS, Subject, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.parameters import Parameter
    from pytest_soak.testing.slots import Start


class Rule(StrEnum):
    """What the core promises for every strategy; the first violation in this order is raised."""

    WINDOW = "nothing is changed in the observation window"
    UNUSABLE = "nothing is changed after an unusable report or a restart without state"
    MODE = "nothing is changed unless the run applies"
    ACTUATOR = "the overrides change by the decision alone, and by all of it"
    STEP = "no step is larger than asked for, turned around, or off its parameter's grid"
    CORRIDOR = "no sequence of proposals leaves the corridor"
    BUDGET = "no sequence of proposals exceeds a budget"
    FROZEN = "nothing is tightened while frozen, and nothing moves that is held"
    ROLLBACK = "a rollback goes back to what an earlier iteration ran with"


@dataclass(frozen=True)
class Violation:
    """A rule that was broken in one iteration, and how."""

    rule: Rule
    what: str


HOLDS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
ALTERNATION = 3


@dataclass(frozen=True)
class Seen:
    """One iteration, without anything that a guard said of it.

    Args:
        result: The controller's result; its decision is what is checked.
        requests: ``{tuner: {parameter: delta}}``: what the tuners asked for.
        before: The overrides it ran with.
        after: The overrides after it.
    """

    result: IterationResult
    requests: Mapping[str, Mapping[str, float]]
    before: Mapping[str, float]
    after: Mapping[str, float]

    @property
    def steps(self) -> dict[str, float]:
        """``{parameter: step}``, computed from the overrides alone."""
        old = self.result.parameters
        return {
            name: value - old.get(name, 0)
            for name, value in self.after.items()
            if value != self.before.get(name)
        }

    @property
    def rolled_back(self) -> bool:
        """Whether its decision was a rollback."""
        return self.result.applied and self.result.decision.rollback is not None

    def way(self, parameter: str) -> int:
        """Return the direction in which *parameter* was asked to go: 1, -1, or 0 if none."""
        signs = {math.copysign(1, w[parameter]) for w in self.requests.values() if w.get(parameter)}
        return int(signs.pop()) if len(signs) == 1 else 0


class Oracle:
    """Judges one chain, iteration by iteration.

    Args:
        pack: Bounds, grids and guard settings; a copy that no strategy has seen.
        mode: What happens to proposals.
        corridors: ``{tuner: the corridor it declared}``.
    """

    def __init__(self, pack: Pack, mode: Mode, corridors: Mapping[str, Corridor]) -> None:
        """Begin before the first iteration."""
        self._pack, self._mode, self._corridors = pack, mode, corridors
        self._past: list[Seen] = []
        self._frozen_until = 0

    def judge(self, seen: Seen) -> Iterator[Violation]:
        """Yield the violations of the next iteration."""
        self._past.append(seen)
        self._thaw_or_freeze(seen)
        yield from self._actuator(seen)
        summary = seen.result.summary
        moved = ", ".join(f"{name} by {step:+.10g}" for name, step in seen.steps.items())
        for broken, promise in (
            (self._mode is not Mode.APPLY, Rule.MODE),
            (summary.in_window, Rule.WINDOW),
            (bool(summary.problems) or summary.restarted, Rule.UNUSABLE),
        ):
            if broken and seen.after != seen.before:
                yield Violation(promise, f"moved {moved or 'overrides'}")
        if sum(one.rolled_back for one in self._past[:-1]) >= MOST_ROLLBACKS and moved:
            yield Violation(Rule.FROZEN, f"moved {moved} after {MOST_ROLLBACKS} rollbacks")
        if seen.rolled_back:
            yield from self._rollback(seen)
            return
        for name, step in seen.steps.items():
            yield from self._step(seen, name, step)

    def _actuator(self, seen: Seen) -> Iterator[Violation]:
        if seen.rolled_back:
            return
        decision = seen.result.decision
        said = {c.parameter: c.new for c in decision.moves} if seen.result.applied else {}
        if seen.after != {**seen.before, **said}:
            what = f"the decision says {said}, the overrides went {seen.before} -> {seen.after}"
            yield Violation(Rule.ACTUATOR, what)
        unknown = [name for name in seen.steps if name not in self._pack.parameters]
        if unknown:
            yield Violation(Rule.ACTUATOR, f"changed {unknown}, which cannot be tuned")

    def _rollback(self, seen: Seen) -> Iterator[Violation]:
        if all(seen.after != one.before for one in self._past[:-1]):
            yield Violation(Rule.ROLLBACK, f"to {seen.after}, which no iteration ran with")

    def _step(self, seen: Seen, name: str, step: float) -> Iterator[Violation]:
        parameter = self._pack.parameters.get(name)
        if parameter is None:  # reported by _actuator
            return
        old, new = seen.result.parameters[name], seen.after[name]
        dust = parameter.precision * 1e-5 + 1e-9 * max(1.0, abs(old))
        asked = {
            tuner: request[name]
            for tuner, request in seen.requests.items()
            if request.get(name, 0) * step > 0
        }
        what = f"{name} went {old:.10g} -> {new:.10g}"
        largest = max(map(abs, asked.values()), default=0.0)
        if abs(step) > largest + dust:
            asked_for = {tuner: request.get(name, 0) for tuner, request in seen.requests.items()}
            yield Violation(Rule.STEP, f"{what}; asked for were {asked_for}")
        units = new / parameter.precision
        if abs(units - round(units)) > 1e-6 * max(1.0, abs(units)):
            yield Violation(Rule.STEP, f"{what}, off its grid of {parameter.precision:g}")
        lo, hi = self._bounds(parameter, asked)
        if not min(lo, old) - dust <= new <= max(hi, old) + dust:
            yield Violation(Rule.CORRIDOR, f"{what}, the corridor is {lo:g} to {hi:g}")
        yield from self._budget(name, dust)
        if seen.result.iteration <= self._frozen_until:
            frozen = self._settings("freeze").get("parameters", ())
            calm = 1 if parameter.calm == "up" else -1
            if name in frozen and step * calm > 0:
                until = f"frozen until iteration {self._frozen_until}"
                yield Violation(Rule.FROZEN, f"{what}, {until}")
        if self._held(name, seen):
            yield Violation(Rule.FROZEN, f"{what}, though it was oscillating")

    def _bounds(self, parameter: Parameter, asked: Mapping[str, float]) -> tuple[float, float]:
        """Return the widest corridor of the tuners that asked for this direction."""
        wide = [tuner for tuner in asked if self._corridors[tuner] is Corridor.LIMITS]
        lo, hi = parameter.limits.lo, parameter.limits.hi
        if not wide:
            lo, hi = max(lo, parameter.apply.lo), min(hi, parameter.apply.hi)
        return lo, hi

    def _settings(self, guard: str) -> Mapping[str, Any]:
        settings = self._pack.guards.get(guard, {})
        return settings if settings.get("enabled", True) else {}

    def _budget(self, name: str, dust: float) -> Iterator[Violation]:
        settings = self._settings("budget")
        largest = settings.get("largest", {}).get(name)
        if largest is None:
            return
        window = settings.get("window", 5)
        spent = [abs(one.steps.get(name, 0)) for one in self._past[-window:] if not one.rolled_back]
        if math.fsum(spent) > largest + dust * len(spent):
            what = f"{name} moved {math.fsum(spent):.10g} in {window} iterations"
            yield Violation(Rule.BUDGET, f"{what}, its budget is {largest:g}")

    def _thaw_or_freeze(self, seen: Seen) -> None:
        settings = self._settings("freeze")
        when, streak = settings.get("when", ()), settings.get("streak", 2)
        number = seen.result.iteration
        if not when or number <= self._frozen_until or len(self._past) < streak:
            return
        last = [one.result.summary.metrics for one in self._past[-streak:]]
        if all(_holds(one, metrics) for one in when for metrics in last):
            self._frozen_until = number + settings.get("iterations", 4) - 1

    def _held(self, name: str, seen: Seen) -> bool:
        """Return whether *name* alternated three times and had no two equal requests since."""
        settings = self._pack.guards
        policy = settings.get("conflict", {}).get("policy", "veto")
        if policy != "veto" or not settings.get("oscillation", {}).get("enabled", True):
            return False
        earlier = self._past[-1 - LOOKBACK : -1]
        steps = [one.steps[name] for one in earlier if name in one.steps and not one.rolled_back]
        signs = [math.copysign(1, step) for step in steps[-ALTERNATION:]]
        if signs not in ([1, -1, 1], [-1, 1, -1]):
            return False
        before = next((one.way(name) for one in reversed(earlier) if one.way(name)), 0)
        return before * seen.way(name) <= 0


def _holds(condition: Mapping[str, Any], metrics: Mapping[str, Any]) -> bool:
    value, limit = metrics.get(condition["metric"]), condition["value"]
    if condition["op"] == "has":
        return isinstance(value, tuple) and limit in value
    return isinstance(value, int | float) and HOLDS[condition["op"]](value, limit)


class JudgedWorld(World):
    """A chain of the kit in which the core is judged too.

    A violation is raised as `Promise.INTEGRITY`, with the name of its rule first.
    """

    def __init__(self, subject: Subject, start: Start) -> None:
        """Begin before the first iteration."""
        super().__init__(subject, start)
        corridors = dict(OTHER_CORRIDORS)
        if subject.kind == "tuner" and self._watched:
            corridors[subject.name] = declared_corridor(subject.who, self._watched[0])
        self._oracle = Oracle(self.pack, start.mode, corridors)

    def _breaches(self, result: IterationResult, calls: int) -> list[Breach]:
        before = self._records[-1]["before"]
        requests = {} if result.fault else self._requests(calls)
        seen = Seen(result, requests, before, dict(self.overrides))
        violations = sorted(self._oracle.judge(seen), key=lambda one: list(Rule).index(one.rule))
        return [
            *super()._breaches(result, calls),
            *(Breach(Promise.INTEGRITY, f"{one.rule.name}: {one.what}") for one in violations),
        ]
