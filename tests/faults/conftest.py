"""Shared fixtures: undisturbed runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.lives import Story

if TYPE_CHECKING:
    from tests.faults.check import Files


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """Return ``{chain: its files}`` of soaks that ended without a kill."""
    files: dict[str, Files] = {}
    for sides in (False, True):
        story = Story(tmp_path_factory.mktemp("undisturbed") / "here", sides=sides)
        story.finish()
        assert [life.code for life in story.lives] == [0]
        assert story.judge(story.chains()) == []
        files |= story.chains()
    return files
