"""The checks, one for each kind of strategy: a chain in which anything may happen, and more."""

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
from pytest_soak.packs.loader import load_pack
from pytest_soak.testing.promises import BrokenPromise, Promise, Stopped
from pytest_soak.testing.slots import OTHERS, Slot, Start, slots, starts, steady
from pytest_soak.testing.world import Subject, World
from pytest_soak.tuners.table import TableTuner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_soak.engine.controller import IterationResult

EXAMPLES = 40
"""How many chains are tried unless the author says otherwise."""
STEPS = 12
PHASES = (Phase.generate, Phase.shrink)
"""To explain a failure takes Hypothesis longer than to find it."""
LONG = 30
"""How many iterations the report stays bad where livelock is looked for."""


@dataclass(frozen=True)
class Turn:
    """One iteration of a situation that an author describes.

    Args:
        asks: ``{parameter: delta}``: what a tuner asks for after it, in the corridor ``limits``.
        measures: ``{metric: value}`` of its report; the others break every limit of the pack.
    """

    asks: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, Any] = field(default_factory=dict)


@cache
def demo_pack() -> Pack:
    """Return the neutral pack that comes with pytest-soak."""
    return load_pack(resources.files("pytest_soak.packs").joinpath("demo.toml"))


def check_tuner(
    factory: Callable[[Pack], Any] | str,
    *,
    pack: Pack | Path | str | None = None,
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a tuner keeps every promise, whatever happens around it.

    Args:
        factory: Makes it, given a pack, as the hook's factory does; or the name of a table of
            rules in the pack.
        pack: The domain: a `Pack`, or the path of its TOML file; the demo pack unless given.
        examples: How many chains are tried.
        seconds: How long one answer may take, of wall-clock time.

    Raises:
        BrokenPromise: One was broken; it shows the smallest history found.
    """
    __tracebackhide__ = True
    _drive(_subject("tuner", factory, pack, seconds), examples)


def check_watcher(
    factory: Callable[[Pack], Any],
    *,
    pack: Pack | Path | str | None = None,
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a watcher keeps every promise; as `check_tuner`."""
    __tracebackhide__ = True
    _drive(_subject("watcher", factory, pack, seconds), examples)


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
    """Check that a guard keeps every promise, that it acts, and that it stops no run for good.

    Args:
        factory: Makes it, given a pack, as the hook's factory does.
        acts: A situation after whose last turn it must stop a step or make it smaller.
        tells: One after whose last turn it must tell something, for a guard that only warns. One
            of the two is needed.
        start: The overrides at the start of that situation.
        settings: What ``[guards.<name>]`` says: a table, or an object of the guard's `Settings`.
        holds: Why it may hold everything for as long as the report is bad, in words for who reads
            the test; without them that is a broken promise.
        name: Its name, where it goes by one of the pack's tables of settings.
        pack: As for `check_tuner`; so are the others.
        examples: How many chains are tried.
        seconds: How long one answer may take.

    Raises:
        BrokenPromise: One was broken; it shows the smallest history found.
    """
    __tracebackhide__ = True
    subject = _subject("guard", factory, pack, seconds, name)
    table = settings if isinstance(settings, Mapping) else msgspec.to_builtins(settings)
    subject = replace(subject, settings=table or {})
    if not (acts or tells):
        what = "nobody says when: give `acts`, the turns after whose last it must stop a step"
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
    """Return what is tried, made once to see that it can be."""
    domain = demo_pack() if pack is None else pack
    if not isinstance(domain, Pack):
        domain = load_pack(Path(domain))
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
    """Return the tuner that is a table of *pack*."""
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
    """Let anything happen in *examples* chains; what breaks is shown with the smallest one."""
    __tracebackhide__ = True
    seen: list[BrokenPromise] = []
    try:
        run_state_machine_as_test(_machine(subject, seen), settings=_settings(examples))
    except Stopped as stopped:
        last = stopped.broken
    except (BrokenPromise, Flaky):  # flaky is what has a memory that outlives its chain
        last = seen[-1]
    else:
        return
    # raised anew, without Hypothesis's notes: the story tells the same
    raise BrokenPromise(last.promise, last.who, last.what, last.story) from last.__cause__


def _settings(examples: int) -> settings:
    """Return how Hypothesis is to try: the same chains each time, and no file left behind."""
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
    """Return the state machine of a chain in which *subject* has a say.

    Args:
        subject: The strategy that is tried.
        seen: Gets what was broken, each time that a chain shows it; the smallest one last.
    """

    @contextmanager
    def noted() -> Iterator[None]:
        try:
            yield
        except BrokenPromise as broken:
            seen.append(broken)
            raise

    class Chain(RuleBasedStateMachine):
        """A chain: it starts, runs iterations, is resumed, and comes to its window."""

        world: World

        @initialize(start=starts(subject.pack))
        def begin(self, start: Start) -> None:
            with noted():
                self.world = World(subject, start)

        @rule(slot=slots(subject.pack))
        def iteration(self, slot: Slot) -> None:
            with noted():
                self.world.run(slot)

        @rule(slot=slots(subject.pack), times=st.integers(2, 5))
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
    """Check that under a report that stays bad each parameter moves, or is told what holds it.

    Args:
        subject: The guard that is tried.
        holds: Why this guard may hold everything; without it, something must move in the end.
    """
    __tracebackhide__ = True
    held: list[bool] = []  # for each decision with moves that it was given: did it leave none?
    moved = False
    totals = steady(subject.pack)
    for sign in (1, -1):
        deltas = {
            name: sign * (one.quantize((one.limits.hi - one.limits.lo) / 20) or one.precision)
            for name, one in subject.pack.parameters.items()
        }
        world = World(subject, Start())
        slot = Slot(metrics=totals, requests={OTHERS[0]: deltas})
        for _ in range(LONG):
            result = world.run(slot)
            moved = moved or bool(result.decision.moves)
            given, said = world.last_review()
            held += [not said.moves] if given.moves else []
            for name, delta in deltas.items():
                why = _held(result, name, world)
                if not why:
                    what = f"{name} was asked for {delta:+g}, did not move, and nobody says why"
                    raise world.broken(Promise.NO_LIVELOCK, what)
    if held and all(held) and not moved and not holds:
        what = f"nothing moved in {2 * LONG} iterations, for it stopped every step, up and down"
        raise world.broken(Promise.NO_LIVELOCK, f"{what}; if it must, say why with `holds`")


def _held(result: IterationResult, name: str, world: World) -> str:
    """Return why *name* stayed where it was, ``moved`` if it did not, nothing if nobody says."""
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
    """Check that after the last of *turns* the guard changed the decision, or told something."""
    __tracebackhide__ = True
    world = World(subject, Start(seeds=start))
    for turn in turns:
        totals = {**steady(subject.pack), **turn.measures}
        result = world.run(Slot(metrics=totals, requests={OTHERS[1]: turn.asks}))
    given, said = world.last_review()
    told = said.notices[len(given.notices) :]
    before, after = ({one.parameter: one.effective for one in d.changes} for d in (given, said))
    ended = {one.parameter: one.effective for one in result.decision.changes}
    if only_tells and not told:
        what = "it told nothing"
    elif only_tells or before not in (after, ended):
        return
    elif not before:
        stopped = ", ".join(f"{v.guard}: {v.reason} {v.parameter}" for v in given.vetoes)
        what = (
            f"no step came as far as this guard; stopped by {stopped or 'nobody: none was asked'}"
        )
    else:
        words = ", ".join(word.reason for word in told) or "nothing"
        what = f"it left {before} as it was, and told {words}"
    raise world.broken(Promise.ACTS, what)


def _check_turns(subject: Subject, turns: Sequence[Turn]) -> None:
    """Refuse a situation in words that the pack does not know: it would prove nothing."""
    pack = subject.pack
    for turn in turns:
        for name in (*turn.asks, *turn.measures):
            known: Mapping[str, Any] = pack.parameters if name in turn.asks else pack.metrics
            if name not in known:
                what = f"its situation speaks of {name!r}; pack {pack.name} has {', '.join(known)}"
                raise BrokenPromise(Promise.READY, subject.who, what)
