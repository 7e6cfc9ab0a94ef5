"""What is installed, for commands that need more of it than the core: asked of pytest itself."""

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
    """The plugins that a pytest run would have here: installed ones and those of a conftest.py."""

    def __init__(self, config: pytest.Config) -> None:
        """Take what pytest has loaded."""
        self._manager = config.pluginmanager
        self.overlays: Mapping[str, Mapping[str, Any]] = pack_overlays(
            config.rootpath / "pyproject.toml"
        )
        """``{pack: what pyproject.toml changes in it}``."""

    @property
    def registry(self) -> Registry:
        """Everything on offer."""
        if not self._manager.has_plugin(CORE):
            self._manager.register(CorePlugin(), CORE)
        return Registry(self._manager)

    def replaying(self, journal: Path) -> Registry:
        """Return everything on offer, with the system ``replay`` for *journal*."""
        if self._manager.has_plugin(CORE):
            self._manager.unregister(name=CORE)
        self._manager.register(CorePlugin(journal), CORE)
        return self.registry


class _Asker(Generic[T]):
    """Does its work where pytest would begin to collect."""

    def __init__(self, work: Callable[[Plugins], T]) -> None:
        self._work = work
        self.answers: list[T] = []
        self.error: Exception | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        config._do_configure()  # noqa: SLF001 - as pytest does for --help; some register only then
        try:
            self.answers.append(self._work(Plugins(config)))
        except (SoakUsageError, StoreError, OSError) as error:
            self.error = error
        return 0


def with_plugins(work: Callable[[Plugins], T]) -> T:
    """Return what *work* comes to, with the plugins that pytest loads in this folder.

    Raises:
        SoakUsageError: pytest cannot start here; it has told why.
    """
    asker = _Asker(work)
    # The command imports pytest_soak before pytest. With `filterwarnings = error` in a project
    # the warning that pytest has for this would be a traceback.
    known = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    code = pytest.main(["-p", "no:cacheprovider", *known], plugins=[asker])
    if asker.error is not None:
        raise asker.error
    if not asker.answers:
        msg = f"pytest cannot start in this folder (exit code {int(code)})"
        raise SoakUsageError(msg)
    return asker.answers[0]
