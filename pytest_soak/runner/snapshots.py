"""Recorded patches: syrupy snapshots of what each iteration changed, one file for each chain."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.data import Snapshot, SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension

from pytest_soak.config.plan import chain_slug
from pytest_soak.errors import UNREADABLE, why_unreadable
from pytest_soak.model.mode import Mode
from pytest_soak.runner.chain import chain_name
from pytest_soak.runner.session import loop_of
from pytest_soak.store.files import line, read_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syrupy.location import PyTestLocation

    from pytest_soak.runner.session import Soak

FOLDER = "__soak_snapshots__"
"""Beside the test file. Not in syrupy's own folder, where syrupy deletes files it does not know."""


class OverrideExtension(AbstractSyrupyExtension):
    """Stores ``{iteration: patch}`` of one chain in one JSON file.

    A comparison concerns one iteration. A recording keeps all other iterations, so a shorter run
    removes none.
    """

    file_extension = "json"
    write_immediately = True

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the folder of the recordings of one test file."""
        return str(Path(test_location.filepath).parent / FOLDER / test_location.basename)

    @classmethod
    def get_file_basename(cls, *, test_location: PyTestLocation, index: object) -> str:
        """Return the chain's name as a file name."""
        name = cls.get_snapshot_name(test_location=test_location)
        plain = re.fullmatch(r"(\w{1,80})(?:\[(\w{1,40})\])?", name, re.ASCII)
        return "-".join(filter(None, plain.groups())) if plain else chain_slug(name)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: object = 0) -> str:
        """Return the chain's name, the same in all of its iterations."""
        return chain_name(test_location.snapshot_name)

    @classmethod
    def matches_test_location(
        cls, *, test_location: PyTestLocation, snapshot_location: str
    ) -> bool:
        """Tell whether a recording belongs to a test."""
        return snapshot_location == cls.get_location(test_location=test_location, index=0)

    def serialize(self, data: Any, **_: Any) -> str:
        """Return ``{iteration: patch}`` as JSON, one operation a line."""
        return to_text(data)

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Tell whether each iteration that ran has the patch that is recorded for it."""
        recorded = json.loads(snapshot_data)
        return all(
            recorded.get(iteration) == patch
            for iteration, patch in json.loads(serialized_data).items()
        )

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:
        """Yield the operations that differ, in the iteration that was compared."""
        got: dict[str, Any] = json.loads(serialized_data)
        recorded: dict[str, Any] = json.loads(snapshot_data) if snapshot_data else {}
        for iteration, patch in got.items():
            yield f"patch of the overrides after iteration {iteration}"
            if recorded and iteration not in recorded:
                yield f"  nothing recorded: {len(recorded)} iterations are"
            ours = "\n".join(map(line, patch))
            theirs = "\n".join(map(line, recorded.get(iteration, [])))
            yield from super().diff_lines(ours, theirs)
        yield "record it with --snapshot-update"

    def discover_snapshots(self, **_: Any) -> SnapshotCollections:
        """Return nothing, or syrupy would report what a shorter run did not compare as unused."""
        return SnapshotCollections()

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Keep the recording: only a person removes one."""

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        """Return the one snapshot of the file."""
        collection = SnapshotCollection(location=snapshot_location)
        collection.add(Snapshot(name=Path(snapshot_location).stem))
        return collection

    def read_snapshot_data_from_location(
        self,
        *,
        snapshot_location: str,
        snapshot_name: str,
        session_id: str,
    ) -> str | None:
        """Return the recording, or None if there is none."""
        recorded = read_recording(snapshot_location)
        return None if recorded is None else to_text(recorded)

    @classmethod
    def write_snapshot_collection(
        cls,
        *,
        snapshot_collection: SnapshotCollection,
        **_: Any,
    ) -> None:
        """Merge the iterations that ran into those that are recorded."""
        path = snapshot_collection.location
        recorded = read_recording(path) or {}
        for snapshot in snapshot_collection:
            recorded |= json.loads(str(snapshot.data))
        write_text(path, to_text(recorded))


def read_recording(path: str) -> dict[str, Any] | None:
    """Return the recording at *path*, ``{iteration: patch}``; None if there is none.

    Fails the test if it is something else.
    """
    try:
        recorded: object = json.loads(read_bytes(path))
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        why = f"cannot be read: {why_unreadable(error)}"
    else:
        given = recorded.items() if isinstance(recorded, dict) else [("", None)]
        if all(key.isdecimal() and isinstance(patch, list) for key, patch in given):
            return dict(given)
        why = "is no recording of patches by iteration"
    again = "restore it, or remove it and record with --snapshot-update"
    pytest.fail(f"{path}: {why}; {again}", pytrace=False)


def to_text(patches: dict[str, Any]) -> str:
    """Return ``{iteration: patch}`` as JSON, one operation a line, iterations in order."""
    parts = []
    for iteration in sorted(patches, key=int):
        operations = ",\n".join(f"  {line(operation)}" for operation in patches[iteration])
        body = f"[\n{operations}\n ]" if operations else "[]"
        parts.append(f' "{iteration}": {body}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


class OverrideSnapshot(SnapshotAssertion):
    """The recorded patch of one iteration, to be compared with the one it made."""

    soak: Soak

    def __eq__(self, other: object) -> bool:
        """Tell whether *other*, the patch of this iteration, is the recorded one.

        In the observation window, and in a run that does not tune, nothing may be applied: there
        the patch must be empty, and the recording is left alone.
        """
        loop = loop_of(self.soak.chain)
        patch = list(other) if isinstance(other, list | tuple) else other
        if loop.plan.mode is not Mode.APPLY or loop.in_window(self.soak.iteration):
            return patch == []
        return bool(super().__eq__({str(self.soak.iteration): patch}))

    __hash__ = None  # type: ignore[assignment] # it compares like a value


def open_snapshot(request: pytest.FixtureRequest, soak: Soak) -> OverrideSnapshot:
    """Return the recorded patch of the iteration that *soak* stands for."""
    base: SnapshotAssertion = request.getfixturevalue("snapshot")
    recorded = OverrideSnapshot(
        session=base.session,
        extension_class=OverrideExtension,
        test_location=base.test_location,
        update_snapshots=base.update_snapshots,
        update_new_snapshots_only=base.update_new_snapshots_only,
    )
    recorded.soak = soak
    return recorded
