"""What every test of this repository may use."""

from __future__ import annotations

from hypothesis import settings

# Imported once, here: a pytest run inside a test forgets what it imported itself, and would pay
# for it anew each time.
import pytest_soak.runner.session
import pytest_soak.runner.snapshots  # noqa: F401 - imported before it is measured

pytest_plugins = ["pytester"]

# On a shared machine an example that takes long is no fault.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
