"""The core's watcher: a report's metrics, shares and labels as facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.report import Report


class IterWatcher:
    """Gives every metric of the report that the pack knows; a share is ``metric.reason``."""

    def observe(
        self,
        report: Report,
        history: History,  # noqa: ARG002 - the report is enough
    ) -> Mapping[str, Value]:
        """Return the metrics as they were measured."""
        return report.measured.values
