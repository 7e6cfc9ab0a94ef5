"""The views of a run, and how the parts they show get from workers to the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.views.junit import Junit
from pytest_soak.views.markers import Markers
from pytest_soak.views.terminal import ClosingTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_soak.model.mask import Mask
    from pytest_soak.views.protocol import View

VIEWS: tuple[type[View], ...] = (Markers, ClosingTable, Junit)
"""To add a view, add a file beside this one, a line here and a test."""
PLUGIN = "soak-views"


class Views:
    """All views of a run: collects parts where chains run, shows them on the controller."""

    def __init__(self) -> None:
        """Make every view, without any parts."""
        self._views = {view.name: view() for view in VIEWS}
        self._waiting: dict[str, list[Any]] = {}
        self._shown: dict[str, View] = {}

    def register(self, manager: pytest.PytestPluginManager) -> None:
        """Show parts in this process, the controller; ``-p no:soak-NAME`` switches a view off."""
        manager.register(self, PLUGIN)
        for name, view in self._views.items():
            if manager.register(view, f"soak-{name}"):
                self._shown[name] = view

    def collect(self, ask: Callable[[View], Sequence[Any]]) -> None:
        """Collect the parts that *ask* gets from each view."""
        for name, view in self._views.items():
            parts = ask(view)
            if parts:
                self._waiting.setdefault(name, []).extend(parts)

    def drain(self, mask: Mask) -> dict[str, list[Any]]:
        """Return the parts collected so far, masked, and remove them."""
        parts: dict[str, list[Any]] = mask.data(self._waiting)
        self._waiting = {}
        return parts

    def attach(self, item: pytest.Item, report: pytest.TestReport, mask: Mask) -> None:
        """Attach the parts collected so far to *item* and its *report*."""
        for name, parts in self.drain(mask).items():
            self._views[name].attach(item, report, parts)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show the parts that came with a report."""
        parts = vars(report).pop("soak", None)
        if parts:
            self.show(report.nodeid, parts)

    def show(self, nodeid: str, parts: Mapping[str, Sequence[Any]]) -> None:
        """Pass the parts of the item *nodeid* to the views that are not switched off."""
        for name, own in parts.items():
            if name in self._shown:
                self._shown[name].show(nodeid, own)


def show_ending(config: pytest.Config, ending: Mapping[str, Any]) -> None:
    """Show how a chain ended without its gate, below the node id of its last item."""
    views = config.pluginmanager.get_plugin(PLUGIN)
    if views is not None:
        views.show(**ending)
