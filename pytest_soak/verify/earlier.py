"""Earlier runs of a family: which there are, and what their metrics were. Reads journals alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SoakUsageError, file_fault, listed, unknown, what_raised
from pytest_soak.model.metrics import is_number
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.model.stretch import RunValues
from pytest_soak.store.anchors import RunSums, Summed
from pytest_soak.store.cell import family_id, run_age
from pytest_soak.store.files import StoreError, is_folder
from pytest_soak.store.folder import JOURNAL, RUNS, put_aside
from pytest_soak.store.journal import (
    RUN_ID,
    JournalError,
    ending_of,
    first_and_last,
    first_record,
    says_ended,
    stream_journal,
)
from pytest_soak.verify.artifacts import is_ours
from pytest_soak.verify.load import load_validated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

GOOD = ("PASS", "WARN")
"""The verdicts of runs that others are compared with unless one is named."""
MOST = 20
"""How many runs are read at most."""
LAST_RUNS = 5
"""How many runs are compared with, unless a KPI sets another number."""
LATEST, PREVIOUS, LAST_PASS = "latest", "previous", "last-pass"
WORDS = (LATEST, PREVIOUS, LAST_PASS)
"""What a run may be called beside its id."""
RUN_NAMES = f"a run's id or its beginning, {', '.join(WORDS)}, or a path with a {os.sep} in it"
NO_RUNS = "no baseline yet"
TELLING = ("pack", "profile", "system", "scenario", "mode")
"""The settings that tell families of one test apart for people."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run of which the first line was read.

    Args:
        run: Its id; the name of its folder, if the first line cannot be read.
        journal: The path of its journal.
        config: The settings that it was started with; empty if the first line does not begin a run.
        began: When that was, as ISO 8601 in UTC; empty if the first line does not say it.
    """

    run: str
    journal: Path
    config: Mapping[str, Any]
    began: str = ""

    @property
    def folder(self) -> Path:
        """The folder with its files: that of its cell, or one under ``runs``."""
        return self.journal.parent

    @property
    def chain(self) -> Path:
        """The folder of its cell, which has the lock."""
        aside = self.folder.parent.name == RUNS
        return self.folder.parent.parent if aside else self.folder

    @property
    def title(self) -> str:
        """The cell and the run, for people."""
        return f"{self.chain.name}, run {self.run}"

    @property
    def test(self) -> str:
        """The node id of its test; empty if the first line does not say it."""
        test = self.config.get("chain")
        return test if isinstance(test, str) else ""

    @property
    def family_name(self) -> str:
        """What its family is called for people."""
        settings = ", ".join(str(self.config.get(name)) for name in TELLING)
        return f"{self.test} ({settings})"

    @property
    def family(self) -> str:
        """The id of its family; empty if the first line does not begin a run."""
        return family_id(self.config) if self.config else ""

    @property
    def last(self) -> Mapping[str, Any]:
        """The last complete record of its journal.

        Raises:
            JournalError: The last line is no record.
        """
        ends = first_and_last(self.journal)
        if not ends:
            msg = f"{self.journal}: its last line is no record"
            raise JournalError(msg)
        return ends[1]

    @property
    def ending(self) -> Mapping[str, Any] | None:
        """The record of its verdict; None for a run that has not ended.

        Raises:
            JournalError: The journal is damaged.
            OSError: It cannot be read.
        """
        last = self.last
        if not says_ended(last):
            return None
        if last["kind"] == "run_ended":
            return last
        # a rollback after the end
        return ending_of(stream_journal(self.journal, healing=True)) or {}

    @property
    def verdict(self) -> str:
        """The verdict that its journal says; empty for a run that has not ended.

        Raises:
            JournalError: The journal is damaged.
            OSError: It cannot be read.
        """
        ending = self.ending
        return "" if ending is None else str(ending.get("verdict"))

    def sums(self, metrics: Collection[str] | None = None) -> RunSums:
        """Return what *metrics* of the run, which has ended, were; by default all.

        Raises:
            JournalError: The journal is damaged, or says what no run records.
            OSError: It cannot be read.
        """
        try:
            records = load_validated(self.journal, shape=False)
            ending = ending_of(records) or {}
            values = _values(records, _first_settled(ending), metrics)
            return RunSums(run=self.run, verdict=ending["verdict"], values=values)
        except (StoreError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - records of any shape
            msg = f"{self.journal}: is not what a run records: it {what_raised(error)}"
            raise JournalError(msg) from None


def recorded_run(journal: Path) -> RecordedRun | None:
    """Return the run of a *journal*, or None if its first line does not begin a run."""
    found = _read(journal, "")
    return found if found.config and RUN_ID.fullmatch(found.run) else None


def _read(journal: Path, default: str) -> RecordedRun:
    """Return the run of a *journal*, called *default* if its first line does not name it."""
    first = first_record(journal)
    run, config = first.get("run"), first.get("config")
    begins = first.get("kind") == "run_started" and isinstance(config, dict)
    return RecordedRun(
        run if isinstance(run, str) else default,
        journal,
        config if begins and config else {},
        str(first.get("time", "")),
    )


def runs_of(chain: Path) -> list[RecordedRun]:
    """Return the runs of a cell, damaged ones too: first the one in its folder, then by age.

    Args:
        chain: The folder of the cell. No link is followed.
    """
    aside = [_read(folder / JOURNAL, folder.name) for folder in put_aside(chain)]
    found = [_read(chain / JOURNAL, "unknown"), *newest_first(aside)]
    return [one for one in found if one.config or _has_files(one.folder)]


def newest_first(runs: Iterable[RecordedRun]) -> list[RecordedRun]:
    """Return *runs*, the newest first."""
    return sorted(runs, key=lambda one: run_age(one.run), reverse=True)


def _has_files(folder: Path) -> bool:
    return any(is_ours(path.name) for path in folder.glob("*"))


def cells_in(soak_dir: Path) -> dict[Path, list[RecordedRun]]:
    """Return ``{folder: its runs}`` of all cells in *soak_dir*, by name. Follows no link."""
    found = {chain: runs_of(chain) for chain in sorted(filter(is_folder, soak_dir.glob("*")))}
    return {chain: runs for chain, runs in found.items() if runs}


def recorded_runs(soak_dir: Path) -> list[RecordedRun]:
    """Return all runs in *soak_dir*, also those put aside, the newest first. Follows no link."""
    found: dict[str, RecordedRun] = {}
    for runs in cells_in(soak_dir).values():
        for one in runs:
            if one.config and RUN_ID.fullmatch(one.run):
                found.setdefault(one.run, one)
    return newest_first(found.values())


def is_path(given: str) -> bool:
    """Tell whether *given* names a run by its path."""
    return any(separator in given for separator in (os.sep, os.altsep) if separator)


def run_at(given: str, source: str) -> RecordedRun:
    """Return the run at a path: its journal, or the folder with it.

    Args:
        given: The path.
        source: Where it was given.

    Raises:
        SoakUsageError: There is no journal.
    """
    path = Path(given)
    journal = path / JOURNAL if path.is_dir() else path
    if not journal.is_file():
        msg = f"{source}: {safe_repr(given)}: there is no journal; allowed: {RUN_NAMES}"
        raise SoakUsageError(msg)
    return _read(journal.resolve(), "unknown")


def gather(
    runs: Iterable[RecordedRun],
    enough: Callable[[list[RunSums]], bool],
    metrics: Collection[str] | None = None,
) -> tuple[list[RunSums], list[dict[str, str]]]:
    """Read the *runs* that are PASS or WARN, until there are enough.

    Args:
        runs: The runs, in the order in which they are wanted.
        enough: Tells whether these are enough.
        metrics: Their metrics; by default all.

    Returns:
        The runs, the oldest first; and those that are damaged, ``{"run", "why"}``.
    """
    found: list[RunSums] = []
    damaged: list[dict[str, str]] = []
    for one in runs:
        if enough(found) or len(found) + len(damaged) >= MOST:
            break
        try:
            found += [one.sums(metrics)] if one.verdict in GOOD else []
        except (StoreError, OSError) as error:
            damaged.append({"run": one.run, "why": file_fault(error)})
    return sorted(found, key=lambda sums: run_age(sums["run"])), damaged


def choose_run(
    runs: Sequence[RecordedRun], given: str, source: str, *, ended: bool = True
) -> RecordedRun:
    """Return the one of *runs* that is called *given*.

    Args:
        runs: The runs, the newest first.
        given: An id, its unique beginning, or one of `WORDS`.
        source: Where it was given.
        ended: Whether the words pass over runs without a verdict; `LAST_PASS` does in any case.

    Raises:
        SoakUsageError: There is none, or there are several.
    """
    if given in WORDS:
        able = (one for one in runs if not ended or one.verdict)
        if given == LAST_PASS:
            able = (one for one in runs if one.verdict in GOOD)
        skipped = int(given == PREVIOUS)
        found = [*islice(able, skipped, skipped + 1)]
    else:
        found = [one for one in runs if one.run == given][:1]
        found = found or [one for one in runs if one.run.startswith(given)]
    names = [*dict.fromkeys(one.run for one in (found or runs))]
    if not found:
        raise SoakUsageError(unknown("run", given, source, names))
    if len(names) > 1:
        msg = f"{source}: {safe_repr(given)} matches several runs: {listed(names)}"
        raise SoakUsageError(msg)
    return found[0]


def _first_settled(ending: Mapping[str, Any]) -> int:
    """Return the first iteration that the verdict in *ending* is taken on.

    In version 0.1.0, that was the first of the observation window.
    """
    stretch = ending.get("stretch") or {}
    first: int = stretch.get("first") or ending["window"][0]
    return first


def _values(
    records: Iterable[Mapping[str, Any]], first: int, metrics: Collection[str] | None
) -> dict[str, Summed]:
    """Return what *metrics* were in the usable iterations from the *first* on, see `Stretch`."""
    iterations = []
    not_passed: set[int] = set()
    for record in records:
        not_passed.update(record.get("not_passed", ()))
        iterations += [record] if record["kind"] == "iteration" else []
    values: dict[str, list[float]] = {}
    for one in iterations:
        summary, judgements = one["summary"], one["judgements"]
        if one["iteration"] < first or summary["problems"] or one["iteration"] in not_passed:
            continue
        unclear = {word["metric"] for word in judgements if word["verdict"] == "INCONCLUSIVE"}
        for metric in summary["metrics"].keys() - unclear if metrics is None else metrics:
            value = summary["metrics"].get(metric)
            if is_number(value) and metric not in unclear:
                values.setdefault(metric, []).append(value)
    return {metric: _summed(RunValues.of("", given)) for metric, given in sorted(values.items())}


def _summed(values: RunValues) -> Summed:
    return Summed(n=values.n, mean=values.mean, sigma=values.sigma)
