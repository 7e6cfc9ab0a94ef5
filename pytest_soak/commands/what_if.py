"""Recorded soaks, decided anew by other tuners, guards and gates, and where the ways part."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.places import choose_chain, choose_run
from pytest_soak.commands.records import iterations, linked
from pytest_soak.config.options import OverridesText, SoakRequest, SourcedValue
from pytest_soak.config.plan import REPLAY_SYSTEM, plan_chain
from pytest_soak.engine.controller import Controller
from pytest_soak.engine.strategies import Strategies
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.mode import Mode
from pytest_soak.model.patch import apply, diff
from pytest_soak.model.report import read_report
from pytest_soak.packs.overlay import lay_over
from pytest_soak.store.artifacts import moves
from pytest_soak.store.files import line
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import ending_after
from pytest_soak.verify.load import load_validated
from pytest_soak.views.text import aligned, number

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_soak.commands.plugins import Plugins
    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.registry import Registry

RECORDED = "recorded"
UNTUNED = "none"
"""What a soak without a tuner is decided by."""
SHOWN = 10
"""How many iterations that differ are shown of each journal."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What one iteration came to under one way of deciding.

    Args:
        moved: The changes that were applied, in words; why none were, where none were.
        overrides: The overrides after it.
        verdict: The iteration's verdict.
    """

    moved: str
    overrides: Mapping[str, float]
    verdict: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way of deciding a recorded soak: its name, the iterations, the verdict."""

    name: str
    decided: Mapping[int, Decided]
    verdict: str


def compare(arguments: Namespace, plugins: Plugins) -> tuple[int, list[str]]:
    """Compare; return 1 where anything differs, and what to tell."""
    code = 0
    told: list[str] = []
    changed = settings(arguments.set)
    chosen = arguments.journals or [
        choose_run(choose_chain(arguments.soak_dir, arguments.chain), arguments.run).journal
    ]
    for given in chosen:
        path = given / JOURNAL if given.is_dir() else given
        records = linked(path)
        try:
            ways = list(_ways(path, records, arguments, changed, plugins))
        except (AttributeError, KeyError, TypeError, ValueError):
            load_validated(path)  # tells what is wrong with its records, if they are the cause
            raise
        code |= differ(ways)
        told += compared(path, records, ways)
    return code, told


def _ways(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    arguments: Namespace,
    changed: Mapping[str, Any],
    plugins: Plugins,
) -> Iterator[Way]:
    yield as_recorded(records)
    registry, config = plugins.replaying(path), records[0]["config"]
    now = plugins.overlays.get(config["pack"], {})
    overlay = lay_over(lay_over(now, _recorded_settings(config)), changed)
    for tuner in arguments.tuner or [",".join(config["tuners"]) or UNTUNED]:
        asked = Asked(path, tuner, tuple(arguments.gate), arguments.pack)
        plan = replan(records, asked, overlay, registry)
        yield decided_anew(plan, Strategies(plan, registry), records, tuner)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a recorded soak is to be decided: its journal, who decides, gates and pack if given."""

    path: Path
    tuner: str
    gates: tuple[str, ...] = ()
    pack: str | None = None


def replan(
    records: Sequence[Mapping[str, Any]],
    asked: Asked,
    overlay: Mapping[str, Any],
    registry: Registry,
) -> ChainPlan:
    """Return the plan of a recorded run, decided otherwise.

    Args:
        records: Its journal.
        asked: What is to be otherwise; the tuner ``none`` tunes nothing.
        overlay: What is laid over the pack.
        registry: What is installed.

    Raises:
        SoakUsageError: Something that was asked for is not known, or is of another domain.
    """
    start, source = records[0], str(asked.path)
    config = start["config"]
    given = {
        "pack": SourcedValue(asked.pack or config["pack"], "--pack" if asked.pack else source),
        "profile": SourcedValue(config["profile"], source),
        "system": SourcedValue(REPLAY_SYSTEM, source),
        "observe": SourcedValue(config["observe"], source),
        "gate": SourcedValue(asked.gates, "--gate"),
    }
    tuned = asked.tuner != UNTUNED
    if tuned:
        given["tuner"] = SourcedValue(asked.tuner, "--tuner")
    request = SoakRequest(
        len(iterations(tuple(records))),
        Mode.APPLY if tuned else Mode.OFF,
        start["run"],
        asked.path,
        given,
        overrides=(OverridesText("option", source, line(start["overrides"])),),
        packs={config["pack"]: overlay},
        replay=asked.path,
    )
    plan = plan_chain(config["chain"], request, {}, registry, environ={})
    if plan.pack.name != config["pack"]:
        msg = f"--pack: {plan.pack.name} given; {asked.path} was recorded with {config['pack']}"
        raise SoakUsageError(msg)
    return replace(plan, planned=config["iterations"], window=config["observe"])


def _recorded_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run was started with, as something to be laid over its pack."""
    limits = {
        metric: {level: limit for level, limit in kpi.items() if limit}
        for metric, kpi in config["kpis"].items()
    }
    profiles = {config["profile"]: config["base"]}
    return {"kpis": limits, "profiles": profiles, "noise": config["noise"]}


def settings(given: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a pack that were *given*, each ``key.of.table=value in TOML``.

    Raises:
        SoakUsageError: One that cannot be read.
    """
    try:
        return tomllib.loads("\n".join(given))
    except tomllib.TOMLDecodeError as error:
        msg = f"--set: {'; '.join(given)}: {error}; allowed: KEY=VALUE as in the pack's TOML"
        raise SoakUsageError(msg) from None


def as_recorded(records: Sequence[Mapping[str, Any]]) -> Way:
    """Return what *records* say was decided."""
    overrides: dict[str, float] = {}
    decided = {}
    verdict = "none"
    ending: Mapping[str, Any] | None = None
    for record in records:
        overrides = apply(record.get("overrides", overrides), record.get("patch", ()))
        if record["kind"] == "iteration":
            moved = [_move(c["parameter"], c["old"], c["new"]) for c in moves(record)]
            reason = record["decision"]["skip_reason"]
            told = _told(moved if record["applied"] else [], reason)
            decided[record["iteration"]] = Decided(told, overrides, record["summary"]["verdict"])
        ending = ending_after(ending, record)
        if ending is not None and ending["kind"] == "run_ended":
            verdict = ending["verdict"]
    return Way(RECORDED, decided, verdict)


def decided_anew(
    plan: ChainPlan, strategies: Strategies, records: Sequence[Mapping[str, Any]], name: str
) -> Way:
    """Return what *strategies* decide on the reports of *records*. No file, no clock."""
    controller = Controller(plan, strategies)
    overrides: Mapping[str, float] = plan.initial.overrides
    decided = {}
    assert plan.system is not None  # noqa: S101 - the replay
    for number_, record in iterations(tuple(records)).items():
        parameters = plan.effective(overrides)
        raw, _ = plan.system.run(parameters, number_, 0, None)
        result, _ = controller.decide(
            number_,
            parameters,
            read_report(raw, number_, plan.pack.metrics),
            overrides,
            in_window=record["summary"]["in_window"],
            restarted=record["summary"]["restarted"],
        )
        overrides = controller.overrides_after(result, overrides)
        moved = [_move(name, *values) for name, values in result.decision.moved.items()]
        told = _told(moved if result.applied else [], result.decision.skip_reason)
        decided[number_] = Decided(told, overrides, result.verdict.name)
    dropped = plan.planned - controller.done if records[0]["config"]["slot"] else 0
    return Way(name, decided, controller.verdict(dropped=dropped).verdict.name)


def _move(parameter: str, old: float, new: float) -> str:
    return f"{parameter} {number(old)} → {number(new)}"


def _told(moved: Sequence[str], reason: str) -> str:
    return ", ".join(sorted(moved)) or reason or "no deltas"


def differ(ways: Sequence[Way]) -> bool:
    """Tell whether any of the *ways* is not the first."""
    first, *others = ways
    return any((way.decided, way.verdict) != (first.decided, first.verdict) for way in others)


def compared(
    path: Path, records: Sequence[Mapping[str, Any]], ways: Sequence[Way]
) -> Iterator[str]:
    """Yield a table of the *ways*, and the iterations in which they part."""
    first, *others = ways
    yield f"{path}: {records[0]['config']['chain']}, run {records[0]['run']}"
    rows = [("  ", "verdict", "applied after", "overrides at the end")]
    for way in ways:
        changed = [str(n) for n, one in way.decided.items() if "→" in one.moved]
        end = list(way.decided.values())[-1].overrides if way.decided else {}
        rows.append((f"  {way.name}", way.verdict, ",".join(changed) or "none", line(end)))
    yield from aligned(rows)
    for way in others:
        apart = [n for n, one in way.decided.items() if one != first.decided[n]]
        if way.verdict == first.verdict and not apart:
            yield f"  {way.name}: as recorded"
            continue
        yield f"  {way.name}: differs in {len(apart)} of {len(way.decided)} iterations"
        for n in apart[:SHOWN]:
            yield from _parted(n, first.decided[n], way.decided[n], way.name)
        if len(apart) > SHOWN:
            yield f"    and {len(apart) - SHOWN} more"


def _parted(n: int, recorded: Decided, other: Decided, name: str) -> Iterator[str]:
    yield f"    iteration {n}"
    rows = [
        (f"      {RECORDED}", recorded.verdict, recorded.moved),
        (f"      {name}", other.verdict, other.moved),
    ]
    yield from aligned(rows)
    patch = diff(recorded.overrides, other.overrides)
    if patch:
        yield f"      diff {json.dumps(list(patch))}"
