"""The interface of a system, and how it gets its settings from a scenario."""

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
    """Runs what is soaked, one iteration at a time.

    A class may declare these attributes; each is optional:

    - ``secrets``: names of the environment variables that it needs.
    - ``virtual_time``: true where its time is not the wall clock's.
    - ``keeps_state``: true where the state that it returns is all it needs to go on in another
      process. Without it, the first iteration after a resume is *restarted* and not tuned on.
    - ``iterations``: how many it can run at most.
    - ``Settings`` of a class or another factory: a frozen dataclass. By it the core checks
      ``[scenarios.<name>.<system>]`` of all scenarios before anything runs (`scenario_settings`).

    A system that starts something may have two more methods:

    - ``open(folder: Path, slot: float | None) -> None`` is called once before the first ``run``, in
      the process that runs the chain. *folder* is the chain's: it holds ``runtime_overrides.json``
      and stays with the run. *slot* is the length of a slot in seconds, None in a run by count.
    - ``close() -> None`` is called once when the chain is over, however it ends, and after an
      ``open`` that raised.

    ``open`` and ``run`` may raise `SystemFailure` to fail the iteration with their own message.
    """

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Run the system for one iteration.

        Args:
            parameters: Every effective field of the profile, ``{name: value}``.
            iteration: The number of the iteration, from 1.
            seed: 64 bits derived from the run's seed, the chain and the iteration; the only
                source of randomness.
            state: A copy of the state that it returned last time (plain JSON), None in the first
                iteration. An iteration that raised and is run again begins with the same one.

        Returns:
            The report, ``{"iteration", "parameters", "totals": {metric: value}, "n": {metric:
            count}}``, and the state for the next iteration, or None.
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
