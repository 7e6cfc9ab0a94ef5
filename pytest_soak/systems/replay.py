"""The system ``replay``: returns the reports of a recorded soak, in order."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReplaySystem:
    """Returns the recorded report of each iteration as a fresh one.

    A recording does not react to parameters. Where the parameters differ from the recorded ones,
    the report omits them: the apply is then *unverified*, not contradicted.
    """

    secrets: tuple[str, ...] = ()
    virtual_time = True
    keeps_state = True  # it has none

    def __init__(self, reports: Mapping[int, object], recording: str) -> None:
        """Take the recording.

        Args:
            reports: ``{iteration: report}``; a report is None where there was none.
            recording: The hash of their journal.
        """
        self._reports = reports
        self.recording = recording
        self.iterations = max(reports, default=0)
        """How many iterations were recorded."""

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[object, object]:
        """Return the recorded report of *iteration*, and *state* unchanged."""
        del seed  # a recording has no randomness
        report: Any = copy.deepcopy(self._reports.get(iteration))
        used = report.get("parameters") if isinstance(report, dict) else None
        if isinstance(used, dict) and not used.items() <= parameters.items():
            del report["parameters"]
        return report, state
