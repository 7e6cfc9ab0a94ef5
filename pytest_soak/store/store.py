"""The store of one chain. Only here are overrides written."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.patch import diff, guarded
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store import artifacts
from pytest_soak.store.files import (
    StoreError,
    create_synced,
    document,
    holds,
    json_hash,
    line,
    make_folder,
    parse_json,
    read_bytes,
    write_text,
)
from pytest_soak.store.folder import JOURNAL, clear_for, lock_folder, point_latest
from pytest_soak.store.journal import (
    MAX_RECORD,
    Journal,
    JournalError,
    has_ended,
    stream_journal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from filelock import FileLock

    from pytest_soak.model.patch import Operation

MOST_EDITS = 2000
"""How many characters of the edits of an overrides file are told."""
STATES_KEPT = 2
"""The newest state, and the one before it in case a crash loses the newest record."""


def _acts(artifact: artifacts.Artifact) -> bool:
    return artifact.acts


def read_state(path: Path, digest: str) -> bytes:
    """Return the saved state of a system at *path*.

    Raises:
        JournalError: It cannot be read, or its hash is not *digest*, the one in the journal.
    """
    content = b""
    with suppress(OSError):
        content = read_bytes(path, MAX_RECORD)
    if hashlib.sha256(content).hexdigest() != digest:
        msg = f"{path}: missing, or not the state whose hash is in the journal"
        raise JournalError(msg)
    return content


def open_chain(soak_dir: Path, slug: str, run_id: str) -> ChainStore:
    """Open the folder of a chain for one run; move the files of an earlier run aside.

    Raises:
        FolderBusy: Another process has locked it.
        JournalError: The run's journal is damaged before its end.
        OSError: The folder cannot be created or written.
    """
    folder = soak_dir / slug
    make_folder(folder)
    held = lock_folder(folder)
    try:
        clear_for(folder, run_id)
        store = ChainStore(folder, run_id, held)
        point_latest(folder)
    except BaseException:
        held.release()
        raise
    return store


class ChainStore:
    """The journal of one run of a chain, and the artifacts that are made from it.

    Opened again with the same run id, it continues after the last record: the overrides come from
    the journal, and the files are rebuilt from it.
    """

    def __init__(self, folder: Path, run_id: str, held: FileLock) -> None:
        """Open the run in *folder*.

        Args:
            folder: The folder of the run.
            run_id: Its id.
            held: The lock of the chain's folder, which `close` releases.

        Raises:
            JournalError: The run's journal is damaged before its end.
        """
        self.folder = folder
        self._held = held
        self._prefix = f"{self.folder}{os.sep}"
        self.overrides_path = self.folder / artifacts.OVERRIDES
        """The file that the system reads."""
        make_folder(self.folder / "backups")
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
        """The records of the iterations that the journal had when it was opened."""
        return [record for record in self.journal.records if record["kind"] == "iteration"]

    def has_recorded(self, iteration: int) -> bool:
        """Return whether *iteration* is in the journal."""
        return iteration in self._recorded

    def start(
        self,
        plan: Mapping[str, Any],
        seeded: Mapping[str, float],
        source: str,
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin the run with the *seeded* overrides, or load what the journal has.

        *reading* says how reports are read and judged; `pytest_soak.verify` computes by it.
        Afterwards ``put_back`` describes manual changes of the overrides, which were undone.
        """
        if self.journal.records:
            self.load()
        else:
            self.overrides = dict(seeded)
            self._state = json_hash(seeded)
            body = {
                "config": dict(plan),
                "config_hash": json_hash(plan),
                "overrides": dict(seeded),
                "overrides_source": source,
                "state_after": self._state,
                "reading": reading,
            }
            self.journal.append("run_started", 0, body)
            self.write(artifacts.OVERRIDES, self.overrides)
        self.sum_up()

    def load(self) -> None:
        """Load the state of the run from its journal, and rebuild the files."""
        self._recorded = {record["iteration"] for record in self.iterations}
        total = artifacts.RunSummary()
        before: Mapping[str, float] = {}
        for record in self.journal.records:
            before = total.overrides if record.get("patch") else before
            if record["kind"] == "iteration":
                self._last = artifacts.Recorded(record, total.overrides)
            total.take(record)
        self.overrides = total.overrides
        self._state = json_hash(self.overrides)
        # After a crash the file may be missing, or have the overrides before the last change.
        if self._read_overrides() not in (None, self.overrides, before):
            self.put_back = self.edited()
        self.restore()

    def record_resume(
        self,
        config: Mapping[str, Any],
        differences: Sequence[str],
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that the run is resumed with *config*; this cancels an earlier end."""
        last = self.journal.records[-1]["iteration"]
        body = {"config": dict(config), "differences": list(differences), "reading": reading}
        self.journal.append("run_resumed", last, body)
        self.restore()

    def restore(self) -> None:
        """Rebuild every artifact that is not what the journal says."""
        due = set()
        for path, text in self.projections():
            due.add(path)
            if not holds(path, text.encode()):
                write_text(str(path), text)
        for path in {self.folder / one.name for one in artifacts.TABLE if one.of_run} - due:
            path.unlink(missing_ok=True)
        self._whole = True

    def projections(self) -> Iterator[tuple[Path, str]]:
        """Yield path and text of every artifact, computed from the journal."""
        for name, content in artifacts.rebuild(stream_journal(self.journal.path)):
            yield self.folder / name, document(content)

    def commit(
        self, iteration: int, body: Mapping[str, Any], after: Mapping[str, float]
    ) -> tuple[Operation, ...]:
        """Record one iteration, then set the overrides to *after*.

        Args:
            iteration: The number of the iteration.
            body: The entries of the record besides the patch.
            after: The new overrides; equal to the current ones if nothing is applied.

        Returns:
            The patch from the overrides before to those after; empty for an iteration that is
            already recorded, which is left unchanged.

        Raises:
            StoreError: A file cannot be written. If it is the journal, nothing was recorded or
                changed; if it is another file, `restore` rebuilds it from the journal.
        """
        if iteration in self._recorded:
            return ()
        before = self.overrides
        written, patch = self._change("iteration", iteration, body, after)
        self._write_iteration(artifacts.Recorded(written, before))
        self._whole = True
        return patch

    def roll_back(self, to: int, after: Mapping[str, float]) -> tuple[Operation, ...]:
        """Record a rollback to the overrides after iteration *to*, then restore them.

        Args:
            to: The iteration; 0 for the start of the run.
            after: The overrides after it.

        Returns:
            The patch from the overrides before to those after; empty if they are equal, which is
            not recorded.

        Raises:
            StoreError: A file cannot be written.
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
        """Record a change, then set the overrides to *after*. All changes go through here.

        The record is on disk before the file that the system reads is replaced, so a crash between
        the two loses nothing. The patch in it tests the old values, so it applies only once.
        """
        before = self.overrides
        same = after is before  # checked first: comparing them would take most of the time
        patch = () if same else diff(before, after)
        record = {
            **body,
            "patch": list(guarded(patch, before)),
            "inverse": [] if same else list(guarded(diff(after, before), after)),
            "state_before": self._state,
            "state_after": json_hash(after) if patch else self._state,
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
        """Write the artifacts of an iteration, and update ``verified`` of the one before it."""
        if self._last and recorded.record["settles"]:
            settled = self._last.settled_by(recorded.record)
            self._write(artifacts.of_iteration(settled, lambda one: one.settles))
        self._write(artifacts.of_iteration(recorded, lambda one: not one.acts))
        self._last = recorded

    def sum_up(self) -> None:
        """Write the artifacts of the whole run: applied profile and, after its end, reports.

        Streams the journal, so the reports of a long run are not all in memory.
        """
        if not self._whole:
            self.restore()
        total = artifacts.RunSummary()
        for record in stream_journal(self.journal.path):
            total.take(record)
        self.progress, self.effectiveness = total.progress(), total.effectiveness()
        self._write(artifacts.of_run(total, lambda one: not one.acts))

    def readback(self) -> dict[str, float]:
        """Return the overrides in their file; empty if it holds none."""
        found = self._read_overrides()
        return found if isinstance(found, dict) else {}

    def edited(self) -> str:
        """Restore the overrides file if it was edited; return the edits, or an empty text."""
        found = self._read_overrides()
        if found == self.overrides:
            return ""
        self.write(artifacts.OVERRIDES, self.overrides)
        if not isinstance(found, dict):
            return "the file was gone" if found is None else "the file held no overrides"
        edits = ", ".join(
            f"{name} was {found.get(name, 'missing')}, not {self.overrides.get(name, 'there')}"
            for name in sorted({*found, *self.overrides})
            if found.get(name) != self.overrides.get(name)
        )
        return safe_text(edits, MOST_EDITS)

    def _read_overrides(self) -> object:
        """Return the overrides in the file: None without a file, its text if it is not JSON."""
        try:
            text = read_bytes(self.overrides_path).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:  # a link, a pipe, or larger than any overrides
            return why_unreadable(error)
        try:
            return parse_json(text)
        except (ValueError, RecursionError):
            return text

    def write(self, name: str, data: Mapping[str, object]) -> None:
        """Write one artifact."""
        write_text(f"{self._prefix}{name}", document(data))

    def _write(self, built: Iterable[tuple[str, artifacts.Content]]) -> None:
        for name, content in built:
            self.write(name, content)

    def save_state(self, iteration: int, state: object) -> str:
        """Save the system's *state* after *iteration*; return its hash, empty without a state.

        File and folder are synced, because the journal has only the hash.
        """
        if state is None:
            return ""
        text = line(state)
        if len(text.encode()) > MAX_RECORD:
            msg = f"the state of the system is larger than {MAX_RECORD} bytes, the most allowed"
            raise StoreError(msg)
        create_synced(self._prefix + artifacts.STATE.format(iteration), text)
        (self.folder / artifacts.STATE.format(iteration - STATES_KEPT)).unlink(missing_ok=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def load_state(self, iteration: int, digest: str) -> object:
        """Return the state that was saved after *iteration*; None if *digest* is empty.

        Raises:
            JournalError: It is missing, its hash is not *digest*, the one in the journal, or it
                cannot be read.
        """
        if not digest:
            return None
        path = self.folder / artifacts.STATE.format(iteration)
        try:
            return parse_json(read_state(path, digest))
        except (ValueError, RecursionError) as error:
            msg = f"{path}: {error}"
            raise JournalError(msg) from None

    def close(self) -> None:
        """Close the journal and release the lock of the folder."""
        self.journal.close()
        self._held.release()
