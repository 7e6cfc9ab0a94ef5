"""The checks as test classes: derive one and set its `strategy`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.testing.checks import (
    EXAMPLES,
    Turn,
    check_gate,
    check_guard,
    check_tuner,
    check_watcher,
)
from pytest_soak.testing.criterion import check_criterion
from pytest_soak.testing.system import check_system

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from pytest_soak.model.kpi import Criterion
    from pytest_soak.model.pack import Pack


class _Conformance:
    """What all classes have in common.

    Attributes:
        strategy: The factory: ``staticmethod(lambda pack: Mine())``, or a class that takes a pack.
        pack: The domain: a `Pack`, or the path of its TOML file; the demo pack unless set.
        examples: How many chains are tried.
        seconds: How long one answer may take, in wall-clock time.
    """

    strategy: ClassVar[Callable[..., Any] | str]
    pack: ClassVar[Pack | Path | str | None] = None
    examples: ClassVar[int] = EXAMPLES
    seconds: ClassVar[float] = 10.0

    def _factory(self) -> Callable[..., Any]:
        """Return the factory as it was written, without binding a plain function as a method."""
        found = inspect.getattr_static(type(self), "strategy", None)
        factory: Callable[..., Any] | None = getattr(found, "__func__", found)  # of a staticmethod
        if not callable(factory):
            name = type(self).__name__
            msg = f"{name}: set `strategy = staticmethod(lambda pack: Mine())`"
            raise TypeError(msg)
        return factory

    def _common(self) -> dict[str, Any]:
        return {"pack": self.pack, "examples": self.examples, "seconds": self.seconds}


class TunerConformance(_Conformance):
    """A tuner keeps every promise in every kind of chain.

    Attributes:
        strategy: The factory, or the name of a table of rules in the pack.
    """

    def test_it_keeps_every_promise_of_a_tuner(self) -> None:
        """Drive chains of all kinds."""
        __tracebackhide__ = True
        named = self.strategy
        check_tuner(named if isinstance(named, str) else self._factory(), **self._common())


class WatcherConformance(_Conformance):
    """A watcher keeps every promise with every kind of report.

    Attributes:
        facts: Metrics of the pack that no report has, because this watcher gives them.
    """

    facts: ClassVar[Collection[str]] = ()

    def test_it_keeps_every_promise_of_a_watcher(self) -> None:
        """Drive chains of all kinds."""
        __tracebackhide__ = True
        check_watcher(self._factory(), facts=self.facts, **self._common())


class GateConformance(_Conformance):
    """A gate keeps every promise with every kind of metrics."""

    def test_it_keeps_every_promise_of_a_gate(self) -> None:
        """Drive chains of all kinds."""
        __tracebackhide__ = True
        check_gate(self._factory(), **self._common())


class CriterionConformance:
    """A criterion of KPIs keeps every promise, and objects where its author says so.

    Attributes:
        strategy: Its class.
        settings: A table ``[kpis.<metric>]`` that sets its keys, and those of others it relies on.
        acts: The values of a run that it must object to; None for an iteration without a value.
        earlier: The values of each earlier run to compare with.
        examples: How many runs are tried.
        seconds: How long one answer may take, in wall-clock time.
    """

    strategy: ClassVar[type[Criterion]]
    settings: ClassVar[Mapping[str, Any]]
    acts: ClassVar[Sequence[float | None]]
    earlier: ClassVar[Sequence[Sequence[float]]] = ()
    examples: ClassVar[int] = EXAMPLES
    seconds: ClassVar[float] = 10.0

    def test_it_keeps_every_promise_of_a_criterion(self) -> None:
        """Judge runs of all kinds, and the one that its author gives."""
        __tracebackhide__ = True
        check_criterion(
            self.strategy,
            self.settings,
            acts=self.acts,
            earlier=self.earlier,
            examples=self.examples,
            seconds=self.seconds,
        )


class GuardConformance(_Conformance):
    """A guard keeps every promise, acts where its author says so, and does not block a run.

    Attributes:
        acts: A situation: after its last turn the guard must stop a step or make it smaller.
        tells: A situation after which it must add a notice, for a guard that only warns.
        start: The overrides at the start of that situation.
        settings: What ``[guards.<name>]`` says: a table, or an object of the guard's `Settings`.
        holds: Why it may stop every step for as long as the report is bad.
    """

    acts: ClassVar[Sequence[Turn]] = ()
    tells: ClassVar[Sequence[Turn]] = ()
    start: ClassVar[Mapping[str, float]] = {}
    settings: ClassVar[Any] = None
    holds: ClassVar[str] = ""

    def test_it_keeps_every_promise_of_a_guard(self) -> None:
        """Drive chains of all kinds, the author's situation, and one that stays bad."""
        __tracebackhide__ = True
        check_guard(
            self._factory(),
            acts=self.acts,
            tells=self.tells,
            start=self.start,
            settings=self.settings,
            holds=self.holds,
            **self._common(),
        )


class SystemConformance(_Conformance):
    """A system keeps every promise.

    Attributes:
        strategy: The factory: ``staticmethod(lambda pack, scenario: Mine())``.
        scenario: The scenario; the pack's unless set.
        answers_to: Parameters of which each, moved from one limit to the other, changes a metric;
            for a system whose time is virtual.
        echoes: Whether its reports must contain the parameters that were used.
        facts: Metrics of the pack that watchers give; its reports must not have them.
    """

    scenario: ClassVar[str] = ""
    facts: ClassVar[Collection[str]] = ()
    answers_to: ClassVar[Sequence[str]] = ()
    echoes: ClassVar[bool] = True

    def test_it_keeps_every_promise_of_a_system(self) -> None:
        """Run a few iterations."""
        __tracebackhide__ = True
        check_system(
            self._factory(),
            pack=self.pack,
            scenario=self.scenario,
            answers_to=self.answers_to,
            echoes=self.echoes,
            facts=self.facts,
            seconds=self.seconds,
        )
