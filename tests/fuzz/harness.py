"""Attacks with generated inputs, counts the outcomes, and records what must never happen."""

from __future__ import annotations

import re
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol

from pytest_soak.errors import MOST_LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRACEBACK = "traceback"
DAMAGED = "damaged file"
UNCLEAR = "unclear error"
BROKEN = "broken promise"
FINDINGS = (TRACEBACK, DAMAGED, UNCLEAR, BROKEN)

LONGEST = 2000
"""The largest readable length of an error, in characters."""
RAW = re.compile(
    r"Traceback|\b(?:Key|Type|Attribute|Index|Overflow|Assertion)Error\b|'NoneType' object"
    r"|has no attribute|is not subscriptable|unhashable type|not supported between| at 0x[0-9a-f]+"
)
"""Texts of Python for a bug in our code, as opposed to a mistake of the user."""


MEMORY = Path("/dev/shm")  # noqa: S108 - the files need not survive a power cut


class Finding(Exception):
    """Something that must never happen: one of `FINDINGS`, and what it was."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(f"{what}: {detail}")
        self.what = what


class Kind(Protocol):
    """One kind of hostile input, with the claim that its module's docstring makes."""

    name: str

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        """Try a few generated inputs in the empty folder *root*; yield one word per outcome.

        Raises:
            Finding: The claim does not hold. Anything else that is raised is a traceback.
        """


@dataclass
class Tally:
    """The outcomes of the inputs of one kind."""

    name: str
    ended: Counter[str] = field(default_factory=Counter)
    found: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        return self.ended.total()

    def count(self, what: str) -> int:
        return sum(found == what for _, found, _ in self.found)


def attack(
    kind: Kind, seed: int, inputs: int, first: int = 0, *, enough: int | None = None
) -> Tally:
    """Try at least *inputs* inputs of *kind*, from round *first* on, or until *enough* is found.

    Round number R of a kind depends on *seed*, the kind's name and R alone, so that a finding can
    be had again: ``--kind KIND --round R --inputs 1``.
    """
    tally = Tally(kind.name)
    began = time.monotonic()
    number = first
    while tally.inputs < inputs and (enough is None or len(tally.found) < enough):
        name = f"{seed}:{kind.name}:{number}"
        try:
            with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
                tally.ended.update(kind.attack(Random(name), Path(root)))
        except Finding as finding:
            tally.ended["FOUND"] += 1
            tally.found.append((name, finding.what, str(finding)))
        except Exception:  # noqa: BLE001 - any of them is what we look for
            tally.ended["FOUND"] += 1
            tally.found.append((name, TRACEBACK, traceback.format_exc(limit=-6)))
        number += 1
    tally.seconds = time.monotonic() - began
    return tally


def taught(message: str, *names: str) -> None:
    """Check that *message* teaches: readable, and with each of *names* in it.

    It is one line, or it gives the number of mistakes and a line for each.

    Raises:
        Finding: It does not.
    """
    problem = ""
    raw = RAW.search(message)
    head, *lines = message.split("\n")
    counted = re.search(r": \d+ mistakes$", head) and all(line.startswith("  ") for line in lines)
    missing = [name for name in names if name not in message]
    if not message.strip():
        problem = "it is empty"
    elif max(map(len, (head, *lines))) > LONGEST:
        problem = f"it is {len(message)} letters long"
    elif len(lines) > MOST_LINES + 1 or (lines and not counted):
        problem = "it has several lines"
    elif raw:
        problem = f"it says {raw.group()!r}"
    elif missing:
        problem = f"it does not name {', '.join(missing)}"
    if problem:
        raise Finding(UNCLEAR, f"{problem}: {message[:600]!r}")


def promised(*, kept: bool, promise: str) -> None:
    """Check that a promise was kept.

    Raises:
        Finding: It was not.
    """
    if not kept:
        raise Finding(BROKEN, promise)


def files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every regular file below *folder*, except for locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix != ".lock"
    }


def untouched(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
    """Check that no file has changed.

    Raises:
        Finding: One did, or is gone, or is new.
    """
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if changed:
        raise Finding(DAMAGED, ", ".join(changed))
