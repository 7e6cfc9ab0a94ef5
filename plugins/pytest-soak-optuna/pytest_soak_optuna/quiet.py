"""Optuna kept to itself: it neither prints into pytest's output nor warns past this plugin."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet() -> Iterator[None]:
    """Import Optuna, and use it without its log lines and warnings.

    What it says is about how this plugin uses it, nothing that a user could act on; under ``-W
    error`` it would break the soak. Its log level is put back: a test may use Optuna itself.
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
