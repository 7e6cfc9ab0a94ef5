"""The pytest plugin: hooks and fixtures. The rest is imported only when a soak is asked for.

PYTEST_DONT_REWRITE: it asserts nothing, and every pytest run imports it.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import pytest

from pytest_soak import hookspecs
from pytest_soak.config import options

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_soak.runner.session import Soak
    from pytest_soak.runner.snapshots import OverrideSnapshot
    from pytest_soak.systems.protocol import System


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that packs, strategies and observers implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start a soak session if a soak was asked for; otherwise soak tests are skipped."""
    config.addinivalue_line("markers", options.MARKER)
    if not (options.given_flags(config) and _start(config)):
        config.pluginmanager.register(NoSoak(), "soak-off")


def _start(config: pytest.Config) -> bool:
    """Start a soak session if the options ask for a soak; tell whether they do."""
    # Imported here: a run without our options must not pay for the modules of a soak.
    from pytest_soak.config.request import read_request  # noqa: PLC0415
    from pytest_soak.errors import SoakUsageError  # noqa: PLC0415

    try:
        request = read_request(config)
        if request is not None:
            from pytest_soak.runner.session import start_session  # noqa: PLC0415

            start_session(config, request)
    except SoakUsageError as error:
        raise pytest.UsageError(str(error)) from None
    return request is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Check at the very end of a run that soaks that exit code 0 is earned."""
    if not options.soaks(config):
        return (yield)
    try:
        code = yield
    except SystemExit as error:  # of a hook at the end of the session, which would end the process
        if error.code:
            raise
        code = pytest.ExitCode.OK
    from pytest_soak.runner.exit_code import earned  # noqa: PLC0415 - only for a soak

    return earned(config, code)


class NoSoak:
    """Skips soak tests in a run that asked for no soak."""

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Mark soak tests as skipped, with a reason that says how to run them."""
        skip = pytest.mark.skip(reason=options.SKIP_REASON)
        # Looked up once for each parent, as every item of every run passes here.
        for parent, members in groupby(items, key=attrgetter("parent")):
            inherited = parent.get_closest_marker("soak")
            for item in members:
                if (
                    inherited
                    or "soak_slot" in getattr(item, "fixturenames", ())
                    or any(mark.name == "soak" for mark in item.own_markers)
                ):
                    item.add_marker(skip)


@pytest.fixture
def soak_slot(request: pytest.FixtureRequest) -> pytest.Item:
    """Return the item of this iteration. It alone asks for ``request``, which pytest makes anew."""
    if not hasattr(request, "param"):
        pytest.skip(options.SKIP_REASON)
    item: pytest.Item = request.node
    return item


@pytest.fixture
def soak_system() -> System | None:
    """Override this fixture to bring your own system; None means the one in the settings."""
    return None


@pytest.fixture
def soak(soak_slot: pytest.Item, soak_system: System | None) -> Soak:
    """Return the soak of this test: ``soak.run()`` runs this iteration."""
    from pytest_soak.runner.session import open_soak  # noqa: PLC0415 - as above

    return open_soak(soak_slot, soak_system)


@pytest.fixture
def mock_soak(soak: Soak) -> Soak:
    """Return the soak of this test, on the mock system."""
    if soak.chain.system != "mock":
        pytest.fail("mock_soak must be an argument of the test or of its fixtures", pytrace=False)
    return soak


@pytest.fixture
def override_snapshot(request: pytest.FixtureRequest, soak: Soak) -> OverrideSnapshot:
    """Return the recorded patch of this iteration, ``assert result.patch == override_snapshot``.

    Each chain has one recording, made and changed by ``--snapshot-update``.
    """
    from pytest_soak.runner.snapshots import open_snapshot  # noqa: PLC0415 - as above

    return open_snapshot(request, soak)
