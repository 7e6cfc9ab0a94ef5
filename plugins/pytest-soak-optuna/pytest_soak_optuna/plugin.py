"""The pytest plugin; it imports Optuna only if the tuner is chosen."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_soak_optuna.hidden import shown, without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_soak import ChainPlan, IterationResult, Pack
    from pytest_soak_optuna.storage import Storage, TakeOver
    from pytest_soak_optuna.tuner import OptunaTuner

NAME = "optuna"
STORAGE = "--soak-optuna-storage"
SHARE = "--soak-optuna-share"


class SoakOptunaWarning(pytest.PytestWarning):
    """The storage failed; iterations and verdict of the soak are not affected."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini keys."""
    group = parser.getgroup("soak")
    text = "soak, tuner optuna: writes each measurement to this storage: a database's URL or a file"
    group.addoption(STORAGE, metavar="URL|FILE", help=text)
    parser.addini("soak_optuna_storage", text, default="")
    text = "soak, tuner optuna: begin with what this study of the storage knows"
    group.addoption(SHARE, metavar="STUDY", help=text)
    parser.addini("soak_optuna_share", text, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin object with the options."""
    config.pluginmanager.register(OptunaPlugin(config), "soak-optuna")


class OptunaPlugin:
    """Offers the tuner, and reads and writes the storage."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the options; a file from the ini file is relative to the root folder."""
        option, ini = config.getoption(STORAGE), config.getini("soak_optuna_storage")
        base = config.invocation_params.dir if option else config.rootpath
        given = option or ini
        self._where = given if not given or "://" in given else os.fspath(base / given)
        self._share = config.getoption(SHARE) or config.getini("soak_optuna_share")
        self._opened: Storage | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_soak_tuners(self) -> Mapping[str, Callable[[Pack], OptunaTuner]]:
        """Offer the tuner."""
        return {NAME: self._tuner}

    def _tuner(self, pack: Pack) -> OptunaTuner:
        from pytest_soak_optuna.quiet import quiet  # noqa: PLC0415 - nothing heavy without it

        with quiet():
            from pytest_soak_optuna.tuner import OptunaTuner  # noqa: PLC0415 - as above

        if self._where:
            self._storage()  # so that an error is shown before anything runs
        return OptunaTuner(pack)

    @pytest.hookimpl(optionalhook=True)
    def pytest_soak_watchers(self) -> Mapping[str, Callable[[Pack], TakeOver]]:
        """Offer the watcher that takes over the measurements of a study, if one is named."""
        return {"optuna-share": self._take_over} if self._share else {}

    def _take_over(self, pack: Pack) -> TakeOver:  # noqa: ARG002 - the tuner checks what fits the pack
        from pytest_soak import SoakUsageError  # noqa: PLC0415 - nothing heavy without a soak

        if not self._where:
            msg = f"{SHARE}={self._share}: needs {STORAGE}, where the study is"
            raise SoakUsageError(msg)
        storage = self._storage()
        from pytest_soak_optuna.storage import TakeOver  # noqa: PLC0415 - as above

        try:
            return TakeOver(storage.newest(self._share))
        except KeyError:
            known = ", ".join(storage.studies()) or "none"
            place = f"{shown(self._where)}; there: {known}"
            msg = f"{SHARE}: unknown study {self._share!r} in {place}"
            raise SoakUsageError(msg) from None

    def _storage(self) -> Storage:
        """Return the storage, opened once in this process."""
        if self._opened is None:
            from pytest_soak import SoakUsageError  # noqa: PLC0415 - nothing heavy without a soak
            from pytest_soak_optuna.quiet import quiet  # noqa: PLC0415 - as above

            with quiet():
                from pytest_soak_optuna.storage import Storage  # noqa: PLC0415 - as above
            try:
                self._opened = Storage(self._where)
            except Exception as error:  # noqa: BLE001 - each database driver has its own
                msg = f"{STORAGE}={shown(self._where)}: {_first_line(error, self._where)}"
                raise SoakUsageError(msg) from None  # its text may hold the password
        return self._opened

    @pytest.hookimpl(optionalhook=True)
    def pytest_soak_iteration(self, plan: ChainPlan, result: IterationResult) -> None:
        """Write the measurement of an iteration; an error of the storage is only a warning."""
        if not self._where or NAME not in plan.describe()["tuners"]:
            return
        try:
            self._storage().write(plan, result)
        except Exception as error:  # noqa: BLE001 - each database driver has its own
            what = f"iteration {result.iteration} not written: {_first_line(error, self._where)}"
            msg = f"{shown(self._where)}: {what}"
            warnings.warn(SoakOptunaWarning(msg), stacklevel=1)

    def pytest_unconfigure(self) -> None:
        """Close the storage."""
        if self._opened is not None:
            self._opened.close()


def _first_line(error: Exception, where: str) -> str:
    """Return type and first line of *error*, without the secrets of the storage at *where*."""
    from pytest_soak import safe_text  # noqa: PLC0415 - nothing heavy without a soak

    first = without(str(error), where).partition("\n")[0]
    return f"{type(error).__name__}: {safe_text(first)}"
