"""The parts of the history that guards look back at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_soak.model.decision import Change, Decision
    from pytest_soak.model.history import Entry, History

LOOKBACK = 50
"""How many iterations a guard looks back at most, so that its cost does not grow with a run."""
MOST_ROLLBACKS = 2
"""How often a run is rolled back at most. After that nothing is changed."""


def sign(number: float) -> int:
    """Return 1, 0 or -1."""
    return (number > 0) - (number < 0)


def earlier(history: History, most: int = LOOKBACK) -> Sequence[Entry]:
    """Return at most *most* iterations before the one decided on, newest first."""
    return history[-1 - most : -1][::-1]


def decisions(history: History, most: int = LOOKBACK) -> Iterator[Decision]:
    """Yield the decisions before the current one, newest first."""
    for entry in earlier(history, most):
        if entry.decision is not None:
            yield entry.decision


def asked(history: History, parameter: str, most: int = LOOKBACK) -> Iterator[float]:
    """Yield the earlier requests for *parameter*, newest first; 0 for a decision without one."""
    return (decision.asked.get(parameter, 0) for decision in decisions(history, most))


def applied(history: History, most: int = LOOKBACK) -> Iterator[Change]:
    """Yield the steps of tuners that were applied, newest first."""
    for entry in earlier(history, most):
        if entry.applied and entry.decision is not None:
            yield from entry.decision.moves


def change_of(decision: Decision, parameter: str) -> Change | None:
    """Return the change of *parameter*, held ones included, or None."""
    return next((one for one in decision.changes if one.parameter == parameter), None)
