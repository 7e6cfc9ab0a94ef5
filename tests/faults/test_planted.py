"""The suite finds each planted fault, so it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.check import Kind
from tests.faults.killer import Order
from tests.faults.lives import Story
from tests.faults.planted import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.check import Files

TORN = "half of the record is written"
BETWEEN = "between two iterations"
NO_EFFECT = "the record is durable, no effect yet"
FOUND = {
    "start_over": (BETWEEN, Kind.DOUBLED, "iteration 1 was settled, and ran again"),
    "repeat_last_iteration": (BETWEEN, Kind.DOUBLED, "iteration 3 is recorded 2 times"),
    "write_overrides_first": (TORN, Kind.LOST, "which no record tells of"),
    "apply_again": (BETWEEN, Kind.UNREADABLE, "its patch does not fit the overrides before it"),
    "apply_not": (BETWEEN, Kind.UNREADABLE, "its patch does not fit the overrides before it"),
    "drop_torn_end": (TORN, Kind.LOST, "no record tells of the torn end"),
    "leave_torn_end": (TORN, Kind.UNREADABLE, "journal.jsonl has a torn end"),
    "forget_state": (BETWEEN, Kind.DIFFERENT, "EDGE_REPORT_4.json is another"),
    "rebuild_nothing": (NO_EFFECT, Kind.LOST, "EDGE_REPORT_3.json is missing"),
}
"""Where to kill so that a fault has an effect, and the finding for it."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(
    tmp_path: Path, undisturbed: dict[str, Files], fault: str
) -> None:
    step, kind, what = FOUND[fault]
    story = Story(tmp_path / "story", plant=fault)
    assert story.live(Order(step, hit=3)).fell == step
    story.live()
    findings = story.judge(undisturbed)
    assert [finding for finding in findings if finding.kind is kind and what in finding.what]
