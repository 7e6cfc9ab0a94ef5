"""The protocol of tuners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.proposal import Proposal


class Tuner(Protocol):
    """A strategy that proposes deltas. Pure: the history is complete, so it needs no memory.

    A class may also have ``corridor``, a `Corridor` (or its name): the bounds of its steps, by
    default ``apply``. A third argument of ``propose`` called ``headroom`` gets how far the guards
    allow each parameter to go, as `Headroom`.
    """

    @property
    def requires(self) -> Collection[str]:
        """The metrics that it needs; the pack must define them."""

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        """Propose deltas.

        Args:
            history: Every iteration so far; ``history.latest`` is the one just run.
            parameters: The effective parameters, ``{name: value}``.

        Returns:
            The deltas with their reasons; an empty `Proposal` to change nothing.
        """
