"""Answers of hostile strategies: facts, judgements, proposals, decisions; and their attributes.

Claim: an answer is either used, and then everything stays within its bounds and is recorded, or the
iteration is INCONCLUSIVE with a phrase that names the owner, and nothing is applied; nothing is
raised. A strategy whose ``requires`` or ``corridor`` mean nothing is refused, by name, before the
run.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.decision import Change, Decision, Veto
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.model.verdict import Judgement, Verdict
from tests.fuzz import values
from tests.fuzz.chains import asked, planned, registry
from tests.fuzz.harness import promised, taught
from tests.fuzz.reports import Returns, healthy, shown, taken_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from random import Random

    from pytest_soak.engine.controller import IterationResult

BATCH = 6
ROLES = {"watchers": "observe", "gates": "judge", "tuners": "propose", "guards": "review"}


class Stranger:
    """A plugin that offers one strategy of each kind, each called ``mine``."""

    def __init__(self) -> None:
        self.role = ""
        self.answer: Callable[[object], object] = lambda lawful: lawful
        self.requires: object = ()
        self.corridor: object = Corridor.LIMITS

    def say(self, role: str, lawful: object) -> Any:
        return self.answer(lawful) if role == self.role else lawful

    def pytest_soak_watchers(self) -> Mapping[str, Callable[..., object]]:
        return {"mine": lambda pack: Watcher(self)}

    def pytest_soak_gates(self) -> Mapping[str, Callable[..., object]]:
        return {"mine": lambda pack: Gate(self)}

    def pytest_soak_tuners(self) -> Mapping[str, Callable[..., object]]:
        return {"mine": lambda pack: Tuner(self)}

    def pytest_soak_guards(self) -> Mapping[str, Callable[..., object]]:
        return {"mine": lambda pack: Guard(self)}


class Watcher:
    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger

    def observe(self, report: object, history: object) -> object:
        return self._stranger.say("watchers", {"slack": 3, "words": ("a", "b")})


class Gate:
    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger
        self.requires = stranger.requires if stranger.role == "gates" else ()

    def judge(self, metrics: object, n: object) -> object:
        return self._stranger.say("gates", (Judgement("slack", Verdict.PASS, 3, 10, "< 4"),))


class Tuner:
    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger
        ours = stranger.role == "tuners"
        self.requires = stranger.requires if ours else ()
        self.corridor = stranger.corridor if ours else Corridor.LIMITS

    def propose(self, history: object, parameters: object) -> object:
        lawful = Proposal({"workers": 1, "backoff_s": 0.05}, ("because",), {"workers": "slow"})
        return self._stranger.say("tuners", lawful)


class Guard:
    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger

    def review(self, history: object, decision: Decision, settings: object) -> object:
        return self._stranger.say("guards", decision)


def hostile(random: Random, lawful: object) -> object:
    """Return *lawful* with one part made hostile, or something else altogether."""
    pick = random.random()
    if pick < 0.1:
        return lawful
    if pick < 0.25:
        return values.anything(random)
    if pick < 0.3:
        msg = random.choice(("", "no\nword", "x" * 10_000, "\ud800"))
        raise random.choice((ValueError(msg), KeyError(msg), RecursionError(), values.Moody()))
    if isinstance(lawful, dict):
        return worse_mapping(random, lawful)
    if isinstance(lawful, tuple):
        return worse_tuple(random, lawful)
    if isinstance(lawful, Decision):
        return worse_decision(random, lawful)
    return worse_fields(random, lawful)


def worse_mapping(random: Random, lawful: Mapping[Any, Any]) -> object:
    worse = {**lawful, values.key(random): values.anything(random)}
    worse[random.choice(tuple(lawful))] = values.anything(random)
    return random.choice((dict, dict, values.DictLike, values.TouchyDict))(worse)


def worse_tuple(random: Random, lawful: tuple[Any, ...]) -> object:
    how = random.randrange(4)
    if how == 0 or not lawful:
        return (*lawful, values.anything(random))
    if how == 1:
        return list(lawful)
    return (worse_fields(random, lawful[0]), *lawful[1:])


def worse_fields(random: Random, lawful: Any) -> Any:
    """Return *lawful* with one field made hostile."""
    name = random.choice([each.name for each in fields(lawful)])
    value = getattr(lawful, name)
    if random.random() < 0.5 and isinstance(value, dict) and value:
        worse: Any = worse_mapping(random, value)
    elif random.random() < 0.5 and isinstance(value, tuple):
        worse = (*value, values.anything(random))
    elif random.random() < 0.5 and isinstance(value, float | int):
        worse = values.number(random)
    else:
        worse = values.anything(random)
    return replace(lawful, **{name: worse})


def worse_decision(random: Random, lawful: Decision) -> Decision:
    """Return *lawful* with a change, a veto or a field made hostile."""
    how = random.randrange(4)
    if how == 0 and lawful.changes:
        changed = worse_fields(random, lawful.changes[0])
        return replace(lawful, changes=(changed, *lawful.changes[1:]))
    if how == 1:
        veto = worse_fields(random, Veto("mine", "because", "workers", "so"))
        return replace(lawful, vetoes=(*lawful.vetoes, veto))
    if how == 2:
        added = Change("workers", 2, 1, 1, 3, Note.NONE, "more", "mine", Corridor.LIMITS)
        return replace(lawful, changes=(*lawful.changes, added))
    made: Decision = worse_fields(random, lawful)
    return made


class Answers:
    """Answers of hostile strategies."""

    name = "strategies"

    def __init__(self) -> None:
        self._stranger = Stranger()
        self._registry = registry(self._stranger)

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        stranger = self._stranger
        stranger.__init__()  # type: ignore[misc] # as new, for the registry keeps this one
        stranger.role = random.choice(tuple(ROLES))
        request = asked(root, iterations=BATCH + 2, tuner="mine")
        who = f"plugin {id(stranger)}, hook pytest_soak_{stranger.role}, 'mine'"
        if stranger.role in ("gates", "tuners") and random.random() < 0.4:
            name = random.choice(("requires", "corridor"))
            setattr(stranger, name, values.anything(random))
        try:
            plan = planned(request, self._registry, own=True)
            loop = SoakLoop(plan, self._registry, request.folder)
        except SoakUsageError as error:
            taught(str(error), who)
            yield f"{stranger.role}: refused at the start"
            return
        except StrategyFault as error:
            taught(str(error), who)
            yield f"{stranger.role}: refused at the start"
            return
        system = Returns()
        stranger.answer = lambda lawful: hostile(random, lawful)
        try:
            for iteration in range(1, BATCH + 1):
                parameters = plan.effective(loop.store.overrides)
                system.answer = (healthy(plan, parameters, iteration), None)
                result = loop.run(iteration, system)
                check(result, who)
                shown(loop, result)
                yield f"{stranger.role}: {'named' if result.fault else 'used'}"
        finally:
            loop.close()
        stranger.role = ""
        taken_up(loop, SoakLoop(plan, self._registry, request.folder))


def check(result: IterationResult, who: str) -> None:
    """Check that a fault names its owner and applies nothing, and that all else is in bounds."""
    if result.fault:
        promised(
            kept=result.fault in map(str, result.summary.problems),
            promise="a fault that is not reported",
        )
        promised(kept=not result.applied, promise="applied, though a strategy failed")
        promised(kept=who in result.fault, promise=f"a fault without its owner: {result.fault}")
        promised(
            kept="\n" not in result.fault, promise=f"a fault of several lines: {result.fault!r}"
        )
        promised(kept=len(result.fault) < 1000, promise=f"a fault without end: {result.fault[:99]}")
    for problem in result.summary.problems:
        promised(kept=bool(str(problem).strip()), promise="an empty problem")
    for change in result.decision.changes:
        promised(kept=is_dataclass(change), promise=f"a change that is none: {safe_repr(change)}")
        promised(kept=0 <= change.new <= 100, promise=f"{change.parameter} became {change.new}")
    for name, value in result.summary.metrics.items():
        lawful = value is None or type(value) in (int, float, tuple)
        promised(
            kept=type(name) is str and lawful,
            promise=f"the fact {safe_repr(name)} is {safe_repr(value)}",
        )
