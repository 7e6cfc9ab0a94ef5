"""Proposals: the increments that one tuner requests, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_soak.model.metrics import is_number
from pytest_soak.model.safe_repr import safe_repr


@dataclass(frozen=True, slots=True)
class Proposal:
    """The request of a tuner after one iteration.

    Args:
        deltas: ``{parameter: increment}`` in the parameter's unit; never a target value.
        reasons: The reasons of the whole proposal, in phrases.
        reason_of: ``{parameter: reason}`` for parameters with a reason of their own.
        withheld: The tuner's own rules that dropped requests, such as ``multi_fail_guard``.
    """

    deltas: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    reason_of: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()

    def reason(self, parameter: str) -> str:
        """Return the reason of *parameter*; without one of its own, those that no other one has."""
        others = set(self.reason_of.values())
        left = (reason for reason in self.reasons if reason not in others)
        return self.reason_of.get(parameter) or "+".join(left)


def proposal_fault(proposal: object, known: Mapping[str, object]) -> str:
    """Return what is wrong with the answer of a tuner, or an empty string.

    Args:
        proposal: What ``propose`` returned.
        known: The tunable parameters by name.
    """
    if not isinstance(proposal, Proposal):
        return f"returned {safe_repr(proposal)}, not a Proposal"
    given: object = proposal.deltas  # the code of a plugin may be untyped
    if not isinstance(given, Mapping):
        return f"gave {safe_repr(given)} as its deltas, not {{parameter: increment}}"
    narrower: object = proposal.reason_of
    if not isinstance(narrower, Mapping):
        return f"gave {safe_repr(narrower)} as its reason_of, not {{parameter: reason}}"
    faults = [_delta_fault(name, delta, known) for name, delta in given.items()]
    words = (proposal.reasons, proposal.withheld, tuple(narrower.values()))
    faults += [_words_fault(each) for each in words]
    return next(filter(None, faults), "")


def _delta_fault(name: object, delta: object, known: Mapping[str, object]) -> str:
    if name not in known:
        return f"wants to change {safe_repr(name)}; tunable are {', '.join(known)}"
    if not is_number(delta):
        return f"gave {safe_repr(delta)} as the delta of {name}, not a finite number"
    return ""


def _words_fault(words: object) -> str:
    if isinstance(words, tuple) and all(isinstance(word, str) for word in words):
        return ""
    return f"gave {safe_repr(words)} as its reasons, not a tuple of strings"
