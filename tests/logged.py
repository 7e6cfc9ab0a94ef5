"""A system with a log of its own, outside the soak, to check the soak's record against."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, read_json

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LOGS = """
with (HERE / "ran.jsonl").open("a") as file:
    file.write(json.dumps({"iteration": iteration, "state": state, **parameters}) + "\\n")
"""
TUNERS = """
from pytest_soak.tuners.table import TableTuner

class Wrong(TableTuner):
    def propose(self, history, parameters):
        asked = super().propose(history, parameters)
        return Proposal({name: -delta for name, delta in asked.deltas.items()}, ("wrong",))

class Asks:
    requires = ()

    def __init__(self, **deltas):
        self.deltas = deltas

    def propose(self, history, parameters):
        return Proposal(self.deltas, ("asked",))

class Wiggles(Asks):
    def propose(self, history, parameters):
        return Proposal({"workers": 1 if len(history) % 2 else -1}, ("wiggle",))

def pytest_soak_tuners():
    return {
        "wrong": lambda pack: Wrong(pack, next(iter(pack.tables.values()))),
        "asks": lambda pack: Asks(DELTAS),
        "up": lambda pack: Asks(workers=2),
        "down": lambda pack: Asks(workers=-1),
        "wiggles": lambda pack: Wiggles(),
    }
"""
CRASHES_ONCE = """
import os
from pathlib import Path

def test_demo(soak):
    soak.run()
    crashed = Path("crashed")
    if soak.iteration == 3 and not crashed.exists():
        crashed.touch()
        os._exit(1)
"""


class LoggedSoak:
    """Runs soaks of the logging system, and reads its log."""

    def __init__(
        self,
        pytester: pytest.Pytester,
        mischief: str = "pass",
        *,
        deltas: str = "",
        test: str = DEMO,
        more: str = "",
    ) -> None:
        """Write the conftest and the test.

        Args:
            pytester: where the soaks run.
            mischief: lines that may change ``report``, its ``totals`` and the parameters ``used``.
            deltas: what the tuner ``asks`` proposes.
            test: the test.
            more: lines at the end of the conftest.
        """
        self._pytester = pytester
        system = mock_system(
            "logging",
            before=LOGS,
            after=f"totals, used = report['totals'], report['parameters']\n{mischief}",
            returns='report, {"seen": iteration}',
        )
        pytester.makeconftest(system + TUNERS.replace("DELTAS", deltas) + more)
        pytester.makepyfile(test_demo=test)

    def soak(self, iterations: int, *args: str) -> pytest.RunResult:
        """Run a soak with an empty log."""
        self._log.unlink(missing_ok=True)
        if not any(arg.startswith("--soak-system") for arg in args):
            args = ("--soak-system=logging", *args)
        return self._pytester.runpytest(f"--soak-iterations={iterations}", *args)

    @property
    def _log(self) -> Path:
        return self._pytester.path / "ran.jsonl"

    @property
    def folder(self) -> Path:
        """The chain's folder."""
        return chain_folder(self._pytester)

    def ran(self, field: str = "iteration") -> list[Any]:
        """Return *field* of each run of the system, as the system saw it."""
        return [json.loads(line)[field] for line in self._log.read_text("utf-8").splitlines()]

    def read(self, name: str) -> dict[str, Any]:
        """Return an artifact."""
        return read_json(self.folder / name)

    def final(self, metric: str) -> float:
        """Return the value of a KPI in the last iteration."""
        return float(self.read("KPI_GATE.json")["kpis"][metric][-1]["value"])
