"""What a view is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.model.chain import ChainVerdict


class View:
    """One way to show soaks. A subclass overrides the methods it needs.

    The methods up to `broken_off` are called in the process that runs a chain. Each returns parts
    of what the view shows, as plain JSON, because a worker has to send them. Their secrets are
    masked, and they are sent with an item's report to `show` on the controller. There the view is
    also a plugin of pytest, and may have any of pytest's hooks.
    """

    name: ClassVar[str]

    def opened(self, loop: SoakLoop, notes: Sequence[str]) -> Sequence[Any]:
        """Return what to show when a chain starts; *notes* are marker lines about resuming."""
        del loop, notes
        return ()

    def ran(self, loop: SoakLoop, result: IterationResult) -> Sequence[Any]:
        """Return what to show of an iteration that has just run."""
        del loop, result
        return ()

    def repeated(self, loop: SoakLoop, result: IterationResult) -> Sequence[Any]:
        """Return what to show when the item of a recorded iteration runs again."""
        del loop, result
        return ()

    def reported(self, loop: SoakLoop, iteration: int) -> Sequence[Any]:
        """Return what to show when the item of *iteration* is reported, resumed ones included."""
        del loop, iteration
        return ()

    def judged(self, loop: SoakLoop, verdict: ChainVerdict, *, again: bool) -> Sequence[Any]:
        """Return what to show of a chain's *verdict*; *again* if its gate has run before."""
        del loop, verdict, again
        return ()

    def broken_off(self, loop: SoakLoop) -> Sequence[Any]:
        """Return what to show of a chain that ended without its gate."""
        del loop
        return ()

    def attach(self, item: pytest.Item, report: pytest.TestReport, parts: Sequence[Any]) -> None:
        """Attach *parts* to the *report*, which carries them to `show`."""
        del item
        vars(report).setdefault("soak", {})[self.name] = list(parts)

    def show(self, nodeid: str, parts: Sequence[Any]) -> None:
        """Show *parts* of the item *nodeid*, on the controller."""
