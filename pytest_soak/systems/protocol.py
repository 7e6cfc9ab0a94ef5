"""What a system is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class System(Protocol):
    """What is soaked.

    A class may also declare ``secrets`` (names of environment variables it needs),
    ``virtual_time`` (its time is not the wall clock's) and ``keeps_state`` (what it returns as its
    state is all it needs to go on, in another process too; without it, the first iteration after a
    resume is *restarted* and not tuned on), and ``iterations`` (how many it can run at most); each
    defaults to nothing.

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
