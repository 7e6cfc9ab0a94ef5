"""Baselines: the earlier runs that a chain's run is compared with, by `--soak-baseline`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.config.plan import LayeredSettings
from pytest_soak.config.request import SourcedValue
from pytest_soak.errors import SoakUsageError, file_fault
from pytest_soak.gates.baseline import FEWEST_RUNS
from pytest_soak.model.safe_repr import safe_repr, safe_text
from pytest_soak.store.anchors import read_anchor
from pytest_soak.store.cell import IDENTITY, family_id, run_age, session_of
from pytest_soak.store.files import StoreError
from pytest_soak.store.folder import JOURNAL
from pytest_soak.verify.earlier import (
    LAST_RUNS,
    NO_RUNS,
    RUN_NAMES,
    choose_run,
    gather,
    is_path,
    recorded_run,
    recorded_runs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.request import SoakRequest
    from pytest_soak.store.anchors import RunSums
    from pytest_soak.verify.earlier import RecordedRun

CRITERION = "baseline"
"""The criterion whose KPIs are compared with earlier runs."""
REQUIRED, NONE = "required", "none"
ALLOWED = f"{RUN_NAMES.replace(', or ', ', ')}, {REQUIRED}, or {NONE}"


def with_baseline(
    plan: ChainPlan, request: SoakRequest, marker: Mapping[str, SourcedValue]
) -> ChainPlan:
    """Return *plan* with what its run is compared with, if any of its KPIs asks for that.

    A resumed run stays compared with what was found when it began; nothing is looked for.

    Args:
        plan: The plan of a chain.
        request: What this pytest run was asked for.
        marker: The settings on the test's marker.

    Raises:
        SoakUsageError: The run that was named is unknown, of another family, or cannot be read; or
            a resumed run is compared with something else.
    """
    settings = LayeredSettings(request.options, marker, request.inis)
    wish = settings.get("baseline", SourcedValue("", ""))
    needs = {
        kpi.metric: criterion.describe().get(CRITERION) or {}
        for kpi in plan.pack.kpis
        for criterion in kpi.criteria
        if criterion.name == CRITERION
    }
    if not needs:
        if wish.value not in ("", NONE) and "baseline" in {**request.options, **marker}:
            msg = (
                f"{wish.source}: {safe_text(wish.value)} given, but no KPI of {plan.name} is "
                f"compared with earlier runs; allowed: {NONE}, or a KPI with the key {CRITERION}"
            )
            raise SoakUsageError(msg)
        return replace(plan, compared=None)
    if plan.resumed and plan.compared:
        _refuse_another(wish, plan.compared)
        return plan
    search = Search(request.folder, plan.describe(), needs, request.session)
    return replace(plan, compared=search.find(wish))


def _refuse_another(wish: SourcedValue, compared: Mapping[str, Any]) -> None:
    """Refuse a *wish* that a resumed run does not follow: it stays *compared* as it is."""
    began = REQUIRED if compared["required"] else compared["source"]
    if wish.value not in ("", began):
        msg = (
            f"{wish.source}: {safe_text(wish.value)} given, but a resumed run stays compared with "
            f"what was found when it began ({began}); allowed: nothing, or the same"
        )
        raise SoakUsageError(msg)


class Search:
    """Looks for the runs that a run with given settings is compared with."""

    def __init__(
        self,
        soak_dir: Path,
        config: Mapping[str, Any],
        needs: Mapping[str, Mapping[str, Any]],
        session: str = "",
    ) -> None:
        """Look in *soak_dir*.

        Args:
            soak_dir: The folder of the soaks.
            config: The settings of the run.
            needs: ``{metric: {"runs", "least"}}`` of the KPIs that are compared: with how many
                runs, and how many iterations each must have; both may be missing.
            session: The pytest run whose own runs do not count.
        """
        self._soak_dir = soak_dir
        self._config = config
        self._family = family_id(config)
        self._needs = needs
        self._session = session

    def find(self, wish: SourcedValue) -> dict[str, Any]:
        """Return what to compare with, as plain JSON for the journal.

        Args:
            wish: The value of `--soak-baseline`, and where it was given.

        Returns:
            ``source``: ``kept``, ``accepted``, or as it was given; ``required``; the ``metrics``
            that are compared; ``level``: the run whose values are the level, or None for the mean
            of the runs; ``runs``, the oldest first; ``why`` there is none; ``left_out``: runs
            that cannot be read.

        Raises:
            SoakUsageError: There is no such run, or it cannot be read.
        """
        text = str(wish.value)
        found: dict[str, Any] = {"source": "kept", "level": None, "runs": [], "left_out": []}
        why = NO_RUNS
        try:
            if text == NONE:
                found["source"], why = NONE, f"{wish.source}: {NONE}"
            elif text in ("", REQUIRED):
                found |= self._by_default()
            elif is_path(text):
                found |= {**self._at(Path(text).resolve(), wish.source), "source": text}
            else:
                found |= {**self._named(text, wish.source), "source": text}
        except (StoreError, OSError) as error:
            msg = f"{wish.source or 'the accepted baseline'}: {file_fault(error)}"
            raise SoakUsageError(msg) from None
        if found["level"]:
            why = "no other run tells how much runs differ"
        return {
            **found,
            "required": text == REQUIRED,
            "metrics": [*self._needs],
            "why": "" if found["runs"] else why,
        }

    def _by_default(self) -> dict[str, Any]:
        """Return the run that a person accepted, or else the last good ones."""
        anchor = read_anchor(self._soak_dir, self._family)
        if anchor is None:
            runs = self._family_in(self._soak_dir)
            kept, damaged = gather(runs, self._enough, self._needs)
            return {"runs": kept, "left_out": damaged}
        level, before = self._compared(anchor["accepted"]), map(self._compared, anchor["runs"])
        return {"source": "accepted", **self._with_spread(level, [*before], [])}

    def _named(self, given: str, source: str) -> dict[str, Any]:
        """Return the run called *given*."""
        everything = recorded_runs(self._soak_dir)
        runs = self._family_in(self._soak_dir)
        named = [one for one in everything if one.run.startswith(given)]
        if named and all(one.family != self._family for one in named):
            raise SoakUsageError(self._of_another_family(named[0], source))
        return self._around(choose_run(runs, given, source), source)

    def _at(self, path: Path, source: str) -> dict[str, Any]:
        """Return what is at *path*: a journal, the folder of a run, or a folder of soaks."""
        journal = path / JOURNAL if (path / JOURNAL).is_file() else path
        if journal.is_file():
            recorded = recorded_run(journal)
            if recorded is None:
                msg = f"{source}: {journal}: is no journal of a run; allowed: {ALLOWED}"
                raise SoakUsageError(msg)
            if recorded.family != self._family:
                raise SoakUsageError(self._of_another_family(recorded, source))
            return self._around(recorded, source)
        if not path.is_dir():
            msg = f"{source}: {path}: there is no such file or folder; allowed: {ALLOWED}"
            raise SoakUsageError(msg)
        kept, damaged = gather(self._family_in(path), self._enough, self._needs)
        if not kept:
            why = [f"{one['run']}: {one['why']}" for one in damaged]
            others = dict.fromkeys(str(one.config.get("chain")) for one in recorded_runs(path))
            told = safe_text("; ".join(why) or f"runs of {', '.join(others) or 'no test'}")
            name = self._config["chain"]
            msg = f"{source}: {path}: has no PASS or WARN of the family of {name}; it has {told}"
            raise SoakUsageError(msg)
        return {"runs": kept, "left_out": damaged}

    def _around(self, recorded: RecordedRun, source: str) -> dict[str, Any]:
        """Return *recorded* as the level, and the runs that tell how much runs differ."""
        if not recorded.verdict:
            msg = f"{source}: run {recorded.run} has no verdict; allowed: a run that has ended"
            raise SoakUsageError(msg)
        older = (
            one
            for one in self._family_in(self._soak_dir)
            if run_age(one.run) < run_age(recorded.run)
        )
        before, damaged = gather(older, self._enough, self._needs)
        return self._with_spread(recorded.sums(self._needs), before, damaged)

    def _with_spread(
        self, level: RunSums, before: list[RunSums], damaged: list[dict[str, str]]
    ) -> dict[str, Any]:
        """Return the run that is the *level*, and the runs that tell how much runs differ.

        Those *before* it, and if they are too few, those after it. Never both: they may differ in
        their level.
        """
        runs = before
        if not self._enough(before, FEWEST_RUNS):
            newer = (
                one
                for one in reversed(self._family_in(self._soak_dir))
                if run_age(one.run) > run_age(level["run"])
            )
            after, more = gather(newer, self._enough, self._needs)
            runs, damaged = after or before, [*damaged, *more]
        return {"level": level, "runs": runs, "left_out": damaged}

    def _family_in(self, soak_dir: Path) -> list[RecordedRun]:
        """Return the earlier runs of the family in *soak_dir*, the newest first."""
        return [
            one
            for one in recorded_runs(soak_dir)
            if one.family == self._family and session_of(one.run) != self._session
        ]

    def _enough(self, runs: Sequence[RunSums], fewest: int | None = None) -> bool:
        """Tell whether each KPI has the *fewest* runs; by default, as many as its table says."""
        return all(
            sum(
                metric in one["values"] and one["values"][metric]["n"] >= need.get("least", 1)
                for one in runs
            )
            >= (fewest or need.get("runs", LAST_RUNS))
            for metric, need in self._needs.items()
        )

    def _compared(self, sums: RunSums) -> RunSums:
        """Return *sums* with the metrics alone that are compared."""
        values = {name: sums["values"][name] for name in sums["values"] if name in self._needs}
        return {**sums, "values": values}

    def _of_another_family(self, other: RecordedRun, source: str) -> str:
        both = ((name, other.config.get(name), self._config.get(name)) for name in IDENTITY)
        settings = ", ".join(
            f"{name} is {safe_repr(theirs)}, not {safe_repr(ours)}"
            for name, theirs, ours in both
            if name != "seed" and theirs != ours
        )
        return f"{source}: run {other.run} is of another family: its {settings}"
