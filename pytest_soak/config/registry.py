"""What is installed: packs and strategies by name, each with its plugin."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pytest_soak.config.builtin import CorePlugin
from pytest_soak.errors import SoakUsageError, unknown, what_raised
from pytest_soak.gates.criteria import clash
from pytest_soak.guards.protocol import NoSettings
from pytest_soak.model.answers import UnusableAnswer, received
from pytest_soak.model.kpi import Criterion
from pytest_soak.model.mask import Mask
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.packs.check import schema_of

if TYPE_CHECKING:
    import pytest

    from pytest_soak.gates.criteria import Kinds
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.tuners.protocol import Tuner

A_FILE = "a file whose name ends in .toml"
"""What a pack or a profile may be instead of a known name."""
NOT_SEEN = (
    "a strategy is seen if an installed package, -p, or a conftest.py of the collected tests "
    "registers it"
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A factory with its name, the hook that returned it and the plugin that owns it."""

    name: str
    hook: str
    plugin: str
    factory: Callable[..., Any]
    core: bool = False
    """Whether the core itself offers it."""

    def make(
        self, *args: object, needs: tuple[str, ...] = (), clean: Callable[[str], str] = str
    ) -> Any:  # noqa: ANN401 - a strategy
        """Call the factory, and check that the result has the members in *needs*.

        *clean* masks what the factory raises.

        Raises:
            SoakUsageError: The factory raised, or the result lacks a member; the error names
                plugin, hook and value.
        """
        try:
            made = self.factory(*args)
            lacking = [need for need in needs if not hasattr(made, need)]
        except SoakUsageError:
            raise
        except Exception as error:
            msg = f"{self}: the factory {what_raised(error, clean)}"
            raise SoakUsageError(msg) from error
        if lacking:
            msg = f"{self}: the factory gave {safe_repr(made)}, which has no {lacking[0]!r}"
            raise SoakUsageError(msg)
        return made

    def __str__(self) -> str:
        """Return how errors name it."""
        return f"plugin {self.plugin}, hook {self.hook}, {safe_repr(self.name)}"


class Registry:
    """Everything that the hooks of one pytest run offer."""

    def __init__(self, pluginmanager: pytest.PytestPluginManager) -> None:
        """Look up each kind among the plugins that *pluginmanager* has at that time."""
        self._pluginmanager = pluginmanager

    def offers(self, kind: str) -> dict[str, list[Registered]]:
        """Return everything of one *kind* (``packs``, ``tuners``, ...), by name.

        Raises:
            SoakUsageError: A plugin returned something else than ``{name: factory}``.
        """
        hook = f"pytest_soak_{kind}"
        found: dict[str, list[Registered]] = {}
        for impl in getattr(self._pluginmanager.hook, hook).get_hookimpls():
            plugin = str(impl.plugin_name)
            offered = impl.function()
            if not isinstance(offered, Mapping):
                given = safe_repr(offered)
                msg = f"plugin {plugin}, hook {hook}: returned {given}, not {{name: factory}}"
                raise SoakUsageError(msg)
            for name, factory in offered.items():
                if not isinstance(name, str) or not callable(factory):
                    wrong = f"{safe_repr(name)}: {safe_repr(factory)} is no factory"
                    msg = f"plugin {plugin}, hook {hook}: {wrong}"
                    raise SoakUsageError(msg)
                core = isinstance(impl.plugin, CorePlugin)
                found.setdefault(name, []).append(Registered(name, hook, plugin, factory, core))
        return found

    def all(self, kind: str) -> dict[str, Registered]:
        """Return everything of a *kind* that is used whenever it is installed.

        The core's come first, in their order, then those of plugins by name.

        Raises:
            SoakUsageError: As for `offers`, or two plugins offer one name.
        """
        found = [the_one(offered) for offered in self.offers(kind).values()]
        found.sort(key=lambda one: "" if one.core else one.name)
        return {one.name: one for one in found}

    def find(self, kind: str, name: str, source: str) -> Registered:
        """Return the one called *name*; *source* says where the name was given.

        Raises:
            SoakUsageError: No plugin offers that name, or two do; the error lists the names.
        """
        found = self.offers(kind)
        if name not in found:
            hint = f"or {A_FILE}; {NOT_SEEN}" if kind == "packs" else NOT_SEEN
            raise SoakUsageError(unknown(kind[:-1], name, source, found, hint))
        return the_one(found[name])


def the_one(offered: Sequence[Registered]) -> Registered:
    """Return the only one of those that offer a name.

    Raises:
        SoakUsageError: There are several.
    """
    if len(offered) > 1:
        owners = " and ".join(f"plugin {one.plugin}" for one in offered)
        msg = f"hook {offered[0].hook}: the name {offered[0].name!r} is taken by {owners}"
        raise SoakUsageError(msg)
    return offered[0]


def criteria(registry: Registry) -> Kinds:
    """Return every kind of criterion that is installed.

    Raises:
        SoakUsageError: Something offered is no kind of criterion, or two kinds read the same key of
            ``[kpis.<metric>]`` or the same word of a gate setting.
    """
    offered = registry.all("criteria")
    for registered in offered.values():
        refuse_criterion(str(registered), registered.factory)
    kinds: dict[str, Any] = {str(each): each.factory for each in offered.values()}
    fault = clash(kinds)
    if fault:
        raise SoakUsageError(fault)
    return tuple(kinds.values())


def refuse_criterion(owner: str, kind: Any) -> None:  # noqa: ANN401 - what a plugin offers
    """Refuse what is offered as a *kind* of criterion if it cannot be used as one.

    Raises:
        SoakUsageError: The error names the *owner*.
    """
    if not (isinstance(kind, type) and hasattr(kind, "Settings")):
        msg = f"{owner}: {safe_repr(kind)} is no Criterion: its Settings are no dataclass"
        raise SoakUsageError(msg)
    for each in fields(declared_settings(owner, kind, "gates")):
        if each.default is MISSING and each.default_factory is MISSING:
            msg = (
                f"{owner}: Settings: {each.name} has no default; allowed: fields with a "
                "default, as a KPI need not set them (docs/gates.md)"
            )
            raise SoakUsageError(msg)
    if not issubclass(kind, Criterion):
        msg = f"{owner}: {safe_repr(kind)} is no subclass of pytest_soak.Criterion"
        raise SoakUsageError(msg)
    for member in ("words", "needs"):
        given: Any = getattr(kind, member)
        if not (isinstance(given, tuple) and all(isinstance(one, str) for one in given)):
            msg = f"{owner}: {member}: {safe_repr(given)} given; allowed: a tuple of texts"
            raise SoakUsageError(msg)
    for member in ("name", "grammar", "extra"):
        text: Any = getattr(kind, member, None)
        if not isinstance(text, str) or (member == "name" and not text):
            msg = f"{owner}: {member}: {safe_repr(text)} given; allowed: a text"
            raise SoakUsageError(msg)


def systems(registry: Registry) -> dict[str, type | None]:
    """Return ``{installed system: its Settings}``; None for a system that declares none.

    Raises:
        SoakUsageError: Settings cannot be checked.
    """
    found = {
        name: declared_settings(str(offered[0]), offered[0].factory, "systems", usual=NoSettings)
        for name, offered in registry.offers("systems").items()
    }
    return {name: None if table is NoSettings else table for name, table in found.items()}


def declared_settings(
    owner: str,
    strategy: object,
    page: str,
    finish: Callable[[type], type] = lambda given: given,
    usual: type | None = None,
    *,
    former: str = "",
) -> type:
    """Return the dataclass ``Settings`` of *strategy*, by which its table is checked.

    Args:
        owner: The words that name its owner in errors.
        strategy: The strategy, or its class.
        page: The page of the docs that describes such strategies.
        finish: Makes the type of the table from the dataclass.
        usual: The settings of a strategy without ``Settings``.
        former: The member that version 0.1.0 read instead.

    Raises:
        SoakUsageError: Its ``Settings`` is no frozen dataclass, or of types that cannot be checked.
    """
    try:
        given: Any = getattr(strategy, "Settings", usual)
        if former and hasattr(strategy, former):
            problem = f"has `{former}`, which version 0.1.0 read"
        elif isinstance(given, type) and is_dataclass(given) and _is_frozen(given):
            table = finish(given)
            schema_of(table)
            return table
        else:
            problem = f"Settings: {safe_repr(given)}"
    except Exception as error:  # noqa: BLE001 - a plugin's class may raise anything
        problem = f"Settings: {what_raised(error)}"
    msg = (
        f"{owner}: {problem}; allowed: `Settings`, a frozen dataclass of numbers, text, true or "
        f"false, lists, tables, and such dataclasses (docs/{page}.md)"
    )
    raise SoakUsageError(msg)


def _is_frozen(kind: Any) -> bool:  # noqa: ANN401 - a dataclass, which has no type
    return bool(kind.__dataclass_params__.frozen)


def required_metrics(owner: str, strategy: Gate | Tuner) -> tuple[str, ...]:
    """Return the metrics that *strategy* requires.

    Raises:
        SoakUsageError: They are not given as names; the error names the *owner*.
    """
    try:
        given: Any = received(strategy.requires, Mask())
        named = isinstance(given, Collection) and not isinstance(given, str)
        names = tuple(given) if named else ()
        problem = "" if named and all(isinstance(name, str) for name in names) else safe_repr(given)
    except UnusableAnswer as fault:
        names, problem = (), str(fault)
    except Exception as error:  # noqa: BLE001 - a plugin's property may raise anything
        names, problem = (), what_raised(error)
    if problem:
        msg = f"{owner}: requires: {problem}; allowed: a tuple of metrics by name"
        raise SoakUsageError(msg)
    return names


def declared_corridor(owner: str, tuner: Tuner) -> Corridor:
    """Return the corridor that *tuner* works in: the one it declares, or the apply bounds.

    Raises:
        SoakUsageError: It declares an unknown one; the error names the *owner*.
    """
    try:
        declared = getattr(tuner, "corridor", Corridor.APPLY)
        if declared in tuple(Corridor):
            return Corridor(declared)
        problem = f"is {safe_repr(declared)}"
    except Exception as error:  # noqa: BLE001 - as above
        problem = what_raised(error)
    msg = f"{owner}: corridor {problem}; allowed: {', '.join(Corridor)}"
    raise SoakUsageError(msg)
