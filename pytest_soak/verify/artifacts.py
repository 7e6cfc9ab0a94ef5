"""Compares the files of a run with the journal: missing, different and unexpected ones."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import why_unreadable
from pytest_soak.model.patch import PATCH_ERRORS
from pytest_soak.store.artifacts import (
    GATE,
    PROFILE,
    STATE,
    TABLE,
    RunSummary,
    named,
    pattern,
    rebuild,
)
from pytest_soak.store.files import document
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import has_ended
from pytest_soak.verify.finding import Finding, location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

AWAY = "move the file away, then run verify --repair"
AROUND = 40
"""How many characters a finding shows from the first difference of a file."""
UNBUILT: tuple[type[Exception], ...] = (*PATCH_ERRORS, LookupError, ValueError)
"""What rebuilding may raise if valid records contradict each other."""
STATES = pattern(STATE)
FOLDERS = sorted({one.name.rpartition("/")[0] for one in TABLE})
"""The folders that a soak writes to, relative to the run's folder; empty for that folder itself."""
DRAFT = ".tmp"


def is_ours(name: str) -> bool:
    """Return whether a soak writes files called *name*, a path inside the folder of a run."""
    return named(name) is not None


class ArtifactCheck:
    """Compares the files of a run with its journal.

    After a crash the files of the last record may be missing. In a run that has not ended that is a
    note, because a resume writes them. A resume also writes them if a run has ended but
    ``KPI_GATE.json``, the last file, is missing; but that is a finding.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        files: Iterable[str],
        read: Callable[[str], bytes | None],
    ) -> None:
        """Prepare the comparison.

        Args:
            records: The records of a valid journal.
            files: The files in the run's folder, as paths inside it.
            read: Returns the content of a file; None if it does not exist. It raises `OSError` for
                what is no regular file, or too large.
        """
        self._records = records
        self._files = set(files)
        self._read = read
        self._unfinished = bool(records) and not has_ended(records)
        self._interrupted = bool(records) and (self._unfinished or GATE not in self._files)
        self._effective = [record for record in records if record["kind"] != "damage_found"]

    def findings(self) -> Iterator[Finding]:
        """Yield the files that differ from what the journal says."""
        implied = {JOURNAL}
        try:
            for name, content in rebuild(self._records) if self._records else ():
                implied.add(name)
                yield from self._compare(name, document(content).encode())
            yield from self._strays(sorted(self._files - implied))
        except UNBUILT as error:
            what = f"its records contradict each other: {type(error).__name__}: {error}"
            yield Finding(JOURNAL, what)
        yield from self._states()

    def _compare(self, name: str, expected: bytes) -> Iterator[Finding]:
        try:
            found = self._read(name)
        except OSError as error:
            yield Finding(name, f"{why_unreadable(error)}; {AWAY}")
            return
        if found == expected:
            return
        pending = self._pending(name, found)
        if pending is not None:
            state = "is missing, as" if found is None else "is as it was"
            what = (
                f"{state} before {location(pending)}: the process may have been killed before it "
                "wrote the file; --soak-resume writes it"
            )
            yield Finding(name, what, note=self._unfinished, missing=found is None)
        elif found is None:
            what = "is missing; verify --repair rebuilds it from the journal"
            yield Finding(name, what, missing=True)
        else:
            what = f"{difference(found, expected)}; {AWAY}"
            yield Finding(name, what)

    def _pending(self, name: str, found: bytes | None) -> Mapping[str, Any] | None:
        """Return the record whose change of the file is not written yet; None if there is none."""
        if not self._interrupted:
            return None
        if found == self._earlier.get(name):
            return self._effective[-1]
        if name == PROFILE:  # written only when a run is started, resumed or ended
            total = RunSummary()
            for record in self._effective:
                if total.config and found == document(total.applied_profile()).encode():
                    return record
                total.take(record)
        return None

    @cached_property
    def _earlier(self) -> dict[str, bytes]:
        """The artifacts before the last record; empty if that record is known to be written out."""
        before = self._effective[:-1] if self._interrupted else ()
        built = rebuild(before) if before else ()
        return {name: document(content).encode() for name, content in built}

    def _strays(self, names: Iterable[str]) -> Iterator[Finding]:
        """Yield the files that have the name of an artifact but are in no record."""
        for name in names:
            if name.endswith(DRAFT) and is_ours(name.removesuffix(DRAFT)):
                yield Finding(
                    name, "was left by a process that was killed while it wrote", note=True
                )
            elif self._is_outdated(name):
                what = (
                    f"is outdated since {location(self._effective[-1])}; --soak-resume removes it"
                )
                yield Finding(name, what, note=True)
            elif is_ours(name) and not STATES.fullmatch(name):
                yield Finding(name, "does not belong to any record of the journal")

    def _is_outdated(self, name: str) -> bool:
        """Return whether the file is what it was before the last record."""
        with suppress(OSError):
            return name in self._earlier and self._read(name) == self._earlier[name]
        return False

    def _states(self) -> Iterator[Finding]:
        """Yield findings on the saved states of the system."""
        digests = {
            record["iteration"]: record["system_state"]
            for record in self._records
            if record["kind"] == "iteration"
        }
        last = max(digests, default=0)
        kept = {int(match[1]) for match in map(STATES.fullmatch, self._files) if match}
        wanted = {last} if last + 1 in kept else {last, last - 1}
        for number in sorted(kept | {number for number in wanted if digests.get(number)}):
            name = STATE.format(number)
            try:
                content = self._read(name)
            except OSError as error:
                yield Finding(name, why_unreadable(error))
                continue
            if number == last + 1:
                yield Finding(name, "is of an iteration that was not recorded", note=True)
            elif not digests.get(number):
                yield Finding(name, "does not belong to any record of the journal")
            elif content is None:
                yield Finding(
                    name, "is missing, and cannot be rebuilt: the journal has only its hash"
                )
            elif hashlib.sha256(content).hexdigest() != digests[number]:
                yield Finding(name, "is not the state whose hash is in the journal")


def difference(found: bytes, expected: bytes) -> str:
    """Return the first difference of two files: its position, and the text of each file there."""
    mine, journal = found.split(b"\n"), expected.split(b"\n")
    line = _common(mine, journal)
    if line == len(mine) or line == len(journal):
        ends = "ends early" if line == len(mine) else "has extra lines"
        return f"{ends} compared with the journal, from line {line + 1} on"
    column = _common(mine[line], journal[line])
    has, says = (
        text[line][column : column + AROUND].decode("utf-8", "backslashreplace")
        for text in (mine, journal)
    )
    return f"line {line + 1}, column {column + 1}: it has {has!r}, the journal says {says!r}"


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """Return the length of the common beginning of two sequences."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
