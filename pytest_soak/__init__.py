"""pytest-soak: soak runs for pytest with closed-loop auto-tuning.

The names that authors of tests and strategies import; each is loaded when it is first used, so
that a pytest run without a soak pays nothing for them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_soak.course import IterationResult
    from pytest_soak.errors import SoakUsageError, SystemFailure
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.guards.protocol import Guard
    from pytest_soak.model.decision import Change, Decision
    from pytest_soak.model.history import Entry, History, Summary
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.parameters import Bounds, Corridor, Parameter
    from pytest_soak.model.proposal import Proposal
    from pytest_soak.model.report import Report
    from pytest_soak.model.verdict import ChainVerdict, Judgement, Kpi, Threshold, Verdict
    from pytest_soak.plan import ChainPlan
    from pytest_soak.session import Soak
    from pytest_soak.systems.kept import Kept
    from pytest_soak.systems.protocol import System
    from pytest_soak.tuners.protocol import Tuner
    from pytest_soak.watchers.protocol import Watcher

__all__ = [
    "Bounds",
    "ChainPlan",
    "ChainVerdict",
    "Change",
    "Corridor",
    "Decision",
    "Entry",
    "Gate",
    "Guard",
    "History",
    "IterationResult",
    "Judgement",
    "Kept",
    "Kpi",
    "Pack",
    "Parameter",
    "Proposal",
    "Report",
    "Soak",
    "SoakUsageError",
    "Summary",
    "System",
    "SystemFailure",
    "Threshold",
    "Tuner",
    "Verdict",
    "Watcher",
]

_HOME = {
    "Bounds": "model.parameters",
    "ChainPlan": "plan",
    "ChainVerdict": "model.verdict",
    "Change": "model.decision",
    "Corridor": "model.parameters",
    "Decision": "model.decision",
    "Entry": "model.history",
    "Gate": "gates.protocol",
    "Guard": "guards.protocol",
    "History": "model.history",
    "IterationResult": "course",
    "Judgement": "model.verdict",
    "Kept": "systems.kept",
    "Kpi": "model.verdict",
    "Pack": "model.pack",
    "Parameter": "model.parameters",
    "Proposal": "model.proposal",
    "Report": "model.report",
    "Soak": "session",
    "SoakUsageError": "errors",
    "Summary": "model.history",
    "System": "systems.protocol",
    "SystemFailure": "errors",
    "Threshold": "model.verdict",
    "Tuner": "tuners.protocol",
    "Verdict": "model.verdict",
    "Watcher": "watchers.protocol",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
