"""The history: every iteration so far after the warm-up, read-only and complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from pytest_soak.model.decision import Decision
    from pytest_soak.model.summary import Summary


@dataclass(frozen=True, slots=True)
class Entry:
    """One iteration, with the decision that was made after it (None before it is made)."""

    summary: Summary
    decision: Decision | None = None
    applied: bool = False

    @property
    def rolled_back(self) -> bool:
        """Whether earlier parameters were restored after it."""
        return self.applied and self.decision is not None and self.decision.rollback is not None


class History(Sequence[Entry]):
    """The iterations after the warm-up, oldest first; the last is the one to decide on."""

    __slots__ = ("_entries", "_first", "_length", "_rollbacks")

    def __init__(
        self,
        entries: Sequence[Entry] = (),
        rollbacks: Sequence[Entry] | None = None,
        warm_up: int = 0,
    ) -> None:
        """View *entries*, oldest first. Entries that are appended later do not show.

        Args:
            entries: The iterations.
            rollbacks: Those after which parameters were rolled back; if None they are searched for,
                at a cost that grows with the run.
            warm_up: How many of the *entries*, the oldest, are left out.
        """
        self._entries = entries
        self._first = warm_up
        self._length = max(0, len(entries) - warm_up)
        self._rollbacks = None if rollbacks is None else tuple(rollbacks)

    @property
    def rollbacks(self) -> tuple[Entry, ...]:
        """The iterations after which parameters were rolled back, oldest first."""
        if self._rollbacks is None:
            self._rollbacks = tuple(entry for entry in self if entry.rolled_back)
        return self._rollbacks

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        """Return one entry, or several for a slice; negative numbers count from the end."""
        if isinstance(index, slice):
            numbers = range(*index.indices(self._length))
            return tuple(self._entries[self._first + number] for number in numbers)
        if not -self._length <= index < self._length:
            msg = f"iteration index {index} of {self._length}"
            raise IndexError(msg)
        return self._entries[self._first + index % self._length]

    def __len__(self) -> int:
        """Return how many iterations there are."""
        return self._length

    @property
    def latest(self) -> Summary:
        """The summary of the iteration to decide on."""
        return self[-1].summary
