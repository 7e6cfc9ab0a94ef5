"""Earlier runs of a family: which there are, and what their metrics were. Reads journals alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SoakUsageError, file_fault, unknown, what_raised
from pytest_soak.model.metrics import is_number
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.model.stretch import RunValues
from pytest_soak.store.anchors import RunSums, Summed
from pytest_soak.store.cell import family_id, run_age
from pytest_soak.store.files import StoreError, is_folder
from pytest_soak.store.folder import JOURNAL, put_aside
from pytest_soak.store.journal import (
    RUN_ID,
    JournalError,
    ending_of,
    first_and_last,
    first_record,
    says_ended,
    stream_journal,
)
from pytest_soak.verify.load import load_validated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

GOOD = ("PASS", "WARN")
"""The verdicts of runs that others are compared with unless one is named."""
MOST = 20
"""How many runs are read at most."""
RUNS = 5
"""How many runs are compared with, unless a KPI sets another number."""
LATEST, PREVIOUS, LAST_PASS = "latest", "previous", "last-pass"
WORDS = (LATEST, PREVIOUS, LAST_PASS)
"""What a run may be called beside its id."""
NO_RUNS = "no baseline yet"
LISTED = 20
"""How many runs an error lists."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run of which the first line was read.

    Args:
        run: Its id.
        journal: The path of its journal.
        config: The settings that it was started with.
    """

    run: str
    journal: Path
    config: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The id of its family."""
        return family_id(self.config)

    @property
    def verdict(self) -> str:
        """The verdict that its journal says; empty for a run that has not ended.

        Raises:
            JournalError: The journal is damaged.
            OSError: It cannot be read.
        """
        _, last = first_and_last(self.journal) or ({}, {})
        if not last:
            msg = f"{self.journal}: its last line is no record"
            raise JournalError(msg)
        if not says_ended(last):
            return ""
        if last["kind"] != "run_ended":  # a rollback after the end
            last = dict(ending_of(stream_journal(self.journal, healing=True)) or {})
        return str(last.get("verdict"))

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
    first = first_record(journal)
    run, config = str(first.get("run")), first.get("config")
    if first.get("kind") == "run_started" and isinstance(config, dict) and RUN_ID.fullmatch(run):
        return RecordedRun(run, journal, config)
    return None


def recorded_runs(soak_dir: Path) -> list[RecordedRun]:
    """Return all runs in *soak_dir*, also those put aside, the newest first. Follows no link."""
    found: dict[str, RecordedRun] = {}
    for chain in sorted(filter(is_folder, soak_dir.glob("*"))):
        for folder in (chain, *put_aside(chain)):
            recorded = recorded_run(folder / JOURNAL)
            if recorded:
                found.setdefault(recorded.run, recorded)
    return sorted(found.values(), key=lambda one: run_age(one.run), reverse=True)


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


def choose_run(runs: Sequence[RecordedRun], given: str, source: str) -> RecordedRun:
    """Return the one of *runs* that is called *given*.

    Args:
        runs: The runs, the newest first.
        given: An id, its unique beginning, or one of `WORDS`, which know runs with a verdict only.
        source: Where it was given.

    Raises:
        SoakUsageError: There is none, or there are several.
    """
    if given in WORDS:
        ended = (one for one in runs if one.verdict and (given != LAST_PASS or one.verdict in GOOD))
        skipped = int(given == PREVIOUS)
        found = [*islice(ended, skipped, skipped + 1)]
    else:
        found = [one for one in runs if one.run == given]
        found = found or [one for one in runs if one.run.startswith(given)]
    names = [one.run for one in (found or runs)]
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    if len(found) > 1:
        several = ", ".join(names[:LISTED] + more)
        msg = f"{source}: {safe_repr(given)} matches several runs: {several}"
        raise SoakUsageError(msg)
    if not found:
        raise SoakUsageError(unknown("run", given, source, names[:LISTED] + more))
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
