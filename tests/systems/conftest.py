"""What several tests of systems share."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.programs import files_left, left_in
from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def nothing_is_left(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Check that a test leaves no process and no file behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    wait_for(lambda: not left_in(pytester.path))
    wait_for(lambda: not files_left())
