"""The conformance kit: tests of what a strategy promises.

Three lines in a test module are enough::

    from pytest_soak.testing import TunerConformance

    class TestMine(TunerConformance):
        strategy = staticmethod(lambda pack: Mine())

docs/testing.md lists what is checked and explains the message of a broken promise.
"""

from __future__ import annotations

try:
    import hypothesis as _hypothesis  # noqa: F401 - the checks need it
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
    CriterionConformance,
    GateConformance,
    GuardConformance,
    SystemConformance,
    TunerConformance,
    WatcherConformance,
)
from pytest_soak.testing.criterion import check_criterion
from pytest_soak.testing.promises import BrokenPromise, Promise
from pytest_soak.testing.system import check_system

__all__ = [
    "BrokenPromise",
    "CriterionConformance",
    "GateConformance",
    "GuardConformance",
    "Promise",
    "SystemConformance",
    "TunerConformance",
    "Turn",
    "WatcherConformance",
    "check_criterion",
    "check_gate",
    "check_guard",
    "check_system",
    "check_tuner",
    "check_watcher",
    "demo_pack",
]
