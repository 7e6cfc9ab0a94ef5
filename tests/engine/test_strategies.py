"""Strategies under supervision: a fault names plugin and hook, and no guard gives more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak import hookspecs
from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.overrides import InitialOverrides
from pytest_soak.config.plan import ChainPlan
from pytest_soak.config.registry import Registered, Registry
from pytest_soak.engine.strategies import Strategies, StrategyFault
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.decision import Change, Decision, Notice, Request, Rollback, Veto
from pytest_soak.model.history import Entry, History
from pytest_soak.model.mode import Mode
from pytest_soak.model.pack import Pack
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.report import read_report
from pytest_soak.model.summary import Summary
from pytest_soak.model.verdict import Judgement, Verdict
from pytest_soak.packs.loader import build_pack
from tests.fuzz.values import (
    Blind,
    FloatLike,
    IntLike,
    Moody,
    TextLike,
    TouchyDict,
    TouchyFloat,
)

if TYPE_CHECKING:
    from pytest_soak.model.headroom import Headroom

Factories = Mapping[str, Callable[[Pack], Any]]


class Stranger:
    """A plugin that brings one strategy of one kind."""

    def __init__(self, kind: str, factories: Factories) -> None:
        setattr(self, f"pytest_soak_{kind}", lambda: factories)


class Says:
    """A strategy of any kind that answers what it was told to, or raises it."""

    requires: tuple[str, ...] = ()

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def _say(self, *args: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer(*args) if callable(self._answer) else self._answer

    def propose(self, history: History, parameters: Mapping[str, float]) -> Any:
        return self._say(history, parameters)

    def review(self, history: History, decision: Decision, settings: Any) -> Any:
        return self._say(history, decision, settings)

    def observe(self, *args: object) -> Any:
        return self._say(*args)

    def judge(self, *args: object) -> Any:
        return self._say(*args)


PACK = build_pack(
    {
        "pack": {
            "name": "tiny",
            "prefix": "TINY_",
            "profile": "base",
            "tuner": "none",
            "system": "mock",
            "scenario": "calm",
        },
        "parameters": {
            "batch": {"unit": "1", "limits": [1, 100], "calm": "down", "precision": 1},
            "workers": {
                "unit": "1",
                "limits": [1, 16],
                "apply": [2, 12],
                "calm": "up",
                "precision": 1,
            },
        },
        "profiles": {"base": {"workers": 4, "batch": 40}},
        "metrics": {"latency": {}, "rate": {}},
        "kpis": {"latency": {"fail": "> 300"}},
        "scenarios": {"calm": {}},
    },
    "tiny.toml",
)
REQUEST = Request("table", "workers", 2, Corridor.APPLY, "slow")
REQUESTED = Decision(3, {"batch": 40, "workers": 4}, (REQUEST,))


def a_registry(*plugins: object) -> Registry:
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    manager.register(CorePlugin(), "soak-core")
    for number, plugin in enumerate(plugins):
        manager.register(plugin, f"acme-{number}")
    return Registry(manager)


def strategies(kind: str = "", answer: object = None, name: str = "mine") -> Strategies:
    """Return the core's strategies and one of a plugin that gives *answer*."""
    registry = a_registry()
    tuners: tuple[Registered, ...] = ()
    if kind:
        registry = a_registry(Stranger(kind, {name: lambda pack: Says(answer)}))
    if kind == "tuners":
        tuners = (registry.find("tuners", name, "--soak-tuner"),)
    plan = ChainPlan(
        "test_x", "test_x", "run", 6, 2, Mode.APPLY, 0, PACK, PACK.profiles["base"],
        InitialOverrides("profile", {}), "calm", "mock", None, tuners,
    )  # fmt: skip
    return Strategies(plan, registry)


def after(verdict: Verdict = Verdict.FAIL, *, in_window: bool = False) -> History:
    return History([Entry(Summary(3, {}, {}, verdict=verdict, in_window=in_window))])


def test_without_plugins_a_request_becomes_a_change() -> None:
    (change,) = strategies().review(after(), REQUESTED).moves
    assert (change.parameter, change.old, change.new) == ("workers", 4, 6)


def test_in_the_window_a_request_becomes_no_change() -> None:
    decision = strategies().review(after(in_window=True), REQUESTED)
    assert (decision.moves, decision.skip_reason) == ((), "observation_window")


def test_after_an_inconclusive_iteration_a_request_becomes_no_change() -> None:
    decision = strategies().review(after(Verdict.INCONCLUSIVE), REQUESTED)
    assert (decision.moves, decision.skip_reason) == ((), "inconclusive")


def guarded(answer: object, requested: Decision = REQUESTED) -> Decision:
    return strategies("guards", answer).review(after(), requested)


def test_a_plugins_guard_may_stop_a_change() -> None:
    decision = guarded(lambda h, decision, s: decision.veto("mine", "workers", "too_soon"))
    assert decision.moves == ()
    assert decision.vetoes[-1].reason == "too_soon"


def test_a_plugins_guard_is_given_its_settings_in_the_pack() -> None:
    class Halves(Says):
        @dataclass(frozen=True)
        class Settings:
            most: int = 5

        def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
            (change,) = decision.changes
            return replace(decision, changes=(replace(change, effective=settings.most),))

    registry = a_registry(Stranger("guards", {"mine": lambda pack: Halves(None)}))
    plan = replace(strategies_plan(), pack=replace(PACK, guards={"mine": {"most": 1}}))
    (change,) = Strategies(plan, registry).review(after(), REQUESTED).moves
    assert (change.new, change.effective, change.requested) == (5, 1, 2)


def test_what_a_plugins_guard_leaves_is_put_on_the_grid() -> None:
    def shave(history: History, decision: Decision, settings: Any) -> Decision:
        (change,) = decision.changes
        return replace(decision, changes=(replace(change, effective=1.7),))

    (change,) = guarded(shave).moves
    assert (change.new, change.effective) == (5, 1)


def forging(**forged: Any) -> Callable[..., Decision]:
    def review(history: History, decision: Decision, settings: Any) -> Decision:
        (change,) = decision.changes
        return replace(decision, changes=(replace(change, **forged),))

    return review


def adding(history: History, decision: Decision, settings: Any) -> Decision:
    (change,) = decision.changes
    extra = replace(change, parameter="batch", old=40, new=42)
    return replace(decision, changes=(change, extra))


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (forging(effective=5, new=9), "made the delta of workers 5 out of 2"),
        (forging(effective=-2, new=2), "made the delta of workers -2 out of 2"),
        (forging(effective=math.nan), "made the delta of workers NaN out of 2"),
        (forging(requested=9), "rewrote requested"),
        (forging(corridor=Corridor.LIMITS), "rewrote corridor"),
        (forging(tuner="me"), "rewrote tuner"),
        (forging(old=2), "rewrote old"),
        (adding, "added a change of batch"),
        (lambda h, decision, s: replace(decision, requests=()), "rewrote what was asked for"),
        (None, "returned None"),
        ({"workers": 1}, "returned {'workers': 1}"),
        (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_guard_that_gives_more_than_it_was_given_is_a_fault_that_names_it(
    answer: object, phrase: str
) -> None:
    with pytest.raises(StrategyFault) as caught:
        guarded(answer)
    line = str(caught.value)
    assert "plugin acme-0, hook pytest_soak_guards, 'mine': review() " in line
    assert phrase in line


def test_guards_of_plugins_look_after_the_vetoes_of_the_core() -> None:
    seen: list[tuple[object, ...]] = []

    def watch(history: History, decision: Decision, settings: Any) -> Decision:
        seen.append(decision.moves)
        return decision

    strategies("guards", watch).review(after(in_window=True), REQUESTED)
    assert seen == [()]


def proposed(answer: object) -> Any:
    return strategies("tuners", answer).propose(after(), {"batch": 40, "workers": 4})


def test_a_plugins_tuner_is_asked_with_history_and_parameters() -> None:
    def more(history: History, parameters: Mapping[str, float]) -> Proposal:
        return Proposal({"workers": parameters["workers"] * history.latest.iteration}, ("more",))

    (answer,) = proposed(more)
    assert (answer.tuner, answer.announce) == ("mine", False)
    assert answer.requests == (Request("mine", "workers", 12, Corridor.APPLY, "more"),)


def test_whatever_ends_a_tuner_from_outside_says_whom_it_ended() -> None:
    def waits(history: History, parameters: Mapping[str, float]) -> Proposal:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as ended:
        proposed(waits)
    assert ended.value.__notes__ == [
        "while asking plugin acme-0, hook pytest_soak_tuners, 'mine': propose()"
    ]


def test_a_tuner_cannot_change_the_parameters_it_is_shown() -> None:
    parameters = {"batch": 40.0, "workers": 4.0}

    def write(history: History, shown: dict[str, float]) -> Proposal:
        shown["workers"] = 99
        return Proposal()

    strategies("tuners", write).propose(after(), parameters)
    assert parameters == {"batch": 40, "workers": 4}


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
        (None, "returned None, not a Proposal"),
        ({"workers": 2}, "not a Proposal"),
        (Proposal({"wokers": 2}), "'wokers'"),
        (Proposal({"workers": math.nan}), "nan"),
        (Proposal({"workers": -math.inf}), "-inf"),
        (Proposal({"workers": 10**400}), "workers"),
        (Proposal({"workers": "2"}), "'2'"),  # type: ignore[dict-item]
        (Proposal({"workers": True}), "True"),
        (Proposal([("workers", 2)]), "deltas"),  # type: ignore[arg-type]
        (Proposal(None), "deltas"),  # type: ignore[arg-type]
        (Proposal({}, "slow"), "reasons"),  # type: ignore[arg-type]
        (Proposal({}, None), "reasons"),  # type: ignore[arg-type]
        (Proposal({}, (), {"workers": 1}), "reason"),  # type: ignore[dict-item]
        (Proposal({}, (), None), "reason"),  # type: ignore[arg-type]
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tuner_that_raises_or_returns_nonsense_is_a_fault_that_names_it(
    answer: object, phrase: str
) -> None:
    with pytest.raises(StrategyFault) as caught:
        proposed(answer)
    line = str(caught.value)
    assert "plugin acme-0, hook pytest_soak_tuners, 'mine': propose() " in line
    assert phrase in line


def test_a_step_however_large_is_clamped_and_no_fault() -> None:
    request = replace(REQUEST, delta=1e300)
    (change,) = strategies().review(after(), replace(REQUESTED, requests=(request,))).moves
    assert change.new == 12


def test_a_corridor_that_is_none_is_a_fault_that_names_the_tuner() -> None:
    class Wide(Says):
        corridor = "wide"

    registry = a_registry(Stranger("tuners", {"mine": lambda pack: Wide(Proposal())}))
    plan = replace(strategies_plan(), tuners=(registry.find("tuners", "mine", "--soak-tuner"),))
    with pytest.raises((StrategyFault, SoakUsageError), match=r"acme-0.*'wide'"):
        Strategies(plan, registry).propose(after(), {"batch": 40, "workers": 4})


def strategies_plan() -> ChainPlan:
    return ChainPlan(
        "test_x", "test_x", "run", 6, 2, Mode.APPLY, 0, PACK, PACK.profiles["base"],
        InitialOverrides("profile", {}), "calm", "mock", None,
    )  # fmt: skip


REPORT = read_report({"iteration": 3, "totals": {"latency": 200}}, 3, PACK.metrics)


def test_facts_of_a_plugin_join_those_of_the_core() -> None:
    facts = strategies("watchers", {"mood": 5.0, "why": ("dust",)}).observe(REPORT, History())
    assert facts == {"latency": 200, "mood": 5.0, "why": ("dust",)}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [("mood", 5)],
        {"mood": math.nan},
        {"mood": math.inf},
        {"mood": True},
        {"mood": "5"},
        {"mood": 10**400},
        {"mood": (1, 2)},
        {5: 5},
        {"latency": 5.0},
        {"latency\n": 5.0},
        ZeroDivisionError("by zero"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_facts_that_are_no_values_are_a_fault_that_names_the_watcher(answer: object) -> None:
    with pytest.raises(StrategyFault) as caught:
        strategies("watchers", answer).observe(REPORT, History())
    assert "plugin acme-0, hook pytest_soak_watchers, 'mine': observe() " in str(caught.value)


def test_a_metric_that_the_report_lacks_may_come_from_watchers_and_the_last_one_counts() -> None:
    given = {"first": {"rate": 5.0}, "then": {"rate": 6, "mood": 1}}
    makers = {name: lambda pack, facts=facts: Says(facts) for name, facts in given.items()}
    watched = Strategies(strategies_plan(), a_registry(Stranger("watchers", makers)))
    assert watched.observe(REPORT, History()) == {"latency": 200, "rate": 6, "mood": 1}


def test_a_value_that_no_report_could_have_is_a_fault_that_names_watcher_and_value() -> None:
    says = r"'mine': observe\(\) gave a value for 'rate', which is not a number: \['high'\]"
    with pytest.raises(StrategyFault, match=says):
        strategies("watchers", {"rate": ("high",)}).observe(REPORT, History())


def test_judgements_of_a_plugin_join_those_of_the_core() -> None:
    mine = Judgement("budget", Verdict.WARN)
    judged = strategies("gates", (mine,)).judge({"latency": 301}, {"latency": 9})
    own = Judgement("latency", Verdict.FAIL, 301, 9, "> 300")
    assert judged == (own, replace(mine, gate="mine"))


@pytest.mark.parametrize(
    "answer", [None, [], (Verdict.PASS,), "PASS", ZeroDivisionError("by zero")], ids=repr
)
def test_anything_but_judgements_is_a_fault_that_names_the_gate(answer: object) -> None:
    with pytest.raises(StrategyFault) as caught:
        strategies("gates", answer).judge({}, {})
    assert "plugin acme-0, hook pytest_soak_gates, 'mine': judge() " in str(caught.value)


def test_what_gates_and_tuners_need_is_required_once_each() -> None:
    class Needy(Says):
        requires = ("rate", "latency")

    registry = a_registry(Stranger("gates", {"mine": lambda pack: Needy(())}))
    assert Strategies(strategies_plan(), registry).required == ("latency", "rate")


@pytest.mark.parametrize("kind", ["watchers", "guards", "gates"])
def test_what_lacks_its_method_is_refused_when_it_is_made(kind: str) -> None:
    registry = a_registry(Stranger(kind, {"mine": lambda pack: object()}))
    with pytest.raises(SoakUsageError, match=f"plugin acme-0, hook pytest_soak_{kind}, 'mine'"):
        Strategies(strategies_plan(), registry)


def test_a_gate_that_requires_nothing_must_say_so() -> None:
    class Unsaid:
        def judge(self, metrics: object, n: object) -> tuple[Judgement, ...]:
            return ()

    registry = a_registry(Stranger("gates", {"mine": lambda pack: Unsaid()}))
    with pytest.raises(SoakUsageError, match="'requires'"):
        Strategies(strategies_plan(), registry)


def test_a_factory_that_raises_is_a_usage_error_that_names_it() -> None:
    def make(pack: Pack) -> object:
        raise ZeroDivisionError

    with pytest.raises(SoakUsageError, match=r"acme-0.*'mine': the factory raised ZeroDivision"):
        Strategies(strategies_plan(), a_registry(Stranger("guards", {"mine": make})))


@pytest.mark.parametrize("offered", [None, [], {"mine": 5}, {5: Says}], ids=repr)
def test_a_hook_that_offers_no_factories_is_a_usage_error_that_names_it(offered: Any) -> None:
    with pytest.raises(SoakUsageError, match="plugin acme-0, hook pytest_soak_tuners"):
        a_registry(Stranger("tuners", offered)).all("tuners")


def test_two_plugins_cannot_offer_one_name() -> None:
    offers = {"mine": Says}
    registry = a_registry(Stranger("tuners", offers), Stranger("tuners", offers))
    with pytest.raises(SoakUsageError, match=r"'mine' is taken by plugin acme-. and plugin acme-."):
        registry.all("tuners")


def test_a_name_nobody_has_is_a_usage_error_that_lists_those_there_are() -> None:
    registry = a_registry(Stranger("tuners", {"mine": Says, "other": Says}))
    with pytest.raises(SoakUsageError, match=r"--soak-tuner: unknown tuner 'mien'.*mine, other"):
        registry.find("tuners", "mien", "--soak-tuner")


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        ({"old": 2}, "workers would start from 2, it is 4"),
        ({"requested": 1}, "workers would move 2, asked 1"),
        ({"requested": -2}, "workers would turn -2 into 2"),
    ],
)
def test_a_guard_that_forges_a_change_in_its_place_is_a_fault(
    forged: Mapping[str, object], told: str
) -> None:
    def forge(history: History, decision: Decision, settings: Any) -> Decision:
        (change,) = decision.changes
        for name, value in forged.items():
            object.__setattr__(change, name, value)  # frozen, but not against this
        return decision

    with pytest.raises(StrategyFault) as caught:
        guarded(forge)
    assert str(caught.value) == told


CHANGE = Change("workers", 4, 2, 2, 6, Note.NONE, "slow", "table", Corridor.APPLY)


def planting(name: str, value: object) -> Callable[..., Decision]:
    """Return a review that puts *value* into the decision, past its own checks."""

    def review(history: History, decision: Decision, settings: object) -> Decision:
        object.__setattr__(decision, name, value)  # frozen, but not against this
        return decision

    return review


def saying(**parts: Any) -> Callable[..., Decision]:
    """Return a review that rewrites *parts* of the decision."""
    return lambda history, decision, settings: replace(decision, **parts)


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (saying(changes=None), "gave None as its changes, not a tuple"),
        (saying(vetoes=[]), "gave [] as its vetoes, not a tuple"),
        (saying(notices="no"), "gave 'no' as its notices, not a tuple"),
        (saying(notices=(Veto("mine", "no"),)), "as a Notice"),
        (saying(notices=(Notice("mine", "told", detail=3),)), "as a Notice"),  # type: ignore[arg-type] # the fault
        (saying(notices=(Notice("", "told"),)), ", without guard or reason"),
        (saying(notices=(Notice("mine", "told", cut=1),)), "as a Notice"),  # type: ignore[arg-type] # the fault
        (saying(rollback=7), "gave 7 as its rollback, not a Rollback or None"),
        (saying(rollback=Rollback("mine", 1, {})), "made, changed or dropped a rollback"),
        (saying(asked=3), "raised TypeError"),
        (saying(asked={"workers": "2"}), "as asked, not {parameter: delta}"),
        (saying(asked={3: 2}), "as asked, not {parameter: delta}"),
        (saying(asked={}), "rewrote what was asked for: asked"),
        (planting("asked", [2]), "gave [2] as asked, not {parameter: delta}"),
        (planting("changes", (replace(CHANGE, parameter="backoff_s"),)), "added a change of back"),
        (saying(changes=(3,)), "gave 3 as a Change"),
        (saying(changes=(replace(CHANGE, note="cut"),)), "as a Change"),  # type: ignore[arg-type] # the fault
        (saying(changes=(replace(CHANGE, effective="2"),)), "gave '2' as the effective delta"),  # type: ignore[arg-type] # the fault
        (saying(vetoes=("no",)), "gave 'no' as a Veto"),
        (saying(vetoes=(Veto("mine", 3),)), "as a Veto"),  # type: ignore[arg-type] # the fault
        (saying(vetoes=(Veto("mine", ""),)), ", without guard or reason"),
        (saying(skip_reason=3), "gave 3 as its skip_reason, not text"),
        (saying(changes=(replace(CHANGE, effective=TouchyFloat(1)),)), "raised RuntimeError"),
        (Blind(), "returned a TouchyObject that cannot be shown, not a Decision"),
        (Moody(), "raised Moody: a Moody that cannot be shown"),
    ],
)
def test_a_decision_of_wrong_parts_is_a_fault_that_names_the_guard(
    answer: object, phrase: str
) -> None:
    with pytest.raises(StrategyFault) as caught:
        guarded(answer)
    assert "plugin acme-0, hook pytest_soak_guards, 'mine': review() " in str(caught.value)
    assert phrase in str(caught.value)


def test_what_a_guard_says_is_kept_as_plain_text() -> None:
    veto = Veto("mine", TextLike("because"), "workers", TextLike("so"))
    notice = Notice("mine", TextLike("by the way"), cut=True)
    later = TextLike("later")

    def said(history: History, decision: Decision, settings: object) -> Decision:
        told = replace(decision, notices=(*decision.notices, notice))
        return replace(told, changes=(), vetoes=(veto,), skip_reason=later)

    left = guarded(said)
    assert [type(word) for word in astuple(left.notices[-1])] == [str, str, str, str, bool]
    assert left.notices[-1].cut
    assert left.vetoes[0] == veto
    assert {type(word) for word in astuple(left.vetoes[0])} == {str}
    assert type(left.skip_reason) is str


@pytest.mark.parametrize(
    "parts",
    [
        {"metric": ""},
        {"metric": 3},
        {"verdict": "PASS"},
        {"value": "3"},
        {"value": math.nan},
        {"n": 0.5},
        {"n": "many"},
        {"rule": None},
        {"problem": 3},
    ],
    ids=repr,
)
def test_a_judgement_of_wrong_parts_is_a_fault_that_names_the_gate(parts: dict[str, Any]) -> None:
    lawful = Judgement("slack", Verdict.PASS, 3, 10, "< 4")
    assert strategies("gates", (lawful,)).judge({}, {})[-1] == replace(lawful, gate="mine")
    with pytest.raises(StrategyFault, match=r"'mine': judge\(\) returned .*; allowed: a metric, "):
        strategies("gates", (replace(lawful, **parts),)).judge({}, {})


def test_answers_in_types_of_another_make_are_kept_in_pythons_own() -> None:
    facts = {TextLike("slack"): FloatLike(2.5), "none": None, "words": (TextLike("fees"),)}
    seen = strategies("watchers", facts).observe(REPORT, after())
    assert {type(name) for name in seen} == {str}
    assert [type(seen[name]) for name in ("slack", "none")] == [float, type(None)]
    assert [type(word) for word in seen["words"] or ()] == [str]  # type: ignore[union-attr] # words
    mine = Judgement(TextLike("slack"), Verdict.PASS, FloatLike(2.5), IntLike(10))
    judged = strategies("gates", (mine,)).judge({}, {})[-1]
    assert [type(part) for part in (judged.metric, judged.value, judged.n)] == [str, float, int]
    proposal = Proposal(
        {"workers": FloatLike(1)}, (TextLike("slow"),), {"workers": TextLike("few")}
    )
    ((request,),) = (
        answer.requests
        for answer in strategies("tuners", proposal).propose(after(), {"workers": 4})
    )
    assert [type(part) for part in (request.delta, request.reason)] == [float, str]


def test_a_fact_that_cannot_be_looked_at_is_a_fault_that_names_the_watcher() -> None:
    with pytest.raises(StrategyFault, match="gave a TouchyObject that cannot be shown for 'slack'"):
        strategies("watchers", {"slack": Blind()}).observe(REPORT, after())
    with pytest.raises(StrategyFault, match=r"'mine': observe\(\) raised RuntimeError"):
        strategies("watchers", TouchyDict(slack=1)).observe(REPORT, after())


class Unwilling:
    """A tuner that does not want to say what it needs, or where it works."""

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        return Proposal()

    @property
    def requires(self) -> tuple[str, ...]:
        raise Moody


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        (3, "requires: 3;"),
        ("latency", "requires: 'latency';"),
        ((1,), r"requires: \(1,\);"),
        ((name for name in ("latency",)), "requires: <generator object <genexpr>>;"),
        (Blind(), "requires: raised RuntimeError: .*;"),
    ],
    ids=["number", "text", "numbers", "used up by one look", "blind"],
)
def test_what_a_gate_requires_is_names_in_a_collection(requires: object, told: str) -> None:
    gate = Says(())
    gate.requires = requires  # type: ignore[assignment] # the mistake
    registry = a_registry(Stranger("gates", {"mine": lambda pack: gate}))
    with pytest.raises(SoakUsageError, match=f"'mine': {told} allowed: a tuple of metrics by name"):
        Strategies(strategies_plan(), registry)


def test_a_tuner_that_does_not_say_what_it_requires_is_named() -> None:
    registry = a_registry(Stranger("tuners", {"mine": lambda pack: Unwilling()}))
    plan = replace(strategies_plan(), tuners=(registry.find("tuners", "mine", "--soak-tuner"),))
    with pytest.raises(SoakUsageError, match="'mine': requires: raised Moody: "):
        Strategies(plan, registry)


def test_a_corridor_that_cannot_be_looked_at_is_refused_by_the_tuners_name() -> None:
    tuner = Says(Proposal())
    tuner.corridor = Blind()  # type: ignore[attr-defined] # optional
    registry = a_registry(Stranger("tuners", {"mine": lambda pack: tuner}))
    plan = replace(strategies_plan(), tuners=(registry.find("tuners", "mine", "--soak-tuner"),))
    with pytest.raises(SoakUsageError, match="'mine': corridor raised RuntimeError: "):
        Strategies(plan, registry)


# ---- headroom


class Leaves(Says):
    """A guard that leaves everything as it is, and answers what it was told to as its headroom."""

    def review(self, history: History, decision: Decision, settings: Any) -> Decision:
        return decision

    def headroom(self, history: History, parameters: Mapping[str, float], settings: Any) -> Any:
        return self._say(history, parameters, settings)


class Ahead(Says):
    """A tuner that looks ahead."""

    def propose(
        self,
        history: History,
        parameters: Mapping[str, float],
        headroom: Headroom = MappingProxyType({}),
    ) -> Any:
        return self._say(headroom)


def asked_ahead(seen: Callable[[Headroom], object], **answers: object) -> None:
    """Ask a tuner that looks ahead, where guards leave *answers*."""
    guards = {name: lambda pack, answer=answer: Leaves(answer) for name, answer in answers.items()}
    tuner = Stranger("tuners", {"mine": lambda pack: Ahead(seen)})
    registry = a_registry(Stranger("guards", guards), tuner)
    plan = replace(strategies_plan(), tuners=(registry.find("tuners", "mine", "--soak-tuner"),))
    Strategies(plan, registry).propose(after(), {"batch": 40, "workers": 4})


def test_a_tuner_that_looks_ahead_gets_the_least_that_all_guards_leave() -> None:
    seen: list[Headroom] = []

    def propose(headroom: Headroom) -> Proposal:
        seen.append(headroom)
        return Proposal()

    asked_ahead(propose, a={"workers": (3, math.inf)}, b={"workers": (5, 2), "batch": (0, 0)})
    assert seen == [{"workers": (3, 2), "batch": (0, 0)}]


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (None, "returned None, not {parameter: (down, up)}"),
        ({"wokers": (1, 2)}, "gave (1, 2) for 'wokers'; allowed: for a parameter two numbers"),
        ({"workers": 3}, "gave 3 for 'workers'"),
        ({"workers": (1,)}, "gave (1,) for 'workers'"),
        ({"workers": (-1, 2)}, "gave (-1, 2) for 'workers'"),
        ({"workers": (math.nan, 2)}, "gave (nan, 2) for 'workers'"),
        ({"workers": ("1", 2)}, "gave ('1', 2) for 'workers'"),
        (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
    ],
)
def test_a_headroom_that_is_none_is_a_fault_that_names_the_guard(
    answer: object, phrase: str
) -> None:
    with pytest.raises(StrategyFault) as caught:
        asked_ahead(lambda _: Proposal(), mine=answer)
    line = str(caught.value)
    assert "plugin acme-0, hook pytest_soak_guards, 'mine': headroom() " in line
    assert phrase in line


def test_a_guard_is_asked_for_headroom_only_where_a_tuner_looks_ahead() -> None:
    registry = a_registry(
        Stranger("guards", {"mine": lambda pack: Leaves(ZeroDivisionError())}),
        Stranger("tuners", {"mine": lambda pack: Says(Proposal())}),
    )
    plan = replace(strategies_plan(), tuners=(registry.find("tuners", "mine", "--soak-tuner"),))
    (answer,) = Strategies(plan, registry).propose(after(), {"batch": 40, "workers": 4})
    assert answer.requests == ()


def test_a_tuner_whose_signature_cannot_be_looked_at_gets_no_headroom() -> None:
    class Blank:
        """A callable without a signature."""

        __signature__ = "none"

        def __call__(self, history: History, parameters: Mapping[str, float]) -> Proposal:
            return Proposal({"workers": 1}, ("more",))

    tuner = Says(None)
    tuner.propose = Blank()  # type: ignore[method-assign] # as somebody may
    registry = a_registry(Stranger("tuners", {"mine": lambda pack: tuner}))
    plan = replace(strategies_plan(), tuners=(registry.find("tuners", "mine", "--soak-tuner"),))
    (answer,) = Strategies(plan, registry).propose(after(), {"batch": 40, "workers": 4})
    assert answer.proposal.deltas == {"workers": 1}
