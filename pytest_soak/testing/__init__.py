"""The conformance kit: what a tuner, guard, watcher, gate or system promises, as tests.

A class of three lines in a test module is enough::

    from pytest_soak.testing import TunerConformance

    class TestMine(TunerConformance):
        strategy = staticmethod(lambda pack: Mine())

docs/testing.md says what is checked, and how to read what a broken promise shows.
"""

from __future__ import annotations

try:
    import hypothesis as _hypothesis  # noqa: F401 - without it nothing here can work
except ModuleNotFoundError:
    _MISSING = "pytest_soak.testing needs Hypothesis: pip install 'pytest-soak[testing]'"
    raise ModuleNotFoundError(_MISSING, name="hypothesis") from None

from pytest_soak.testing.checks import (
    Turn,
    check_gate,
    check_guard,
    check_tuner,
    check_watcher,
    demo_pack,
)
from pytest_soak.testing.conformance import (
    GateConformance,
    GuardConformance,
    SystemConformance,
    TunerConformance,
    WatcherConformance,
)
from pytest_soak.testing.promises import BrokenPromise, Promise
from pytest_soak.testing.system import check_system

__all__ = [
    "BrokenPromise",
    "GateConformance",
    "GuardConformance",
    "Promise",
    "SystemConformance",
    "TunerConformance",
    "Turn",
    "WatcherConformance",
    "check_gate",
    "check_guard",
    "check_system",
    "check_tuner",
    "check_watcher",
    "demo_pack",
]
