"""Writing to pytest's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.model.safe_repr import printable
from pytest_soak.views.text import fitting

if TYPE_CHECKING:
    import pytest


class Screen:
    """Pytest's terminal, for lines that may hold text from outside."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        """Take pytest's own *reporter*."""
        self.reporter = reporter

    def write(self, text: str, **markup: bool) -> None:
        """Write one line."""
        self.write_raw(printable(text), **markup)

    def write_raw(self, text: str, **markup: bool) -> None:
        """Write one line that may hold the escapes of colours."""
        encoding = getattr(self.reporter._tw._file, "encoding", None)  # noqa: SLF001 - not public
        self.reporter.write_line(fitting(text, encoding), **markup)

    def break_line(self) -> None:
        """Begin a new line, so that every marker line can be found by its beginning."""
        self.reporter.ensure_newline()
        if self.reporter._tw.width_of_current_line:  # noqa: SLF001 - letters written one by one
            self.reporter.line("")
