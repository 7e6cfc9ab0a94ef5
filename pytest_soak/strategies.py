"""The strategies of one chain: made from the registry, called with their faults named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_soak.errors import what_raised
from pytest_soak.gates.kpi import KpiGate
from pytest_soak.guards.alarm import Alarm
from pytest_soak.guards.auto_rollback import AutoRollback
from pytest_soak.guards.binding import Binding
from pytest_soak.guards.budget import Budget
from pytest_soak.guards.caps import Caps
from pytest_soak.guards.clamp import Clamp
from pytest_soak.guards.confirmation import Confirmation
from pytest_soak.guards.conflict import Conflict
from pytest_soak.guards.cooldown import Cooldown
from pytest_soak.guards.drift import Drift
from pytest_soak.guards.freeze import Freeze
from pytest_soak.guards.metrics_usable import MetricsUsable
from pytest_soak.guards.observation_window import ObservationWindow
from pytest_soak.guards.oscillation import Oscillation
from pytest_soak.guards.plain_rollback import PlainRollback
from pytest_soak.guards.restarted import Restarted
from pytest_soak.guards.smoothing import Smoothing
from pytest_soak.guards.undone import Undone
from pytest_soak.model.decision import Decision, breach, loosened, request, rollback_fault
from pytest_soak.model.metrics import is_number
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.proposal import Proposal, proposal_fault
from pytest_soak.model.verdict import Judgement, Verdict
from pytest_soak.registry import required_metrics
from pytest_soak.watchers.iter_watcher import IterWatcher

if TYPE_CHECKING:
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.guards.protocol import Guard
    from pytest_soak.model.decision import Request
    from pytest_soak.model.history import History
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.report import Report
    from pytest_soak.plan import ChainPlan
    from pytest_soak.registry import Registered, Registry
    from pytest_soak.tuners.protocol import Tuner
    from pytest_soak.watchers.protocol import Watcher

T = TypeVar("T")


class StrategyFault(Exception):
    """A strategy that raised or returned nonsense: plugin, hook, name and what happened."""


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """A strategy, its own name, and the words that name its owner in errors."""

    name: str
    owner: str
    strategy: T


@dataclass(frozen=True, slots=True)
class Proposed:
    """What one tuner answered."""

    tuner: str
    proposal: Proposal
    announce: bool
    requests: tuple[Request, ...]


class Strategies:
    """Everything that has a say in one chain, in the fixed order in which it is asked.

    The order of the guards goes from the cheapest veto to the clamp. Conflicts come first: they
    make one change out of several requests, and every later guard can but take away. Then those
    that stop everything, those that stop single parameters, those that make steps smaller, what
    plugins bring (by name), and last the clamp. A guard after a cut sees the step that is left.
    """

    def __init__(self, plan: ChainPlan, registry: Registry) -> None:
        """Make the strategies that *plan* names and *registry* offers."""
        pack = plan.pack
        self._pack = pack
        self._tuners: list[Named[Tuner]] = [
            Named(tuner.name, str(tuner), tuner.make(pack)) for tuner in plan.tuners
        ]
        self._summary = IterWatcher()
        self._watchers: list[Named[Watcher]] = _installed(registry.all("watchers"), pack, "observe")
        self._gates: list[Named[Gate]] = [_core("kpi", KpiGate(pack.kpis))]
        self._gates += _installed(registry.all("gates"), pack, "judge", "requires")
        for gate in self._gates:
            required_metrics(gate.owner, gate.strategy)
        self._conflict = Conflict(pack.parameters)
        guards: list[Named[Guard]] = [
            _core("metrics_usable", MetricsUsable()),
            _core("observation_window", ObservationWindow()),
            _core("restarted", Restarted()),
            _core("auto_rollback", AutoRollback(pack.objective, pack.noise)),
            _core("plain_rollback", PlainRollback(pack.objective)),
            _core("undone", Undone()),
            _core("drift", Drift(pack.parameters)),
            _core("cooldown", Cooldown()),
            _core("binding", Binding(pack.binding)),
            _core("alarm", Alarm()),
            _core("freeze", Freeze(pack.parameters)),
            _core("caps", Caps(pack.parameters)),
            _core("oscillation", Oscillation()),
            _core("confirmation", Confirmation()),
            _core("smoothing", Smoothing(pack.parameters)),
            _core("budget", Budget(pack.parameters)),
            *_installed(registry.all("guards"), pack, "review"),
            _core("clamp", Clamp(pack.parameters)),
        ]
        self._guards = [
            (guard, settings)
            for guard in guards
            if (settings := _settings(guard, pack)).get("enabled", True)
        ]

    @property
    def required(self) -> tuple[str, ...]:
        """Every metric that a gate or a tuner of this chain needs."""
        gates = (metric for gate in self._gates for metric in gate.strategy.requires)
        tuners = (metric for tuner in self._tuners for metric in tuner.strategy.requires)
        return tuple(dict.fromkeys((*gates, *tuners)))

    def observe(self, report: Report, history: History) -> dict[str, Value]:
        """Return the metrics of *report* with the facts of all watchers.

        Raises:
            StrategyFault: A watcher raised, returned something else than facts, or a value for a
                metric, which only the report may give.
        """
        facts = dict(self._summary.observe(report, history))
        for watcher in self._watchers:
            seen = replace(report, raw=copy.deepcopy(report.raw))
            found: object = _call(watcher.owner, watcher.strategy.observe, seen, history)
            fault = _facts_fault(found, self._pack)
            if fault or not isinstance(found, Mapping):
                msg = f"{watcher.owner}: observe() {fault}"
                raise StrategyFault(msg)
            facts |= found
        return facts

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        """Return the judgements of all gates.

        Raises:
            StrategyFault: A gate raised, or returned something else than judgements.
        """
        judgements: list[Judgement] = []
        for gate in self._gates:
            found: object = _call(gate.owner, gate.strategy.judge, MappingProxyType(metrics), n)
            if not isinstance(found, tuple) or not all(_is_judgement(one) for one in found):
                msg = f"{gate.owner}: judge() returned {found!r}, not a tuple of Judgement"
                raise StrategyFault(msg)
            judgements += found
        return tuple(judgements)

    def propose(self, history: History, parameters: Mapping[str, float]) -> tuple[Proposed, ...]:
        """Ask every tuner.

        Raises:
            StrategyFault: A tuner raised, or returned something that cannot be used.
        """
        answers = []
        for tuner in self._tuners:
            strategy = tuner.strategy
            proposal = _call(tuner.owner, strategy.propose, history, dict(parameters))
            fault = proposal_fault(proposal, self._pack.parameters)
            if fault:
                msg = f"{tuner.owner}: propose() {fault}"
                raise StrategyFault(msg)
            corridor = _corridor(tuner)
            requests = request(tuner.name, proposal, corridor)
            announce = bool(getattr(strategy, "announce", False))
            answers.append(Proposed(tuner.name, proposal, announce, requests))
        return tuple(answers)

    def review(self, history: History, decision: Decision) -> Decision:
        """Pass *decision* through every guard, and make sure that none of them added to it.

        Raises:
            StrategyFault: A guard raised, returned something else than a decision, or asked for
                more than it was given.
        """
        effective = decision.parameters
        how = {**Conflict.defaults, **self._pack.guards.get("conflict", {})}
        decision = self._conflict.review(history, decision, how)
        for guard, settings in self._guards:
            said: object = _call(guard.owner, guard.strategy.review, history, decision, settings)
            if not isinstance(said, Decision):
                msg = f"{guard.owner}: review() returned {said!r}, not a Decision"
                raise StrategyFault(msg)
            rolls_back = isinstance(guard.strategy, AutoRollback | PlainRollback)
            fault = loosened(decision, said, rolls_back=rolls_back)
            if fault:
                msg = f"{guard.owner}: review() {fault}"
                raise StrategyFault(msg)
            decision = said
        fault = rollback_fault(decision, history)
        if fault:
            raise StrategyFault(fault)
        for change in decision.changes:
            parameter = self._pack.parameters[change.parameter]
            fault = breach(change, parameter, effective[change.parameter])
            if fault:
                raise StrategyFault(fault)
        return decision


def _settings(guard: Named[Guard], pack: Pack) -> Mapping[str, Any]:
    """Return the settings of *guard*: those of the pack, laid over its own defaults."""
    return {**getattr(guard.strategy, "defaults", {}), **pack.guards.get(guard.name, {})}


def _core(name: str, strategy: T) -> Named[T]:
    return Named(name, f"pytest-soak, {name!r}", strategy)


def _installed(found: Mapping[str, Registered], pack: Pack, *needs: str) -> list[Named[Any]]:
    return [
        Named(registered.name, str(registered), registered.make(pack, needs=needs))
        for registered in found.values()
    ]


def _is_judgement(found: object) -> bool:
    return isinstance(found, Judgement) and isinstance(found.verdict, Verdict)


def _facts_fault(found: object, pack: Pack) -> str:
    """Return what is wrong with what a watcher returned, or an empty string."""
    if not isinstance(found, Mapping):
        return f"returned {found!r}, not {{name: value}}"
    for name, value in found.items():
        if not isinstance(name, str) or pack.knows(name):
            return f"gave a value for {name!r}, a metric that only the report may give"
        words = isinstance(value, tuple) and all(isinstance(word, str) for word in value)
        if not (value is None or words or is_number(value)):
            return f"gave {value!r} for {name!r}; allowed: a finite number, words in a tuple, None"
    return ""


def _corridor(tuner: Named[Tuner]) -> Corridor:
    declared = getattr(tuner.strategy, "corridor", Corridor.APPLY)
    try:
        return Corridor(declared)
    except ValueError:
        msg = f"{tuner.owner}: corridor is {declared!r}; allowed: {', '.join(Corridor)}"
        raise StrategyFault(msg) from None


def _call(owner: str, method: Callable[..., T], *args: object) -> T:
    try:
        return method(*args)
    except Exception as error:
        name = getattr(method, "__name__", method)
        msg = f"{owner}: {name}() {what_raised(error)}"
        raise StrategyFault(msg) from error
