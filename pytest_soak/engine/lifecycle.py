"""The life of a chain's system: opened before it first runs, closed when the chain is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.errors import SystemFailure, what_raised
from pytest_soak.model.safe_repr import safe_lines

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_soak.config.plan import ChainPlan


class Lifecycle:
    """Opens and closes the systems of one chain, one at a time, each as often as it is opened.

    A system of the settings may have either method. One that a fixture brings belongs to that
    fixture: it is closed only where it is opened, and a fixture that makes another one for the next
    iteration has the one before closed first.
    """

    def __init__(self, plan: ChainPlan, folder: Path) -> None:
        """Take the chain's *plan* and the *folder* that its overrides lie in."""
        self._plan = plan
        self.mask = plan.mask
        """Hides the secrets of the chain's systems."""
        self._folder = folder
        self._system: object = None
        self.fault = ""
        """What was raised when a system was closed, or an empty string."""

    def enter(self, system: object) -> None:
        """Open *system*, unless it is the one that is open.

        Raises:
            StrategyFault: It raised; it was closed again, as what it began may have to be ended.
        """
        if system is self._system:
            return
        self.leave()
        self._system = system
        if not hasattr(system, "open"):
            return
        try:
            system.open(self._folder, self._plan.slot)
        except SystemFailure as failure:
            self.leave()
            msg = f"system {self._plan.system_name}: {safe_lines(str(failure))}"
            raise StrategyFault(msg) from failure
        except Exception as error:
            self.leave()
            msg = f"system {self._plan.system_name}: open() {what_raised(error, self.mask.text)}"
            raise StrategyFault(msg) from error
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Close the system that is open, if one is; what it raises is noted in `fault`."""
        system, self._system = self._system, None
        mine = self._plan.system is not None or hasattr(system, "open")
        if not mine or not hasattr(system, "close"):
            return
        try:
            system.close()
        except SystemFailure as failure:
            words = safe_lines(str(failure))
        except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
            words = f"close() {what_raised(error, self.mask.text)}"
        else:
            return
        self.fault = self.mask.text(f"system {self._plan.system_name}: {words}")
