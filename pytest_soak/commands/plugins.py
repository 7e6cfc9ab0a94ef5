"""The installed plugins, for the commands that need them. Pytest itself loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.registry import Registry
from pytest_soak.config.request import pack_overlays
from pytest_soak.errors import SoakUsageError
from pytest_soak.store.files import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")
CORE = "soak-core"


class Plugins:
    """The plugins of a pytest run in this folder: installed ones, and those of conftest.py."""

    def __init__(self, config: pytest.Config) -> None:
        """Use the plugins that pytest has loaded."""
        self._manager = config.pluginmanager
        self.overlays: Mapping[str, Mapping[str, Any]] = pack_overlays(
            config.rootpath / "pyproject.toml"
        )
        """``{pack: its settings in pyproject.toml}``."""

    @property
    def registry(self) -> Registry:
        """The registry of all plugins."""
        if not self._manager.has_plugin(CORE):
            self._manager.register(CorePlugin(), CORE)
        return Registry(self._manager)

    def replaying(self, journal: Path) -> Registry:
        """Return the registry of all plugins, with the system ``replay`` for *journal*."""
        if self._manager.has_plugin(CORE):
            self._manager.unregister(name=CORE)
        self._manager.register(CorePlugin(journal), CORE)
        return self.registry


class _Runner(Generic[T]):
    """Does its work at the point where pytest would start to collect."""

    def __init__(self, work: Callable[[Plugins], T]) -> None:
        self._work = work
        self.results: list[T] = []
        self.error: Exception | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        config._do_configure()  # noqa: SLF001 - as pytest does for --help; some plugins register only then
        try:
            self.results.append(self._work(Plugins(config)))
        except (SoakUsageError, StoreError, OSError) as error:
            self.error = error
        return 0


def with_plugins(work: Callable[[Plugins], T]) -> T:
    """Return the result of *work*, called with the plugins that pytest loads in this folder.

    Raises:
        SoakUsageError: pytest cannot start here; it has printed the reason.
    """
    runner = _Runner(work)
    # This command has imported pytest_soak before pytest, which pytest warns about. In a project
    # with `filterwarnings = error` the warning would be a traceback.
    known = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    code = pytest.main(["-p", "no:cacheprovider", *known], plugins=[runner])
    if runner.error is not None:
        raise runner.error
    if not runner.results:
        msg = f"pytest cannot start in this folder (exit code {int(code)})"
        raise SoakUsageError(msg)
    return runner.results[0]
