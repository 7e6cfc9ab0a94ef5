"""The pytest plugin: hooks only. What a soak needs is imported once a soak is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak import hookspecs
from pytest_soak.config import options
from pytest_soak.errors import SoakUsageError
from pytest_soak.runner.fixtures import mock_soak, override_snapshot, soak, soak_slot, soak_system

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["mock_soak", "override_snapshot", "soak", "soak_slot", "soak_system"]


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that packs, strategies and observers implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read what was asked for; start a soak session, or see to it that soaks are skipped."""
    config.addinivalue_line("markers", options.MARKER)
    try:
        request = options.read_request(config)
        if request is None:
            config.pluginmanager.register(NoSoak(), "soak-off")
            return
        from pytest_soak.runner.session import start_session  # noqa: PLC0415 - only for a soak

        start_session(config, request)
    except SoakUsageError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Check at the very end of a run that soaks that exit code 0 is earned."""
    try:
        code = yield
    except SystemExit as error:  # of a hook at the end of the session, which would end the process
        if error.code:
            raise
        code = pytest.ExitCode.OK
    if not options.soaks(config):
        return code
    from pytest_soak.runner.exit_code import earned  # noqa: PLC0415 - only for a soak

    return earned(config, code)


class NoSoak:
    """Skips soak tests in a run that asked for no soak."""

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Mark soak tests as skipped, with a reason that says how to run them."""
        skip = pytest.mark.skip(reason=options.SKIP_REASON)
        for item in items:
            if "soak_slot" in getattr(item, "fixturenames", ()) or item.get_closest_marker("soak"):
                item.add_marker(skip)
