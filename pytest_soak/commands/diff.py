"""`pytest-soak diff`: compare two runs, metric by metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.commands.selection import add_chain, named_run
from pytest_soak.errors import SoakUsageError
from pytest_soak.gates.baseline import FEWEST_RUNS, Baseline, Change, Compare, compare
from pytest_soak.model.metrics import Op
from pytest_soak.model.safe_repr import safe_lines
from pytest_soak.model.stretch import RunValues
from pytest_soak.store.cell import run_age
from pytest_soak.store.files import line
from pytest_soak.verify.earlier import LAST_RUNS, RUN_NAMES, gather, recorded_runs
from pytest_soak.views.text import aligned

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_soak.gates.baseline import Effect
    from pytest_soak.store.anchors import RunSums
    from pytest_soak.verify.earlier import RecordedRun

HELP = "compare two runs metric by metric; exit code 1 if a metric is worse"
EXAMPLE = "previous latest"
HEAD = ("metric", "A", "B", "change", "interval", "p", "noise", "B is")
LEAST = Compare().least
"""The fewest usable values of a run, as for the criterion `baseline`."""
UNKNOWN, WORSE, BETTER, SAME, DIFFERS = "cannot tell", "worse", "better", "same", "differs"
NOT_SETTINGS = ("baseline",)
"""What a journal has beside the settings: the runs that were compared with."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of this command."""
    for name, role in (("A", "the run to compare with"), ("B", "the run that is compared")):
        parser.add_argument(name, help=f"{role}: {RUN_NAMES}")
    add_chain(parser)


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Compare; return 1 if a metric is worse, and the lines to print."""
    a, b = (_ended(arguments, name) for name in ("A", "B"))
    spread = _spread(arguments.soak_dir, a, b)
    rows = list(_rows(a.sums(), b.sums(), spread, b.config.get("kpis") or {}))
    needed = f"; needed: {FEWEST_RUNS}" if len(spread) < FEWEST_RUNS else ""
    lines = [
        a.family_name,
        f"  A {a.run}  {a.verdict}",
        f"  B {b.run}  {b.verdict}",
        *([f"B is of another family: {b.family_name}"] if a.family != b.family else ()),
        f"{len(spread)} other runs of the family of A tell how much runs differ{needed}",
        *(f"  {text}" for text in aligned([HEAD, *rows], right=6)),
        *_configuration(a.config, b.config),
    ]
    return int(any(row[-1] == WORSE for row in rows)), list(map(safe_lines, lines))


def _ended(arguments: Namespace, name: str) -> RecordedRun:
    found = named_run(arguments.soak_dir, arguments.chain, getattr(arguments, name), f"diff {name}")
    if not found.verdict:
        msg = f"diff {name}: run {found.run} has no verdict; allowed: a run that has ended"
        raise SoakUsageError(msg)
    return found


def _spread(soak_dir: Path, a: RecordedRun, b: RecordedRun) -> list[RunSums]:
    """Return the runs that tell how much runs of A's family differ.

    Those before both, and if they are too few, those after both. Never both: they may differ in
    their level.
    """
    family = [one for one in recorded_runs(soak_dir) if one.family == a.family]
    oldest, newest = sorted(run_age(one.run) for one in (a, b))
    before, _ = gather((one for one in family if run_age(one.run) < oldest), _enough)
    if len(before) >= FEWEST_RUNS:
        return before
    after, _ = gather((one for one in reversed(family) if run_age(one.run) > newest), _enough)
    return max(before, after, key=len)


def _enough(runs: Sequence[RunSums]) -> bool:
    return len(runs) >= LAST_RUNS


def _rows(
    a: RunSums, b: RunSums, spread: Sequence[RunSums], kpis: Mapping[str, Mapping[str, Any]]
) -> Iterator[list[str]]:
    """Yield a row of the table `HEAD` for each metric that one of the runs has."""
    values = {name: _values(name, spread) for name in a["values"].keys() & b["values"].keys()}
    able = {
        name: runs
        for name, runs in values.items()
        if len(runs) >= FEWEST_RUNS and min(a["values"][name]["n"], b["values"][name]["n"]) >= LEAST
    }
    for name in sorted({*a["values"], *b["values"]}):
        means = [
            f"{one['values'][name]['mean']:.4g}" if name in one["values"] else "" for one in (a, b)
        ]
        if name not in able:
            yield [name, *means, "", "", "", "", UNKNOWN]
            continue
        others = [runs for other, runs in able.items() if other != name]
        now, level = (RunValues(one["run"], **one["values"][name]) for one in (b, a))
        try:
            effect = compare(now, able[name], others, level)
        except ImportError as error:
            msg = f"diff: {error}; install {Baseline.extra}"
            raise SoakUsageError(msg) from None
        yield [
            name,
            *means,
            f"{effect.value:+.3g}",
            f"[{effect.low:+.3g}, {effect.high:+.3g}]",
            "" if effect.p is None else f"{effect.p:.2g}",
            f"{effect.sigma:.3g}",
            word_of(effect, kpis.get(name) or {}),
        ]


def _values(metric: str, runs: Sequence[RunSums]) -> list[RunValues]:
    found = (
        RunValues(one["run"], **one["values"][metric]) for one in runs if metric in one["values"]
    )
    return [one for one in found if one.n >= LEAST]


def word_of(effect: Effect, kpi: Mapping[str, Any]) -> str:
    """Return what a run is by an *effect*: worse, better, same, cannot tell; or that it differs.

    Args:
        effect: How much a metric changed.
        kpi: What the journal says of the KPI; empty for a metric that is none.
    """
    limits = [str(kpi[level]) for level in ("fail", "warn") if kpi.get(level)]
    compared = kpi.get("baseline") or {}
    texts = [compared[level] for level in ("warn", "fail") if compared.get(level)]
    change = Change.parse(texts[0] if texts else "worse by 0")
    bad = Op.LT if limits and limits[0].startswith("<") else Op.GT
    word = change.word(effect, bad)
    if not texts and word == UNKNOWN and max(-effect.low, effect.high) <= effect.sigma:
        return SAME
    directed = bool(limits) or change.op is not None
    return word if directed or word not in (WORSE, BETTER) else DIFFERS


def _configuration(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ, for people."""
    ours, theirs = (dict(_flat({k: c[k] for k in c if k not in NOT_SETTINGS})) for c in (a, b))
    found = [
        f"  {key}: {_shown(ours, key)} → {_shown(theirs, key)}"
        for key in sorted({*ours, *theirs})
        if _shown(ours, key) != _shown(theirs, key)
    ]
    return ["configuration that differs", *found] if found else ["configuration: no difference"]


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return line(settings[key]) if key in settings else "not set"


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each setting of *table* with the path of its key."""
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
