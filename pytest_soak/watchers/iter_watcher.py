"""The watcher that sums up a report: its metrics, shares and labels, flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.metrics import Value
    from pytest_soak.model.report import Report


class IterWatcher:
    """Takes over every metric of the report that the pack knows; shares as ``metric.reason``."""

    def observe(
        self,
        report: Report,
        history: History,  # noqa: ARG002 - a report speaks for itself
    ) -> Mapping[str, Value]:
        """Return the metrics as they were measured."""
        return report.measured.values
