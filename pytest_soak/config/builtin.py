"""What the core offers through the same hooks as a plugin: pack, systems, strategies."""

from __future__ import annotations

from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import UNREADABLE, SoakUsageError, why_unreadable
from pytest_soak.gates.criteria import CRITERIA
from pytest_soak.guards.alarm import Alarm
from pytest_soak.guards.auto_rollback import AutoRollback
from pytest_soak.guards.binding import Binding
from pytest_soak.guards.budget import Budget
from pytest_soak.guards.caps import Caps
from pytest_soak.guards.clamp import Clamp
from pytest_soak.guards.confirmation import Confirmation
from pytest_soak.guards.conflict import Conflict
from pytest_soak.guards.cooldown import Cooldown
from pytest_soak.guards.drift import Drift
from pytest_soak.guards.freeze import Freeze
from pytest_soak.guards.metrics_usable import MetricsUsable
from pytest_soak.guards.observation_window import ObservationWindow
from pytest_soak.guards.oscillation import Oscillation
from pytest_soak.guards.plain_rollback import PlainRollback
from pytest_soak.guards.restarted import Restarted
from pytest_soak.guards.smoothing import Smoothing
from pytest_soak.guards.undone import Undone
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import JournalError, head_of
from pytest_soak.systems.command.program import read_program
from pytest_soak.systems.mock import MockSystem
from pytest_soak.systems.replay import ReplaySystem
from pytest_soak.verify.load import load_validated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_soak.guards.protocol import CoreGuard
    from pytest_soak.model.kpi import Criterion
    from pytest_soak.model.pack import Pack
    from pytest_soak.systems.protocol import System
    from pytest_soak.tuners.adaptive import Adaptive


def make_adaptive(pack: Pack) -> Adaptive:
    """Return the tuner `adaptive`; its module is loaded only if it is used."""
    from pytest_soak.tuners.adaptive import Adaptive  # noqa: PLC0415

    return Adaptive(pack)


GUARDS: tuple[type[CoreGuard], ...] = (
    Conflict,
    MetricsUsable,
    ObservationWindow,
    Restarted,
    AutoRollback,
    PlainRollback,
    Undone,
    Drift,
    Cooldown,
    Binding,
    Alarm,
    Freeze,
    Caps,
    Oscillation,
    Confirmation,
    Smoothing,
    Budget,
    Clamp,
)
"""The core's guards, in the order in which they act; those of plugins act before the last one.

`Conflict` comes first: it makes the changes, which later guards can only reduce. Then come guards
that stop everything, guards that stop single parameters, and guards that make steps smaller: a
guard after a cut sees the step that is left.
"""


class CorePlugin:
    """Offers the core's own packs, systems, tuners and guards."""

    def __init__(
        self, replay: Path | None = None, program: Sequence[str] = (), root: Path | None = None
    ) -> None:
        """Set what the core's systems are made from.

        Args:
            replay: The recorded run for the system ``replay``, or None.
            program: The program of the system ``command`` from the ini file; may be empty.
            root: The folder to which a program's working folder is relative; None for the current.
        """
        self._replay = replay
        self._program = tuple(program)
        self._root = root or Path.cwd()

    def pytest_soak_packs(self) -> Mapping[str, Callable[[], Any]]:
        """Offer the neutral demo pack."""
        return {"demo": lambda: resources.files("pytest_soak.packs").joinpath("demo.toml")}

    def pytest_soak_criteria(self) -> Mapping[str, type[Criterion]]:
        """Offer the criteria of the core."""
        return {kind.name: kind for kind in CRITERIA}

    def pytest_soak_tuners(self) -> Mapping[str, Callable[[Pack], Any]]:
        """Offer the tuner ``adaptive``, which works with every pack."""
        return {"adaptive": make_adaptive}

    def pytest_soak_guards(self) -> Mapping[str, Callable[[Pack], CoreGuard]]:
        """Offer the core's guards, in the order in which they act."""
        return {guard.name: guard for guard in GUARDS}

    def pytest_soak_systems(self) -> Mapping[str, Callable[..., Any]]:
        """Offer the mock, the replay of a recorded run, and programs by command or HTTP."""
        return {
            "mock": MockSystem,
            "replay": partial(make_replay, self._replay),
            "command": partial(make_command, self._program, self._root),
            "http": partial(make_http, self._root),
        }


def make_command(program: tuple[str, ...], root: Path, pack: Pack, scenario: str) -> System:
    """Return the system that runs a program.

    Raises:
        SoakUsageError: No program is set, or psutil, which watches its processes, is missing.
    """
    try:
        from pytest_soak.systems.command.system import CommandSystem  # noqa: PLC0415 - needs psutil
    except ModuleNotFoundError as error:
        msg = f"system command: needs {error.name}; install pytest-soak[command]"
        raise SoakUsageError(msg) from None
    return CommandSystem(read_program(program, root, pack, scenario))


def make_http(root: Path, pack: Pack, scenario: str) -> System:
    """Return the system that measures a program over HTTP.

    Raises:
        SoakUsageError: The pack does not say what to measure and where, or a package is missing.
    """
    try:
        from pytest_soak.systems.http.endpoint import read_endpoint  # noqa: PLC0415 - needs the extra
        from pytest_soak.systems.http.system import HttpSystem  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        msg = f"system http: needs {error.name}; install pytest-soak[http]"
        raise SoakUsageError(msg) from None
    return HttpSystem(read_endpoint(root, pack, scenario))


def make_replay(path: Path | None, *_pack_and_scenario: object) -> ReplaySystem:
    """Return the replay of a recorded run; *path* is its journal, or the journal's folder.

    Raises:
        SoakUsageError: No path was given, or there is no run to replay.
    """
    if path is None:
        msg = "--soak-system=replay: needs --soak-replay=PATH, the journal of a recorded run"
        raise SoakUsageError(msg)
    try:
        journal = path / JOURNAL if path.is_dir() else path
        records = load_validated(journal)
    except JournalError as error:
        msg = f"--soak-replay: {error}"
        raise SoakUsageError(msg) from None
    except UNREADABLE as error:
        msg = f"--soak-replay: {safe_text(str(path))}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None
    reports = {r["iteration"]: r["report"] for r in records if r["kind"] == "iteration"}
    if not reports:
        msg = f"--soak-replay: {journal}: holds no iteration of a recorded run"
        raise SoakUsageError(msg)
    return ReplaySystem(reports, head_of(journal))
