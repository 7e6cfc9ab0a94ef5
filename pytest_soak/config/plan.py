"""From settings to the plan of one chain. Precedence: option, environment, marker, ini, pack."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.config.guards import table_mistakes
from pytest_soak.config.overrides import InitialOverrides, read_overrides
from pytest_soak.config.registry import (
    A_FILE,
    NOT_SEEN,
    Registered,
    criteria,
    declared_corridor,
    required_metrics,
    systems,
    the_one,
)
from pytest_soak.config.request import OverridesText, SoakRequest, SourcedValue
from pytest_soak.errors import (
    UNREADABLE,
    SoakUsageError,
    cleaned,
    gathered,
    refuse_all,
    unknown,
    what_raised,
    why_unreadable,
)
from pytest_soak.gates.criteria import make_kpi, read_gate
from pytest_soak.gates.limits import NO_LIMITS
from pytest_soak.model.chain import Rules, WholeRun
from pytest_soak.model.mask import SHORTEST, Mask, secret_names
from pytest_soak.model.metrics import is_number
from pytest_soak.model.mode import Mode
from pytest_soak.model.parameters import overlay
from pytest_soak.model.safe_repr import safe_repr, safe_text, trimmed
from pytest_soak.model.settings import Mistake
from pytest_soak.packs.check import refuse
from pytest_soak.packs.loader import load_pack, profile_of
from pytest_soak.packs.rules import profile_mistakes
from pytest_soak.store.cell import cell_id, folder_name, run_id
from pytest_soak.store.files import jsonable, read_text
from pytest_soak.store.records import baseline_from_json
from pytest_soak.tuners.table import TableTuner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.config.registry import Registry
    from pytest_soak.gates.criteria import Kinds
    from pytest_soak.model.kpi import Criterion, Kpi
    from pytest_soak.model.pack import Pack, Profile
    from pytest_soak.model.stretch import Baseline
    from pytest_soak.systems.protocol import System

LEAST_WINDOW = 2
"""The observation window unless set: a tenth of the iterations, at least this many."""
TUNED_RUN = WholeRun(0.2)
"""The whole-run rule of a tuned run, unless set."""
DEFAULT_PACK = "demo"
OWN_SYSTEM = "fixture"
"""The name of a system that a test brings by overriding the fixture ``soak_system``."""
MOCK_SYSTEM = "mock"
REPLAY_SYSTEM = "replay"
REFUSAL = 1000
"""How many characters are shown of why a system refuses parameters."""


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """Everything that is fixed about a chain before its first iteration.

    Args:
        name: The node id of the test, without the iteration.
        slug: The name of its folder.
        run_id: The run it belongs to.
        planned: How many iterations it has.
        window: The length of the observation window, in iterations.
        mode: What happens to proposals.
        seed: The run's seed.
        pack: The domain; gate settings are applied to its KPIs.
        profile: The base of the parameters.
        initial: The overrides it starts from.
        scenario: The conditions it runs under.
        system_name: What is soaked.
        system: The system itself; None if the test brings its own.
        tuners: The tuners; empty if nothing is tuned.
        slot: How long an iteration is, in seconds of wall-clock time; None in a run by count.
        resumed: Whether it goes on with an earlier run.
        settled: The last iteration of that run when the plan was made.
        differences: The settings that differ from those of that run; only if resumed by force.
        mask: Hides the secrets of system and pack that are known before the system runs.
        safe: Whether a system that has secrets runs without them, in its dry form. For a fixture's
            system, whose secrets are not known yet: whether that was asked for.
        cell: The id of its cell, see `pytest_soak.store.cell`.
        files: ``{"pack_file": path, "profile_file": path}``, those that were given by path.
        parameters: The other parameters of the test, as plain JSON.
        rules: What its verdict is based on.
        abort: Whether it ends as soon as its verdict cannot be better than FAIL.
        compared: What its run is compared with, as the journal has it; None if with nothing.
    """

    name: str
    slug: str
    run_id: str
    planned: int
    window: int
    mode: Mode
    seed: int
    pack: Pack
    profile: Profile
    initial: InitialOverrides
    scenario: str
    system_name: str
    system: System | None
    tuners: tuple[Registered, ...] = ()
    slot: float | None = None
    resumed: bool = False
    settled: int = 0
    differences: tuple[str, ...] = ()
    mask: Mask = field(default_factory=Mask)
    safe: bool = False
    cell: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: Rules = field(default_factory=lambda: Rules(LEAST_WINDOW))
    abort: bool = False
    compared: Mapping[str, Any] | None = None

    @property
    def tuner_names(self) -> str:
        """The tuners, for people; ``none`` if nothing is tuned."""
        return ", ".join(tuner.name for tuner in self.tuners) or "none"

    @property
    def baseline(self) -> Baseline:
        """The runs that its own is compared with."""
        return baseline_from_json(self.compared)

    def in_window(self, iteration: int) -> bool:
        """Tell whether *iteration* belongs to the observation window."""
        return iteration > self.planned - self.window

    def effective(self, overrides: Mapping[str, float]) -> dict[str, float]:
        """Return the effective parameters under *overrides*."""
        return overlay(self.profile.fields, overrides)

    def iteration_seed(self, iteration: int) -> int:
        """Return the seed of *iteration*, 64 bits derived from run's seed, chain and iteration."""
        text = f"{self.seed}:{self.name}:{iteration}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

    def environ(self) -> dict[str, str]:
        """Return the environment variables that tell a program what it is run for."""
        return {
            "PYTEST_SOAK_TEST": self.name,
            "PYTEST_SOAK_TEST_PARAMETERS": json.dumps(self.parameters),
            "PYTEST_SOAK_SCENARIO": self.scenario,
            "PYTEST_SOAK_CELL": self.cell,
        }

    def objective(self) -> dict[str, Any] | None:
        """Return the pack's objective with its noise (None if unknown); None without objective."""
        if self.pack.objective is None:
            return None
        metric = self.pack.objective.metric
        noise = self.pack.noise.get(metric)
        return {"metric": metric, "better": self.pack.objective.better, "noise": noise}

    def describe(self) -> dict[str, Any]:
        """Return the resolved configuration as plain JSON, for the journal."""
        program = getattr(self.system, "program", None)
        return {
            "chain": self.name,
            "pack": self.pack.name,
            "pack_digest": self.pack.digest,
            "profile": self.profile.name,
            "base": dict(self.profile.fields),
            "precision": self.pack.precision,
            "system": self.system_name,
            "scenario": self.scenario,
            "recording": getattr(self.system, "recording", None),
            "tuners": [tuner.name for tuner in self.tuners],
            "mode": str(self.mode),
            "iterations": self.planned,
            "slot": self.slot,
            "observe": self.window,
            "seed": self.seed,
            "objective": self.objective(),
            "noise": dict(self.pack.noise),
            "kpis": {kpi.metric: {**NO_LIMITS, **kpi.describe()} for kpi in self.pack.kpis},
            "max_inconclusive": self.pack.max_inconclusive,
            "warm_up": self.rules.warm_up,
            "whole_run": None if self.rules.whole_run is None else asdict(self.rules.whole_run),
            "abort": self.abort,
            "baseline": self.compared,
            **({"safe_mode": True} if self.safe else {}),
            **({"program": self.mask.data(program)} if isinstance(program, list) else {}),
            **self.files,
        }

    def identified(self, session: str) -> ChainPlan:
        """Return the plan with the ids that follow from its settings: of cell, folder and run.

        Args:
            session: The id of the pytest run.
        """
        cell = cell_id(self.describe())
        slug = folder_name(self.name.partition("::")[2], cell)
        return replace(self, cell=cell, slug=slug, run_id=run_id(session, cell))


@dataclass(frozen=True, slots=True)
class LayeredSettings:
    """The settings of one chain by level; the first level that has a name wins."""

    options: Mapping[str, SourcedValue]
    marker: Mapping[str, SourcedValue]
    inis: Mapping[str, SourcedValue]

    def get(self, name: str, fallback: SourcedValue) -> SourcedValue:
        """Return the setting *name* of the first level that has it."""
        for level in (self.options, self.marker, self.inis):
            if name in level:
                return level[name]
        return fallback


def plan_chain(
    name: str,
    request: SoakRequest,
    marker: Mapping[str, SourcedValue],
    registry: Registry,
    environ: Mapping[str, str] = os.environ,
    *,
    system: str = "",
    parameters: Mapping[str, object] | None = None,
) -> ChainPlan:
    """Plan the chain called *name*.

    Args:
        name: The node id of its test, without the iteration.
        request: What this pytest run was asked for.
        marker: The settings on the test's marker.
        registry: What is installed.
        environ: The environment.
        system: The system that a fixture of the test sets: ``mock``, or ``fixture`` for one of the
            test's own, which only its fixture can make.
        parameters: The other parameters of the test, by name.

    Raises:
        SoakUsageError: Something that was given is unknown or not allowed.
    """
    chosen = LayeredSettings(request.options, marker, request.inis)
    given_pack = chosen.get("pack", SourcedValue(DEFAULT_PACK, "the default pack"))
    pack = _pack(given_pack, registry, request.packs)
    given_profile = _chosen_profile(pack, chosen, environ)
    wrong: list[str] = []
    with gathered(wrong):
        pack = replace(pack, kpis=_kpis(pack, chosen, criteria(registry)))
    with gathered(wrong):
        profile = _profile(pack, given_profile)
    scenario = chosen.get("scenario", SourcedValue(pack.scenario, f"pack {pack.name}"))
    if scenario.value not in pack.scenarios:
        wrong.append(unknown("scenario", scenario.value, scenario.source, pack.scenarios))
    which = chosen.get("system", SourcedValue(pack.system, f"pack {pack.name}"))
    with gathered(wrong):
        # Looked up even if a fixture replaces it, so that a misspelt name is always an error.
        registered = registry.find("systems", which.value, which.source)
    with gathered(wrong):
        tuners = _tuners(pack, chosen, registry)
    with gathered(wrong):
        rules = _rules(pack, chosen, request)
    refuse_all(wrong)
    if system == MOCK_SYSTEM:
        registered = registry.find("systems", MOCK_SYSTEM, "the fixture mock_soak")
    made: System | None = None
    mask = Mask.of(secret_names(pack, registered.factory), environ)
    safe = environ.get(pack.safe_switch) == "1"  # a fixture's system may have secrets
    if system != OWN_SYSTEM or "system" in request.options:
        with cleaned(mask.text):
            made = registered.make(pack, scenario.value, needs=("run",), clean=mask.text)
        safe = False
        if registered.name != REPLAY_SYSTEM:  # a recording needs no secrets
            mask, safe = read_secrets(made, pack, registered.name, environ)
    system_name = registered.name if made else OWN_SYSTEM
    with cleaned(mask.text):
        for tuner in tuners:  # checked even if nothing is tuned
            _check_tuner(tuner, pack, mask)
    _check_length(made, system_name, request)
    initial = _initial_overrides(pack, profile, request.overrides, environ)
    _check_parameters(made, system_name, overlay(profile.fields, initial.overrides), mask)
    plan = ChainPlan(
        name=name,
        slug="",
        run_id="",
        planned=request.iterations,
        window=rules.window,
        mode=request.mode,
        seed=int(chosen.get("seed", SourcedValue(0, "")).value),
        pack=pack,
        profile=profile,
        initial=initial,
        scenario=scenario.value,
        system_name=system_name,
        system=made,
        tuners=tuners if request.mode is not Mode.OFF else (),
        slot=request.slot,
        mask=mask,
        safe=safe,
        files=_files(request.root, pack_file=given_pack.value, profile_file=given_profile.value),
        parameters=jsonable(parameters or {}),
        rules=rules,
        abort=pack.abort or request.abort,
    )
    return plan.identified(request.session)


def _pack(
    given: SourcedValue, registry: Registry, overlays: Mapping[str, Mapping[str, Any]]
) -> Pack:
    def find(name: str, source: str) -> Any:  # noqa: ANN401 - what a plugin's factory gives
        return registry.find("packs", name, source).make(needs=("read_text",))

    by_path = given.value.endswith(".toml")
    path = Path(given.value) if by_path else find(given.value, given.source)
    return load_pack(
        path,
        overlays,
        find,
        systems(registry),
        criteria(registry),
        guards=partial(table_mistakes, registry),
        tuners=registry.offers("tuners"),
    )


def _chosen_profile(
    pack: Pack, chosen: LayeredSettings, environ: Mapping[str, str]
) -> SourcedValue:
    variable = f"{pack.prefix}PROFILE"
    if environ.get(variable, "").strip() and "profile" not in chosen.options:
        return SourcedValue(environ[variable].strip(), variable)
    return chosen.get("profile", SourcedValue(pack.profile, f"pack {pack.name}"))


def _profile(pack: Pack, given: SourcedValue) -> Profile:
    if not given.value.endswith(".toml"):
        if given.value not in pack.profiles:
            known = unknown("profile", given.value, given.source, pack.profiles)
            msg = f"{known}, or {A_FILE}"
            raise SoakUsageError(msg)
        return pack.profiles[given.value]
    path = Path(given.value)
    try:
        fields = tomllib.loads(read_text(path))
    except UNREADABLE as error:
        msg = f"{given.source}: profile {path}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
    wrong = {name: value for name, value in fields.items() if not is_number(value)}
    mistakes = [
        Mistake(name, f"{safe_repr(value)} given", "a finite number")
        for name, value in wrong.items()
    ]
    profile = profile_of(pack.parameters, path.stem, fields)
    mistakes += profile_mistakes(pack, profile, set(wrong))
    refuse(f"{given.source}: profile {path}", mistakes)
    return profile


def _files(root: Path, **given: str) -> dict[str, str]:
    """Return the paths among *given*, relative to *root* if they are below it."""
    files = {}
    for name, value in given.items():
        if value.endswith(".toml"):
            path = Path(value).absolute()
            inside = path.is_relative_to(root)
            files[name] = (path.relative_to(root) if inside else path).as_posix()
    return files


def _rules(pack: Pack, chosen: LayeredSettings, request: SoakRequest) -> Rules:
    """Return what the verdict is based on."""
    planned, tuned = request.iterations, request.mode is Mode.APPLY
    usual = SourcedValue(max(LEAST_WINDOW, planned // 10), "")
    observe = chosen.get("observe", usual)
    window = max(1, min(int(observe.value), planned - 1))
    warm_up = chosen.get("warm_up", SourcedValue(pack.warm_up, f"pack {pack.name}: warm_up"))
    most = planned - window
    allowed = ""
    if observe.value < 1:
        source, value, allowed = observe.source, observe.value, "1 or more"
    elif not 0 <= warm_up.value <= most:
        source, value = warm_up.source, warm_up.value
        allowed = f"0 to {most}, as the last {window} of {planned} iterations are judged"
    if allowed:
        msg = f"{source}: {value} given; allowed: {allowed}"
        raise SoakUsageError(msg)
    usual_run = TUNED_RUN if tuned else None
    return Rules(
        window,
        planned,
        int(warm_up.value),
        pack.max_inconclusive,
        pack.whole_run or usual_run,
        tuned=tuned,
    )


def _kpis(pack: Pack, chosen: LayeredSettings, kinds: Kinds) -> tuple[Kpi, ...]:
    """Return the pack's KPIs, changed by the gate settings of ini, marker and options."""
    kpis = {kpi.metric: kpi for kpi in pack.kpis}
    for level in (chosen.inis, chosen.marker, chosen.options):
        given = level.get("gate", SourcedValue((), ""))
        for text in given.value:
            kpi = _gated(text, given.source, kpis, kinds)
            if not pack.knows(kpi.metric):
                raise SoakUsageError(unknown("metric", kpi.metric, given.source, pack.metrics))
            if pack.kind(kpi.metric) != "number":
                allowed = f"a number, or one of shares, as {kpi.metric}.REASON"
                msg = f"{given.source}: {kpi.metric} is no number; allowed: {allowed}"
                raise SoakUsageError(msg)
            kpis[kpi.metric] = kpi
    for kpi in kpis.values():
        for criterion in kpi.criteria:
            _look_for(criterion, kpi)
    return tuple(kpis.values())


def _look_for(criterion: Criterion, kpi: Kpi) -> None:
    """Refuse a criterion that needs a module which is not installed. None is imported yet."""
    for module in criterion.needs:
        if find_spec(module) is None:
            msg = (
                f"criterion {criterion.name} of {kpi.metric}: needs {module}; install "
                f"{criterion.extra or module}"
            )
            raise SoakUsageError(msg)


def _gated(text: str, source: str, kpis: Mapping[str, Kpi], kinds: Kinds) -> Kpi:
    """Return the KPI of a metric after a gate setting, *text*, is applied."""
    try:
        metric, table = read_gate(text, kinds)
        before = kpis[metric].table if metric in kpis else {}
        return make_kpi(metric, {**before, **table}, kinds)
    except ValueError as error:
        msg = f"{source}: {safe_repr(text)} given; allowed: {error}"
    except Exception as error:  # noqa: BLE001 - a criterion of a plugin may raise anything
        msg = f"{source}: {safe_repr(text)} given: its criterion {what_raised(error)}"
    raise SoakUsageError(msg)


def _tuners(pack: Pack, chosen: LayeredSettings, registry: Registry) -> tuple[Registered, ...]:
    given = chosen.get("tuner", SourcedValue(pack.tuner, f"pack {pack.name}"))
    texts = [given.value] if isinstance(given.value, str) else given.value
    names = list(dict.fromkeys(name.strip() for text in texts for name in text.split(",")))
    installed = registry.offers("tuners")
    for table in pack.tables.values():
        factory = partial(TableTuner, table=table)
        own = Registered(table.name, "[[rule]]", f"pack {pack.name}", factory)
        installed.setdefault(table.name, []).append(own)
    wrong = [
        unknown("tuner", name, given.source, installed, NOT_SEEN)
        for name in names
        if name not in installed
    ]
    wrong += [
        f"pack {pack.source}: [[rule]] tuner = {name!r}: plugin {installed[name][0].plugin} has a "
        "tuner of this name; allowed: another name"
        for name in names
        if name in pack.tables and len(installed[name]) > 1
    ]
    refuse_all(wrong)
    return tuple(the_one(installed[name]) for name in names)


def _check_tuner(registered: Registered, pack: Pack, mask: Mask) -> None:
    """Refuse a tuner whose corridor is invalid or whose required metrics are unknown."""
    tuner = registered.make(pack, needs=("propose", "requires"), clean=mask.text)
    requires = required_metrics(str(registered), tuner)
    for metric in requires:
        if not pack.knows(metric):
            raise SoakUsageError(unknown("metric", metric, f"{registered} requires", pack.metrics))
    declared_corridor(str(registered), tuner)


def _initial_overrides(
    pack: Pack, profile: Profile, given: Sequence[OverridesText], environ: Mapping[str, str]
) -> InitialOverrides:
    """Read the overrides of the first source that is present: option, environment, file."""
    found = {text.source: text for text in reversed(given)}
    variable = f"{pack.prefix}RUNTIME_OVERRIDES_JSON"
    text = environ.get(variable, "")
    if text.strip():
        found["env"] = OverridesText("env", variable, text)
    for source in ("option", "env", "file"):
        if source in found:
            return read_overrides(found[source], pack, profile)
    return InitialOverrides("profile", {})


def _check_parameters(
    system: object, name: str, parameters: Mapping[str, float], mask: Mask
) -> None:
    """Let a system that has ``check`` refuse parameters that it cannot run with."""
    check = getattr(system, "check", None)
    if check is not None:
        try:
            check(parameters)
        except ValueError as error:
            words = safe_text(mask.text(trimmed(str(error))), REFUSAL)
            msg = f"system {name}: the parameters it would start with: {words}"
            raise SoakUsageError(msg) from None


def _check_length(system: object, name: str, request: SoakRequest) -> None:
    """Refuse more iterations than a system has, and a recording without its system."""
    most = getattr(system, "iterations", None)
    if isinstance(most, int) and request.iterations > most:
        msg = f"system {name}: has {most} iterations, {request.iterations} are asked for"
        raise SoakUsageError(msg)
    if request.replay is not None and name != REPLAY_SYSTEM:
        msg = f"--soak-replay: the system is {name}; replay it with --soak-system={REPLAY_SYSTEM}"
        raise SoakUsageError(msg)


def read_secrets(
    system: object, pack: Pack, owner: str, environ: Mapping[str, str]
) -> tuple[Mask, bool]:
    """Return the mask of the secrets of *system* and *pack*, and whether the run is in safe mode.

    Raises:
        SoakUsageError: A secret is not set or too short to be masked, and safe mode was not asked
            for.
    """
    names = secret_names(pack, system)
    switch = pack.safe_switch
    safe = bool(names) and environ.get(switch) == "1"
    for name in () if safe else names:
        value = environ.get(name, "")
        if len(value.strip()) < SHORTEST:
            wrong = f"has fewer than {SHORTEST} letters" if value else "is not set"
            why = ", as a shorter secret could not be kept out of reports" if value else ""
            msg = (
                f"system {owner}: the environment variable {name} {wrong}; set it{why}, or run "
                f"without secrets with {switch}=1"
            )
            raise SoakUsageError(msg)
    return Mask.of(names, environ), safe
