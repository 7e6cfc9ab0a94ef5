"""What a watcher is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.report import Report


class Watcher(Protocol):
    """A strategy that derives facts from a report. Pure."""

    def observe(self, report: Report, history: History) -> Mapping[str, Value]:
        """Return facts, ``{name: value}``, that join the metrics of the summary.

        Args:
            report: The report of this iteration, already read and checked.
            history: The iterations before it.
        """
