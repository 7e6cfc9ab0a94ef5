"""The tuner keeps the promises of its kind: pytest-soak's own kit tries it."""

from __future__ import annotations

import pytest

pytest.importorskip("pytest_soak_optuna", reason="pytest-soak-optuna is not installed")

from pytest_soak_optuna.storage import TakeOver
from pytest_soak_optuna.tuner import OptunaTuner

from pytest_soak.testing import TunerConformance, WatcherConformance


class TestOptuna(TunerConformance):
    strategy = OptunaTuner
    examples = 6  # each of its answers models a study anew


class TestTakeOver(WatcherConformance):
    strategy = staticmethod(lambda pack: TakeOver(("{}",)))
    examples = 6
