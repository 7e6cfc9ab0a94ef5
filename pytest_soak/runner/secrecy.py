"""What pytest reports of soaks is safe to show: tracebacks, captured output, logs, properties.

Secrets are masked, and nothing acts on a terminal or looks like a line of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.model.mask import Mask
from pytest_soak.model.safe_repr import safe_report
from pytest_soak.runner.chain import chain_name, place_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from warnings import WarningMessage

    from pytest_soak.runner.chain import Chain


def mask_of(chain: Chain) -> Mask:
    """Return the mask of *chain*; an empty one before the chain is planned."""
    if chain.loop is not None:
        return chain.loop.see_secrets()
    return chain.plan.mask if chain.plan is not None else Mask()


class Secrecy:
    """Masks what pytest reports of soaks, before any other plugin sees it."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        """Mask the secrets of *chains*, which are added during collection."""
        self._chains = chains

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mask tracebacks, captured output and logs, and properties.

        The innermost wrapper, so that the other ones see the masked report.
        """
        report = yield
        place = place_of(item)
        if place is not None:
            clean(report, mask_of(place.chain))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Mask what was added since, and the reports of subtests."""
        chain = self._chains.get(chain_name(report.nodeid))
        if chain is not None:
            clean(report, mask_of(chain))

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Mask the message that ends a session."""
        error: Any = excinfo.value
        error.args = tuple(map(self._masked, error.args))
        if hasattr(error, "msg"):  # of `pytest.exit`
            error.msg = self._masked(error.msg)

    def _masked(self, words: object) -> object:
        """Return *words* without the secrets of any chain."""
        for chain in self._chains.values():
            words = mask_of(chain).data(words)
        return safe_report(words) if isinstance(words, str) else words

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: WarningMessage) -> None:
        """Mask a warning."""
        words = str(warning_message.message)
        masked = str(self._masked(words))
        if masked != words:
            try:
                warning_message.message = warning_message.category(masked)
            except Exception:  # noqa: BLE001 - the class may need other arguments
                warning_message.message = UserWarning(masked)
                warning_message.category = UserWarning


def clean(report: pytest.TestReport, mask: Mask) -> None:
    """Make a *report* of pytest safe to show; a traceback that is not becomes plain text."""

    def safe(text: str) -> str:
        return safe_report(mask.text(text))

    shown: Any = report.longrepr
    if isinstance(shown, tuple):
        path, line, why = shown
        report.longrepr = mask.text(path), line, safe(why)
    elif shown is not None:
        crash = getattr(getattr(shown, "reprcrash", None), "message", "")
        text = report.longreprtext
        if safe(text) != text or safe(crash) != crash:
            report.longrepr = safe(text or crash)
    report.sections = [(name, safe(content)) for name, content in report.sections]
    report.user_properties = mask.data(report.user_properties)
    if hasattr(report, "wasxfail"):
        report.wasxfail = safe(report.wasxfail)
    context = getattr(report, "context", None)  # of a subtest: what it was called with
    for name in ("msg", "kwargs"):
        given = getattr(context, name, None)
        if mask.data(given) != given:
            object.__setattr__(context, name, mask.data(given))  # it is a frozen dataclass
