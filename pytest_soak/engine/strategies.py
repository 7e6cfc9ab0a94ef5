"""The strategies of one chain: made from the registry; a fault names the plugin that made it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_soak.config.guards import install_guards
from pytest_soak.config.registry import declared_corridor, required_metrics
from pytest_soak.errors import cleaned, what_raised
from pytest_soak.gates.kpi import KpiGate
from pytest_soak.model.answers import UnusableAnswer, received
from pytest_soak.model.decision import Decision, Notice, Veto, requests_of
from pytest_soak.model.headroom import UNBOUNDED, least
from pytest_soak.model.metrics import LARGEST, count, exact, fact_fault, is_number
from pytest_soak.model.promises import breach, loosened, malformed, rollback_fault
from pytest_soak.model.proposal import Proposal, proposal_fault
from pytest_soak.model.safe_repr import one_line, safe_repr, safe_text
from pytest_soak.model.verdict import Judgement, RunJudgement, Verdict
from pytest_soak.watchers.iter_watcher import IterWatcher

if TYPE_CHECKING:
    from pytest_soak.config.guards import InstalledGuard
    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.registry import Registered, Registry
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.model.decision import Request
    from pytest_soak.model.headroom import Headroom
    from pytest_soak.model.history import History
    from pytest_soak.model.kpi import Criterion
    from pytest_soak.model.mask import Mask
    from pytest_soak.model.metrics import Measured, Value
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.report import Report
    from pytest_soak.model.stretch import Stretch
    from pytest_soak.tuners.protocol import Tuner
    from pytest_soak.watchers.protocol import Watcher

T = TypeVar("T")

RULE = 500
"""How many characters are kept of the rule of a judgement, and of its problem."""


class StrategyFault(Exception):
    """A strategy raised or gave an unusable answer: plugin, hook, name and what happened."""


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
    """All strategies of one chain, in the order in which they are asked."""

    def __init__(
        self, plan: ChainPlan, registry: Registry, see: Callable[[], Mask] | None = None
    ) -> None:
        """Make the tuners that *plan* names, and all watchers, gates and guards of *registry*.

        Args:
            plan: The chain's plan.
            registry: What is installed.
            see: Returns the mask of the secrets as they are now; by default the plan's.
        """
        self._see = see or (lambda: plan.mask)
        self._pack = plan.pack
        with cleaned(plan.mask.text):
            self._make(plan, registry)

    def _make(self, plan: ChainPlan, registry: Registry) -> None:
        pack, clean = plan.pack, plan.mask.text
        self._tuners: list[Named[Tuner]] = [
            Named(tuner.name, str(tuner), tuner.make(pack, clean=clean)) for tuner in plan.tuners
        ]
        self._corridors = [declared_corridor(t.owner, t.strategy) for t in self._tuners]
        self._look_ahead = [_looks_ahead(tuner.strategy) for tuner in self._tuners]
        self._summary = IterWatcher()
        self._watchers: list[Named[Watcher]] = _installed(
            registry.all("watchers"), pack, "observe", clean=clean
        )
        self._gates: list[Named[Gate]] = [
            Named("kpi", "pytest-soak, 'kpi'", KpiGate(pack.kpis, self._judgement))
        ]
        self._gates += _installed(registry.all("gates"), pack, "judge", "requires", clean=clean)
        asked = [required_metrics(gate.owner, gate.strategy) for gate in self._gates]
        asked += [required_metrics(tuner.owner, tuner.strategy) for tuner in self._tuners]
        self._required = tuple(dict.fromkeys(metric for metrics in asked for metric in metrics))
        self._guards = install_guards(registry, pack)

    def describe(self) -> dict[str, Any]:
        """Return how reports are read and judged as plain JSON, for the journal."""
        return {
            "metrics": {name: asdict(metric) for name, metric in self._pack.metrics.items()},
            "required": list(self.required),
            "watchers": [watcher.name for watcher in self._watchers],
            "gates": [gate.name for gate in self._gates[1:]],
            "guards": [guard.name for guard in self._guards if not guard.core],
        }

    @property
    def required(self) -> tuple[str, ...]:
        """Every metric that a gate or a tuner of this chain needs."""
        return tuple(map(one_line, map(self._see().text, self._required)))

    def observe(self, report: Report, history: History) -> dict[str, Value]:
        """Return the metrics of *report* with the facts of all watchers.

        Raises:
            StrategyFault: A watcher raised, returned something else than facts, or gave a value
                for a metric that the report has, or one that would not be usable in a report.
        """
        facts = dict(self._summary.observe(report, history))
        for watcher in self._watchers:
            seen = replace(report, raw=copy.deepcopy(report.raw))
            read = partial(_facts, self._pack, report.measured)
            facts |= self._ask(watcher.owner, read, watcher.strategy.observe, seen, history)
        return facts

    def judge(self, metrics: Mapping[str, Value], n: Mapping[str, int]) -> tuple[Judgement, ...]:
        """Return the judgements of all gates.

        Raises:
            StrategyFault: A gate raised, or returned something else than judgements.
        """
        judgements: list[Judgement] = []
        for gate in self._gates:
            seen = MappingProxyType(metrics)
            given = self._ask(gate.owner, _judgements, gate.strategy.judge, seen, n)
            own = gate is self._gates[0]
            judgements += given if own else (replace(one, gate=gate.name) for one in given)
        return tuple(judgements)

    def _judgement(
        self, one: Criterion, metric: str, value: float, n: int | None
    ) -> Judgement | None:
        owner, read = f"criterion {one.name!r} of {metric}", partial(read_judgement, metric)
        return self._ask(owner, read, one.judge, metric, value, n)

    @property
    def kpis(self) -> tuple[str, ...]:
        """The metrics of the KPIs."""
        return tuple(kpi.metric for kpi in self._pack.kpis)

    def judge_run(self, stretches: Mapping[str, Stretch]) -> tuple[RunJudgement, ...]:
        """Return the judgements of all criteria on a run; INCONCLUSIVE for one that failed.

        Args:
            stretches: ``{metric: what it was}`` for each KPI.
        """
        judged: list[RunJudgement] = []
        for kpi in self._pack.kpis:
            stretch = stretches[kpi.metric]
            for one in kpi.criteria:
                owner = f"criterion {one.name!r} of {kpi.metric}"
                read = partial(read_run_judgement, one.name, kpi.metric)
                try:
                    judged += self._ask(owner, read, one.judge_run, kpi, stretch)
                except StrategyFault as fault:
                    wrong = RunJudgement(one.name, kpi.metric, Verdict.INCONCLUSIVE)
                    judged.append(replace(wrong, problem=str(fault)))
        return tuple(judged)

    def propose(self, history: History, parameters: Mapping[str, float]) -> tuple[Proposed, ...]:
        """Ask every tuner.

        Raises:
            StrategyFault: A tuner raised, or returned something that cannot be used.
        """
        answers = []
        read = partial(_proposal, self._pack)
        left = self.headroom(history, parameters) if any(self._look_ahead) else {}
        asked = zip(self._tuners, self._corridors, self._look_ahead, strict=True)
        for tuner, corridor, ahead in asked:
            strategy = tuner.strategy
            args = (history, dict(parameters), *([dict(left)] if ahead else []))
            proposal = self._ask(tuner.owner, read, strategy.propose, *args)
            requests = requests_of(tuner.name, proposal, corridor)
            announce = bool(getattr(strategy, "announce", False))
            answers.append(Proposed(tuner.name, proposal, announce, requests))
        return tuple(answers)

    def headroom(self, history: History, parameters: Mapping[str, float]) -> Headroom:
        """Return how far all guards together let each parameter move in the next step.

        Args:
            history: Every iteration so far.
            parameters: The effective parameters.

        Raises:
            StrategyFault: A guard raised, or returned something else than a headroom.
        """
        read = partial(_headroom, self._pack)
        return least(
            self._ask(one.owner, read, one.headroom, history, dict(parameters), one.settings)
            for one in self._guards
            if one.headroom is not None
        )

    def review(self, history: History, decision: Decision) -> Decision:
        """Pass *decision* through every guard, and check that none of them added to it.

        Raises:
            StrategyFault: A guard raised, returned something else than a decision, or asked for
                more than it was given.
        """
        effective = decision.parameters
        for one in self._guards:
            read = partial(_reviewed, decision, one)
            given = decision if one.core else replace(decision)  # a plugin may mutate it
            ours = (decision, *given.requests, *given.changes, *given.vetoes, *given.notices)
            decision = self._ask(
                one.owner, read, one.guard.review, history, given, one.settings, known=ours
            )
        fault = rollback_fault(decision, history)
        if fault:
            raise StrategyFault(fault)
        for change in decision.changes:
            parameter = self._pack.parameters[change.parameter]
            fault = breach(change, parameter, effective[change.parameter])
            if fault:
                raise StrategyFault(fault)
        return decision

    def _ask(
        self,
        owner: str,
        read: Callable[[object], T],
        method: Callable[..., object],
        *args: object,
        known: Collection[object] = (),
    ) -> T:
        """Call a strategy's *method* and *read* the answer, from which secrets are removed.

        Everything that a strategy says comes through here.

        Args:
            owner: The words that name its owner.
            read: Checks the answer.
            method: The method.
            args: Its arguments.
            known: Parts of the answer that are ours, as for `received`.

        Raises:
            StrategyFault: The method raised, or its answer is unusable. It names the *owner*.
        """
        name = getattr(method, "__name__", "its method")
        try:
            return read(received(method(*args), self._see(), known))
        except UnusableAnswer as fault:
            raise self._fault(owner, name, str(fault)) from None
        except StrategyFault:  # of a criterion, which is asked by a gate of ours
            raise
        except Exception as error:
            mask = self._see()  # what it was doing may have been to fetch a secret
            raise self._fault(owner, name, what_raised(error, mask.text)) from error
        except BaseException as ended:  # a timeout, Ctrl-C: the note says where it hung
            ended.add_note(f"while asking {owner}: {name}()")
            raise

    def _fault(self, owner: str, method: str, what: str) -> StrategyFault:
        return StrategyFault(one_line(self._see().text(f"{owner}: {method}() {what}")))


def _installed(
    found: Mapping[str, Registered], pack: Pack, *needs: str, clean: Callable[[str], str]
) -> list[Named[Any]]:
    return [
        Named(registered.name, str(registered), registered.make(pack, needs=needs, clean=clean))
        for registered in found.values()
    ]


def _facts(pack: Pack, measured: Measured, found: object) -> dict[str, Value]:
    """Return the facts of a watcher, in Python's own types."""
    if not isinstance(found, Mapping):
        msg = f"returned {safe_repr(found)}, not {{name: value}}"
        raise UnusableAnswer(msg)
    facts: dict[str, Value] = {}
    for name, value in found.items():
        if not isinstance(name, str):
            msg = f"gave a value for {safe_repr(name)}; allowed: a name as text"
            raise UnusableAnswer(msg)
        key = safe_text(name)
        if value is None or (is_number(value) and abs(exact(value)) <= LARGEST):
            facts[key] = value if value is None else exact(value)
        elif isinstance(value, tuple) and all(isinstance(word, str) for word in value):
            facts[key] = tuple(map(safe_text, value))
        else:
            given = f"gave {safe_repr(value)} for {safe_repr(name)}"
            msg = f"{given}; allowed: a finite number, words in a tuple, None"
            raise UnusableAnswer(msg)
        fault = fact_fault(key, facts[key], measured, pack.metrics)
        if fault:
            msg = f"gave a value for {safe_repr(name)}, which {fault}"
            raise UnusableAnswer(msg)
    return facts


def _judgements(found: object) -> tuple[Judgement, ...]:
    """Return the judgements of a gate, in Python's own types."""
    if not isinstance(found, tuple) or not all(isinstance(one, Judgement) for one in found):
        msg = f"returned {safe_repr(found)}, not a tuple of Judgement"
        raise UnusableAnswer(msg)
    return tuple(map(_judgement, found))


def read_judgement(metric: str, found: object) -> Judgement | None:
    """Return what a criterion said of a value of *metric*, in Python's own types."""
    if found is None:
        return None
    if not isinstance(found, Judgement):
        msg = f"returned {safe_repr(found)}, not a Judgement or None"
        raise UnusableAnswer(msg)
    judged = _judgement(found)
    if judged.metric != metric:
        msg = f"returned a judgement of {safe_repr(found.metric)}; allowed: one of {metric!r}"
        raise UnusableAnswer(msg)
    return judged


def read_run_judgement(criterion: str, metric: str, one: object) -> tuple[RunJudgement, ...]:
    """Return what a criterion said of a run, in Python's own types; nothing for None."""
    if one is None:
        return ()
    if not isinstance(one, RunJudgement):
        msg = f"returned {safe_repr(one)}, not a RunJudgement or None"
        raise UnusableAnswer(msg)
    numbers = (one.value, one.low, one.high)
    texts: tuple[object, ...] = (one.rule, one.detail, one.problem)
    n = count(one.n)
    iterations: object = one.iterations
    lawful = (
        one.verdict is None or isinstance(one.verdict, Verdict),
        all(number is None or is_number(number) for number in numbers),
        all(isinstance(text, str) for text in texts),
        isinstance(iterations, tuple) and {type(number) for number in iterations} <= {int},
        one.verdict is not None or one.problem,
    )
    if n is None or not all(lawful):
        msg = (
            f"returned {safe_repr(one)}; allowed: a Verdict, or None with a problem, finite "
            "numbers or None, a count, texts, and iterations in a tuple"
        )
        raise UnusableAnswer(msg)
    value, low, high = (None if number is None else exact(number) for number in numbers)
    rule, detail, problem = (safe_text(text, RULE) for text in (one.rule, one.detail, one.problem))
    return (
        RunJudgement(
            criterion,
            metric,
            one.verdict,
            value,
            low,
            high,
            n,
            rule,
            detail,
            problem,
            one.iterations,
        ),
    )


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
        raise UnusableAnswer(msg)
    value = None if one.value is None else exact(one.value)
    rule, problem = (safe_text(text, RULE) for text in (one.rule, one.problem))
    return Judgement(safe_text(one.metric), one.verdict, value, n, rule, problem)


def _proposal(pack: Pack, answer: object) -> Proposal:
    """Return what a tuner answered, in Python's own types."""
    fault = proposal_fault(answer, pack.parameters)
    if fault or not isinstance(answer, Proposal):
        raise UnusableAnswer(fault)
    return Proposal(
        {name: exact(delta) for name, delta in answer.deltas.items()},
        tuple(map(one_line, answer.reasons)),
        {name: one_line(reason) for name, reason in answer.reason_of.items()},
        tuple(map(one_line, answer.withheld)),
    )


def _reviewed(before: Decision, guard: InstalledGuard, answer: object) -> Decision:
    """Return what *guard* left of the decision *before*."""
    if answer is before:  # most guards leave most decisions as they are
        return before
    if not isinstance(answer, Decision):
        msg = f"returned {safe_repr(answer)}, not a Decision"
        raise UnusableAnswer(msg)
    fault = malformed(answer)
    if not fault and not guard.merges:  # a guard that merges adds all changes: there are none yet
        fault = loosened(before, answer, rolls_back=guard.rolls_back)
    if fault:
        raise UnusableAnswer(fault)
    return replace(
        answer,
        vetoes=tuple(Veto(*map(one_line, astuple(veto))) for veto in answer.vetoes),
        notices=tuple(map(_notice, answer.notices)),
        skip_reason=one_line(answer.skip_reason),
    )


def _notice(notice: Notice) -> Notice:
    texts = (notice.guard, notice.reason, notice.parameter, notice.detail)
    guard, reason, parameter, detail = map(one_line, texts)
    return Notice(guard, reason, parameter, detail, notice.cut)


def _headroom(pack: Pack, answer: object) -> Headroom:
    """Return how far a guard lets parameters move, in Python's own types."""
    if not isinstance(answer, Mapping):
        msg = f"returned {safe_repr(answer)}, not {{parameter: (down, up)}}"
        raise UnusableAnswer(msg)
    left = {}
    for name, ways in answer.items():
        lawful = isinstance(ways, tuple) and len(ways) == len(UNBOUNDED)
        if not lawful or name not in pack.parameters or not all(map(_is_distance, ways)):
            msg = (
                f"gave {safe_repr(ways)} for {safe_repr(name)}; allowed: for a parameter two "
                "numbers, 0 or more, or infinite"
            )
            raise UnusableAnswer(msg)
        left[str.__str__(name)] = (float(ways[0]), float(ways[1]))
    return left


def _is_distance(value: object) -> bool:
    return isinstance(value, int | float) and value >= 0  # false also for NaN


def _looks_ahead(tuner: Tuner) -> bool:
    """Tell whether the third argument of its ``propose`` is called ``headroom``."""
    try:
        return list(inspect.signature(tuner.propose).parameters)[2:3] == ["headroom"]
    except Exception:  # noqa: BLE001 - a plugin's callable may have no signature
        return False
