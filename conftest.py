"""What every test of this repository may use."""

from __future__ import annotations

import pytest
import scipy.special  # noqa: F401 - as below; numpy cannot be imported twice
from hypothesis import settings

# Imported once, here: a pytest run inside a test forgets what it imported itself, and would pay
# for it anew each time.
import pytest_soak.runner.session
import pytest_soak.runner.snapshots  # noqa: F401 - imported before it is measured

pytest_plugins = ["pytester"]

# On a shared machine an example that takes long is no fault.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start a pytest run of their own: mutmut runs without them."""
    for item in items:
        if "pytester" in getattr(item, "fixturenames", ()):
            item.add_marker("whole_run")
