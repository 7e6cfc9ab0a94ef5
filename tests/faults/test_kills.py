"""A soak that is killed at any step resumes as if it had not been.

Every third named step is hit, some of them more than once, and there are four kills at random. The
long form hits every step: it is the same code with a greater number, see `kills`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.faults import killer
from tests.faults.killer import Killer, Order
from tests.faults.kills import Schedule, at_random, by_steps, main, measure_pace
from tests.faults.lives import NO_RUN, Kill, Moment, Story
from tests.faults.steps import STEPS, Phase, Step, When

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.check import Files

PARTS = 6
"""The tests share the steps, so that pytest-xdist can run them in parallel. Every third is run."""
MOST_STORIES = 15


@pytest.mark.parametrize("part", range(0, PARTS, 3))
def test_a_soak_that_is_killed_at_a_named_step_comes_back_as_if_nothing_had_been(
    tmp_path: Path, undisturbed: dict[str, Files], part: int
) -> None:
    schedule = Schedule(STEPS[part::PARTS], seed=part)
    for number in range(MOST_STORIES):
        story = Story(tmp_path / f"{number}")
        by_steps(story, schedule)
        assert story.judge(undisturbed) == []
        if not schedule.unhit:
            break
    assert schedule.unhit == []


def test_a_soak_that_is_killed_at_any_moment_comes_back_as_if_nothing_had_been(
    tmp_path: Path, undisturbed: dict[str, Files]
) -> None:
    pace = measure_pace(Story(tmp_path / "pace"))
    story = Story(tmp_path / "killed")
    at_random(story, pace, random.Random(0), most=4)
    assert story.judge(undisturbed) == []
    assert {life.kill for life in story.lives} <= {Kill.MOMENT, None}


@pytest.mark.parametrize(
    "step",
    ["nothing is recorded yet", "half of run_started is written", "run_started stands alone"],
)
def test_a_run_exists_from_the_moment_that_its_first_record_is_whole(
    tmp_path: Path, undisturbed: dict[str, Files], step: str
) -> None:
    story = Story(tmp_path / "story")
    story.live(Order(step))
    again = story.live()
    assert (NO_RUN in again.output) == (step != "run_started stands alone")
    assert story.judge(undisturbed) == []


def test_a_kill_before_the_soak_leaves_nothing_to_resume(
    tmp_path: Path, undisturbed: dict[str, Files]
) -> None:
    story = Story(tmp_path / "story")
    assert story.live(Moment(0)).killed
    assert story.chains() == {"only": {}}
    assert NO_RUN in story.live().output
    assert story.judge(undisturbed) == []


def test_a_step_in_a_function_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Step(Phase.RUN, "nowhere", When.BEFORE, "pytest_soak.engine.loop:SoakLoop.renamed")
    monkeypatch.setattr(killer, "STEPS", (gone,))
    with pytest.raises(AttributeError, match="renamed"):
        Killer(Order()).arm()


def test_a_step_that_no_process_reaches_stays_unhit(tmp_path: Path) -> None:
    story = Story(tmp_path / "story")
    never = Step(
        Phase.RUN, "never", When.AFTER, "pytest_soak.engine.loop:SoakLoop.run no such text"
    )
    schedule = Schedule([never], seed=0)
    by_steps(story, schedule, most=1)
    assert schedule.unhit == ["never"]


def test_the_names_of_the_steps_are_their_own() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)


def test_the_long_form_reports_the_kills_of_each_step_and_the_losses(tmp_path: Path) -> None:
    told: list[str] = []
    code = main(["--kills", "1", "--jobs", "1", "--folder", str(tmp_path / "kills")], told.append)
    text = "\n".join(told)
    assert "lost 0, doubled 0, unreadable 0, different 0" in text
    assert "never hit: " in text  # one kill is not enough for every step
    assert code == 1
