"""Keeping secrets out of what pytest reports: tracebacks, captured output, logs, properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.chain import slot_of
from pytest_soak.model.mask import Mask

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from warnings import WarningMessage

    from pytest_soak.chain import Chain


def mask_of(chain: Chain) -> Mask:
    """Return the mask of *chain*; it hides nothing where nothing is known of the chain."""
    if chain.loop is not None:
        return chain.loop.mask
    return chain.plan.mask if chain.plan is not None else Mask()


class Secrecy:
    """Masks what pytest reports of soaks, before any other plugin sees it."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        """Take the *chains* of the run, as they are collected."""
        self._chains = chains

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mask tracebacks, what was printed and logged, and properties."""
        report = yield
        slot = slot_of(item)
        if slot is not None:
            clean(report, mask_of(slot.chain))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: WarningMessage) -> None:
        """Mask a warning."""
        words = str(warning_message.message)
        masked = words
        for chain in self._chains.values():
            masked = mask_of(chain).text(masked)
        if masked != words:
            try:
                warning_message.message = warning_message.category(masked)
            except Exception:  # noqa: BLE001 - a stranger's class may take other arguments
                warning_message.message = UserWarning(masked)
                warning_message.category = UserWarning


def clean(report: pytest.TestReport, mask: Mask) -> None:
    """Mask a *report* of pytest's. One that shows a secret is shown as plain text from then on."""
    shown: Any = report.longrepr
    if isinstance(shown, tuple):
        report.longrepr = mask.data(shown)
    elif shown is not None:
        crash = getattr(getattr(shown, "reprcrash", None), "message", "")
        text = report.longreprtext
        if mask.text(text + crash) != text + crash:
            report.longrepr = mask.text(text or crash)
    report.sections = [(name, mask.text(content)) for name, content in report.sections]
    report.user_properties = mask.data(report.user_properties)
    if hasattr(report, "wasxfail"):
        report.wasxfail = mask.text(report.wasxfail)
