"""The interface of a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class System(Protocol):
    """Runs what is soaked, one iteration at a time.

    A class may declare these attributes; each is optional:

    - ``secrets``: names of the environment variables that it needs.
    - ``virtual_time``: true where its time is not the wall clock's.
    - ``keeps_state``: true where the state that it returns is all it needs to go on in another
      process. Without it, the first iteration after a resume is *restarted* and not tuned on.
    - ``iterations``: how many it can run at most.

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
            state: The state that it returned last time (plain JSON), None in the first iteration.

        Returns:
            The report, ``{"iteration", "parameters", "totals": {metric: value}, "n": {metric:
            count}}``, and the state for the next iteration, or None.
        """
