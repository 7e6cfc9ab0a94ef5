"""The artifacts as projections of the journal: each is what the records say, and nothing else.

So a lost artifact can be rebuilt, and one that was changed by hand can be told.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_soak.model.effect import effect
from pytest_soak.model.noise import measure_noise
from pytest_soak.model.parameters import overlay
from pytest_soak.model.patch import apply
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OVERRIDES = "runtime_overrides.json"
PROFILE = "applied_profile.json"
TUNING = "TUNING_REPORT.json"
GATE = "KPI_GATE.json"
CUTS = ("budget", "smoothing")
"""The notices that tell of a step made smaller."""
SEEDED = "manual_override"
"""The reason of an adjustment that a person or CI gave at the start."""


def report_name(iteration: int) -> str:
    """Return the file name of an iteration's report."""
    return f"EDGE_REPORT_{iteration}.json"


def summary_name(iteration: int) -> str:
    """Return the file name of an iteration's summary."""
    return f"ITER_SUMMARY_{iteration}.json"


def backup_name(iteration: int) -> str:
    """Return the file name of the overrides before an iteration's apply."""
    return f"backups/runtime_overrides_backup_{iteration}.json"


def iter_summary(record: Mapping[str, Any], verified: str | None) -> dict[str, Any]:
    """Return ``ITER_SUMMARY_N.json``.

    Args:
        record: The iteration's record.
        verified: Whether the next report showed its changes: true, false, unknown; None until
            then, and where nothing was applied. The next record says it, in ``settles``.
    """
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
            "problems": summary["problems"],
            "observation_window": summary["in_window"],
            "restarted": summary["restarted"],
            "kpis": {judged["metric"]: judged["verdict"] for judged in record["judgements"]},
        },
        "tuning": {
            "deltas": {
                **{wish["parameter"]: wish["delta"] for wish in requests},
                **{change["parameter"]: change["requested"] for change in changes},
            },
            "effective": {change["parameter"]: change["effective"] for change in changes},
            "applied": record["applied"],
            "verified": verified,
            "reasons": list(dict.fromkeys(wish["reason"] for wish in requests)),
            "skip_reason": decision["skip_reason"],
            "vetoes": [
                {key: veto[key] for key in ("guard", "reason", "parameter")}
                for veto in decision["vetoes"]
            ],
            "notes": {c["parameter"]: c["note"] for c in changes if c["note"]},
            "notices": decision.get("notices", []),
            "rollback": _rollback(decision),
        },
    }


def _rollback(decision: Mapping[str, Any]) -> dict[str, Any] | None:
    rollback = decision.get("rollback")
    return rollback and {key: rollback[key] for key in ("guard", "to_iteration", "detail")}


def moves(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the changes of an iteration that moved a value, applied or not; of a rollback, all."""
    rollback = record["decision"].get("rollback")
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
"""The parameters of an iteration, fit to be compared."""


def _numbers(told: Iterable[Mapping[str, Any]], metric: str) -> list[float]:
    return [one[metric] for one in told if one[metric] is not None]


class RunSummary:
    """What sums up a run, gathered record by record, so that a long journal can be streamed."""

    def __init__(self) -> None:
        """Start before the first record."""
        self.config: dict[str, Any] = {}
        self.run = ""
        self.overrides: dict[str, float] = {}
        self.ended: Mapping[str, Any] = {}
        self._adjusted: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._skips: Counter[str] = Counter()
        self._notices: Counter[str] = Counter()
        self._stopped: dict[str, Counter[str]] = {}
        self._window: set[int] = set()
        self._ran: list[tuple[int, Key, Mapping[str, Any]]] = []
        self._applied: list[tuple[int, Key, list[dict[str, Any]], bool]] = []
        self._kpis: dict[str, list[dict[str, Any]]] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in the next record of the journal."""
        if record["kind"] == "run_started":
            self._start(record)
        elif record["kind"] == "iteration":
            self._iterate(record)
        elif record["kind"] == "run_resumed":
            self.config, self.ended = record["config"], {}
        elif record["kind"] == "rolled_back":
            self._roll_back(record)
        elif record["kind"] in ("run_ended", "run_interrupted"):
            self.ended = record
        self.overrides = apply(self.overrides, record.get("patch", ()))

    def _start(self, record: Mapping[str, Any]) -> None:
        self.config, self.run = record["config"], record["run"]
        self.overrides = dict(record["overrides"])
        for name, value in sorted(record["overrides"].items()):
            self._adjust(record, name, self.config["base"][name], value, SEEDED)

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
            self._rows[-1]["verified"] = record["settles"]["verified"]
        self._rows.append(
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
                told = {key: judged[key] for key in ("value", "n", "verdict", "rule")}
                entry = {"iteration": record["iteration"], **told}
                self._kpis.setdefault(judged["metric"], []).append(entry)

    def _measure(self, record: Mapping[str, Any], moved: list[dict[str, Any]]) -> None:
        """Keep what tells the effects of applies: what an iteration ran with, and measured."""
        summary = record["summary"]
        key = tuple(sorted(summary["parameters"].items()))
        if not summary["problems"]:
            told = {name: summary["metrics"].get(name) for name in self.config["kpis"]}
            self._ran.append((record["iteration"], key, told))
        if record["applied"]:
            after = {**summary["parameters"], **{c["parameter"]: c["new"] for c in moved}}
            back = record["decision"].get("rollback") is not None
            fields = [{"field": c["parameter"], "from": c["old"], "to": c["new"]} for c in moved]
            self._applied.append((record["iteration"], tuple(sorted(after.items())), fields, back))

    def effectiveness(self) -> list[dict[str, Any]]:
        """Return for each apply what became of every KPI, against its baseline before.

        The baseline is the mean of the iterations up to the apply that ran with the parameters
        before it; compared is the mean of those after it that ran with the ones it set, until
        something else is applied. Noise is the run's configuration's, or the run's own.
        """
        by_key: dict[Key, list[tuple[int, Mapping[str, Any]]]] = {}
        keys = {}
        for iteration, key, told in self._ran:
            by_key.setdefault(key, []).append((iteration, told))
            keys[iteration] = key
        numbers = [iteration for iteration, *_ in self._applied]
        ends = (*numbers[1:], math.inf)[: len(numbers)]
        noises = {metric: self._noise(metric) for metric in self.config["kpis"]}
        rows = []
        for (iteration, after, fields, back), end in zip(self._applied, ends, strict=True):
            before = by_key.get(keys.get(iteration, ()), ())
            earlier = [told for number, told in before if number <= iteration]
            later = [told for number, told in by_key.get(after, ()) if iteration < number <= end]
            kpis = {
                metric: asdict(effect(_numbers(earlier, metric), _numbers(later, metric), noise))
                for metric, noise in noises.items()
            }
            row = {"iteration": iteration, "moves": fields, "rollback": back, "kpis": kpis}
            rows.append(row)
        return rows

    def _noise(self, metric: str) -> float | None:
        known = self.config.get("noise", {}).get(metric)
        if known is not None:
            return float(known)
        samples = ((key, told[metric]) for _, key, told in self._ran if told[metric] is not None)
        noise = measure_noise(samples)
        return None if noise is None else noise.safe

    def _count(self, decision: Mapping[str, Any]) -> None:
        """Count what guards did, and for each parameter what stopped or cut its steps."""
        told = [(word["parameter"], word["reason"]) for word in decision["vetoes"]]
        self._skips.update(reason for _, reason in told)
        notices = decision.get("notices", ())  # journals of before have none
        self._notices.update(notice["reason"] for notice in notices)
        told += [(c["parameter"], c["note"]) for c in decision["changes"] if c["note"]]
        told += [
            (notice["parameter"], notice["reason"])
            for notice in notices
            if notice["reason"] in CUTS
        ]
        for parameter, reason in told:
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
        """Return ``applied_profile.json``: the base, what was laid over it and why, the result."""
        return {
            "profile": self.config["profile"],
            "base": self.config["base"],
            "overrides_runtime": self.overrides,
            "runtime_adjustments": self._adjusted,
            "applied": overlay(self.config["base"], self.overrides),
        }

    def progress(self) -> dict[str, Any] | None:
        """Return how the objective went: its first value, its mean in the window, the change.

        ``beyond_noise`` tells whether the change is more than two sigma of the difference between
        one iteration and the mean of the window, sigma * sqrt(1 + 1 / n); None where the noise is
        not known.
        """
        objective = self.config["objective"]
        if objective is None:
            return None
        told = [
            (row["metrics"].get(objective["metric"]), row["iteration"] in self._window)
            for row in self._rows
        ]
        first = told[0][0] if told else None
        last = [value for value, in_window in told if in_window and value is not None]
        if first is None or not last:
            return {**objective, "first": first, "last": None, "change": None, "beyond_noise": None}
        mean = sum(last) / len(last)
        sigma = objective["noise"]
        beyond = None
        if sigma is not None:
            beyond = abs(mean - first) > 2 * sigma * (1 + 1 / len(last)) ** 0.5
        change = {"first": first, "last": mean, "change": mean - first, "beyond_noise": beyond}
        return {**objective, **change}

    def tuning_report(self, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``TUNING_REPORT.json``: every iteration in a line, counts of skip reasons."""
        return {
            **self.config,
            "run": self.run,
            "objective": self.progress(),
            "verdict": verdict["verdict"],
            "skip_reasons": dict(self._skips),
            "notices": dict(self._notices),
            "effectiveness": self.effectiveness(),
            "stopped": {name: dict(counts) for name, counts in self._stopped.items()},
            "rows": self._rows,
        }

    def kpi_gate(self, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``KPI_GATE.json``: the verdict, and limits and values in the window.

        Where an hours run stopped applying early, the verdict is on the last of what was left.
        """
        judged_on = set(verdict["window"])
        kpis = {
            metric: told
            for metric, values in self._kpis.items()
            if (told := [value for value in values if value["iteration"] in judged_on])
        }
        return {
            **{key: verdict[key] for key in VERDICT_KEYS},
            "thresholds": self.config["kpis"],
            "verdicts": {
                metric: max((value["verdict"] for value in values), key=ORDER.index)
                for metric, values in kpis.items()
            },
            "kpis": kpis,
        }


ORDER = tuple(word.name for word in Verdict)
VERDICT_KEYS = ("verdict", "reasons", "problems", "unverified", "window")


def rebuild(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every artifact that *records* imply, as ``(file name, content)``.

    What sums up the run comes last, and only where the run has ended.
    """
    total = RunSummary()
    previous: Mapping[str, Any] | None = None
    for record in records:
        if record["kind"] == "iteration":
            if previous is not None:
                settled = record["settles"]["verified"] if record["settles"] else None
                yield summary_name(previous["iteration"]), iter_summary(previous, settled)
            if record["patch"]:
                yield backup_name(record["iteration"]), dict(total.overrides)
            if isinstance(record["report"], dict):
                yield report_name(record["iteration"]), record["report"]
            previous = record
        total.take(record)
    if previous is not None:
        yield summary_name(previous["iteration"]), iter_summary(previous, None)
    yield OVERRIDES, total.overrides
    yield PROFILE, total.applied_profile()
    if total.ended:
        yield TUNING, total.tuning_report(total.ended)
        yield GATE, total.kpi_gate(total.ended)
