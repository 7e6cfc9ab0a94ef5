"""What a run was asked for, read from options, ini keys, markers and ``pyproject.toml``."""

from __future__ import annotations

import difflib
import math
import os
import re
import shlex
import tomllib
import uuid
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context, Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.config.options import (
    COMMAND,
    DEFAULT_DIR,
    LENGTH,
    SETTINGS,
    SKIPPABLE,
    Setting,
    given_flags,
)
from pytest_soak.errors import (
    UNREADABLE,
    SoakUsageError,
    gathered,
    refuse_all,
    unknown,
    why_unreadable,
)
from pytest_soak.model.mode import Mode
from pytest_soak.model.safe_repr import did_you_mean, safe_repr, safe_text
from pytest_soak.store.artifacts import OVERRIDES
from pytest_soak.store.cell import new_session
from pytest_soak.store.files import BOM, read_text
from pytest_soak.store.folder import run_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest


class Resume(StrEnum):
    """Whether to continue the newest unfinished run."""

    NO = ""
    YES = "yes"
    FORCE = "force"


DEFAULT_SLOT = 300.0
MOST_SLOTS = 10_000
"""How many slots an hours run may have; pytest keeps some kB for each item."""
MOST_ITERATIONS = 1_000_000
"""How many iterations a run by count may have: pytest keeps about 9 kB for each, so 9 GB."""


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """A setting's value, and where it was given (for errors)."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class OverridesText:
    """Overrides as text, read once on the controller; parsed later, when the pack is known.

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
        session: The id of this pytest run; workers get the controller's.
        folder: Where artifacts go.
        options: ``{setting: value}`` from the command line.
        inis: ``{setting: value}`` from the ini file.
        overrides: The overrides from option and file; the first wins.
        packs: ``{pack: table}``, what ``pyproject.toml`` changes in packs.
        resume: Whether to continue the newest unfinished run of each chain.
        unfinished: ``{chain's folder: run id}`` of the runs to resume.
        ended: ``{chain's folder: run id}`` of the runs that may be told again, in other folders.
        worker: Whether this process is a worker of pytest-xdist.
        late: Whether it is a worker that joined after others may have started chains.
        slot: How long an iteration is, in seconds of wall-clock time; None in a run by count.
        replay: The recorded run of the system ``replay``, or None.
        command: The program of the system ``command`` from the ini file; may be empty.
        root: pytest's root folder.
        abort: Whether a chain ends as soon as its verdict cannot be better than FAIL.
    """

    iterations: int
    mode: Mode
    session: str
    folder: Path
    options: Mapping[str, SourcedValue] = field(default_factory=dict)
    inis: Mapping[str, SourcedValue] = field(default_factory=dict)
    overrides: Sequence[OverridesText] = ()
    packs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resume: Resume = Resume.NO
    unfinished: Mapping[str, str] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)
    worker: bool = False
    late: bool = False
    slot: float | None = None
    replay: Path | None = None
    command: tuple[str, ...] = ()
    root: Path = Path()
    abort: bool = False


def read_request(config: pytest.Config) -> SoakRequest | None:
    """Return what was asked for, or None if no soak was.

    Raises:
        SoakUsageError: Options that contradict each other or do nothing, or an unknown ini key.
    """
    iterations, hours = config.getoption("soak_iterations"), config.getoption("soak_hours")
    tune, recommend = config.getoption("auto_tune"), config.getoption("soak_recommend")
    mode = Mode.APPLY if tune else Mode.RECOMMEND if recommend else Mode.OFF
    _refuse_combinations(config, mode)
    if iterations is None and hours is None:
        return None
    _refuse_unknown_keys(config)
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
    worker = hasattr(config, "workerinput")
    return SoakRequest(
        iterations,
        mode,
        "" if worker else new_session(run_names(folder), uuid.uuid4().hex[:6]),
        folder,
        options,
        inis,
        _overrides_texts(config, folder),
        pack_overlays(config.rootpath / "pyproject.toml"),
        _resume(config),
        worker=worker,
        slot=slot,
        replay=_replay(config),
        command=_command(config),
        root=config.rootpath,
        abort=bool(config.getoption("soak_abort")),
    )


def _refuse_combinations(config: pytest.Config, mode: Mode) -> None:
    """Refuse options that contradict each other or would do nothing."""
    given = given_flags(config)
    typed = [flag for flag in given if _typed(config, flag)]
    length = {"--soak-iterations", "--soak-hours"} & {*given}
    unrunnable = [
        name for name in ("setupplan", "setuponly") if config.getoption(name, default=False)
    ]
    msg = ""
    if {"--auto-tune", "--soak-recommend"} <= {*given}:
        msg = "--auto-tune applies and --soak-recommend applies nothing: give one of them"
    elif len(length) > 1:
        msg = "--soak-iterations is a count and --soak-hours a time: give one of them"
    elif "--soak-slot" in given and "--soak-hours" not in length:
        msg = "--soak-slot: needs --soak-hours=H, the time that is divided into slots"
    elif typed and not length:
        msg = f"{typed[0]}: needs {LENGTH}, how long to soak"
    elif length and unrunnable:
        name = unrunnable[0]
        msg = f"--{name[:5]}-{name[5:]}: a soak cannot be set up without running it"
    elif "--soak-tuner" in typed and mode is Mode.OFF:
        msg = "--soak-tuner: needs --auto-tune or --soak-recommend; without them no tuner is asked"
    if msg:
        raise SoakUsageError(msg)


def _typed(config: pytest.Config, flag: str) -> bool:
    """Tell whether *flag* is on the command line itself; ``addopts`` apply to every run."""
    args = map(str, config.invocation_params.args)
    return any(arg == flag or arg.startswith(f"{flag}=") for arg in args)


CLOSE = 0.85
"""From this similarity on (`difflib`), an unknown ini key counts as one of ours, misspelt."""


def _refuse_unknown_keys(config: pytest.Config) -> None:
    """Refuse unknown ini keys that look like ours; pytest itself only warns of them."""
    # There is no public API. Without this method only pytest's own warning is shown.
    keys: Iterable[str] = getattr(config, "_get_unknown_ini_keys", tuple)()
    known = [COMMAND, *(setting.ini for setting in SETTINGS)]
    wrong = [
        unknown("key", key, _ini_name(config), known)
        for key in sorted(keys)
        if key.startswith("soak_") or difflib.get_close_matches(key.lower(), known, 1, CLOSE)
    ]
    refuse_all(wrong)


def _ini_name(config: pytest.Config) -> str:
    return config.inipath.name if config.inipath else "ini file"


def _ini_value(config: pytest.Config, key: str) -> Any:  # noqa: ANN401 - any value of TOML
    """Return the value of *key* as the ini file has it; empty if it has none.

    By `getini` one type has one form: in ``[tool.pytest]`` a list could not be a single text, and
    a number not be text, though both are natural there. There is no public API for the value.
    """
    written: Any = getattr(config, "_inicfg", {}).get(key)  # before pytest 9 all is text or a list
    return config.getini(key) if written is None else written.value


def _command(config: pytest.Config) -> tuple[str, ...]:
    """Return the program and its arguments from the ini file."""
    try:
        given = _ini_value(config, COMMAND)
        words = shlex.split(given) if isinstance(given, str) else given
        wrong = "" if _are_texts(words) else f"{safe_repr(given)} given"
    except ValueError as error:  # a quotation that does not end
        words, wrong = (), str(error)
    if wrong:
        msg = (
            f"{COMMAND} in {_ini_name(config)}: {wrong}; allowed: a list of texts, or words quoted "
            'as in a shell, such as python "my program.py"'
        )
        raise SoakUsageError(msg)
    return tuple(words)


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


def _given_options(config: pytest.Config) -> dict[str, SourcedValue]:
    found = {}
    for setting in SETTINGS:
        value = config.getoption(f"soak_{setting.name}")
        if value is not None:
            found[setting.name] = SourcedValue(
                _placed(setting, value, config.invocation_params.dir), setting.flag
            )
    return found


def _placed(setting: Setting, value: object, folder: Path) -> object:
    """Return *value*; a TOML file's name or a baseline's path becomes one relative to *folder*."""
    if not isinstance(value, str):
        return value
    path = os.sep in value if setting.name == "baseline" else value.endswith(".toml")
    return str(folder / value) if path else value


def _given_inis(config: pytest.Config) -> dict[str, SourcedValue]:
    found = {}
    wrong: list[str] = []
    for setting in SETTINGS:
        value = _ini_value(config, setting.ini)
        if value in ("", []):
            continue
        source = f"{setting.ini} in {_ini_name(config)}"
        with gathered(wrong):
            read = _placed(setting, _read_setting(setting, value, source), config.rootpath)
            found[setting.name] = SourcedValue(read, source)
    refuse_all(wrong)
    return found


def read_marker(
    kwargs: Mapping[str, object], args: Sequence[object], root: Path
) -> dict[str, SourcedValue]:
    """Return the settings on a ``soak`` marker; paths are relative to *root*.

    Raises:
        SoakUsageError: Arguments are no settings, or have the wrong type.
    """
    known = {setting.name: setting for setting in SETTINGS if setting.marker}
    source = "@pytest.mark.soak"
    allowed = (*known, SKIPPABLE)
    if args:
        by_name = f"{', '.join(allowed)} by name"
        msg = f"{source}: {safe_repr(args[0])} given by position; allowed: {by_name}"
        raise SoakUsageError(msg)
    found = {}
    wrong: list[str] = []
    for name, value in kwargs.items():
        where = f"{source}({name}=)"
        if name in known:
            with gathered(wrong):
                read = _placed(known[name], _read_setting(known[name], value, where), root)
                found[name] = SourcedValue(read, where)
        elif name != SKIPPABLE:
            wrong.append(unknown("argument", name, source, allowed))
        elif not isinstance(value, bool):
            wrong.append(f"{where}: {safe_repr(value)} given; allowed: True or False")
    refuse_all(wrong)
    return found


def _read_setting(setting: Setting, value: object, where: str) -> object:
    """Return what ini file or marker give as a value of *setting*."""
    if setting.kind is int:
        return _as_int(value, where)
    if setting.kind is float:
        return _as_float(value, where)
    if not setting.texts:
        if isinstance(value, str):
            return value
        msg = f"{where}: {safe_repr(value)} given; allowed: text"
        raise SoakUsageError(msg)
    texts: Any = value
    if isinstance(value, str):  # a text of an ini file has a line for each
        texts = [line.strip() for line in value.splitlines() if line.strip()] or [value]
    if _are_texts(texts):
        if texts or setting.many:  # an empty `gate` takes back the one of a class or module
            return texts
        msg = f"{where}: {safe_repr(value)} given; allowed: one or more"
        raise SoakUsageError(msg)
    msg = f"{where}: {safe_repr(value)} given; allowed: text, or a list of texts"
    raise SoakUsageError(msg)


def _are_texts(value: Any) -> bool:  # noqa: ANN401 - any value of TOML or Python
    return type(value) in (list, tuple) and all(isinstance(text, str) for text in value)


def _as_int(value: object, source: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    msg = f"{source}: {safe_repr(value)} given; allowed: a whole number"
    raise SoakUsageError(msg)


def _as_float(value: object, source: str) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    msg = f"{source}: {safe_repr(value)} given; allowed: a number"
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
        msg = f"{source}: {latest} is not a link; it is needed as a link to the newest chain"
        raise SoakUsageError(msg)
    return Path(folder)


def _overrides_texts(config: pytest.Config, folder: Path) -> tuple[OverridesText, ...]:
    found = []
    option = config.getoption("soak_overrides")
    if option is not None:
        if option.lstrip(f"{BOM} \t\r\n").startswith(("{", "[", '"')):
            found.append(OverridesText("option", "--soak-overrides", option))
        else:
            path = config.invocation_params.dir / option
            label = f"--soak-overrides {safe_text(option)}"
            found.append(OverridesText("option", label, _text(path, label)))
    file = folder / OVERRIDES
    if os.path.lexists(file):
        found.append(OverridesText("file", str(file), _text(file, str(file))))
    return tuple(found)


def pack_overlays(pyproject: Path) -> dict[str, dict[str, Any]]:
    """Return what ``[tool.pytest-soak.packs.NAME]`` in *pyproject* changes, by pack."""
    if not os.path.lexists(pyproject):
        return {}
    try:
        found: Any = tomllib.loads(_text(pyproject, str(pyproject)))
    except UNREADABLE as error:
        msg = f"{pyproject}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
    tools = found.get("tool", {})
    if not isinstance(tools, dict):
        tools = {"pytest-soak": tools}
    misspelt = [
        f"{pyproject}: unknown table [tool.{safe_text(key)}], did you mean [tool.pytest-soak]?"
        for key in tools
        if key != "pytest-soak" and re.sub("[-_.]", "", key).lower() == "pytestsoak"
    ]
    refuse_all(misspelt)
    found = tools.get("pytest-soak", {})
    own = found if isinstance(found, dict) else {"pytest-soak": found}
    packs = own.get("packs", {})
    wrong = {key: value for key, value in own.items() if key != "packs"}
    if isinstance(packs, dict):
        wrong |= {key: value for key, value in packs.items() if not isinstance(value, dict)}
    else:
        wrong["packs"] = packs
    near = {key: did_you_mean(key, ["packs"]) for key in own if key != "packs"}
    refuse_all(
        f"{pyproject}: [tool.pytest-soak] has {safe_text(key)} = {safe_repr(value)}"
        f"{near.get(key, '')}; allowed: tables [tool.pytest-soak.packs.NAME]"
        for key, value in wrong.items()
    )
    return dict(packs)


def _text(path: Path, label: str) -> str:
    try:
        return read_text(path)
    except UNREADABLE as error:
        msg = f"{label}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
