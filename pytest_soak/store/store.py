"""One chain's store: the only place where parameters change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from pytest_soak.model.patch import apply, diff, guarded
from pytest_soak.store.files import line, write_json
from pytest_soak.store.journal import Journal, journal_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_soak.model.patch import Operation

RUNS = "runs"
OVERRIDES = "runtime_overrides.json"
PROFILE = "applied_profile.json"
TUNING = "TUNING_REPORT.json"
GATE = "KPI_GATE.json"
STATE = "system_state.json"


def state_hash(overrides: Mapping[str, float]) -> str:
    """Return the SHA-256 of a set of overrides, written as one line of JSON."""
    return hashlib.sha256(line(dict(overrides)).encode()).hexdigest()


class ChainStore:
    """The artifacts of one chain's newest run, with its journal as their truth.

    Opening it again with the same run id goes on where the journal ends: the overrides are
    what the journal says, and the files are written anew from it.
    """

    def __init__(self, soak_dir: Path, slug: str, run_id: str) -> None:
        """Open the folder of the chain, putting an earlier run's files aside."""
        self.folder = soak_dir / slug
        self.folder.mkdir(parents=True, exist_ok=True)
        _archive_other_runs(self.folder, run_id)
        (self.folder / "backups").mkdir(exist_ok=True)
        self.journal = Journal(self.folder / "journal.jsonl", run_id)
        self.overrides: dict[str, float] = {}
        self._recorded: set[int] = set()
        self._point_latest(soak_dir, slug)

    @property
    def iterations(self) -> list[dict[str, Any]]:
        """The records of the iterations that were already in the journal when it was opened."""
        return [record for record in self.journal.records if record["kind"] == "iteration"]

    @property
    def overrides_path(self) -> Path:
        """The file that the system reads."""
        return self.folder / OVERRIDES

    def start(self, plan: Mapping[str, Any], seeded: Mapping[str, float], source: str) -> None:
        """Begin the run with the *seeded* overrides, or take up what the journal says."""
        if self.journal.records:
            self.overrides = dict(self.journal.records[0]["overrides"])
            for record in self.iterations:
                self._recorded.add(record["iteration"])
                if record["patch"]:
                    self._back_up(record["iteration"])
                self.overrides = apply(self.overrides, record["patch"])
        else:
            self.overrides = dict(seeded)
            body = {
                "config": dict(plan),
                "config_hash": hashlib.sha256(line(dict(plan)).encode()).hexdigest(),
                "overrides": dict(seeded),
                "overrides_source": source,
                "state_after": state_hash(seeded),
            }
            self.journal.append("run_started", 0, body)
        write_json(self.overrides_path, self.overrides)

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
        patch = diff(before, after)
        record = {
            **body,
            "patch": list(guarded(patch, before)),
            "inverse": list(guarded(diff(after, before), after)),
            "state_before": state_hash(before),
            "state_after": state_hash(after),
        }
        self.journal.append("iteration", iteration, record)
        self._recorded.add(iteration)
        if patch:
            self._back_up(iteration)
            write_json(self.overrides_path, after)
            self.overrides = dict(after)
        return patch

    def _back_up(self, iteration: int) -> None:
        name = f"runtime_overrides_backup_{iteration}.json"
        write_json(self.folder / "backups" / name, self.overrides)

    def readback(self) -> dict[str, float]:
        """Return the overrides as the file says them, for whoever doubts."""
        found: dict[str, float] = json.loads(self.overrides_path.read_text(encoding="utf-8"))
        return found

    def write(self, name: str, data: Mapping[str, object]) -> Path:
        """Write one artifact and return its path."""
        path = self.folder / name
        write_json(path, data)
        return path

    def save_state(self, iteration: int, state: object) -> str:
        """Keep the system's *state* after *iteration*; return its hash, empty without a state.

        Synced, because the journal has only its hash.
        """
        if state is None:
            return ""
        text = line({"iteration": iteration, "state": state})
        draft = self.folder / f"{STATE}.tmp"
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / STATE)
        return hashlib.sha256(text.encode()).hexdigest()

    def load_state(self, iteration: int) -> object:
        """Return the state that was kept after *iteration*, or None where it is not there."""
        path = self.folder / STATE
        if not path.exists():
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
        return data["state"] if data["iteration"] == iteration else None

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    @staticmethod
    def _point_latest(soak_dir: Path, slug: str) -> None:
        """Let ``latest`` point to this chain; in one step, as other workers do the same."""
        draft = soak_dir / f".latest-{slug}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(slug, target_is_directory=True)
        draft.replace(soak_dir / "latest")


def _archive_other_runs(folder: Path, run_id: str) -> None:
    """Move the files of an earlier run to ``runs/<run id>``, so that nothing is mixed."""
    earlier = journal_run(folder / "journal.jsonl")
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
