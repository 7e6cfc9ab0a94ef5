"""The replay: the reports of a recorded soak, in order."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReplaySystem:
    """Gives the report that was recorded of each iteration, as fresh as if it had just run.

    It answers to nothing. Where it is asked to run with other parameters than were recorded, it
    says nothing of the parameters: what was applied is then unverified, not contradicted.
    """

    secrets: tuple[str, ...] = ()
    virtual_time = True
    keeps_state = True  # all of it, which is none

    def __init__(self, reports: Mapping[int, object], recording: str) -> None:
        """Take what was recorded.

        Args:
            reports: ``{iteration: report}``; None where there was none.
            recording: The hash of the journal they are from.
        """
        self._reports = reports
        self.recording = recording
        self.iterations = max(reports, default=0)
        """How many iterations were recorded."""

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Return the report recorded of *iteration*; there is no state to keep."""
        del seed  # what was recorded has had its chance
        report: Any = copy.deepcopy(self._reports.get(iteration))
        used = report.get("parameters") if isinstance(report, dict) else None
        if isinstance(used, dict) and not used.items() <= parameters.items():
            del report["parameters"]
        return report, state
