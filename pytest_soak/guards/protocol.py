"""What a guard is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.decision import Decision
    from pytest_soak.model.history import History


class Guard(Protocol):
    """A rule that may cut, hold or veto deltas. Pure.

    One that has settings may declare what they are unless the pack sets them, as ``defaults``.
    """

    def review(self, history: History, decision: Decision, settings: Mapping[str, Any]) -> Decision:
        """Return the decision, or one with less in it.

        Args:
            history: Every iteration so far; ``history.latest`` is the one decided on.
            decision: What the guards before this one have left.
            settings: This guard's settings: those of the pack, laid over its defaults.
        """
