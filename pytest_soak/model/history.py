"""The history: every iteration so far, read-only and complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, overload

from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from pytest_soak.model.decision import Decision
    from pytest_soak.model.metrics import Value


class Verified(StrEnum):
    """Whether the system was seen to use what had been applied before its iteration."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of one iteration once it has been watched.

    Args:
        iteration: Its number, from 1.
        parameters: The effective parameters it ran with.
        metrics: ``{metric: value}`` with the watchers' facts; None where undefined.
        n: ``{metric: count}`` behind the values.
        verdict: The gate's word for this iteration alone.
        problems: Why it is INCONCLUSIVE, in phrases; empty where it is not.
        doubts: ``{field: false or unknown}`` for each parameter that the report contradicts or is
            silent on; the others were seen to be used as asked.
        in_window: Whether it belongs to the observation window.
        restarted: Whether the system lost its state before it, in a run that was resumed.
    """

    iteration: int
    parameters: Mapping[str, float]
    metrics: Mapping[str, Value]
    n: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict = Verdict.INCONCLUSIVE
    problems: tuple[str, ...] = ()
    doubts: Mapping[str, Verified] = field(default_factory=dict)
    in_window: bool = False
    restarted: bool = False

    def __post_init__(self) -> None:
        """Make the mappings read-only: whoever sees the history sees what was recorded."""
        for name in ("parameters", "metrics", "n", "doubts"):
            view = MappingProxyType(dict(getattr(self, name)))
            object.__setattr__(self, name, view)

    @property
    def verified(self) -> Verified:
        """Whether the parameters it ran with were the ones asked for."""
        return self.saw(self.doubts)

    def saw(self, fields: Iterable[str]) -> Verified:
        """Return whether *fields* were used as asked: false if one was not, unknown if untold."""
        words = {self.doubts.get(name, Verified.TRUE) for name in fields}
        for word in (Verified.FALSE, Verified.UNKNOWN):
            if word in words:
                return word
        return Verified.TRUE

    def number(self, metric: str) -> float:
        """Return the value of *metric*.

        Raises:
            KeyError: The metric is undefined here, or is not a number. A tuner whose ``requires``
                names it is never asked in such an iteration.
        """
        value = self.metrics.get(metric)
        if value is None or isinstance(value, tuple):
            raise KeyError(metric)
        return value


@dataclass(frozen=True, slots=True)
class Entry:
    """One iteration with the decision that was taken after it, if one was already taken."""

    summary: Summary
    decision: Decision | None = None
    applied: bool = False

    @property
    def rolled_back(self) -> bool:
        """Whether the parameters went back to earlier ones after it."""
        return self.applied and self.decision is not None and self.decision.rollback is not None


class History(Sequence[Entry]):
    """The iterations so far, oldest first; the last one is the one just watched."""

    __slots__ = ("_entries", "_length", "_rollbacks")

    def __init__(
        self, entries: Sequence[Entry] = (), rollbacks: Sequence[Entry] | None = None
    ) -> None:
        """View *entries*, oldest first; what is appended to them later stays out of sight.

        Args:
            entries: The iterations.
            rollbacks: Those among them after which parameters were rolled back; looked for unless
                given, which costs more, the longer the run.
        """
        self._entries = entries
        self._length = len(entries)
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
            return tuple(self._entries[i] for i in range(*index.indices(self._length)))
        if not -self._length <= index < self._length:
            msg = f"iteration index {index} of {self._length}"
            raise IndexError(msg)
        return self._entries[index if index >= 0 else self._length + index]

    def __len__(self) -> int:
        """Return how many iterations there are."""
        return self._length

    @property
    def latest(self) -> Summary:
        """The summary of the iteration just watched."""
        return self[-1].summary
