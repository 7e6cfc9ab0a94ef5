"""What a system is, and how it gets its settings from a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.check import check, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak.model.pack import Pack

T = TypeVar("T")


class System(Protocol):
    """What is soaked.

    A class may also declare ``secrets`` (names of environment variables it needs),
    ``virtual_time`` (its time is not the wall clock's) and ``keeps_state`` (what it returns as its
    state is all it needs to go on, in another process too; without it, the first iteration after a
    resume is *restarted* and not tuned on), and ``iterations`` (how many it can run at most); each
    defaults to nothing.

    A class, or another factory, that has a frozen dataclass as its attribute ``Settings`` lets the
    core check ``[scenarios.<name>.<system>]`` of all scenarios before anything runs; see
    `scenario_settings`.

    One that starts something may have two more methods. ``open(folder: Path, slot: float | None)
    -> None`` is called once, in the process that runs the chain, before its first ``run``; *folder*
    is the chain's, in which ``runtime_overrides.json`` lies and which is kept with the run, *slot*
    the seconds of a slot in a soak by the hour. ``close() -> None`` is called once when the chain
    is over, however it ends, and after an ``open`` that raised. ``open`` and ``run`` may raise
    `SystemFailure` to fail the iteration with a line of their own.
    """

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Run the system for one iteration.

        Args:
            parameters: Every effective field of the profile, ``{name: value}``.
            iteration: Its number, from 1.
            seed: 64 bits derived from the run's seed, the chain and the iteration; the only
                source of randomness.
            state: What it returned last time (plain JSON), or None in the first iteration.

        Returns:
            The report, ``{"iteration", "parameters", "totals": {metric: value}, "n": {metric:
            count}}``, and the state for the next iteration, or None where it keeps none.
        """


@dataclass(frozen=True, slots=True)
class SystemFactory:
    """A factory of a system that is a function: with the settings that the system takes.

    Args:
        make: Returns the system for a pack and a scenario.
        Settings: A frozen dataclass whose fields are described by `pytest_soak.Setting`.
    """

    make: Callable[[Pack, str], System]
    Settings: type

    def __call__(self, pack: Pack, scenario: str) -> System:
        """Return the system under *scenario*."""
        return self.make(pack, scenario)


def scenario_table(pack: Pack, scenario: str, system: str) -> Mapping[str, Any]:
    """Return the table of *pack* for a *system* in a *scenario*.

    Raises:
        SoakUsageError: There is none; the line names the scenarios that have one.
    """
    table = pack.scenarios[scenario].get(system)
    if table is None:
        able = [name for name, systems in pack.scenarios.items() if system in systems]
        msg = (
            f"pack {pack.source}: scenario {scenario!r} has no [scenarios.{scenario}.{system}]; "
            f"scenarios for the system {system}: {', '.join(able) or 'none'}"
        )
        raise SoakUsageError(msg)
    return table


def scenario_settings(pack: Pack, scenario: str, system: str, kind: type[T]) -> T:
    """Return what *pack* sets for a *system* in a *scenario*.

    Args:
        pack: The pack.
        scenario: The name of one of its scenarios.
        system: The system's name, which is that of its table.
        kind: A frozen dataclass whose fields are described by `pytest_soak.Setting`.

    Raises:
        SoakUsageError: There is no such table, or it holds a mistake; each has a line.
    """
    table = scenario_table(pack, scenario, system)
    settings, mistakes = check(table, kind, f"scenarios.{scenario}.{system}")
    refuse(f"pack {pack.source}", mistakes)
    return cast("T", settings)
