"""One chain's store: the only place where parameters change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.patch import diff, guarded
from pytest_soak.store import artifacts
from pytest_soak.store.files import document, line, write_text
from pytest_soak.store.journal import Journal, JournalError, journal_run, stream_journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.model.patch import Operation

RUNS = "runs"
JOURNAL = "journal.jsonl"
STATE = "system_state_{}.json"
STATES_KEPT = 2
"""The newest state, and the one to go back to where the newest record was lost in a crash."""


def state_hash(overrides: Mapping[str, float]) -> str:
    """Return the SHA-256 of a set of overrides, written as one line of JSON."""
    return hashlib.sha256(line(dict(overrides)).encode()).hexdigest()


class FolderBusy(Exception):
    """Another process holds the folder."""


def refuse_busy(folder: Path) -> None:
    """Refuse to start where another process holds the chain's *folder*.

    Raises:
        SoakUsageError: It does.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: is in the way: it is to become the folder of a chain"
        raise SoakUsageError(msg)
    if folder.exists():
        try:
            _lock(folder).release()
        except FolderBusy as error:
            raise SoakUsageError(str(error)) from None


def _lock(folder: Path) -> FileLock:
    """Hold *folder*; the operating system lets go of it when the process ends, however it does."""
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        msg = f"{folder}: another soak or command holds this folder; wait for it, or use --soak-dir"
        raise FolderBusy(msg) from None
    return lock


class ChainStore:
    """The artifacts of one chain's newest run, with its journal as their truth.

    Opening it again with the same run id goes on where the journal ends: the overrides are
    what the journal says, and the files are written anew from it.
    """

    def __init__(self, soak_dir: Path, slug: str, run_id: str) -> None:
        """Open the folder of the chain, putting an earlier run's files aside.

        Raises:
            FolderBusy: Another process holds it.
            JournalError: The run's journal is damaged elsewhere than at its end.
        """
        self.folder = soak_dir / slug
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prefix = f"{self.folder}{os.sep}"
        self._held = _lock(self.folder)
        _archive_other_runs(self.folder, run_id)
        _bring_back(self.folder, run_id)
        (self.folder / "backups").mkdir(exist_ok=True)
        self.journal = Journal(self.folder / JOURNAL, run_id)
        self.overrides: dict[str, float] = {}
        self._state = ""
        self.progress: dict[str, Any] | None = None
        self._recorded: set[int] = set()
        self._last: dict[str, Any] | None = None
        self._point_latest(soak_dir, slug)

    @property
    def iterations(self) -> list[dict[str, Any]]:
        """The records of the iterations that were already in the journal when it was opened."""
        return [record for record in self.journal.records if record["kind"] == "iteration"]

    @property
    def overrides_path(self) -> Path:
        """The file that the system reads."""
        return self.folder / artifacts.OVERRIDES

    def start(self, plan: Mapping[str, Any], seeded: Mapping[str, float], source: str) -> None:
        """Begin the run with the *seeded* overrides, or take up what the journal says."""
        if self.journal.records:
            for name, content in artifacts.rebuild(self.journal.records):
                self.write(name, content)
            self._recorded = {record["iteration"] for record in self.iterations}
            self._last = self.iterations[-1] if self.iterations else None
            self.overrides = self.readback()
            self._state = state_hash(self.overrides)
        else:
            self.overrides = dict(seeded)
            self._state = state_hash(seeded)
            body = {
                "config": dict(plan),
                "config_hash": hashlib.sha256(line(dict(plan)).encode()).hexdigest(),
                "overrides": dict(seeded),
                "overrides_source": source,
                "state_after": self._state,
            }
            self.journal.append("run_started", 0, body)
            self.write(artifacts.OVERRIDES, self.overrides)
        self.sum_up()

    def commit(
        self, iteration: int, body: Mapping[str, Any], after: Mapping[str, float]
    ) -> tuple[Operation, ...]:
        """Record one iteration, then make *after* the overrides. The one actuator.

        The record is on disk before the file that the system reads is replaced, so that a crash
        between the two loses nothing; the patch in it tests the old values, so that it fits
        only once.

        Args:
            iteration: The iteration that the decision was taken after.
            body: What the record says besides the patch.
            after: The overrides to come; equal to the present ones where nothing is applied.

        Returns:
            The patch from the overrides before to those after; empty for an iteration that was
            already recorded, which changes nothing.
        """
        if iteration in self._recorded:
            return ()
        before = self.overrides
        same = after is before  # or comparing them costs more than all the rest of a record
        patch = () if same else diff(before, after)
        record = {
            **body,
            "patch": list(guarded(patch, before)),
            "inverse": [] if same else list(guarded(diff(after, before), after)),
            "state_before": self._state,
            "state_after": state_hash(after) if patch else self._state,
        }
        written = self.journal.append("iteration", iteration, record)
        self._recorded.add(iteration)
        if patch:
            self.write(artifacts.backup_name(iteration), before)
            self.write(artifacts.OVERRIDES, after)
            self.overrides = dict(after)
            self._state = record["state_after"]
        self._write_iteration(written)
        return patch

    def _write_iteration(self, record: dict[str, Any]) -> None:
        """Write an iteration's artifacts, and settle those of the one before it."""
        number = record["iteration"]
        if isinstance(record["report"], dict):
            self.write(artifacts.report_name(number), record["report"])
        if self._last and record["settles"]:
            settled = artifacts.iter_summary(self._last, record["settles"]["verified"])
            self.write(artifacts.summary_name(number - 1), settled)
        self.write(artifacts.summary_name(number), artifacts.iter_summary(record, None))
        self._last = record

    def sum_up(self, verdict: Mapping[str, Any] | None = None) -> None:
        """Write what sums up the run: the applied profile and, with a *verdict*, the reports.

        Streams the journal: a run's summary costs memory for its rows, not for its reports.
        """
        total = artifacts.RunSummary()
        for record in stream_journal(self.journal.path):
            total.take(record)
        self.progress = total.progress()
        self.write(artifacts.PROFILE, total.applied_profile())
        if verdict is not None:
            self.write(artifacts.TUNING, total.tuning_report(verdict))
            self.write(artifacts.GATE, total.kpi_gate(verdict))

    def readback(self) -> dict[str, float]:
        """Return the overrides as the file says them, for whoever doubts."""
        found: dict[str, float] = json.loads(self.overrides_path.read_text(encoding="utf-8"))
        return found

    def write(self, name: str, data: Mapping[str, object]) -> None:
        """Write one artifact."""
        write_text(f"{self._prefix}{name}", document(data))

    def save_state(self, iteration: int, state: object) -> str:
        """Keep the system's *state* after *iteration*; return its hash, empty without a state.

        Synced, because the journal has only its hash.
        """
        if state is None:
            return ""
        text = line(state)
        path = self.folder / STATE.format(iteration)
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        (self.folder / STATE.format(iteration - STATES_KEPT)).unlink(missing_ok=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def load_state(self, iteration: int, digest: str) -> object:
        """Return the state kept after *iteration*, None for one without.

        Raises:
            JournalError: It is not there, or not the one whose *digest* the journal has.
        """
        if not digest:
            return None
        path = self.folder / STATE.format(iteration)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            msg = f"{path}: not the system's state that the journal knows of"
            raise JournalError(msg)
        return json.loads(text)

    def close(self) -> None:
        """Close the journal and let go of the folder."""
        self.journal.close()
        self._held.release()

    @staticmethod
    def _point_latest(soak_dir: Path, slug: str) -> None:
        """Let ``latest`` point to this chain; in one step, as other workers do the same."""
        draft = soak_dir / f".latest-{slug}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(slug, target_is_directory=True)
        draft.replace(soak_dir / "latest")


def _archive_other_runs(folder: Path, run_id: str) -> None:
    """Move the files of an earlier run to ``runs/<run id>``, so that nothing is mixed."""
    earlier = journal_run(folder / JOURNAL)
    if earlier == run_id:
        return
    rest = [path for path in folder.iterdir() if path.name != RUNS]
    if not rest:
        return
    place = folder / RUNS / earlier
    number = 1
    while place.exists():
        number += 1
        place = folder / RUNS / f"{earlier}-{number}"
    place.mkdir(parents=True)
    for path in rest:
        shutil.move(path, place / path.name)


def _bring_back(folder: Path, run_id: str) -> None:
    """Move the files of the earlier run *run_id*, if it was put aside, back to their place."""
    place = folder / RUNS / run_id
    if not (folder / JOURNAL).exists() and place.exists():
        for path in place.iterdir():
            shutil.move(path, folder / path.name)
        place.rmdir()
