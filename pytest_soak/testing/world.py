"""One chain without pytest, files or a system: the real controller, driven by slots."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_soak.config.builtin import GUARDS
from pytest_soak.config.overrides import InitialOverrides
from pytest_soak.config.plan import ChainPlan
from pytest_soak.config.registry import Registered, Registry
from pytest_soak.engine.controller import Controller
from pytest_soak.engine.strategies import Strategies, StrategyFault
from pytest_soak.errors import SoakUsageError, what_raised
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import Entry
from pytest_soak.model.mode import Mode
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.report import read_report
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.store.files import jsonable
from pytest_soak.store.records import (
    decision_from_json,
    decision_to_json,
    summary_from_json,
    summary_to_json,
)
from pytest_soak.testing.promises import BrokenPromise, Promise
from pytest_soak.testing.reviews import review_breaches
from pytest_soak.testing.slots import OTHERS, Slot, Start, strict_guards
from pytest_soak.testing.watched import Breach, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.model.headroom import Headroom
    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Pack

METHODS = {"tuner": "propose", "guard": "review", "watcher": "observe", "gate": "judge"}
ORDER = tuple(Promise)


@dataclass(frozen=True)
class Subject:
    """The strategy under test.

    Args:
        kind: ``tuner``, ``guard``, ``watcher`` or ``gate``.
        factory: Makes it, given a pack, as the hook's factory does.
        pack: The domain.
        plugin: The plugin or module that offers it.
        name: The name under which it is registered.
        settings: For a guard, the table ``[guards.<name>]``.
        seconds: How long an answer may take.
        facts: The metrics that a watcher gives, so that no report has them.
    """

    kind: str
    factory: Callable[[Pack], Any]
    pack: Pack
    plugin: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 10.0
    facts: Collection[str] = ()

    @property
    def hook(self) -> str:
        """The hook that offers such a strategy."""
        return f"pytest_soak_{self.kind}s"

    @property
    def who(self) -> str:
        """Its plugin, hook and name, as in the errors of a run."""
        return f"plugin {self.plugin}, hook {self.hook}, {self.name!r}"


CORE_GUARDS = {
    guard.name: Registered(guard.name, "pytest_soak_guards", "pytest-soak", guard, core=True)
    for guard in GUARDS
}


class _Offers(Registry):
    """A registry of one strategy and the core's guards."""

    def __init__(self, offered: Registered) -> None:
        self._offered = offered

    def offers(self, kind: str) -> dict[str, list[Registered]]:
        found = {name: [one] for name, one in CORE_GUARDS.items() if kind == "guards"}
        if self._offered.hook == f"pytest_soak_{kind}":
            found.setdefault(self._offered.name, []).append(self._offered)
        return found


class _Other:
    """A tuner beside the one under test."""

    requires: tuple[str, ...] = ()

    def __init__(self, world: World, name: str, corridor: Corridor) -> None:
        self._world, self._name, self.corridor = world, name, corridor

    def propose(
        self,
        history: History,  # noqa: ARG002 - the protocol's
        parameters: Mapping[str, float],  # noqa: ARG002 - as above
        headroom: Headroom = MappingProxyType({}),  # noqa: ARG002 - makes the core ask the guards for it
    ) -> Proposal:
        """Ask for what the slot says."""
        return Proposal(dict(self._world.slot.requests.get(self._name, {})), ("asked",))


class World:
    """A chain that is driven by slots instead of a system, and checked after each.

    Args:
        subject: The strategy under test.
        start: What the chain starts from.
    """

    def __init__(self, subject: Subject, start: Start) -> None:
        """Begin before the first iteration."""
        self.subject, self.slot = subject, Slot()
        pack = subject.pack
        laid = {**pack.guards, **(strict_guards(pack) if start.strict else {})}
        here = set(CORE_GUARDS)
        if subject.kind == "guard":
            here.add(subject.name)
            laid[subject.name] = {**laid.get(subject.name, {}), **subject.settings}
        laid = {name: table for name, table in laid.items() if name in here}
        self.pack = replace(pack, guards=laid)
        """Strategies get copies of it."""
        self._start = start
        self.overrides: dict[str, float] = {
            name: pack.parameters[name].quantize(pack.parameters[name].limits.clamp(value))
            for name, value in start.seeds.items()
        }
        self.in_window = self.restarted = False
        self.over = False
        """Whether a promise was broken, which ends the chain."""
        self.story: list[str] = []
        self.results: list[IterationResult] = []
        self._records: list[dict[str, Any]] = []
        self._watched: list[Watched] = []
        self._controller = self._begin()

    def _begin(self) -> Controller:
        """Return a controller with new strategies, as in another process."""
        self._given = copy.deepcopy(self.pack)
        self._text = repr(self._given)
        subject, others = self.subject, _asking(self._start)
        mine = Registered(subject.name, subject.hook, subject.plugin, self._make)
        tuners = [mine] if subject.kind == "tuner" else []
        for name, corridor in others if subject.kind == "tuner" else OTHER_CORRIDORS:
            other = _Other(self, name, corridor)
            tuners.append(Registered(name, "pytest_soak_tuners", "the kit", lambda _, o=other: o))
        plan = ChainPlan(
            name="the kit",
            slug="kit",
            run_id="kit",
            planned=1000,
            window=2,
            mode=self._start.mode,
            seed=0,
            pack=self._given,
            profile=self._given.profiles[self._given.profile],
            initial=InitialOverrides("profile", {}),
            scenario=self._given.scenario,
            system_name="mock",
            system=None,
            tuners=tuple(tuners) if self._start.mode is not Mode.OFF else (),
        )
        try:
            strategies = Strategies(plan, _Offers(mine))
            self._check_required(strategies.required)
        except (SoakUsageError, StrategyFault) as error:
            raise self.broken(Promise.READY, str(error)) from None
        self._strategies = strategies
        return Controller(plan, strategies)

    def _make(self, pack: Pack) -> Watched:
        subject = self.subject
        watched = Watched(
            subject.factory, pack, METHODS[subject.kind], subject.who, subject.seconds
        )
        self._watched = [watched]
        return watched

    def _check_required(self, required: tuple[str, ...]) -> None:
        for metric in required:
            if not self.pack.knows(metric):
                known = ", ".join(self.pack.metrics)
                msg = f"it requires {safe_repr(metric)}, which pack {self.pack.name} does not know"
                raise self.broken(Promise.READY, f"{msg}; there are: {known}")

    def resume(self) -> None:
        """Continue as another process would: new strategies, and the history read from records."""
        self.finish()
        taken = self._controller
        self._controller = self._begin()
        for record, judged in zip(self._records, taken.judged, strict=True):
            data = json.loads(json.dumps(record))
            number = len(self._controller.entries) + 1
            summary = summary_from_json(data["summary"], number)
            decision = decision_from_json(data["decision"], number, summary.parameters)
            entry = Entry(summary, decision, data["applied"])
            self._controller.restore(entry, judged, data["settles"], data["before"], None)
        self.story.append("resumed in another process")

    def run(self, slot: Slot) -> IterationResult:
        """Take the chain through one more iteration.

        Raises:
            BrokenPromise: With the first broken promise in the order of `Promise`.
        """
        self.slot = slot
        number = self._controller.done + 1
        parameters = self._controller.plan.effective(self.overrides)
        raw = slot.report(number, parameters, self.pack)
        report = replace(read_report(raw, number, self.pack.metrics), raw=jsonable(raw))
        before = dict(self.overrides)
        calls = sum(len(one.calls) for one in self._watched)
        self.story.append(f"iteration {number}: {slot}")
        try:
            result, settles = self._controller.decide(
                number,
                parameters,
                report,
                before,
                in_window=self.in_window,
                restarted=self.restarted,
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised as a broken promise
            self._raise([Breach(Promise.INTEGRITY, f"the controller {what_raised(error)}")], error)
        self.overrides = dict(self._controller.overrides_after(result, before))
        self.story[-1] = self._line(result, before, calls)
        self._records.append(
            {
                "summary": summary_to_json(result.summary),
                "decision": decision_to_json(result.decision),
                "applied": result.applied,
                "settles": settles,
                "before": before,
            }
        )
        self._raise(self._breaches(result, calls))
        self.results.append(result)
        self.restarted = False
        return result

    def last_review(self) -> tuple[Decision, Decision]:
        """Return the latest decision that the guard was given, and its answer."""
        (_, given, _), said = self._watched[0].calls[-1]
        return given, said

    def finish(self) -> None:
        """Check that the history is as recorded, and that repeated calls get the same answers."""
        kept = [
            (summary_to_json(entry.summary), decision_to_json(entry.decision), entry.applied)
            for entry in self._controller.entries
            if entry.decision is not None
        ]
        said = [(one["summary"], one["decision"], one["applied"]) for one in self._records]
        if kept != said:
            self._raise([Breach(Promise.INPUTS, "the history is not what was recorded")])
        for watched in self._watched:
            watched.ask_backwards()
            self._raise(watched.breaches)

    def _line(self, result: IterationResult, before: Mapping[str, float], calls: int) -> str:
        """Return one iteration in one line: its report, what was asked for, and what changed."""
        summary, decision = result.summary, result.decision
        parts = [f"{self.slot}"]
        if summary.in_window:
            parts.append("in the window")
        if summary.restarted:
            parts.append("restarted")
        if decision.requests:
            asked = {
                tuner: dict(request) for tuner, request in self._requests(calls).items() if request
            }
            parts.append("; ".join(f"{tuner} asks {deltas}" for tuner, deltas in asked.items()))
        ran = {name: result.parameters[name] for name in self.pack.parameters}
        moved = {name: new for name, new in self.overrides.items() if before.get(name) != new}
        parts.append(f"ran with {ran}, then {moved or 'nothing changed'}")
        if decision.skip_reason:
            parts.append(f"({decision.skip_reason})")
        return f"iteration {summary.iteration}: {', '.join(parts)}"

    def _requests(self, calls: int) -> dict[str, Mapping[str, float]]:
        """Return what the tuners really answered in this iteration, not what was recorded.

        Only for an iteration without a fault: every answer is a Proposal.
        """
        requests = {name: request for name, request in self.slot.requests.items() if request}
        if self.subject.kind == "tuner":
            asking = {name for name, _ in _asking(self._start)}
            requests = {name: request for name, request in requests.items() if name in asking}
            for watched in self._watched:  # empty where tuning is off
                for _, answer in watched.calls[calls:]:
                    requests[self.subject.name] = answer.deltas
        return requests

    def _breaches(self, result: IterationResult, calls: int) -> list[Breach]:
        watched = self._watched
        found = [breach for one in watched for breach in one.breaches]
        if self.subject.kind == "guard":
            for one in watched:
                for (_, given, _), said in one.calls[calls:]:
                    if isinstance(said, Decision):
                        found += review_breaches(given, said, self.pack)
        if result.fault:
            whose = Promise.ANSWERS if self.subject.who in result.fault else Promise.INTEGRITY
            found.append(Breach(whose, result.fault))
        if repr(self._given) != self._text:
            found.append(Breach(Promise.INPUTS, "the pack is not what it was"))
        return found

    def _raise(self, breaches: list[Breach], cause: BaseException | None = None) -> None:
        watched = [breach for one in self._watched for breach in one.breaches]
        every = [*breaches, *(watched if cause else ())]
        if every:
            worst = min(every, key=lambda breach: ORDER.index(breach.promise))
            raise self.broken(worst.promise, worst.what) from cause

    def broken(self, promise: Promise, what: str) -> BrokenPromise:
        """Return the error that *promise* was broken, with the story so far, and end the chain."""
        self.over = True
        start = self._start
        words = [f"pack {self.subject.pack.name}"]
        if start.mode is not Mode.APPLY:
            words.append(f"mode {start.mode}")
        if start.strict:
            words.append("a small budget and an early freeze")
        if start.seeds:
            words.append(f"starting overrides {dict(start.seeds)}")
        story = (", ".join(words), *self.story) if self.story else ()
        return BrokenPromise(promise, self.subject.who, what, story)


OTHER_CORRIDORS = tuple(zip(OTHERS, (Corridor.APPLY, Corridor.LIMITS), strict=True))


def _asking(start: Start) -> tuple[tuple[str, Corridor], ...]:
    return OTHER_CORRIDORS if start.accompanied else ()
