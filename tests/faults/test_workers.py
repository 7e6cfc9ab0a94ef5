"""Nothing is lost or doubled when workers or controllers of pytest-xdist are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.killer import Order
from tests.faults.lives import Kill, Story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.check import Files

WORKERS = 2


def test_a_worker_that_is_killed_is_replaced_and_both_chains_come_to_their_end(
    tmp_path: Path, undisturbed: dict[str, Files]
) -> None:
    story = Story(tmp_path / "story", sides=True)
    life = story.live(Order("half of the record is written", hit=2), workers=WORKERS)
    assert life.kill is Kill.WORKER
    assert story.over
    assert story.judge(undisturbed) == []


def test_workers_end_by_themselves_when_the_controller_is_killed_and_a_resume_goes_on(
    tmp_path: Path, undisturbed: dict[str, Files]
) -> None:
    story = Story(tmp_path / "story", sides=True)
    life = story.live(Order("the overrides are a draft", hit=2, controller=True), workers=WORKERS)
    assert life.kill is Kill.CONTROLLER
    assert life.findings == []  # such as that a worker was still running
    story.live()
    assert story.over
    assert story.judge(undisturbed) == []


def test_a_controller_and_then_a_worker_are_killed_in_a_resumed_run(
    tmp_path: Path, undisturbed: dict[str, Files]
) -> None:
    story = Story(tmp_path / "story", sides=True)
    assert story.live(Order("the report is written", hit=2)).kill is Kill.STEP
    where = Order("the state is saved", hit=2, controller=True)
    assert story.live(where, workers=WORKERS).kill is Kill.CONTROLLER
    where = Order("the record is durable, no effect yet")
    assert story.live(where, workers=WORKERS).kill is Kill.WORKER
    assert story.over
    assert story.judge(undisturbed) == []
