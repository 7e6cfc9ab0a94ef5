"""`pytest-soak verify`: is the journal whole, and is everything else what it says?"""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_soak.commands.places import chains, choose_chain, choose_run, runs
from pytest_soak.commands.records import iterations
from pytest_soak.errors import SoakUsageError
from pytest_soak.store.artifacts import rebuild
from pytest_soak.store.files import document, write_text
from pytest_soak.store.folder import JOURNAL, FolderBusy, hold, lock_path
from pytest_soak.store.journal import has_ended
from pytest_soak.verify.artifacts import FOLDERS, ArtifactCheck, is_ours
from pytest_soak.verify.changes import (
    check_decisions,
    check_settlements,
    check_states,
    replay,
)
from pytest_soak.verify.finding import Finding
from pytest_soak.verify.parsed_journal import HEAD, check_head, parse_journal
from pytest_soak.verify.verdicts import check_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from pytest_soak.commands.places import Place
    from pytest_soak.verify.parsed_journal import ParsedJournal

HELP = "check the journal and everything that was made from it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only this command takes."""
    parser.add_argument(
        "--repair", action="store_true", help="make the files that are missing from the journal"
    )
    parser.add_argument(
        "--head",
        metavar="HASH",
        type=_head,
        help=f"the journal's head as the soak printed it, {HEAD} hex digits or more",
    )
    parser.add_argument(
        "--all-runs",
        action="store_true",
        help="every run of the chain, and of every chain where --chain is not given",
    )


def _head(text: str) -> str:
    found = re.fullmatch(rf"([0-9a-f]{{{HEAD},64}})(…|\.\.\.)?", text.lower())
    if not found:
        msg = f"{text!r} given; allowed: {HEAD} to 64 hex digits"
        raise argparse.ArgumentTypeError(msg)
    return found[1]


def run(arguments: argparse.Namespace) -> tuple[int, list[str]]:
    """Verify; return 1 where something was found, and what to tell."""
    given = arguments.head or arguments.run
    if arguments.all_runs and given:
        msg = "--all-runs means every run, --run and --head one: give one of them"
        raise SoakUsageError(msg)
    if not arguments.all_runs:
        chain = choose_chain(arguments.soak_dir, arguments.chain)
        return _verify(choose_run(chain, arguments.run), arguments)
    folders = chains(arguments.soak_dir)
    if arguments.chain:
        folders = [choose_chain(arguments.soak_dir, arguments.chain)]
    done = [_verify(place, arguments) for folder in folders for place in runs(folder)]
    return max(code for code, _ in done), [text for _, lines in done for text in lines]


def examine(
    content: bytes | None,
    head: str,
    there: Sequence[str] | None,
    read: Callable[[str], bytes | None],
) -> tuple[list[Finding], ParsedJournal]:
    """Return everything that is to be found in one run, and its journal as it was read.

    Args:
        content: The journal; None where there is no file.
        head: The beginning of the hash that its last record must have; empty if none was given.
        there: The files beside it, as paths inside the folder; None not to look at them.
        read: Gives the content of one of them.
    """
    lines = parse_journal(content or b"")
    records = lines.records
    findings = [*lines.findings]
    if content is None:
        findings.append(Finding(JOURNAL, "is missing, so it is not known what the run did"))
    if lines.torn:
        heal = "the next --soak-resume or rollback cuts them off, and says so in the journal"
        told = f"ends with {lines.torn} bytes of an unfinished record; {heal}"
        findings.append(Finding(JOURNAL, told, note=there is None))
    if head:
        findings += check_head(lines, head)
    if not lines.sound:
        what = "the rest was not checked: it is measured by the journal"
        return [*findings, Finding(JOURNAL, what, note=True)], lines
    findings += _notes(records)
    steps = list(replay(records))
    findings += check_states(steps)
    findings += check_decisions(steps)
    findings += check_settlements(records)
    findings += check_verdicts(records)
    if there is None:
        what = "a soak is at work here: the files beside it were not compared"
        findings.append(Finding(JOURNAL, what, note=True))
    else:
        findings += ArtifactCheck(records, there, read).findings()
    return findings, lines


def _notes(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield what a reader should know of the run."""
    for record in records:
        if record["kind"] == "damage_found":
            told = f"after a crash {record['bytes']} bytes of an unfinished record were cut off"
        elif record["kind"] == "run_resumed":
            forced = f", by force though {'; '.join(record['differences'])}"
            told = f"the run was resumed{forced if record['differences'] else ''}"
        elif record["kind"] == "rolled_back":
            told = f"the overrides went back to those of iteration {record['to_iteration']}"
        else:
            continue
        where = f"{JOURNAL}, record {record['seq']} (iteration {record['iteration']})"
        yield Finding(where, told, note=True)
    if not has_ended(records):
        yield Finding(JOURNAL, "the run has no end yet; --soak-resume goes on with it", note=True)


def _verify(place: Place, arguments: argparse.Namespace) -> tuple[int, list[str]]:
    """Verify one run; to make files, hold the chain's folder meanwhile."""
    if not arguments.repair:
        return _look(place, arguments.head or "", busy=_is_busy(place))
    held = hold(place.chain)
    try:
        return _look(place, arguments.head or "", repair=True)
    finally:
        held.release()


def _is_busy(place: Place) -> bool:
    """Tell whether a soak may be writing what is to be looked at; leaves no trace."""
    if place.folder != place.chain or not lock_path(place.chain).exists():
        return False
    try:
        with suppress(PermissionError):  # then no soak can write there either
            hold(place.chain, patience=0).release()
    except FolderBusy:
        return True
    return False


def _look(
    place: Place, head: str, *, busy: bool = False, repair: bool = False
) -> tuple[int, list[str]]:
    """Look at one run; return 1 where something was found, and what to tell."""
    found = (path for inside in FOLDERS for path in (place.folder / inside).glob("*"))
    there = [path.relative_to(place.folder).as_posix() for path in found]

    def read(name: str) -> bytes | None:
        try:
            return (place.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    findings, lines = examine(read(JOURNAL), head, None if busy else there, read)
    if repair:
        findings = _repair(place.folder, findings, lines)
    notes = sum(finding.note for finding in findings)
    files = sum(map(is_ours, there))
    bad = len(findings) - notes
    closing = (
        f"{_count(bad, 'finding')}, {_count(notes, 'note')}; "
        f"{_count(len(lines.hashes), 'record')}, "
        f"{_count(len(iterations(lines.records)), 'iteration')}, {_count(files, 'file')}; "
        f"journal head {lines.head}"
    )
    return min(bad, 1), [place.title, *map(str, findings), closing]


def _repair(folder: Path, findings: list[Finding], lines: ParsedJournal) -> list[Finding]:
    """Make the files that are missing; return the findings that remain."""
    missing = {finding.where for finding in findings if finding.missing}
    for inside in FOLDERS:
        (folder / inside).mkdir(exist_ok=True)
    for name, content in rebuild(lines.records) if missing else ():
        if name in missing:
            write_text(str(folder / name), document(content))
    return [
        Finding(finding.where, "was missing, and was made from the journal", note=True)
        if finding.missing
        else finding
        for finding in findings
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
