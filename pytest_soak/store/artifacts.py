"""The artifacts as projections of the journal: each is computed from the records alone.

So a lost artifact can be rebuilt, and a manual change is detected. `TABLE` lists all artifacts;
writing, rebuilding, restoring, `verify` and the schemas use it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_soak.model.effect import effect
from pytest_soak.model.noise import measure_noise
from pytest_soak.model.parameters import overlay
from pytest_soak.model.patch import apply
from pytest_soak.model.verdict import Verdict
from pytest_soak.store import legacy
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import ending_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

REPORT = "EDGE_REPORT_{}.json"
OVERRIDES = "runtime_overrides.json"
PROFILE = "applied_profile.json"
TUNING = "TUNING_REPORT.json"
GATE = "KPI_GATE.json"
STATE = "system_state_{}.json"
MANUAL_OVERRIDE = "manual_override"
"""The reason of an adjustment that was given at the start, by a person or CI."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One iteration, with all that its artifacts are made from.

    Args:
        record: Its record.
        before: The overrides in force while it ran.
        verified: Whether the next report confirmed its changes: true, false, unknown. None until
            that report exists, and if nothing was applied. Comes from ``settles`` of the next
            record.
    """

    record: Mapping[str, Any]
    before: Mapping[str, float] = field(default_factory=dict)
    verified: str | None = None

    def settled_by(self, following: Mapping[str, Any]) -> Recorded:
        """Return a copy whose ``verified`` comes from the record of the *following* iteration."""
        settles = following["settles"]
        return replace(self, verified=settles["verified"] if settles else None)


def _report(recorded: Recorded) -> Content | None:
    report = recorded.record["report"]
    return report if isinstance(report, dict) else None


def _backup(recorded: Recorded) -> Content | None:
    return recorded.before if recorded.record["patch"] else None


def _summary(recorded: Recorded) -> Content:
    record = recorded.record
    summary, decision = record["summary"], record["decision"]
    requests, changes = decision["requests"], decision["changes"]
    return {
        "iteration": record["iteration"],
        "summary": {
            "metrics": summary["metrics"],
            "n": summary["n"],
            "parameters": summary["parameters"],
            "doubts": summary["doubts"],
            "verdict": summary["verdict"],
            "problems": legacy.problems_as_written(record, summary["problems"]),
            "observation_window": summary["in_window"],
            "restarted": summary["restarted"],
            "kpis": {judged["metric"]: judged["verdict"] for judged in record["judgements"]},
        },
        "tuning": {
            "deltas": {
                **{request["parameter"]: request["delta"] for request in requests},
                **{change["parameter"]: change["requested"] for change in changes},
            },
            "effective": {change["parameter"]: change["effective"] for change in changes},
            "applied": record["applied"],
            "verified": recorded.verified,
            "reasons": list(dict.fromkeys(request["reason"] for request in requests)),
            "skip_reason": decision["skip_reason"],
            "vetoes": [
                {key: veto[key] for key in ("guard", "reason", "parameter")}
                for veto in decision["vetoes"]
            ],
            "notes": {c["parameter"]: c["note"] for c in changes if c["note"]},
            "notices": legacy.notices_as_written(record),
            "rollback": _rollback(decision),
        },
    }


def _rollback(decision: Mapping[str, Any]) -> dict[str, Any] | None:
    rollback = decision["rollback"]
    return rollback and {key: rollback[key] for key in ("guard", "to_iteration", "detail")}


def moves(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the changes of an iteration that move a value, applied or not, rollbacks included."""
    rollback = record["decision"]["rollback"]
    if rollback:
        before = record["summary"]["parameters"]
        reason = f"{rollback['guard']} to iteration {rollback['to_iteration']}"
        return [
            {"parameter": name, "old": before[name], "new": value, "reason": reason}
            for name, value in sorted(rollback["parameters"].items())
            if before[name] != value
        ]
    return [change for change in record["decision"]["changes"] if change["effective"]]


Key = tuple[tuple[str, float], ...]
"""The parameters of an iteration, as a key of a dict."""


def _numbers(measured: Iterable[Mapping[str, Any]], metric: str) -> list[float]:
    return [values[metric] for values in measured if values[metric] is not None]


class RunSummary:
    """The summary of a run, updated record by record, so that a long journal can be streamed."""

    def __init__(self) -> None:
        """Create the summary of a run without records."""
        self.config: dict[str, Any] = {}
        self.run = ""
        self.overrides: dict[str, float] = {}
        self.ended: Mapping[str, Any] | None = None
        """The record of the run's end."""
        self._adjusted: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        """One row for each iteration."""
        self._skips: Counter[str] = Counter()
        self._notices: Counter[str] = Counter()
        self._stopped: dict[str, Counter[str]] = {}
        self._window: set[int] = set()
        self._ran: list[tuple[int, Key, Mapping[str, Any]]] = []
        self._applied: list[tuple[int, Key, list[dict[str, Any]], bool]] = []
        self._kpis: dict[str, list[dict[str, Any]]] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """Add the next record of the journal."""
        if record["kind"] == "run_started":
            self._start(record)
        elif record["kind"] == "iteration":
            self._iterate(record)
        elif record["kind"] == "run_resumed":
            self.config = record["config"]
        elif record["kind"] == "rolled_back":
            self._roll_back(record)
        self.ended = ending_after(self.ended, record)
        if record.get("patch"):
            self.overrides = apply(self.overrides, record["patch"])

    def _start(self, record: Mapping[str, Any]) -> None:
        self.config, self.run = record["config"], record["run"]
        self.overrides = dict(record["overrides"])
        for name, value in sorted(record["overrides"].items()):
            self._adjust(record, name, self.config["base"][name], value, MANUAL_OVERRIDE)

    def _roll_back(self, record: Mapping[str, Any]) -> None:
        after = apply(self.overrides, record["patch"])
        base = {**after, **self.overrides, **self.config["base"]}  # a resume may bring another base
        for name in sorted({*self.overrides, *after}):
            old, new = self.overrides.get(name, base[name]), after.get(name, base[name])
            if old != new:
                self._adjust(record, name, old, new, f"rollback_to_iter_{record['to_iteration']}")

    def _iterate(self, record: Mapping[str, Any]) -> None:
        moved = moves(record)
        for change in moved if record["applied"] else ():
            self._adjust(
                record, change["parameter"], change["old"], change["new"], change["reason"]
            )
        self._count(record["decision"])
        if record["settles"]:
            self.rows[-1]["verified"] = record["settles"]["verified"]
        self.rows.append(
            {
                "iteration": record["iteration"],
                "verdict": record["summary"]["verdict"],
                "metrics": record["summary"]["metrics"],
                "applied": record["applied"],
                "verified": None,
                "skip_reason": record["decision"]["skip_reason"],
                "moves": [
                    {
                        "field": c["parameter"],
                        "from": c["old"],
                        "to": c["new"],
                        "reason": c["reason"],
                    }
                    for c in moved
                ],
            }
        )
        self._measure(record, moved)
        if record["summary"]["in_window"]:
            self._window.add(record["iteration"])
            for judged in record["judgements"]:
                values = {key: judged[key] for key in ("value", "n", "verdict", "rule")}
                entry = {"iteration": record["iteration"], **values}
                self._kpis.setdefault(judged["metric"], []).append(entry)

    def _measure(self, record: Mapping[str, Any], moved: list[dict[str, Any]]) -> None:
        """Keep what `effectiveness` needs of an iteration: parameters, KPIs and changes."""
        summary = record["summary"]
        key = tuple(sorted(summary["parameters"].items()))
        if not summary["problems"]:
            kpis = {name: summary["metrics"].get(name) for name in self.config["kpis"]}
            self._ran.append((record["iteration"], key, kpis))
        if record["applied"]:
            after = {**summary["parameters"], **{c["parameter"]: c["new"] for c in moved}}
            back = record["decision"]["rollback"] is not None
            fields = [{"field": c["parameter"], "from": c["old"], "to": c["new"]} for c in moved]
            self._applied.append((record["iteration"], tuple(sorted(after.items())), fields, back))

    def effectiveness(self) -> list[dict[str, Any]]:
        """Return for each apply how every KPI changed.

        Compares the mean of earlier iterations with the parameters before the apply to the mean of
        later iterations with the parameters after it, up to the next apply. The noise comes from
        the configuration, or else is measured from the run.
        """
        by_key: dict[Key, list[tuple[int, Mapping[str, Any]]]] = {}
        keys = {}
        for iteration, key, kpis in self._ran:
            by_key.setdefault(key, []).append((iteration, kpis))
            keys[iteration] = key
        numbers = [iteration for iteration, *_ in self._applied]
        ends = (*numbers[1:], math.inf)[: len(numbers)]
        noises = {metric: self._noise(metric) for metric in self.config["kpis"]}
        rows = []
        for (iteration, after, fields, back), end in zip(self._applied, ends, strict=True):
            before = by_key.get(keys.get(iteration, ()), ())
            earlier = [kpis for number, kpis in before if number <= iteration]
            later = [kpis for number, kpis in by_key.get(after, ()) if iteration < number <= end]
            effects = {
                metric: asdict(effect(_numbers(earlier, metric), _numbers(later, metric), noise))
                for metric, noise in noises.items()
            }
            row = {"iteration": iteration, "moves": fields, "rollback": back, "kpis": effects}
            rows.append(row)
        return rows

    def _noise(self, metric: str) -> float | None:
        known = self.config.get("noise", {}).get(metric)
        if known is not None:
            return float(known)
        samples = ((key, kpis[metric]) for _, key, kpis in self._ran if kpis[metric] is not None)
        noise = measure_noise(samples)
        return None if noise is None else noise.safe

    def _count(self, decision: Mapping[str, Any]) -> None:
        """Count vetoes and notices, and for each parameter what stopped or reduced its steps."""
        stops = [(veto["parameter"], veto["reason"]) for veto in decision["vetoes"]]
        self._skips.update(reason for _, reason in stops)
        notices = decision["notices"]
        self._notices.update(notice["reason"] for notice in notices)
        stops += [(c["parameter"], c["note"]) for c in decision["changes"] if c["note"]]
        stops += [(notice["parameter"], notice["reason"]) for notice in notices if notice["cut"]]
        for parameter, reason in stops:
            if parameter:
                self._stopped.setdefault(parameter, Counter())[reason] += 1

    def _adjust(
        self, record: Mapping[str, Any], field: str, old: float, new: float, reason: str
    ) -> None:
        self._adjusted.append(
            {
                "ts": record["time"],
                "iteration": record["iteration"],
                "field": field,
                "from": old,
                "to": new,
                "reason": reason,
            }
        )

    def applied_profile(self) -> dict[str, Any]:
        """Return ``applied_profile.json``: the base, the adjustments with reasons, the result."""
        return {
            "profile": self.config["profile"],
            "base": self.config["base"],
            "overrides_runtime": self.overrides,
            "runtime_adjustments": self._adjusted,
            "applied": overlay(self.config["base"], self.overrides),
        }

    def progress(self) -> dict[str, Any] | None:
        """Return the progress of the objective: first value, mean in the window, change.

        ``beyond_noise``: whether the change is more than two sigma of the difference between one
        iteration and the mean of the window, sigma * sqrt(1 + 1 / n); None without a known noise.
        """
        objective = self.config["objective"]
        if objective is None:
            return None
        values = [
            (row["metrics"].get(objective["metric"]), row["iteration"] in self._window)
            for row in self.rows
        ]
        first = values[0][0] if values else None
        last = [value for value, in_window in values if in_window and value is not None]
        if first is None or not last:
            return {**objective, "first": first, "last": None, "change": None, "beyond_noise": None}
        mean = sum(last) / len(last)
        sigma = objective["noise"]
        beyond = None
        if sigma is not None:
            beyond = abs(mean - first) > 2 * sigma * (1 + 1 / len(last)) ** 0.5
        change = {"first": first, "last": mean, "change": mean - first, "beyond_noise": beyond}
        return {**objective, **change}

    def tuning_report(self) -> dict[str, Any] | None:
        """Return ``TUNING_REPORT.json``: a row for each iteration, and counts of skip reasons."""
        if self.ended is None:
            return None
        return {
            **self.config,
            "run": self.run,
            "objective": self.progress(),
            "verdict": self.ended["verdict"],
            "skip_reasons": dict(self._skips),
            "notices": dict(self._notices),
            "effectiveness": self.effectiveness(),
            "stopped": {name: dict(counts) for name, counts in self._stopped.items()},
            "rows": self.rows,
        }

    def kpi_gate(self) -> dict[str, Any] | None:
        """Return ``KPI_GATE.json``: the verdict, and limits and values in the window.

        An hours run may stop applying early. Then only the last of the iterations without applies
        are the window of the verdict.
        """
        verdict = self.ended
        if verdict is None:
            return None
        judged_on = set(verdict["window"])
        kpis = {
            metric: judged
            for metric, values in self._kpis.items()
            if (judged := [value for value in values if value["iteration"] in judged_on])
        }
        return {
            **{key: verdict[key] for key in legacy.keys_of(verdict, VERDICT_KEYS)},
            "problems": legacy.problems_as_written(verdict, verdict["problems"]),
            "thresholds": self.config["kpis"],
            "verdicts": {
                metric: max(
                    (*(value["verdict"] for value in values), *_words(verdict, metric)),
                    key=ORDER.index,
                )
                for metric, values in kpis.items()
            },
            "kpis": kpis,
        }


def _words(ending: Mapping[str, Any], metric: str) -> list[str]:
    """Return the verdicts of the criteria that judged *metric* over the run."""
    judged = [one["verdict"] for one in ending["criteria"] if one["metric"] == metric]
    return list(filter(None, judged))


ORDER = tuple(word.name for word in Verdict)
VERDICT_KEYS = ("verdict", "reasons", "unverified", "window", "stretch", "criteria", "counts")


Content: TypeAlias = "Mapping[str, Any]"
"""The content of an artifact."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A kind of file in a run's folder.

    Args:
        name: Its path in that folder; ``{}`` stands for the number of an iteration.
        schema: Its JSON schema, ``<schema>.schema.json``; for the journal that of a line.
        of_iteration: Makes it from one iteration; returns None if that iteration has none.
        of_run: Makes it from the whole run; returns None if it is not due yet.
        acts: Whether it is written when parameters change, by `ChainStore._change`. The others are
            written after each iteration, or when the run is summarized.
        settles: Whether it contains ``verified``, and so is written again after the next report.
    """

    name: str
    schema: str
    of_iteration: Callable[[Recorded], Content | None] | None = None
    of_run: Callable[[RunSummary], Content | None] | None = None
    acts: bool = False
    settles: bool = False


TABLE = (
    Artifact(REPORT, "edge_report", of_iteration=_report),
    Artifact("ITER_SUMMARY_{}.json", "iter_summary", of_iteration=_summary, settles=True),
    Artifact(
        "backups/runtime_overrides_backup_{}.json",
        "runtime_overrides",
        of_iteration=_backup,
        acts=True,
    ),
    Artifact(
        OVERRIDES,
        "runtime_overrides",
        of_run=lambda total: total.overrides,
        acts=True,
    ),
    Artifact(PROFILE, "applied_profile", of_run=RunSummary.applied_profile),
    Artifact(TUNING, "tuning_report", of_run=RunSummary.tuning_report),
    Artifact(GATE, "kpi_gate", of_run=RunSummary.kpi_gate),
    Artifact(STATE, "system_state"),
    Artifact(JOURNAL, "journal_record"),
)
"""All artifacts. The journal, and the state of which it has the hash, are not made from it."""


def report_name(iteration: int | str) -> str:
    """Return the file name of an iteration's report; ``*`` for the pattern of all of them."""
    return REPORT.format(iteration)


def named(name: str) -> Artifact | None:
    """Return the artifact whose file is called *name*, a path in a run's folder, or None."""
    return next((one for one in TABLE if pattern(one.name).fullmatch(name)), None)


@cache
def pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of the file names of the artifact *name*; its group is the iteration."""
    return re.compile(re.escape(name).replace(r"\{\}", r"(\d+)"))


def any_artifact(_: Artifact) -> bool:
    """Choose every artifact."""
    return True


def of_iteration(
    recorded: Recorded, choose: Callable[[Artifact], bool] = any_artifact
) -> Iterator[tuple[str, Content]]:
    """Yield name and content of the artifacts of one iteration, those that *choose* accepts."""
    for one in TABLE:
        content = one.of_iteration(recorded) if one.of_iteration and choose(one) else None
        if content is not None:
            yield one.name.format(recorded.record["iteration"]), content


def of_run(
    total: RunSummary, choose: Callable[[Artifact], bool] = any_artifact
) -> Iterator[tuple[str, Content]]:
    """Yield name and content of the artifacts of the whole run, those that *choose* accepts."""
    for one in TABLE:
        content = one.of_run(total) if one.of_run and choose(one) else None
        if content is not None:
            yield one.name, content


def rebuild(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Content]]:
    """Yield ``(file name, content)`` of all artifacts of *records*; those of the run come last."""
    total = RunSummary()
    last: Recorded | None = None
    for record in records:
        if record["kind"] == "iteration":
            if last is not None:
                yield from of_iteration(last.settled_by(record))
            last = Recorded(record, total.overrides)
        total.take(record)
    if last is not None:
        yield from of_iteration(last)
    yield from of_run(total)
