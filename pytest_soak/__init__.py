"""pytest-soak: soak runs for pytest with closed-loop auto-tuning.

These are the names that authors of tests and strategies import. Each is loaded when it is first
used, so that a pytest run without a soak pays nothing for them.

PYTEST_DONT_REWRITE: it asserts nothing, and every pytest run imports it.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.errors import SoakUsageError, SystemFailure
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.guards.protocol import Guard
    from pytest_soak.model.chain import ChainVerdict
    from pytest_soak.model.decision import Change, Decision
    from pytest_soak.model.history import Entry, History
    from pytest_soak.model.kpi import Criterion, Kpi
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.parameters import Bounds, Corridor, Parameter
    from pytest_soak.model.proposal import Proposal
    from pytest_soak.model.report import Report
    from pytest_soak.model.safe_repr import safe_text
    from pytest_soak.model.settings import (
        MetricName,
        Mistake,
        Number,
        ParameterName,
        Setting,
    )
    from pytest_soak.model.stretch import Stretch
    from pytest_soak.model.summary import Summary
    from pytest_soak.model.verdict import Judgement, RunJudgement, Threshold, Verdict
    from pytest_soak.runner.session import Soak
    from pytest_soak.systems.command.process_reaper import ProcessReaper
    from pytest_soak.systems.protocol import System, SystemFactory, scenario_settings
    from pytest_soak.tuners.protocol import Tuner
    from pytest_soak.watchers.protocol import Watcher

__all__ = [
    "Bounds",
    "ChainPlan",
    "ChainVerdict",
    "Change",
    "Corridor",
    "Criterion",
    "Decision",
    "Entry",
    "Gate",
    "Guard",
    "History",
    "IterationResult",
    "Judgement",
    "Kpi",
    "MetricName",
    "Mistake",
    "Number",
    "Pack",
    "Parameter",
    "ParameterName",
    "ProcessReaper",
    "Proposal",
    "Report",
    "RunJudgement",
    "Setting",
    "Soak",
    "SoakUsageError",
    "Stretch",
    "Summary",
    "System",
    "SystemFactory",
    "SystemFailure",
    "Threshold",
    "Tuner",
    "Verdict",
    "Watcher",
    "safe_text",
    "scenario_settings",
]

_HOME = {
    "Bounds": "model.parameters",
    "ChainPlan": "config.plan",
    "ChainVerdict": "model.chain",
    "Change": "model.decision",
    "Corridor": "model.parameters",
    "Criterion": "model.kpi",
    "Decision": "model.decision",
    "Entry": "model.history",
    "Gate": "gates.protocol",
    "Guard": "guards.protocol",
    "History": "model.history",
    "IterationResult": "engine.controller",
    "Judgement": "model.verdict",
    "ProcessReaper": "systems.command.process_reaper",
    "Kpi": "model.kpi",
    "MetricName": "model.settings",
    "Mistake": "model.settings",
    "Number": "model.settings",
    "Pack": "model.pack",
    "Parameter": "model.parameters",
    "ParameterName": "model.settings",
    "Proposal": "model.proposal",
    "Report": "model.report",
    "Setting": "model.settings",
    "Soak": "runner.session",
    "SoakUsageError": "errors",
    "Stretch": "model.stretch",
    "Summary": "model.summary",
    "System": "systems.protocol",
    "SystemFactory": "systems.protocol",
    "SystemFailure": "errors",
    "RunJudgement": "model.verdict",
    "Threshold": "model.verdict",
    "Tuner": "tuners.protocol",
    "Verdict": "model.verdict",
    "Watcher": "watchers.protocol",
    "safe_text": "model.safe_repr",
    "scenario_settings": "systems.protocol",
}


_RENAMED = {"Kept": "ProcessReaper"}
"""Names of version 0.1.0, which work for one more release."""


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        msg = f"pytest_soak.{name} is now called pytest_soak.{_RENAMED[name]}"
        warnings.warn(msg, DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
