"""Every chain of the kit that these tests drive judges the core as well."""

from __future__ import annotations

import pytest

from pytest_soak.testing import checks
from tests.testing.oracle import JudgedWorld


@pytest.fixture(autouse=True)
def _judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "World", JudgedWorld)
