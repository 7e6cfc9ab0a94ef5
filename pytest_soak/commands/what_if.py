"""Decides a recorded soak again with other tuners, guards and gates, and shows what differs."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.records import iterations, load_hashed
from pytest_soak.commands.selection import named_run, selected_run
from pytest_soak.config.plan import REPLAY_SYSTEM, plan_chain
from pytest_soak.config.request import OverridesText, SoakRequest, SourcedValue
from pytest_soak.engine.controller import Controller
from pytest_soak.engine.strategies import Strategies
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.mode import Mode
from pytest_soak.model.patch import apply, diff
from pytest_soak.model.report import read_report
from pytest_soak.model.safe_repr import safe_lines
from pytest_soak.packs.overlay import lay_over
from pytest_soak.store.artifacts import moves
from pytest_soak.store.files import line
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import RUN_ID, ending_after
from pytest_soak.store.records import rules_from_json
from pytest_soak.verify.load import load_validated
from pytest_soak.views.text import aligned, transition

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.commands.plugins import Plugins
    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.config.registry import Registry

RECORDED = "recorded"
UNTUNED = "none"
"""Names the choice of no tuner."""
NO_VERDICT = "none"
"""Stands for the verdict of a run that was interrupted before its gate."""
SHOWN = 10
"""How many different iterations of each variant are shown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision after one iteration.

    Args:
        moved: The applied changes as text, or the reason why nothing was applied.
        overrides: The overrides after it.
        verdict: The iteration's verdict.
    """

    moved: str
    overrides: Mapping[str, float]
    verdict: str


@dataclass(frozen=True, slots=True)
class Variant:
    """The decisions of one set of strategies: name, outcome of each iteration, verdict."""

    name: str
    outcomes: Mapping[int, Outcome]
    verdict: str


def replay(arguments: Namespace, plugins: Plugins) -> tuple[int, list[str]]:
    """Decide the journals again; return 1 if anything differs, and the lines to show."""
    if arguments.journals and (arguments.chain or arguments.run):
        msg = "RUN: given with --chain or --run, which select a run too; allowed: one of them"
        raise SoakUsageError(msg)
    code = 0
    shown: list[str] = []
    changed = parse_settings(arguments.set)
    for path in _journals(arguments):
        records = load_hashed(path)
        try:
            variants = list(_variants(path, records, arguments, changed, plugins))
        except (AttributeError, KeyError, TypeError, ValueError):
            load_validated(path)  # gives a better message if the records are the cause
            raise
        code |= differ(variants)
        shown += map(safe_lines, compared(path, records, variants))
    return code, shown


def _journals(arguments: Namespace) -> list[Path]:
    """Return the paths of the journals to decide again: of runs by name or path."""
    found = []
    for given in arguments.journals:
        path = Path(given)
        if path.exists() or not RUN_ID.fullmatch(given):
            found.append(path / JOURNAL if path.is_dir() else path)
        else:
            found.append(named_run(arguments.soak_dir, None, given, "RUN", ended=False).journal)
    return found or [selected_run(arguments).journal]


def _variants(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    arguments: Namespace,
    changed: Mapping[str, Any],
    plugins: Plugins,
) -> Iterator[Variant]:
    yield as_recorded(records)
    registry, config = plugins.replaying(path), records[0]["config"]
    current = plugins.overlays.get(config["pack"], {})
    overlay = lay_over(lay_over(current, _recorded_settings(config)), changed)
    overlays = {**plugins.overlays, config["pack"]: overlay}
    for tuner in arguments.tuner or [",".join(config["tuners"]) or UNTUNED]:
        asked = Settings(path, tuner, tuple(arguments.gate), arguments.pack)
        plan = replan(records, asked, overlays, registry)
        layers = {**plan.pack.layers, "--set": changed}
        plan = replace(plan, pack=replace(plan.pack, layers=layers))
        yield decide_again(plan, Strategies(plan, registry), records, tuner)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings to decide with: journal, tuner, and gates and pack if given."""

    path: Path
    tuner: str
    gates: tuple[str, ...] = ()
    pack: str | None = None


def replan(
    records: Sequence[Mapping[str, Any]],
    asked: Settings,
    overlays: Mapping[str, Mapping[str, Any]],
    registry: Registry,
) -> ChainPlan:
    """Return the plan of a recorded run under other settings.

    Args:
        records: The records of its journal.
        asked: The other settings; the tuner ``none`` tunes nothing.
        overlays: ``{pack: the tables that are laid over it}``.
        registry: The registry of all plugins.

    Raises:
        SoakUsageError: A name is unknown, or the pack has another name than the recorded one.
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
        len(iterations(records)),
        Mode.APPLY if tuned else Mode.OFF,
        start["run"],
        asked.path,
        given,
        overrides=(OverridesText("option", source, line(start["overrides"])),),
        packs=overlays,
        replay=asked.path,
    )
    plan = plan_chain(config["chain"], request, {}, registry, environ={})
    if plan.pack.name != config["pack"]:
        msg = f"--pack: {plan.pack.name} given; allowed: {config['pack']}, as in {asked.path}"
        raise SoakUsageError(msg)
    rules = replace(rules_from_json(start), tuned=plan.rules.tuned)
    return replace(
        plan,
        planned=rules.planned,
        window=rules.window,
        rules=rules,
        compared=config.get("baseline"),
    )


def _recorded_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run was started with, as tables of a pack."""
    limits = {
        metric: {level: limit for level, limit in kpi.items() if limit is not None}
        for metric, kpi in config["kpis"].items()
    }
    profiles = {config["profile"]: config["base"]}
    return {"kpis": limits, "profiles": profiles, "noise": config["noise"]}


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """Return the *given* settings of a pack, each ``key.of.table=value`` in TOML.

    Raises:
        SoakUsageError: A setting is not valid TOML.
    """
    try:
        return tomllib.loads("\n".join(given))
    except tomllib.TOMLDecodeError as error:
        msg = f"--set: {'; '.join(given)}: {error}; allowed: KEY=VALUE as in the pack's TOML"
        raise SoakUsageError(msg) from None


def as_recorded(records: Sequence[Mapping[str, Any]]) -> Variant:
    """Return the decisions that *records* contain."""
    overrides: dict[str, float] = {}
    outcomes = {}
    verdict = NO_VERDICT
    ending: Mapping[str, Any] | None = None
    for record in records:
        overrides = apply(record.get("overrides", overrides), record.get("patch", ()))
        if record["kind"] == "iteration":
            moved = [_move(c["parameter"], c["old"], c["new"]) for c in moves(record)]
            reason = record["decision"]["skip_reason"]
            moved_or_reason = _moves_or_reason(moved if record["applied"] else [], reason)
            outcomes[record["iteration"]] = Outcome(
                moved_or_reason, overrides, record["summary"]["verdict"]
            )
        ending = ending_after(ending, record)
        if ending is not None and ending["kind"] == "run_ended":
            verdict = ending["verdict"]
    return Variant(RECORDED, outcomes, verdict)


def decide_again(
    plan: ChainPlan, strategies: Strategies, records: Sequence[Mapping[str, Any]], name: str
) -> Variant:
    """Return what *strategies* decide on the reports of *records*. Pure."""
    controller = Controller(plan, strategies)
    overrides: Mapping[str, float] = plan.initial.overrides
    outcomes = {}
    assert plan.system is not None  # noqa: S101 - the replay
    for number, record in iterations(records).items():
        parameters = plan.effective(overrides)
        raw, _ = plan.system.run(parameters, number, 0, None)
        result, _ = controller.decide(
            number,
            parameters,
            read_report(raw, number, plan.pack.metrics),
            overrides,
            in_window=record["summary"]["in_window"],
            restarted=record["summary"]["restarted"],
        )
        overrides = controller.overrides_after(result, overrides)
        moved = [_move(name, *values) for name, values in result.decision.moved.items()]
        text = _moves_or_reason(moved if result.applied else [], result.decision.skip_reason)
        outcomes[number] = Outcome(text, overrides, result.verdict.name)
    dropped = plan.planned - controller.done if records[0]["config"]["slot"] else 0
    return Variant(name, outcomes, controller.verdict(dropped=dropped).verdict.name)


def _move(parameter: str, old: float, new: float) -> str:
    return f"{parameter} {transition(old, new)}"


def _moves_or_reason(moved: Sequence[str], reason: str) -> str:
    return ", ".join(sorted(moved)) or reason or "no deltas"


def differ(variants: Sequence[Variant]) -> bool:
    """Return whether any of the *variants* differs from the first."""
    first, *others = variants
    return any(one.outcomes != first.outcomes or _other_verdict(first, one) for one in others)


def _other_verdict(recorded: Variant, other: Variant) -> bool:
    """Return whether the verdicts differ; an interrupted run has none that could."""
    return recorded.verdict not in (NO_VERDICT, other.verdict)


def compared(
    path: Path, records: Sequence[Mapping[str, Any]], variants: Sequence[Variant]
) -> Iterator[str]:
    """Yield a table of the *variants*, and the iterations in which they differ from the first."""
    first, *others = variants
    yield f"{path}: {records[0]['config']['chain']}, run {records[0]['run']}"
    rows = [("  ", "verdict", "applied after", "overrides at the end")]
    for variant in variants:
        changed = [str(n) for n, one in variant.outcomes.items() if "→" in one.moved]
        end = list(variant.outcomes.values())[-1].overrides if variant.outcomes else {}
        rows.append((f"  {variant.name}", variant.verdict, ",".join(changed) or "none", line(end)))
    yield from aligned(rows)
    for variant in others:
        different = [n for n, one in variant.outcomes.items() if one != first.outcomes[n]]
        if _other_verdict(first, variant):
            verdicts = f"recorded {first.verdict}, replayed {variant.verdict}"
            yield f"  {variant.name}: the verdict differs: {verdicts}"
        elif not different:
            yield f"  {variant.name}: as recorded"
        if different:
            count = f"{len(different)} of {len(variant.outcomes)}"
            yield f"  {variant.name}: differs in {count} iterations"
        for n in different[:SHOWN]:
            yield from _difference(n, first.outcomes[n], variant.outcomes[n], variant.name)
        if len(different) > SHOWN:
            yield f"    and {len(different) - SHOWN} more"


def _difference(n: int, recorded: Outcome, other: Outcome, name: str) -> Iterator[str]:
    yield f"    iteration {n}"
    rows = [
        (f"      {RECORDED}", recorded.verdict, recorded.moved),
        (f"      {name}", other.verdict, other.moved),
    ]
    yield from aligned(rows)
    patch = diff(recorded.overrides, other.overrides)
    if patch:
        yield f"      diff {json.dumps(list(patch))}"
