"""What a tuner is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.proposal import Proposal


class Tuner(Protocol):
    """A strategy that proposes deltas. Pure: the history is complete, so it needs no memory.

    A class may also have ``corridor``, a `Corridor` (or its name): the bounds it works in;
    ``apply`` unless declared. Where the third argument of ``propose`` is called ``headroom`` it
    gets what the guards leave, as `Headroom`.
    """

    @property
    def requires(self) -> Collection[str]:
        """The metrics without which it cannot be asked; they must be in the pack's schema."""

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        """Propose deltas.

        Args:
            history: Every iteration so far; ``history.latest`` is the one just watched.
            parameters: The effective parameters, ``{name: value}``.

        Returns:
            The deltas with their reasons; an empty `Proposal` to change nothing.
        """
