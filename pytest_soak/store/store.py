"""One chain's store: the only place where parameters change."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.patch import diff, guarded
from pytest_soak.store import artifacts
from pytest_soak.store.files import create_synced, document, line, write_text
from pytest_soak.store.folder import JOURNAL, clear_for, hold, point_latest
from pytest_soak.store.journal import Journal, JournalError, has_ended, stream_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from filelock import FileLock

    from pytest_soak.model.patch import Operation

STATES_KEPT = 2
"""The newest state, and the one to go back to where the newest record was lost in a crash."""


def state_hash(overrides: Mapping[str, float]) -> str:
    """Return the SHA-256 of a set of overrides, written as one line of JSON."""
    return hashlib.sha256(line(dict(overrides)).encode()).hexdigest()


def _acts(artifact: artifacts.Artifact) -> bool:
    return artifact.acts


def open_chain(soak_dir: Path, slug: str, run_id: str) -> ChainStore:
    """Open the folder of a chain for one run, putting an earlier run's files aside.

    Raises:
        FolderBusy: Another process holds it.
        JournalError: The run's journal is damaged elsewhere than at its end.
        OSError: The folder cannot be made or written.
    """
    folder = soak_dir / slug
    folder.mkdir(parents=True, exist_ok=True)
    held = hold(folder)
    try:
        clear_for(folder, run_id)
        store = ChainStore(folder, run_id, held)
        point_latest(folder)
    except BaseException:
        held.release()
        raise
    return store


class ChainStore:
    """The artifacts of one run of a chain, with its journal as their truth.

    Opening it again with the same run id goes on where the journal ends: the overrides are
    what the journal says, and the files are written anew from it.
    """

    def __init__(self, folder: Path, run_id: str, held: FileLock) -> None:
        """Open the run in *folder*, which nobody else may work in while it is *held*.

        Raises:
            JournalError: The run's journal is damaged elsewhere than at its end.
        """
        self.folder = folder
        self._held = held
        self._prefix = f"{self.folder}{os.sep}"
        (self.folder / "backups").mkdir(exist_ok=True)
        self.journal = Journal(self.folder / JOURNAL, run_id)
        self.overrides: dict[str, float] = {}
        self._state = ""
        self.progress: dict[str, Any] | None = None
        self.effectiveness: list[dict[str, Any]] = []
        self.put_back = ""
        self._recorded: set[int] = set()
        self._last: artifacts.Recorded | None = None
        self._whole = True

    @property
    def iterations(self) -> list[dict[str, Any]]:
        """The records of the iterations that were already in the journal when it was opened."""
        return [record for record in self.journal.records if record["kind"] == "iteration"]

    def knows(self, iteration: int) -> bool:
        """Tell whether *iteration* is in the journal."""
        return iteration in self._recorded

    @property
    def overrides_path(self) -> Path:
        """The file that the system reads."""
        return self.folder / artifacts.OVERRIDES

    def start(self, plan: Mapping[str, Any], seeded: Mapping[str, float], source: str) -> None:
        """Begin the run with the *seeded* overrides, or take up what the journal says.

        ``put_back`` tells how the overrides were found changed by hand, if they were.
        """
        if self.journal.records:
            self.take_up()
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

    def take_up(self) -> None:
        """Take up what the journal says, and write the files anew from it."""
        self._recorded = {record["iteration"] for record in self.iterations}
        total = artifacts.RunSummary()
        before: Mapping[str, float] = {}
        for record in self.journal.records:
            before = total.overrides if record.get("patch") else before
            if record["kind"] == "iteration":
                self._last = artifacts.Recorded(record, total.overrides)
            total.take(record)
        self.overrides = total.overrides
        self._state = state_hash(self.overrides)
        # A crash may leave no file, or the overrides before the last change.
        if self._read_overrides() not in (None, self.overrides, before):
            self.put_back = self.edited()
        self.restore()

    def go_on(self, config: Mapping[str, Any], differences: Sequence[str]) -> None:
        """Record that the run is resumed with *config*, so that what summed it up is void."""
        last = self.journal.records[-1]["iteration"]
        body = {"config": dict(config), "differences": list(differences)}
        self.journal.append("run_resumed", last, body)
        self.restore()

    def restore(self) -> None:
        """Make every artifact what the journal says."""
        said = set()
        for path, text in self.projections():
            said.add(path)
            if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
                write_text(str(path), text)
        for path in {self.folder / one.name for one in artifacts.TABLE if one.of_run} - said:
            path.unlink(missing_ok=True)
        self._whole = True

    def projections(self) -> Iterator[tuple[Path, str]]:
        """Yield every artifact as the journal says it should be: path and text."""
        for name, content in artifacts.rebuild(stream_journal(self.journal.path)):
            yield self.folder / name, document(content)

    def commit(
        self, iteration: int, body: Mapping[str, Any], after: Mapping[str, float]
    ) -> tuple[Operation, ...]:
        """Record one iteration, then make *after* the overrides.

        Args:
            iteration: The iteration that the decision was taken after.
            body: What the record says besides the patch.
            after: The overrides to come; equal to the present ones where nothing is applied.

        Returns:
            The patch from the overrides before to those after; empty for an iteration that was
            already recorded, which changes nothing.

        Raises:
            StoreError: It cannot be written. If it was the journal, nothing was recorded or
                changed; if it was another file, `restore` makes it from the journal.
        """
        if iteration in self._recorded:
            return ()
        before = self.overrides
        written, patch = self._change("iteration", iteration, body, after)
        self._write_iteration(artifacts.Recorded(written, before))
        self._whole = True
        return patch

    def roll_back(self, to: int, after: Mapping[str, float]) -> tuple[Operation, ...]:
        """Record that the overrides go back to what they were after iteration *to*; do it.

        Args:
            to: The iteration; 0 for the start of the run.
            after: The overrides as they were after it.

        Returns:
            The patch from the overrides before to those after; empty where they are the same,
            which is not recorded.

        Raises:
            StoreError: It cannot be written.
        """
        if after == self.overrides:
            return ()
        last = self.journal.records[-1]
        body = {"to_iteration": to, "ended": has_ended(self.journal.records)}
        _, patch = self._change("rolled_back", last["iteration"], body, after)
        self.restore()
        return patch

    def _change(
        self, kind: str, iteration: int, body: Mapping[str, Any], after: Mapping[str, float]
    ) -> tuple[dict[str, Any], tuple[Operation, ...]]:
        """Record, then make *after* the overrides. The one actuator.

        The record is on disk before the file that the system reads is replaced, so that a crash
        between the two loses nothing; the patch in it tests the old values, so that it fits
        only once.
        """
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
        self._whole = False
        written = self.journal.append(kind, iteration, record)
        if kind == "iteration":
            self._recorded.add(iteration)
        if patch:
            if kind == "iteration":
                self._write(artifacts.of_iteration(artifacts.Recorded(written, before), _acts))
            self.overrides = dict(after)
            self._state = record["state_after"]
            self.write(artifacts.OVERRIDES, after)
        return written, patch

    def _write_iteration(self, recorded: artifacts.Recorded) -> None:
        """Write an iteration's artifacts, and settle those of the one before it."""
        if self._last and recorded.record["settles"]:
            settled = self._last.settled_by(recorded.record)
            self._write(artifacts.of_iteration(settled, lambda one: one.settles))
        self._write(artifacts.of_iteration(recorded, lambda one: not one.acts))
        self._last = recorded

    def sum_up(self) -> None:
        """Write what sums up the run: the applied profile and, once it has ended, the reports.

        Streams the journal: a run's summary costs memory for its rows, not for its reports.
        """
        if not self._whole:
            self.restore()
        total = artifacts.RunSummary()
        for record in stream_journal(self.journal.path):
            total.take(record)
        self.progress, self.effectiveness = total.progress(), total.effectiveness()
        self._write(artifacts.of_run(total, lambda one: not one.acts))

    def readback(self) -> dict[str, float]:
        """Return the overrides as they stand in the file."""
        found: dict[str, float] = json.loads(self.overrides_path.read_text(encoding="utf-8"))
        return found

    def edited(self) -> str:
        """Put the overrides back if the file was changed; return what was found in it."""
        there = self._read_overrides()
        if there == self.overrides:
            return ""
        self.write(artifacts.OVERRIDES, self.overrides)
        if not isinstance(there, dict):
            return "the file was gone" if there is None else "the file held no overrides"
        return ", ".join(
            f"{name} was {there.get(name, 'missing')}, not {self.overrides.get(name, 'there')}"
            for name in sorted({*there, *self.overrides})
            if there.get(name) != self.overrides.get(name)
        )

    def _read_overrides(self) -> object:
        """Return what the overrides file holds: None without one, its text where it is no JSON."""
        try:
            text = self.overrides_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            return why_unreadable(error)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text

    def write(self, name: str, data: Mapping[str, object]) -> None:
        """Write one artifact."""
        write_text(f"{self._prefix}{name}", document(data))

    def _write(self, built: Iterable[tuple[str, artifacts.Content]]) -> None:
        for name, content in built:
            self.write(name, content)

    def save_state(self, iteration: int, state: object) -> str:
        """Keep the system's *state* after *iteration*; return its hash, empty without a state.

        Synced, its folder too, because the journal has only its hash.
        """
        if state is None:
            return ""
        text = line(state)
        create_synced(self._prefix + artifacts.STATE.format(iteration), text)
        (self.folder / artifacts.STATE.format(iteration - STATES_KEPT)).unlink(missing_ok=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def load_state(self, iteration: int, digest: str) -> object:
        """Return the state kept after *iteration*, None for one without.

        Raises:
            JournalError: It is not there, or not the one whose *digest* the journal has.
        """
        if not digest:
            return None
        path = self.folder / artifacts.STATE.format(iteration)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            msg = f"{path}: not the system's state that the journal knows of"
            raise JournalError(msg)
        return json.loads(text)

    def close(self) -> None:
        """Close the journal and let go of the folder."""
        self.journal.close()
        self._held.release()
