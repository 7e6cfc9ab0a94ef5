"""The strategies of one chain: made from the registry, called with their faults named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_soak.config.registry import declared_corridor, default_settings, required_metrics
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
from pytest_soak.model.decision import Decision, Notice, Veto, request
from pytest_soak.model.metrics import LARGEST, count, exact, is_number
from pytest_soak.model.promises import breach, loosened, malformed, rollback_fault
from pytest_soak.model.proposal import Proposal, proposal_fault
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.model.verdict import Judgement, Verdict
from pytest_soak.watchers.iter_watcher import IterWatcher

if TYPE_CHECKING:
    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.registry import Registered, Registry
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.guards.protocol import Guard
    from pytest_soak.model.decision import Request
    from pytest_soak.model.history import History
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.report import Report
    from pytest_soak.tuners.protocol import Tuner
    from pytest_soak.watchers.protocol import Watcher

T = TypeVar("T")


class StrategyFault(Exception):
    """A strategy that raised or returned nonsense: plugin, hook, name and what happened."""


class Nonsense(Exception):
    """What is wrong with an answer, without the name of its owner."""


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """A strategy, its own name, and the words that name its owner in errors."""

    name: str
    owner: str
    strategy: T
    ours: bool = False


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
        self._corridors = [declared_corridor(t.owner, t.strategy) for t in self._tuners]
        self._summary = IterWatcher()
        self._watchers: list[Named[Watcher]] = _installed(registry.all("watchers"), pack, "observe")
        self._gates: list[Named[Gate]] = [_core("kpi", KpiGate(pack.kpis))]
        self._gates += _installed(registry.all("gates"), pack, "judge", "requires")
        asked = [required_metrics(gate.owner, gate.strategy) for gate in self._gates]
        asked += [required_metrics(tuner.owner, tuner.strategy) for tuner in self._tuners]
        self.required = tuple(dict.fromkeys(metric for metrics in asked for metric in metrics))
        """Every metric that a gate or a tuner of this chain needs."""
        self._conflict = Conflict(pack.parameters)
        self._policy = {**Conflict.defaults, **pack.guards.get("conflict", {})}
        guards: list[Named[Guard]] = [
            _core("metrics_usable", MetricsUsable()),
            _core("observation_window", ObservationWindow()),
            _core("restarted", Restarted()),
            _core("auto_rollback", AutoRollback(pack.objective, pack.noise, pack.kpis)),
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
        self._guards: list[tuple[Named[Guard], Mapping[str, Any]]] = []
        for guard in guards:
            given = default_settings(guard.owner, guard.strategy)
            settings = {**given, **pack.guards.get(guard.name, {})}
            if settings.get("enabled", True):
                self._guards.append((guard, settings))

    def observe(self, report: Report, history: History) -> dict[str, Value]:
        """Return the metrics of *report* with the facts of all watchers.

        Raises:
            StrategyFault: A watcher raised, returned something else than facts, or a value for a
                metric, which only the report may give.
        """
        facts = dict(self._summary.observe(report, history))
        for watcher in self._watchers:
            seen = replace(report, raw=copy.deepcopy(report.raw))
            read = partial(_facts, self._pack)
            facts |= _ask(watcher.owner, read, watcher.strategy.observe, seen, history)
        return facts

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        """Return the judgements of all gates.

        Raises:
            StrategyFault: A gate raised, or returned something else than judgements.
        """
        judgements: list[Judgement] = []
        for gate in self._gates:
            seen = MappingProxyType(metrics)
            judgements += _ask(gate.owner, _judgements, gate.strategy.judge, seen, n)
        return tuple(judgements)

    def propose(self, history: History, parameters: Mapping[str, float]) -> tuple[Proposed, ...]:
        """Ask every tuner.

        Raises:
            StrategyFault: A tuner raised, or returned something that cannot be used.
        """
        answers = []
        read = partial(_proposal, self._pack)
        for tuner, corridor in zip(self._tuners, self._corridors, strict=True):
            strategy = tuner.strategy
            proposal = _ask(tuner.owner, read, strategy.propose, history, dict(parameters))
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
        decision = self._conflict.review(history, decision, self._policy)
        for guard, settings in self._guards:
            rolls_back = isinstance(guard.strategy, AutoRollback | PlainRollback)
            read = partial(_reviewed, decision, rolls_back=rolls_back)
            given = decision if guard.ours else replace(decision)  # frozen is not out of reach
            decision = _ask(guard.owner, read, guard.strategy.review, history, given, settings)
        fault = rollback_fault(decision, history)
        if fault:
            raise StrategyFault(fault)
        for change in decision.changes:
            parameter = self._pack.parameters[change.parameter]
            fault = breach(change, parameter, effective[change.parameter])
            if fault:
                raise StrategyFault(fault)
        return decision


def _core(name: str, strategy: T) -> Named[T]:
    return Named(name, f"pytest-soak, {name!r}", strategy, ours=True)


def _installed(found: Mapping[str, Registered], pack: Pack, *needs: str) -> list[Named[Any]]:
    return [
        Named(registered.name, str(registered), registered.make(pack, needs=needs))
        for registered in found.values()
    ]


def _facts(pack: Pack, found: object) -> dict[str, Value]:
    """Return what a watcher found, in types of Python's own."""
    if not isinstance(found, Mapping):
        msg = f"returned {safe_repr(found)}, not {{name: value}}"
        raise Nonsense(msg)
    facts: dict[str, Value] = {}
    for name, value in found.items():
        if not isinstance(name, str) or pack.knows(name):
            msg = f"gave a value for {safe_repr(name)}, a metric that only the report may give"
            raise Nonsense(msg)
        if value is None or (is_number(value) and abs(exact(value)) <= LARGEST):
            facts[str.__str__(name)] = value if value is None else exact(value)
        elif isinstance(value, tuple) and all(isinstance(word, str) for word in value):
            facts[str.__str__(name)] = tuple(map(str.__str__, value))
        else:
            given = f"gave {safe_repr(value)} for {safe_repr(name)}"
            msg = f"{given}; allowed: a finite number, words in a tuple, None"
            raise Nonsense(msg)
    return facts


def _judgements(found: object) -> tuple[Judgement, ...]:
    """Return what a gate found, in types of Python's own."""
    if not isinstance(found, tuple) or not all(isinstance(one, Judgement) for one in found):
        msg = f"returned {safe_repr(found)}, not a tuple of Judgement"
        raise Nonsense(msg)
    return tuple(map(_judgement, found))


def _judgement(one: Judgement) -> Judgement:
    texts: tuple[object, ...] = (one.metric, one.rule, one.problem)
    n = None if one.n is None else count(one.n)
    lawful = (
        all(isinstance(text, str) for text in texts),
        bool(one.metric),
        isinstance(one.verdict, Verdict),
        one.value is None or is_number(one.value),
        n is not None or one.n is None,
    )
    if not all(lawful):
        msg = (
            f"returned {safe_repr(one)}; allowed: a metric, a Verdict, a finite number or None, "
            "a count or None, and two texts"
        )
        raise Nonsense(msg)
    value = None if one.value is None else exact(one.value)
    metric, rule, problem = map(str.__str__, (one.metric, one.rule, one.problem))
    return Judgement(metric, one.verdict, value, n, rule, problem)


def _proposal(pack: Pack, answer: object) -> Proposal:
    """Return what a tuner answered, in types of Python's own."""
    fault = proposal_fault(answer, pack.parameters)
    if fault or not isinstance(answer, Proposal):
        raise Nonsense(fault)
    return Proposal(
        {name: exact(delta) for name, delta in answer.deltas.items()},
        tuple(map(str.__str__, answer.reasons)),
        {name: str.__str__(reason) for name, reason in answer.reason_of.items()},
        tuple(map(str.__str__, answer.withheld)),
    )


def _reviewed(before: Decision, said: object, *, rolls_back: bool) -> Decision:
    """Return what a guard left of the decision *before*."""
    if said is before:  # most guards have nothing to say about most iterations
        return before
    if not isinstance(said, Decision):
        msg = f"returned {safe_repr(said)}, not a Decision"
        raise Nonsense(msg)
    fault = malformed(said) or loosened(before, said, rolls_back=rolls_back)
    if fault:
        raise Nonsense(fault)
    return replace(
        said,
        vetoes=tuple(Veto(*map(str.__str__, astuple(veto))) for veto in said.vetoes),
        notices=tuple(map(_notice, said.notices)),
        skip_reason=str.__str__(said.skip_reason),
    )


def _notice(told: Notice) -> Notice:
    guard, reason, parameter, detail = map(
        str.__str__, (told.guard, told.reason, told.parameter, told.detail)
    )
    return Notice(guard, reason, parameter, detail, told.cut)


def _ask(
    owner: str, read: Callable[[object], T], method: Callable[..., object], *args: object
) -> T:
    """Call a stranger's *method* and *read* its answer; what either raises is the owner's fault."""
    name = getattr(method, "__name__", "its method")
    try:
        return read(method(*args))
    except Nonsense as nonsense:
        msg = f"{owner}: {name}() {nonsense}"
        raise StrategyFault(msg) from None
    except Exception as error:
        msg = f"{owner}: {name}() {what_raised(error)}"
        raise StrategyFault(msg) from error
    except BaseException as ended:  # a timeout, Ctrl-C: whoever ends a hang is told where it was
        ended.add_note(f"while asking {owner}: {name}()")
        raise
