"""The lifecycle of a chain's system: opened before it first runs, closed after the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.errors import SystemFailure, failure_text, what_raised

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.model.mask import Mask


class Lifecycle:
    """Opens and closes the systems of one chain, one at a time.

    A system from the settings may have either method, ``open`` or ``close``. A system from a
    fixture belongs to the fixture, so it is closed only if it has ``open``. If the fixture makes a
    new system for an iteration, the one before is closed first.
    """

    def __init__(self, plan: ChainPlan, folder: Path, see: Callable[[], Mask]) -> None:
        """Start without an open system.

        Args:
            plan: The chain's plan.
            folder: Where the chain's overrides are.
            see: Returns the mask of the secrets as they are now.
        """
        self._plan = plan
        self._see = see
        self._folder = folder
        self._system: object = None
        self.fault = ""
        """What the last system to fail raised when it was closed, or an empty string."""

    def enter(self, system: object) -> None:
        """Open *system*, unless it is the one that is open.

        Raises:
            StrategyFault: It raised. It was closed again, to end what it had started.
        """
        if system is self._system:
            return
        self.leave()
        self._system = system
        if not hasattr(system, "open"):
            return
        try:
            if hasattr(system, "set_environ"):
                system.set_environ(self._plan.environ())
            system.open(self._folder, self._plan.slot)
        except Exception as error:
            self.leave()
            raise StrategyFault(self._message("open", error)) from error
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Close the open system, if there is one; what it raises is kept in `fault`."""
        system, self._system = self._system, None
        owned = self._plan.system is not None or hasattr(system, "open")
        if not owned or not hasattr(system, "close"):
            return
        try:
            system.close()
        except Exception as error:  # noqa: BLE001 - a plugin's system may raise anything
            self.fault = self._message("close", error)

    def _message(self, method: str, error: Exception) -> str:
        """Return what *method* of the system raised: the text of a failure, or error and place."""
        clean = self._see().text
        if isinstance(error, SystemFailure):
            words = failure_text(error, clean)
        else:
            words = clean(f"{method}() {what_raised(error, clean)}")
        return f"system {self._plan.system_name}: {words}"
