"""Writes measurements to an Optuna storage, and takes over those of a study."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from optuna import create_study, get_all_study_names, load_study
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pytest_soak_optuna.aim import SHARED, Aim
from pytest_soak_optuna.quiet import quiet
from pytest_soak_optuna.trials import as_trial, space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak import ChainPlan, History, IterationResult, Report

NEWEST = 50
"""The largest number of measurements that are taken over from a study."""
MEASUREMENT = "soak_measurement"
"""The user attribute of a trial with its measurement."""
ATTEMPTS = 40
PAUSE_S = 0.05
"""Retries to open a database, and the seconds between them."""


class Storage:
    """An open storage: a database (given by URL) or a journal file (given by path)."""

    def __init__(self, where: str) -> None:
        """Open *where*.

        Raises:
            Exception: Any error of Optuna or of the database driver.
        """
        self.where = where
        self._database: RDBStorage | None = None
        with quiet():
            if "://" in where:
                self._database = _database(where)
                self._storage: RDBStorage | JournalStorage = self._database
            else:
                Path(where).parent.mkdir(parents=True, exist_ok=True)
                self._storage = JournalStorage(JournalFileBackend(where))

    def close(self) -> None:
        """Close the connections to the database."""
        if self._database is not None:
            self._database.remove_session()
            self._database.engine.dispose()

    def write(self, plan: ChainPlan, result: IterationResult) -> None:
        """Write the measurement of *result*, if it has a valid one, as a trial.

        The study is ``PACK/SYSTEM/SCENARIO``; it is created if it does not exist.
        """
        aim = Aim(plan.pack)
        measurement = aim.measured(result.summary)
        if measurement is None:
            return
        origin = f"{plan.run_id} iteration {result.iteration}"
        notes = {
            MEASUREMENT: measurement.dumps(origin),
            "chain": plan.name,
            "run": plan.run_id,
            "iteration": result.iteration,
            "verdict": result.verdict.name,
            "applied": result.applied,
        }
        with quiet():
            study = create_study(
                storage=self._storage,
                study_name=f"{plan.pack.name}/{plan.system_name}/{plan.scenario}",
                direction=aim.direction,
                load_if_exists=True,
            )
            study.add_trial(as_trial(measurement, aim, space(plan.pack), notes))

    def newest(self, study_name: str) -> tuple[str, ...]:
        """Return the newest measurements of *study_name*, oldest first, one JSON text each.

        Raises:
            KeyError: There is no such study.
        """
        with quiet():
            study = load_study(study_name=study_name, storage=self._storage)
            trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        texts = (trial.user_attrs.get(MEASUREMENT) for trial in trials)
        return tuple(text for text in texts if isinstance(text, str))[-NEWEST:]

    def studies(self) -> list[str]:
        """Return the names of all studies."""
        with quiet():
            names: list[str] = get_all_study_names(storage=self._storage)
        return names


def _database(url: str) -> RDBStorage:
    """Open the database at *url*; retry, as another process may be creating its tables."""
    for _ in range(ATTEMPTS):
        try:
            return RDBStorage(url)
        except Exception:  # noqa: BLE001 - each database driver has its own
            time.sleep(PAUSE_S)
    return RDBStorage(url)


class TakeOver:
    """A watcher that records the measurements of other runs in a chain's first summary.

    The tuner reads them from the history, so a resumed run or a replay needs no storage.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        """Take the measurements, one JSON text each."""
        self._texts = texts

    def observe(
        self,
        report: Report,  # noqa: ARG002 - the facts are of other runs
        history: History,
    ) -> Mapping[str, tuple[str, ...]]:
        """Return the measurements as a fact, unless the history already holds it."""
        if any(SHARED in entry.summary.metrics for entry in history):
            return {}
        return {SHARED: self._texts}
