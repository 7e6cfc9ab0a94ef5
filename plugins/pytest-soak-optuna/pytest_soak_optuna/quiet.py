"""Silences Optuna's log lines and warnings."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet() -> Iterator[None]:
    """Import and use Optuna without its log lines and warnings.

    They concern the calls of this plugin, not the user, and under ``-W error`` they would break the
    soak. The log level is restored afterwards, as a test may use Optuna itself.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna  # noqa: PLC0415 - costs a second: only where the tuner is chosen

        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
