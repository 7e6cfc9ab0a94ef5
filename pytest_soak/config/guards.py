"""The guards that are installed, with the settings that they declare."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_soak.config.registry import NOT_SEEN, declared_settings
from pytest_soak.errors import SoakUsageError, what_raised
from pytest_soak.guards.protocol import Enabled, NoSettings
from pytest_soak.packs.check import check, refuse, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pytest_soak.config.registry import Registered, Registry
    from pytest_soak.guards.protocol import Guard
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.settings import Mistake
    from pytest_soak.packs.check import Names


@dataclass(frozen=True, slots=True)
class InstalledGuard:
    """A guard of one chain.

    Args:
        name: Its name.
        owner: The words that name its owner in errors.
        guard: The guard itself.
        settings: Its settings, as the pack sets them.
        core: Whether it is the core's own.
        merges: Whether it makes the changes out of the requests. Only the core's may.
        rolls_back: Whether it may go back to earlier parameters. Only the core's may.
        headroom: Its method of that name, if it has one.
    """

    name: str
    owner: str
    guard: Guard
    settings: Any
    core: bool
    merges: bool
    rolls_back: bool
    headroom: Callable[..., object] | None


def install_guards(registry: Registry, pack: Pack) -> tuple[InstalledGuard, ...]:
    """Make the guards that are switched on, in the order in which they act.

    Args:
        registry: What is installed. The core's guards act first, in their order, then those of
            plugins by name, and last the core's last one, the clamp.
        pack: The domain, with the guards' tables.

    Raises:
        SoakUsageError: A guard cannot be made or declares no valid settings; the error names its
            owner. Or the pack sets something that is not allowed; the error lists all mistakes.
    """
    found = list(registry.all("guards").values())
    core = [one for one in found if one.core]
    others = [one for one in found if not one.core]
    if not core:  # without them no tuner could change anything, and no message would say so
        msg = "hook pytest_soak_guards: the core's guards are missing; remove -p no:soak-core"
        raise SoakUsageError(msg)
    names = {**pack.names, "tuner": [*registry.offers("tuners"), *pack.tables]}
    guards, mistakes = [], []
    for registered in (*core[:-1], *others, *core[-1:]):
        guard, wrong = _install(registered, pack, names)
        guards.append(guard)
        mistakes += wrong
    mistakes += _unknown_guards(pack.guards, [one.name for one in found])
    refuse(f"pack {pack.source}", mistakes, pack.layers, shown=True)
    return tuple(guard for guard in guards if getattr(guard.settings, "enabled", True))


def table_mistakes(registry: Registry, tables: Mapping[str, object], names: Names) -> list[Mistake]:
    """Return the mistakes in the guards' *tables* that can be found without a pack.

    Guards that are made by a function, and what a guard itself finds wrong, need a sound pack.

    Args:
        registry: What is installed.
        tables: ``{guard: its table}``.
        names: The names that tables may refer to, as for `check`.
    """
    installed = registry.all("guards")
    mistakes = _unknown_guards(tables, installed)
    for name, table in tables.items():
        one = installed.get(name)
        if one is not None and isinstance(one.factory, type):
            kind = settings_of(str(one), one.factory)
            mistakes += check(table, kind, f"guards.{name}", names)[1]
    return mistakes


def _unknown_guards(tables: Iterable[str], installed: Collection[str]) -> list[Mistake]:
    found = [
        unknown(f"guards.{name}", "guard", name, installed)
        for name in tables
        if name not in installed
    ]
    return [replace(one, allowed=f"{one.allowed} ({NOT_SEEN})") for one in found]


def guard_tables(registry: Registry, pack: Pack) -> dict[str, type]:
    """Return ``{guard: the type of its table}`` of every installed guard.

    A guard whose factory is no class is made for *pack*. If that fails, the guard may be one for
    other packs, and its table may hold anything.
    """
    tables: dict[str, type] = {}
    for one in registry.all("guards").values():
        try:
            is_class = isinstance(one.factory, type)
            guard = one.factory if is_class else one.make(pack, needs=("review",))
        except SoakUsageError:
            tables[one.name] = dict
        else:
            tables[one.name] = settings_of(str(one), guard)
    return tables


def settings_of(owner: str, guard: object) -> type:
    """Return the dataclass of a guard's table: its ``Settings``, with ``enabled``.

    Args:
        owner: The words that name its owner in errors.
        guard: The guard, or its class.

    Raises:
        SoakUsageError: Its ``Settings`` is no frozen dataclass, or of types that cannot be checked.
    """

    def finish(given: type) -> type:
        return given if getattr(guard, "required", False) else _switchable(given)

    return declared_settings(owner, guard, "guards", finish, NoSettings, former="defaults")


@cache
def _switchable(kind: type) -> type:
    """Return *kind* with the setting that every guard has; *kind* itself if it has it already."""
    if any(field.name == "enabled" for field in fields(kind)):
        return kind
    name = kind.__qualname__.replace(".", "")
    return make_dataclass(
        name,
        [("enabled", Enabled, True)],
        bases=(kind,),
        namespace={"__module__": kind.__module__},
        frozen=True,
    )


def _install(
    registered: Registered, pack: Pack, names: Names
) -> tuple[InstalledGuard, list[Mistake]]:
    """Make one guard, and return it with what is wrong in its table."""
    name, owner, core = registered.name, str(registered), registered.core
    guard = registered.make(pack, needs=("review",))
    table = settings_of(owner, guard)
    where = f"guards.{name}"
    try:
        settings, found = check(pack.guards.get(name, {}), table, where, names)
        wrong = list(found)
        if not wrong and hasattr(guard, "faults"):
            faults = guard.faults(settings)
            wrong = [replace(one, where=f"{where}.{one.where}") for one in faults]
        merges, rolls_back = core and guard.merges, core and guard.rolls_back
        headroom = getattr(guard, "headroom", None)
    except Exception as error:
        msg = f"{owner}: its settings: {what_raised(error)}"
        raise SoakUsageError(msg) from error
    made = InstalledGuard(name, owner, guard, settings, core, merges, rolls_back, headroom)
    return made, wrong
