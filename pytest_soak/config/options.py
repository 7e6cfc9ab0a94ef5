"""Options, their ini twins and the marker's arguments: one table, read in one order."""

from __future__ import annotations

import math
import re
import tomllib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Context, Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import UNREADABLE, SoakUsageError, why_unreadable
from pytest_soak.model.mode import Mode
from pytest_soak.model.safe_repr import safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest


class Resume(StrEnum):
    """Whether to go on with the newest unfinished run."""

    NO = ""
    YES = "yes"
    FORCE = "force"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting with an option, an ini twin (``soak_<name>``) and a marker argument."""

    name: str
    metavar: str
    help: str
    many: bool = False
    kind: type[str | int | float] = str
    marker: bool = True

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return f"--soak-{self.name}"

    @property
    def ini(self) -> str:
        """The key in the ini file."""
        return f"soak_{self.name}"


SETTINGS = (
    Setting("pack", "NAME|FILE", "domain: parameters, rules, KPIs (default: demo)"),
    Setting("system", "NAME", "what is soaked (default: the pack's)"),
    Setting("scenario", "NAME", "conditions it runs under (default: the pack's)"),
    Setting("profile", "NAME|FILE", "base of the parameters (default: the pack's)"),
    Setting("tuner", "NAME[,NAME]", "who proposes under --auto-tune (default: the pack's)"),
    Setting(
        "gate", "METRIC>=X", "what is good, replaces a KPI's FAIL limit; warn:METRIC>=X", many=True
    ),
    Setting("observe", "N", "iterations at the end in which nothing is applied", kind=int),
    Setting("seed", "N", "seed of the run (default: 0)", kind=int),
    Setting(
        "slot",
        "SECONDS",
        "length of a slot of --soak-hours (default: 300)",
        kind=float,
        marker=False,
    ),
    Setting("dir", "PATH", "folder of the artifacts (default: artifacts/soak)", marker=False),
)

DEFAULT_DIR = "artifacts/soak"
DEFAULT_SLOT = 300.0
MOST_SLOTS = 10_000
"""How many slots an hours run may have: pytest keeps some kB for each item."""
MOST_ITERATIONS = 1_000_000
"""How many iterations a run by count may have: pytest keeps about 9 kB for each, so 9 GB."""
COMMAND = "soak_command"
"""The key in the ini file for the program of the system ``command``."""
LENGTH = "--soak-iterations=N or --soak-hours=H"
MARKER = (
    "soak(system=, scenario=, tuner=, pack=, profile=, gate=, observe=, seed=, skippable=): this "
    "test is a soak; the arguments are settings of its own, see the docs of pytest-soak"
)
SKIPPABLE = "skippable"
"""The marker's argument by which a chain may be skipped; not a setting of a run."""
SKIP_REASON = f"a soak: run it with {LENGTH} [--auto-tune]"


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """A setting's value and where it was given, for errors."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class OverridesText:
    """Overrides as they were found, once, on the controller: not parsed, as nobody knows the pack.

    Args:
        source: ``option`` or ``file``, for the marker line.
        label: The option or path, for errors.
        text: The JSON.
    """

    source: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class SoakRequest:
    """What this pytest run was asked to soak.

    Args:
        iterations: How many iterations each chain has.
        mode: What happens to proposals.
        run_id: The run's name; the same in every worker.
        folder: Where artifacts go.
        options: ``{setting: given on the command line}``.
        inis: ``{setting: given in the ini file}``.
        overrides: Overrides found in option and file, first wins.
        packs: ``{pack: what pyproject.toml changes in it}``.
        resume: Whether to go on with the newest unfinished run of each chain.
        unfinished: ``{chain's folder: run id}`` of these runs, where that was asked for.
        worker: Whether this process is a worker of pytest-xdist.
        late: Whether it is one that joins when others may be running their chains.
        slot: How long an iteration is, in seconds of wall-clock time; None in a run by count.
        replay: The recorded run that the system ``replay`` gives the reports of, if one was given.
        command: The program of the system ``command``, where the ini file gives one.
        root: pytest's root folder.
    """

    iterations: int
    mode: Mode
    run_id: str
    folder: Path
    options: Mapping[str, SourcedValue] = field(default_factory=dict)
    inis: Mapping[str, SourcedValue] = field(default_factory=dict)
    overrides: Sequence[OverridesText] = ()
    packs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resume: Resume = Resume.NO
    unfinished: Mapping[str, str] = field(default_factory=dict)
    worker: bool = False
    late: bool = False
    slot: float | None = None
    replay: Path | None = None
    command: tuple[str, ...] = ()
    root: Path = Path()


def add_options(parser: pytest.Parser) -> None:
    """Add the options and their ini twins."""
    group = parser.getgroup("soak", "soak runs with closed-loop auto-tuning (pytest-soak)")
    group.addoption(
        "--soak-iterations", metavar="N", type=int, help="soak: run each chain for N iterations"
    )
    group.addoption(
        "--soak-hours", metavar="H", type=float, help="soak: run each chain for H hours of slots"
    )
    group.addoption(
        "--auto-tune", action="store_true", help="soak: apply what the tuners propose, guarded"
    )
    group.addoption(
        "--soak-recommend",
        action="store_true",
        help="soak: record what the tuners propose, apply nothing",
    )
    group.addoption(
        "--soak-resume",
        metavar="force",
        nargs="?",
        const=str(Resume.YES),
        help="soak: go on with the newest unfinished run; =force: though settings changed",
    )
    group.addoption("--soak-overrides", metavar="FILE|JSON", help="soak: overrides to start from")
    group.addoption(
        "--soak-replay", metavar="PATH", help="soak: the recorded run of --soak-system=replay"
    )
    parser.addini(COMMAND, "soak: program and arguments of --soak-system=command", "args", [])
    for setting in SETTINGS:
        text = f"soak: {setting.help}"
        if setting.many:
            group.addoption(setting.flag, metavar=setting.metavar, action="append", help=text)
            parser.addini(setting.ini, text, type="linelist", default=[])
        else:
            group.addoption(setting.flag, metavar=setting.metavar, type=setting.kind, help=text)
            parser.addini(setting.ini, text, default="")


def soaks(config: pytest.Config) -> bool:
    """Tell whether this process was asked to soak, and is not a worker of one that was."""
    lengths = config.getoption("soak_iterations"), config.getoption("soak_hours")
    return lengths != (None, None) and not hasattr(config, "workerinput")


def read_request(config: pytest.Config) -> SoakRequest | None:
    """Return what was asked for, or None where no soak was.

    Raises:
        SoakUsageError: Options that contradict each other or mean nothing.
    """
    iterations, hours = config.getoption("soak_iterations"), config.getoption("soak_hours")
    tune = config.getoption("auto_tune")
    recommend = config.getoption("soak_recommend")
    if tune and recommend:
        msg = "--auto-tune applies and --soak-recommend applies nothing: give one of them"
        raise SoakUsageError(msg)
    resume = config.getoption("soak_resume") is not None
    if iterations is not None and hours is not None:
        msg = "--soak-iterations is a count and --soak-hours a time: give one of them"
        raise SoakUsageError(msg)
    if hours is None and config.getoption("soak_slot") is not None:
        msg = "--soak-slot: needs --soak-hours=H, the time that is made up of slots"
        raise SoakUsageError(msg)
    if iterations is None and hours is None:
        if tune or recommend or resume:
            flag = "--auto-tune" if tune else "--soak-recommend" if recommend else "--soak-resume"
            msg = f"{flag}: needs {LENGTH}, how long to soak"
            raise SoakUsageError(msg)
        return None
    for option in ("setupplan", "setuponly"):
        if config.getoption(option, default=False):
            msg = f"--{option[:5]}-{option[5:]}: a soak cannot be set up without being run"
            raise SoakUsageError(msg)
    mode = Mode.APPLY if tune else Mode.RECOMMEND if recommend else Mode.OFF
    options = _given_options(config)
    inis = _given_inis(config)
    slot = None
    if hours is not None:
        given = options.get(
            "slot", inis.get("slot", SourcedValue(DEFAULT_SLOT, "the default slot"))
        )
        iterations, slot = _planned_slots(hours, given), given.value
    if not 1 <= iterations <= MOST_ITERATIONS:
        msg = f"--soak-iterations: {iterations} given; allowed: 1 to {MOST_ITERATIONS}"
        raise SoakUsageError(msg)
    folder = _folder(config, options, inis)
    return SoakRequest(
        iterations,
        mode,
        new_run_id(),
        folder,
        options,
        inis,
        _overrides_texts(config, folder),
        pack_overlays(config.rootpath / "pyproject.toml"),
        _resume(config),
        worker=hasattr(config, "workerinput"),
        slot=slot,
        replay=_replay(config),
        command=_command(config),
        root=config.rootpath,
    )


def _command(config: pytest.Config) -> tuple[str, ...]:
    """Return the program and its arguments from the ini file."""
    from pytest import UsageError  # noqa: PLC0415, PT013 - commands have no use for pytest

    try:
        return tuple(config.getini(COMMAND))
    except (ValueError, UsageError) as error:  # the newest pytest wraps it
        msg = (
            f"{COMMAND} in the ini file: {error}; allowed: words quoted as in a shell, such as "
            'python "my program.py"'
        )
        raise SoakUsageError(msg) from None


def _planned_slots(hours: float, slot: SourcedValue) -> int:
    """Return how many slots the *hours* have."""
    from pytest_soak.model.pace import slots_in  # noqa: PLC0415 - only for an hours run

    for value, source in ((hours, "--soak-hours"), (slot.value, slot.source)):
        if not (math.isfinite(value) and value > 0):
            msg = f"{source}: {value:g} given; allowed: a finite number above 0"
            raise SoakUsageError(msg)
    planned = slots_in(hours, slot.value)
    if planned < 1:
        msg = (
            f"--soak-hours: {hours:g} given, less than one slot of {slot.value:g} s "
            f"({slot.source}); allowed: more hours, or a shorter --soak-slot"
        )
        raise SoakUsageError(msg)
    if planned > MOST_SLOTS:
        fits = Context(prec=3, rounding=ROUND_CEILING).divide(
            Decimal(str(hours)) * 3600, MOST_SLOTS
        )
        msg = (
            f"--soak-hours: {hours:g} given, {planned} slots of {slot.value:g} s ({slot.source}); "
            f"allowed: {MOST_SLOTS} slots at most, as with --soak-slot={float(fits):g}"
        )
        raise SoakUsageError(msg)
    return planned


def _resume(config: pytest.Config) -> Resume:
    given = config.getoption("soak_resume")
    if given is None:
        return Resume.NO
    if given not in tuple(Resume):
        allowed = "--soak-resume or --soak-resume=force; put it last"
        msg = f"--soak-resume={safe_text(given)}: allowed: {allowed}"
        raise SoakUsageError(msg)
    return Resume(given)


def _replay(config: pytest.Config) -> Path | None:
    given = config.getoption("soak_replay")
    return None if given is None else Path(config.invocation_params.dir / given)


def new_run_id() -> str:
    """Return a name for a run: UTC time, then six random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


def _given_options(config: pytest.Config) -> dict[str, SourcedValue]:
    found = {}
    for setting in SETTINGS:
        value = config.getoption(f"soak_{setting.name}")
        if value is not None:
            found[setting.name] = SourcedValue(
                _placed(value, config.invocation_params.dir), setting.flag
            )
    return found


def _placed(value: object, folder: Path) -> object:
    """Return *value*; the name of a TOML file as a path below *folder*, where it was given."""
    return str(folder / value) if isinstance(value, str) and value.endswith(".toml") else value


def _given_inis(config: pytest.Config) -> dict[str, SourcedValue]:
    found = {}
    where = config.inipath.name if config.inipath else "ini file"
    for setting in SETTINGS:
        value = config.getini(setting.ini)
        if value in ("", []):
            continue
        source = f"{setting.ini} in {where}"
        found[setting.name] = SourcedValue(
            _read_ini(setting, value, source, config.rootpath), source
        )
    return found


def _read_ini(setting: Setting, value: str, source: str, root: Path) -> object:
    if setting.kind is int:
        return _as_int(value, source)
    if setting.kind is float:
        try:
            return float(value)
        except ValueError:
            msg = f"{source}: {safe_repr(value)} given; allowed: a number"
            raise SoakUsageError(msg) from None
    return _placed(value, root)


def read_marker(
    kwargs: Mapping[str, object], args: Sequence[object], root: Path
) -> dict[str, SourcedValue]:
    """Return the settings on a ``soak`` marker; files are named from *root*.

    Raises:
        SoakUsageError: An argument that is no setting, or of the wrong type.
    """
    known = {setting.name: setting for setting in SETTINGS if setting.marker}
    source = "@pytest.mark.soak"
    allowed = ", ".join((*known, SKIPPABLE))
    if args:
        msg = f"{source}: {safe_repr(args[0])} given by position; allowed: {allowed} by name"
        raise SoakUsageError(msg)
    found = {}
    for name, value in kwargs.items():
        where = f"{source}({name}=)"
        if name == SKIPPABLE and isinstance(value, bool):
            continue
        if name == SKIPPABLE:
            msg = f"{where}: {safe_repr(value)} given; allowed: True or False"
            raise SoakUsageError(msg)
        if name not in known:
            msg = f"{source}: unknown argument {safe_repr(name)}; allowed: {allowed}"
            raise SoakUsageError(msg)
        found[name] = SourcedValue(_placed(_marked(known[name], value, where), root), where)
    return found


def _marked(setting: Setting, value: object, where: str) -> object:
    """Return a marker's argument as *setting* takes it."""
    if setting.kind is int:
        return _as_int(value, where)
    if not setting.many and setting.name != "tuner":
        if isinstance(value, str):
            return value
        msg = f"{where}: {safe_repr(value)} given; allowed: text"
        raise SoakUsageError(msg)
    texts: Any = [value] if isinstance(value, str) else value
    if type(texts) in (list, tuple) and all(isinstance(text, str) for text in texts):
        return texts
    msg = f"{where}: {safe_repr(value)} given; allowed: text, or a list of texts"
    raise SoakUsageError(msg)


def _as_int(value: object, source: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    msg = f"{source}: {safe_repr(value)} given; allowed: a whole number"
    raise SoakUsageError(msg)


def _folder(
    config: pytest.Config, options: Mapping[str, SourcedValue], inis: Mapping[str, SourcedValue]
) -> Path:
    if "dir" in options:
        folder = config.invocation_params.dir / options["dir"].value
        source = options["dir"].source
    else:
        given = inis.get("dir", SourcedValue(DEFAULT_DIR, "the default folder"))
        folder = config.rootpath / given.value
        source = given.source
    latest = folder / "latest"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
        in_the_way = latest.exists() and not latest.is_symlink()
    except UNREADABLE as error:
        msg = f"{source}: {safe_text(str(folder))}: cannot be written: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
    if in_the_way:
        msg = f"{source}: {latest} is in the way: it is to become a link to the newest chain"
        raise SoakUsageError(msg)
    return Path(folder)


def _overrides_texts(config: pytest.Config, folder: Path) -> tuple[OverridesText, ...]:
    found = []
    option = config.getoption("soak_overrides")
    if option is not None:
        if option.lstrip().startswith(("{", "[", '"')):
            found.append(OverridesText("option", "--soak-overrides", option))
        else:
            path = config.invocation_params.dir / option
            label = f"--soak-overrides {safe_text(option)}"
            found.append(OverridesText("option", label, _text(path, label)))
    seeded = folder / "runtime_overrides.json"
    if seeded.exists():
        found.append(OverridesText("file", str(seeded), _text(seeded, str(seeded))))
    return tuple(found)


def pack_overlays(pyproject: Path) -> dict[str, dict[str, Any]]:
    """Return what ``[tool.pytest-soak.packs.NAME]`` in *pyproject* changes, by pack."""
    if not pyproject.exists():
        return {}
    try:
        found: Any = tomllib.loads(_text(pyproject, str(pyproject)))
    except UNREADABLE as error:
        msg = f"{pyproject}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
    for key in ("tool", "pytest-soak"):
        found = found.get(key, {}) if isinstance(found, dict) else found
    own = found if isinstance(found, dict) else {"pytest-soak": found}
    packs = own.get("packs", {})
    wrong = {key: value for key, value in own.items() if key != "packs"}
    if isinstance(packs, dict):
        wrong |= {key: value for key, value in packs.items() if not isinstance(value, dict)}
    else:
        wrong["packs"] = packs
    for key, value in wrong.items():
        msg = (
            f"{pyproject}: [tool.pytest-soak] has {safe_text(key)} = {safe_repr(value)}; "
            "allowed: tables [tool.pytest-soak.packs.NAME]"
        )
        raise SoakUsageError(msg)
    return dict(packs)


def _text(path: Path, label: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UNREADABLE as error:
        msg = f"{label}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
