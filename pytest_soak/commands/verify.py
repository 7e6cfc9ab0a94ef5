"""`pytest-soak verify`: check the journal, and compare all other files with it."""

from __future__ import annotations

import argparse
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_soak.commands.records import iterations
from pytest_soak.commands.selection import add_selection, matching_cells, selected_run
from pytest_soak.errors import SoakUsageError, why_unreadable
from pytest_soak.store.artifacts import rebuild
from pytest_soak.store.files import (
    document,
    is_folder,
    make_folder,
    read_bytes,
    refuse_other,
    write_text,
)
from pytest_soak.store.folder import JOURNAL, FolderBusy, lock_folder, lock_path
from pytest_soak.store.journal import MAX_JOURNAL, MAX_RECORD, has_ended
from pytest_soak.verify.artifacts import FOLDERS, ArtifactCheck, is_ours
from pytest_soak.verify.changes import (
    check_decisions,
    check_settlements,
    check_states,
    iter_steps,
)
from pytest_soak.verify.finding import Finding
from pytest_soak.verify.parsed_journal import HEAD, check_head, parse_journal
from pytest_soak.verify.verdicts import check_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from pytest_soak.verify.earlier import RecordedRun
    from pytest_soak.verify.parsed_journal import ParsedJournal

HELP = "check the journal of a run, and every file that was made from it"
EXAMPLE = "--all-runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_selection(parser)
    parser.add_argument(
        "--repair", action="store_true", help="rebuild missing files from the journal"
    )
    parser.add_argument(
        "--head",
        metavar="HASH",
        type=_head,
        help=f"the hash that the last record must have, as the soak printed it; "
        f"{HEAD} hex digits or more",
    )
    parser.add_argument(
        "--all-runs",
        action="store_true",
        help="check every run of the chain, or of all chains without --chain",
    )


def _head(text: str) -> str:
    found = re.fullmatch(rf"([0-9a-f]{{{HEAD},64}})(…|\.\.\.)?", text.lower())
    if not found:
        msg = f"{text!r} given; allowed: {HEAD} to 64 hex digits"
        raise argparse.ArgumentTypeError(msg)
    return found[1]


def run(arguments: argparse.Namespace) -> tuple[int, list[str]]:
    """Verify; return 1 if there are findings, and the lines to print."""
    given = arguments.head or arguments.run
    if arguments.all_runs and given:
        msg = "--all-runs: given with --run or --head, which select one run; allowed: one of them"
        raise SoakUsageError(msg)
    if not arguments.all_runs:
        return _verify(selected_run(arguments), arguments)
    cells = matching_cells(arguments.soak_dir, arguments.chain)
    results = [_verify(run, arguments) for runs in cells.values() for run in runs]
    return max(code for code, _ in results), [text for _, lines in results for text in lines]


def examine(
    content: bytes | None,
    head: str,
    files: Sequence[str] | None,
    read: Callable[[str], bytes | None],
) -> tuple[list[Finding], ParsedJournal]:
    """Return all findings of one run, and its parsed journal.

    Args:
        content: The journal; None if there is no file.
        head: The beginning of the hash that its last record must have; empty to accept any.
        files: The other files, as paths inside the folder; None to leave them unchecked.
        read: Returns the content of one of them.
    """
    journal = parse_journal(content or b"")
    records = journal.records
    findings = [*journal.findings]
    if content is None:
        findings.append(Finding(JOURNAL, "is missing, so the files cannot be checked"))
    if journal.torn:
        repair = "the next --soak-resume or rollback removes them, and records that"
        what = f"ends with {journal.torn} bytes of an incomplete record; {repair}"
        findings.append(Finding(JOURNAL, what, note=files is None))
    if head:
        findings += check_head(journal, head)
    if not journal.sound:
        what = "damaged, so everything else was left unchecked"
        return [*findings, Finding(JOURNAL, what, note=True)], journal
    findings += _notes(records)
    steps = list(iter_steps(records))
    findings += check_states(steps)
    findings += check_decisions(steps)
    findings += check_settlements(steps)
    findings += check_verdicts(records)
    if files is None:
        what = "a soak is running in this folder: the other files were left unchecked"
        findings.append(Finding(JOURNAL, what, note=True))
    else:
        findings += ArtifactCheck(records, files, read).findings()
    return findings, journal


def _notes(records: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield notes on what happened in the run."""
    for record in records:
        if record["kind"] == "damage_found":
            what = f"after a crash {record['bytes']} bytes of an incomplete record were removed"
        elif record["kind"] == "run_resumed":
            forced = f" with other settings (forced): {'; '.join(record['differences'])}"
            what = f"the run was resumed{forced if record['differences'] else ''}"
        elif record["kind"] == "rolled_back":
            what = (
                f"the overrides were rolled back to those after iteration {record['to_iteration']}"
            )
        else:
            continue
        where = f"{JOURNAL}, record {record['seq']} (iteration {record['iteration']})"
        yield Finding(where, what, note=True)
    if not has_ended(records):
        yield Finding(JOURNAL, "the run has not ended; --soak-resume continues it", note=True)


def _verify(run: RecordedRun, arguments: argparse.Namespace) -> tuple[int, list[str]]:
    """Verify one run; lock the chain's folder if files are to be rebuilt."""
    if not arguments.repair:
        return _check(run, arguments.head or "", busy=_is_busy(run))
    held = lock_folder(run.chain)
    try:
        return _check(run, arguments.head or "", repair=True)
    finally:
        held.release()


def _is_busy(run: RecordedRun) -> bool:
    """Return whether a soak may be writing these files. Creates no lock file."""
    if run.folder != run.chain or not lock_path(run.chain).exists():
        return False
    try:
        with suppress(PermissionError):  # then no soak can write there either
            lock_folder(run.chain, timeout=0).release()
    except FolderBusy:
        return True
    return False


def _check(
    run: RecordedRun, head: str, *, busy: bool = False, repair: bool = False
) -> tuple[int, list[str]]:
    """Check one run; return 1 if there are findings, and the lines to print."""
    folders = filter(is_folder, (run.folder / inside for inside in FOLDERS))
    found = (path for folder in folders for path in folder.glob("*"))
    files = [path.relative_to(run.folder).as_posix() for path in found]

    def read(name: str) -> bytes | None:
        path = run.folder / name
        refuse_other(path.parent, stat.S_IFDIR)
        try:
            return read_bytes(path, MAX_JOURNAL if name == JOURNAL else most)
        except FileNotFoundError:
            return None

    try:
        content = read(JOURNAL)
    except OSError as error:
        return 1, [run.title, str(Finding(JOURNAL, why_unreadable(error)))]
    most = MAX_RECORD + len(content or b"")  # what is made from a journal is not larger
    findings, journal = examine(content, head, None if busy else files, read)
    if repair:
        findings = _repair(run.folder, findings, journal)
    notes = sum(finding.note for finding in findings)
    bad = len(findings) - notes
    closing = (
        f"{_count(bad, 'finding')}, {_count(notes, 'note')}; "
        f"{_count(len(journal.hashes), 'record')}, "
        f"{_count(len(iterations(journal.records)), 'iteration')}, "
        f"{_count(sum(map(is_ours, files)), 'file')}; "
        f"journal head {journal.head}"
    )
    return min(bad, 1), [run.title, *map(str, findings), closing]


def _repair(folder: Path, findings: list[Finding], journal: ParsedJournal) -> list[Finding]:
    """Rebuild missing files; return the findings, with a note for each rebuilt file."""
    missing = {finding.where for finding in findings if finding.missing}
    for inside in FOLDERS:
        make_folder(folder / inside)
    for name, content in rebuild(journal.records) if missing else ():
        if name in missing:
            write_text(str(folder / name), document(content))
    return [
        Finding(finding.where, "was missing, and was rebuilt from the journal", note=True)
        if finding.missing
        else finding
        for finding in findings
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
