"""The checks, one for each kind of strategy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pytest_soak.errors import what_raised
from pytest_soak.model.pack import Pack
from pytest_soak.model.parameters import Note
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.packs.loader import load_pack, none_installed
from pytest_soak.testing.promises import BrokenPromise, Promise, Stopped
from pytest_soak.testing.slots import OTHERS, Slot, Start, slots, starts, steady
from pytest_soak.testing.world import Subject, World
from pytest_soak.tuners.table import TableTuner

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.packs.loader import File

EXAMPLES = 40
"""How many chains are tried by default."""
STEPS = 12
"""How many steps a chain has at most."""
PHASES = (Phase.generate, Phase.shrink)
"""Without the phase `explain`, which takes longer than finding the failure."""
LONG = 30
"""How many iterations with a bad report the check for livelock runs in each direction."""


@dataclass(frozen=True)
class Turn:
    """One iteration of a situation that an author describes.

    Args:
        asks: ``{parameter: delta}``: what a tuner with the corridor ``limits`` asks for after it.
        measures: ``{metric: value}`` of its report; other metrics break every limit of the pack.
    """

    asks: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, Any] = field(default_factory=dict)


@cache
def demo_pack() -> Pack:
    """Return the neutral pack that comes with pytest-soak."""
    return load_pack(_installed("demo", ""))


def _installed(name: str, source: str) -> File:
    """Return the file of the pack *name*; the kit knows the demo pack alone by name."""
    if name == "demo":
        return resources.files("pytest_soak.packs").joinpath("demo.toml")
    return none_installed(name, source)


def as_pack(pack: Pack | Path | str | None) -> Pack:
    """Return the pack that an author gives: itself, its TOML file, or None for the demo pack."""
    if pack is None:
        return demo_pack()
    return pack if isinstance(pack, Pack) else load_pack(Path(pack), find=_installed)


def check_tuner(
    factory: Callable[[Pack], Any] | str,
    *,
    pack: Pack | Path | str | None = None,
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a tuner keeps every promise in every kind of chain.

    Args:
        factory: The factory, as the hook offers it: ``pack -> tuner``; or the name of a table of
            rules in the pack.
        pack: The domain: a `Pack`, or the path of its TOML file; the demo pack unless given.
        examples: How many chains are tried.
        seconds: How long one answer may take, in wall-clock time.

    Raises:
        BrokenPromise: With the smallest history that shows it.
    """
    __tracebackhide__ = True
    _drive(_subject("tuner", factory, pack, seconds), examples)


def check_watcher(
    factory: Callable[[Pack], Any],
    *,
    facts: Collection[str] = (),
    pack: Pack | Path | str | None = None,
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a watcher keeps every promise; as `check_tuner`.

    *facts* are metrics of the pack that no report has, because the watcher gives them.
    """
    __tracebackhide__ = True
    subject = replace(_subject("watcher", factory, pack, seconds), facts=facts)
    fault = facts_fault(facts, subject.pack)
    if fault:
        raise BrokenPromise(Promise.READY, subject.who, fault)
    _drive(subject, examples)


def facts_fault(facts: Collection[str], pack: Pack) -> str:
    """Return which of *facts* is no metric of *pack*, or an empty string."""
    unknown = ", ".join(safe_repr(name) for name in facts if name not in pack.metrics)
    known = ", ".join(pack.metrics)
    return unknown and f"`facts` names {unknown}; the metrics of pack {pack.name}: {known}"


def check_gate(
    factory: Callable[[Pack], Any],
    *,
    pack: Pack | Path | str | None = None,
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a gate keeps every promise; as `check_tuner`."""
    __tracebackhide__ = True
    _drive(_subject("gate", factory, pack, seconds), examples)


def check_guard(
    factory: Callable[[Pack], Any],
    *,
    acts: Sequence[Turn] = (),
    tells: Sequence[Turn] = (),
    start: Mapping[str, float] | None = None,
    settings: Any = None,  # noqa: ANN401 - a table, or the guard's own Settings
    holds: str = "",
    name: str = "",
    pack: Pack | Path | str | None = None,
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a guard keeps every promise, that it acts, and that it does not block a run.

    Args:
        factory: The factory, as the hook offers it: ``pack -> guard``.
        acts: A situation: after its last turn the guard must stop a step or make it smaller.
        tells: A situation after which it must add a notice, for a guard that only warns. One of
            the two is needed.
        start: The overrides at the start of that situation.
        settings: What ``[guards.<name>]`` says: a table, or an object of the guard's `Settings`.
        holds: Why it may stop every step for as long as the report is bad. Without this reason it
            may not.
        name: Its name, for a guard that the pack has a table of settings for.
        pack: As for `check_tuner`; so are the others.
        examples: How many chains are tried.
        seconds: How long one answer may take, in wall-clock time.

    Raises:
        BrokenPromise: With the smallest history that shows it.
    """
    __tracebackhide__ = True
    subject = _subject("guard", factory, pack, seconds, name)
    table = settings if isinstance(settings, Mapping) else msgspec.to_builtins(settings)
    subject = replace(subject, settings=table or {})
    if not (acts or tells):
        what = "no situation is given: set `acts`, turns after which it must stop a step"
        raise BrokenPromise(Promise.ACTS, subject.who, what)
    _check_turns(subject, (*acts, *tells))
    _drive(subject, examples)
    no_livelock(subject, holds=holds)
    for turns, only in ((acts, False), (tells, True)):
        if turns:
            _acts(subject, turns, start or {}, only_tells=only)


def _subject(
    kind: str,
    factory: Callable[[Pack], Any] | str,
    pack: Pack | Path | str | None,
    seconds: float,
    name: str = "",
) -> Subject:
    """Return the strategy under test, after making it once."""
    domain = as_pack(pack)
    if isinstance(factory, str):
        return _table(factory, domain, seconds)
    plugin = getattr(factory, "__module__", "unknown")
    subject = Subject(kind, factory, domain, plugin, name or "mine", seconds=seconds)
    try:
        made = factory(domain)
    except Exception as error:
        hint = ""
        if isinstance(error, TypeError) and inspect.isclass(factory):
            hint = f"; a factory takes the pack: lambda pack: {factory.__name__}()"
        what = f"the factory {what_raised(error)}{hint}"
        raise BrokenPromise(Promise.READY, subject.who, what) from error
    return replace(subject, name=name or type(made).__name__)


def _table(name: str, pack: Pack, seconds: float) -> Subject:
    """Return the table *name* of *pack* as the tuner under test."""
    subject = Subject(
        "tuner",
        lambda pack: TableTuner(pack, pack.tables[name]),
        pack,
        f"pack {pack.name}",
        name,
        seconds=seconds,
    )
    if name not in pack.tables:
        what = f"the pack has no table of that name; there are: {', '.join(pack.tables)}"
        raise BrokenPromise(Promise.READY, subject.who, what)
    return subject


def _drive(subject: Subject, examples: int) -> None:
    """Drive *examples* chains; raise a broken promise with the smallest one that shows it."""
    __tracebackhide__ = True
    seen: list[BrokenPromise] = []
    try:
        run_state_machine_as_test(_machine(subject, seen), settings=settings_of(examples))
    except Stopped as stopped:
        last = stopped.broken
    except (BrokenPromise, Flaky):  # Flaky: a memory that outlives its chain
        last = seen[-1]
    else:
        return
    # a new one, without Hypothesis's notes: the story says the same
    raise BrokenPromise(last.promise, last.who, last.what, last.story) from last.__cause__


def settings_of(examples: int) -> settings:
    """Return settings of Hypothesis: the same chains each time, and no database on disk."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )


def _machine(  # noqa: C901 - a machine is its rules
    subject: Subject, seen: list[BrokenPromise]
) -> type[RuleBasedStateMachine]:
    """Return the state machine of a chain that contains *subject*.

    Args:
        subject: The strategy under test.
        seen: Gets each broken promise; the one with the smallest chain comes last.
    """

    @contextmanager
    def noted() -> Iterator[None]:
        try:
            yield
        except BrokenPromise as broken:
            seen.append(broken)
            raise

    class Chain(RuleBasedStateMachine):
        """A chain: it starts, runs iterations, is resumed, and reaches its window."""

        world: World

        @initialize(start=starts(subject.pack))
        def begin(self, start: Start) -> None:
            with noted():
                self.world = World(subject, start)

        @rule(slot=slots(subject.pack, subject.facts))
        def iteration(self, slot: Slot) -> None:
            with noted():
                self.world.run(slot)

        @rule(slot=slots(subject.pack, subject.facts), times=st.integers(2, 5))
        def the_same_again(self, slot: Slot, times: int) -> None:
            with noted():
                for _ in range(times):
                    self.world.run(slot)

        @precondition(lambda self: self.world.results)
        @rule(lost=st.booleans())
        def resume(self, *, lost: bool) -> None:
            with noted():
                self.world.resume()
            self.world.restarted = lost

        @precondition(lambda self: len(self.world.results) > 3)  # noqa: PLR2004 - late in a chain
        @rule()
        def the_window_begins(self) -> None:
            self.world.in_window = True

        def teardown(self) -> None:
            if hasattr(self, "world") and not self.world.over:
                with noted():
                    self.world.finish()

    return Chain


def no_livelock(subject: Subject, *, holds: str = "") -> None:
    """Check that while reports stay bad, each parameter moves or a reason says why not.

    Args:
        subject: The guard under test.
        holds: Why it may stop every step; without this reason something must move.
    """
    __tracebackhide__ = True
    stopped: list[bool] = []  # for each decision with moves: did the guard stop them all?
    moved = False
    totals = steady(subject.pack)
    for sign in (1, -1):
        request = {
            name: sign * (one.quantize((one.limits.hi - one.limits.lo) / 20) or one.precision)
            for name, one in subject.pack.parameters.items()
        }
        world = World(subject, Start())
        slot = Slot(metrics=totals, requests={OTHERS[0]: request})
        for _ in range(LONG):
            result = world.run(slot)
            moved = moved or bool(result.decision.moves)
            given, said = world.last_review()
            stopped += [not said.moves] if given.moves else []
            for name, delta in request.items():
                why = _held(result, name, world)
                if not why:
                    what = f"{name} was asked for {delta:+g} and did not move, without a reason"
                    raise world.broken(Promise.NO_LIVELOCK, what)
    if stopped and all(stopped) and not moved and not holds:
        what = f"nothing moved in {2 * LONG} iterations: it stopped every step, up and down"
        raise world.broken(Promise.NO_LIVELOCK, f"{what}; if it must, say why with `holds`")


def _held(result: IterationResult, name: str, world: World) -> str:
    """Return why *name* stayed as it was, ``moved`` if it moved, an empty string if unexplained."""
    decision = result.decision
    if name in decision.touched:
        return "moved"
    reasons = [veto.reason for veto in decision.vetoes if veto.parameter in {name, ""}]
    for change in decision.changes:
        bounds = world.pack.parameters[name].corridor(change.corridor)
        at_bound = change.old >= bounds.hi if change.requested > 0 else change.old <= bounds.lo
        if change.parameter == name and change.note is Note.HOLD and at_bound:
            reasons.append("bound")
    return next(iter(reasons), "")


def _acts(
    subject: Subject, turns: Sequence[Turn], start: Mapping[str, float], *, only_tells: bool
) -> None:
    """Check that after the last of *turns* the guard changed the decision, or added a notice."""
    __tracebackhide__ = True
    world = World(subject, Start(seeds=start))
    for turn in turns:
        totals = {**steady(subject.pack), **turn.measures}
        result = world.run(Slot(metrics=totals, requests={OTHERS[1]: turn.asks}))
    given, said = world.last_review()
    notices = said.notices[len(given.notices) :]
    before, after = ({one.parameter: one.effective for one in d.changes} for d in (given, said))
    ended = {one.parameter: one.effective for one in result.decision.changes}
    if only_tells and not notices:
        what = "it added no notice"
    elif only_tells or before not in (after, ended):
        return
    elif not before:
        stopped = ", ".join(f"{v.guard}: {v.reason} {v.parameter}" for v in given.vetoes)
        why = f"stopped by {stopped}" if stopped else "none was asked for"
        what = f"no step reached this guard: {why}"
    else:
        reasons = ", ".join(notice.reason for notice in notices) or "none"
        what = f"it left {before} as it was; its notices: {reasons}"
    raise world.broken(Promise.ACTS, what)


def _check_turns(subject: Subject, turns: Sequence[Turn]) -> None:
    """Refuse a situation with names that the pack does not know: it would prove nothing."""
    pack = subject.pack
    for turn in turns:
        for name in (*turn.asks, *turn.measures):
            known: Mapping[str, Any] = pack.parameters if name in turn.asks else pack.metrics
            if name not in known:
                what = f"its situation names {name!r}; pack {pack.name} has {', '.join(known)}"
                raise BrokenPromise(Promise.READY, subject.who, what)
