"""Problems: why an iteration or a chain cannot be judged, as records.

A problem is recorded as a kind and its data. One table gives the sentence that is shown; no code
parses such a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from string import Formatter
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_soak.model.metrics import in_full

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What can be wrong with a report, an iteration or a chain."""

    NO_REPORT = "no_report"
    REPORT_UNREADABLE = "report_unreadable"
    REPORT_NOT_OBJECT = "report_not_object"
    REPORT_STALE = "report_stale"
    ITERATION_NOT_NUMBER = "iteration_not_number"
    N_NOT_OBJECT = "n_not_object"
    TOTALS_NOT_OBJECT = "totals_not_object"
    PARAMETERS_NOT_OBJECT = "parameters_not_object"
    PARAMETER_NOT_NUMBER = "parameter_not_number"
    PARAMETER_UNKNOWN = "parameter_unknown"
    PROBLEM_NOT_TEXT = "problem_not_text"
    UNUSABLE_NOT_TEXTS = "unusable_not_texts"
    SYSTEM = "system"
    OVERRIDES_EDITED = "overrides_edited"
    OVERRIDE_NOT_EFFECTIVE = "override_not_effective"
    METRIC_UNUSABLE = "metric_unusable"
    STRATEGY_FAULT = "strategy_fault"
    NEVER_CALLED = "never_called"
    NOT_RUN = "not_run"
    TEST_NOT_PASSED = "test_not_passed"
    TEST_UNKNOWN = "test_unknown"
    UNSETTLED = "unsettled"
    ABORTED = "aborted"
    NEVER_THERE = "never_there"
    CLOSING = "closing"
    PARTIAL = "partial"
    BROKEN_OFF = "broken_off"
    NOT_RECORDED = "not_recorded"
    EARLIER_FORMAT = "earlier_format"


EARLY = {Kind.ABORTED, Kind.NEVER_THERE}
"""The problems of a chain that ended before all planned iterations ran."""
SENTENCES = {
    Kind.NO_REPORT: "no report",
    Kind.REPORT_UNREADABLE: "the report cannot be read: {error}",
    Kind.REPORT_NOT_OBJECT: "the report is not an object but {type}",
    Kind.REPORT_STALE: "stale report: it is of iteration {given}",
    Kind.ITERATION_NOT_NUMBER: "the report does not say of which iteration it is: {given}",
    Kind.N_NOT_OBJECT: "the report's n is not an object of counts: {given}",
    Kind.TOTALS_NOT_OBJECT: "the report's totals are not an object: {given}",
    Kind.PARAMETERS_NOT_OBJECT: "the report's parameters are not an object: {given}",
    Kind.PARAMETER_NOT_NUMBER: "the report's parameter {parameter} is not a number: {given}",
    Kind.PARAMETER_UNKNOWN: "the report's parameters have an unknown name: {parameter}{hint}",
    Kind.PROBLEM_NOT_TEXT: "the report's problem is not a text: {given}",
    Kind.UNUSABLE_NOT_TEXTS: "the report's unusable is not an object of texts: {given}",
    Kind.SYSTEM: "{text}",
    Kind.OVERRIDES_EDITED: "overrides_edited by hand, put back: {found}",
    Kind.OVERRIDE_NOT_EFFECTIVE: "override_not_effective: {parameter} asked={asked} used={used}",
    Kind.METRIC_UNUSABLE: "{metric} {fault}",
    Kind.STRATEGY_FAULT: "{text}",
    Kind.NEVER_CALLED: "its test never called soak.run()",
    Kind.NOT_RUN: "did not run",
    Kind.TEST_NOT_PASSED: "its test did not pass",
    Kind.TEST_UNKNOWN: (
        "whether its test passed is unknown: the process ended before that was recorded"
    ),
    Kind.UNSETTLED: "only {settled} of {window} iterations ran on settled parameters",
    Kind.ABORTED: "ended early after iteration {after}: its verdict could not be better than FAIL",
    Kind.NEVER_THERE: (
        "ended early after iteration {after}: {metric} is missing from every report; "
        "correct its name, let a watcher give it, or mark its KPI as optional"
    ),
    Kind.CLOSING: "closing: {text}",
    Kind.PARTIAL: "partial chain: only single iterations of it were asked for by node id",
    Kind.BROKEN_OFF: "broken off: the gate did not run",
    Kind.NOT_RECORDED: "{text}",
    Kind.EARLIER_FORMAT: "{text}",
}
"""The sentence for each kind; the names in braces are keys of the problem's data."""


NEEDED = {
    kind: frozenset(name for _, name, *_ in Formatter().parse(sentence) if name)
    for kind, sentence in SENTENCES.items()
}
"""The keys that the data of each kind must have."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why an iteration or a chain is INCONCLUSIVE.

    Args:
        kind: What is wrong.
        iteration: The iteration that it is about; 0 for the chain as a whole.
        data: ``{name: text or number}`` that its sentence needs. Text from outside, such as the
            message of an exception, is kept as it is.
    """

    kind: Kind
    iteration: int = 0
    data: Mapping[str, str | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the data read-only."""
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))

    def __str__(self) -> str:
        """Return its sentence, without the iteration."""
        told = {k: v if isinstance(v, str) else in_full(v) for k, v in self.data.items()}
        return SENTENCES[self.kind].format_map(told)

    @property
    def located(self) -> str:
        """Its sentence, with the iteration that it is about."""
        return f"iteration {self.iteration}: {self}" if self.iteration else str(self)

    def of(self, iteration: int) -> Problem:
        """Return the same problem of *iteration*."""
        return replace(self, iteration=iteration)
