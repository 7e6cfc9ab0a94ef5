"""The artifacts: is each there, is it what the journal says, and is there no other?"""

from __future__ import annotations

import hashlib
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any

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
from pytest_soak.verify.finding import Finding, at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

AROUND = 40
"""How many characters are shown from where a file begins to differ."""
UNBUILT: tuple[type[Exception], ...] = (*PATCH_ERRORS, LookupError, ValueError)
"""What rebuilding may raise where records have the right shape but contradict each other."""
STATES = pattern(STATE)
FOLDERS = sorted({one.name.rpartition("/")[0] for one in TABLE})
"""The folders inside a run's folder that a soak writes to; the empty name is that folder itself."""
DRAFT = ".tmp"


def is_ours(name: str) -> bool:
    """Tell whether a soak writes files called *name*, a path inside the folder of its run."""
    return named(name) is not None


class ArtifactCheck:
    """Compares the files of a run with its journal.

    After a crash the effects of the last record may be missing. In a run that has not ended, that
    is a note: resuming it makes them good. Resuming also does so in a run that has ended and whose
    verdict, the last file to be written, is missing; but a missing verdict is always a finding.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        there: Iterable[str],
        read: Callable[[str], bytes | None],
    ) -> None:
        """Take what is to be compared.

        Args:
            records: A sound journal's, whose states follow each other.
            there: The files in the run's folder, as paths inside it.
            read: Gives a file's content, None where it is not there.
        """
        self._records = records
        self._there = set(there)
        self._read = read
        self._unfinished = bool(records) and not has_ended(records)
        self._untold = bool(records) and (self._unfinished or GATE not in self._there)
        self._effective = [record for record in records if record["kind"] != "damage_found"]

    def findings(self) -> Iterator[Finding]:
        """Yield the artifacts that are not what the journal says."""
        implied = {JOURNAL}
        try:
            for name, content in rebuild(self._records) if self._records else ():
                implied.add(name)
                yield from self._compare(name, document(content).encode())
            yield from self._strays(sorted(self._there - implied))
        except UNBUILT as error:
            told = f"its records contradict each other: {type(error).__name__}: {error}"
            yield Finding(JOURNAL, told)
        yield from self._states()

    def _compare(self, name: str, said: bytes) -> Iterator[Finding]:
        found = self._read(name)
        if found == said:
            return
        since = self._undone(name, found)
        if since is not None:
            what = "is missing, as" if found is None else "is as it was"
            told = f"{what} before {at(since)}: the process may have ended before it wrote it"
            resumed = f"{told}; --soak-resume does"
            yield Finding(name, resumed, note=self._unfinished, missing=found is None)
        elif found is None:
            told = "is missing; verify --repair makes it from the journal"
            yield Finding(name, told, missing=True)
        else:
            yield Finding(name, f"{difference(found, said)}; move it away, then verify --repair")

    def _undone(self, name: str, found: bytes | None) -> Mapping[str, Any] | None:
        """Return the record whose effect on the file is still to come, None where none is."""
        if not self._untold:
            return None
        if found == self._earlier.get(name):
            return self._effective[-1]
        if name == PROFILE:  # written when a run is taken up and when it ends, not in between
            total = RunSummary()
            for record in self._effective:
                if total.config and found == document(total.applied_profile()).encode():
                    return record
                total.take(record)
        return None

    @cached_property
    def _earlier(self) -> dict[str, bytes]:
        """What the artifacts were before the last record, where it may not have taken effect."""
        before = self._effective[:-1] if self._untold else ()
        built = rebuild(before) if before else ()
        return {name: document(content).encode() for name, content in built}

    def _strays(self, names: Iterable[str]) -> Iterator[Finding]:
        """Yield the files that look like a soak's and that no record speaks of."""
        for name in names:
            if name.endswith(DRAFT) and is_ours(name.removesuffix(DRAFT)):
                yield Finding(name, "was left by a process that ended while it wrote", note=True)
            elif name in self._earlier and self._read(name) == self._earlier[name]:
                told = f"is void since {at(self._effective[-1])}; --soak-resume takes it away"
                yield Finding(name, told, note=True)
            elif is_ours(name) and not STATES.fullmatch(name):
                yield Finding(name, "no record of the journal speaks of it")

    def _states(self) -> Iterator[Finding]:
        """Yield what is wrong with the states that the system asked to keep."""
        digests = {
            record["iteration"]: record["system_state"]
            for record in self._records
            if record["kind"] == "iteration"
        }
        last = max(digests, default=0)
        kept = {int(match[1]) for match in map(STATES.fullmatch, self._there) if match}
        wanted = {last} if last + 1 in kept else {last, last - 1}
        for number in sorted(kept | {number for number in wanted if digests.get(number)}):
            name = STATE.format(number)
            content = self._read(name)
            if number == last + 1:
                yield Finding(name, "is of an iteration that was not recorded", note=True)
            elif not digests.get(number):
                yield Finding(name, "no record of the journal speaks of it")
            elif content is None:
                yield Finding(name, "is missing; the journal has only its hash")
            elif hashlib.sha256(content).hexdigest() != digests[number]:
                where = f"the journal has of iteration {number}"
                yield Finding(name, f"is not the system's state whose hash {where}")


def difference(there: bytes, said: bytes) -> str:
    """Return where two files begin to differ, and what each of them has there."""
    mine, journal = there.split(b"\n"), said.split(b"\n")
    line = _common(mine, journal)
    if line == len(mine) or line == len(journal):
        more = "less" if line == len(mine) else "more"
        return f"has {more} than the journal says, from line {line + 1} on"
    column = _common(mine[line], journal[line])
    has, says = (
        text[line][column : column + AROUND].decode("utf-8", "backslashreplace")
        for text in (mine, journal)
    )
    return f"line {line + 1}, column {column + 1}: it has {has!r}, the journal says {says!r}"


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """Return how many entries two sequences have in common from the start."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
