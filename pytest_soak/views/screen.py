"""Writing to pytest's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import printable
from pytest_soak.views.text import fitting

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


class Screen:
    """Pytest's terminal, for lines that may contain text from outside."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        """Write through pytest's *reporter*."""
        self.reporter = reporter

    def write(self, text: str, **markup: bool) -> None:
        """Write one line."""
        self.write_raw(printable(text), **markup)

    def write_raw(self, text: str, **markup: bool) -> None:
        """Write one line that may contain escape codes for colours."""
        encoding = getattr(self.reporter._tw._file, "encoding", None)  # noqa: SLF001 - not public
        self.reporter.write_line(fitting(text, encoding), **markup)

    def break_line(self) -> None:
        """Begin a new line, so that each marker line starts in the first column."""
        self.reporter.ensure_newline()
        if self.reporter._tw.width_of_current_line:  # noqa: SLF001 - progress letters
            self.reporter.line("")


def write_errors(reporter: pytest.TerminalReporter, errors: Iterable[str]) -> None:
    """Write *errors*, of one line or more each, through pytest's *reporter*."""
    for line in "\n".join(f"ERROR: {error}" for error in errors).splitlines():
        Screen(reporter).write(line, red=True)
