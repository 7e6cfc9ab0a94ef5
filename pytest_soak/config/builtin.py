"""What the core itself registers: its pack and systems, through the hooks of everybody."""

from __future__ import annotations

from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import UNREADABLE, SoakUsageError, why_unreadable
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import JournalError, head_of
from pytest_soak.systems.command.program import read_program
from pytest_soak.systems.mock import MockSystem
from pytest_soak.systems.replay import ReplaySystem
from pytest_soak.verify.load import load_validated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_soak.model.pack import Pack
    from pytest_soak.systems.protocol import System
    from pytest_soak.tuners.adaptive import Adaptive


def make_adaptive(pack: Pack) -> Adaptive:
    """Return the tuner `adaptive`; its module is loaded where it is used."""
    from pytest_soak.tuners.adaptive import Adaptive  # noqa: PLC0415

    return Adaptive(pack)


class CorePlugin:
    """Offers the core's own packs and systems."""

    def __init__(
        self, replay: Path | None = None, program: Sequence[str] = (), root: Path | None = None
    ) -> None:
        """Take what systems of the core are made from.

        Args:
            replay: The recorded run that was given to be replayed, if one was.
            program: The program that the ini file gives for the system ``command``, if any.
            root: The folder that a program's working folder is named from.
        """
        self._replay = replay
        self._program = tuple(program)
        self._root = root or Path.cwd()

    def pytest_soak_packs(self) -> Mapping[str, Callable[[], Any]]:
        """Offer the neutral demo pack."""
        return {"demo": lambda: resources.files("pytest_soak.packs").joinpath("demo.toml")}

    def pytest_soak_tuners(self) -> Mapping[str, Callable[[Pack], Any]]:
        """Offer the tuner that learns; it works with every pack."""
        return {"adaptive": make_adaptive}

    def pytest_soak_systems(self) -> Mapping[str, Callable[..., Any]]:
        """Offer the closed-loop mock, the replay of a recorded run, and any program, twice."""
        return {
            "mock": MockSystem,
            "replay": partial(make_replay, self._replay),
            "command": partial(make_command, self._program, self._root),
            "http": partial(make_http, self._root),
        }


def make_command(program: tuple[str, ...], root: Path, pack: Pack, scenario: str) -> System:
    """Return the system that runs a program.

    Raises:
        SoakUsageError: There is none, or psutil, which looks after its processes, is missing.
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
        SoakUsageError: The pack does not say what and where, or a package is missing.
    """
    try:
        from pytest_soak.systems.http.endpoint import read_endpoint  # noqa: PLC0415 - needs the extra
        from pytest_soak.systems.http.system import HttpSystem  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        msg = f"system http: needs {error.name}; install pytest-soak[http]"
        raise SoakUsageError(msg) from None
    return HttpSystem(read_endpoint(root, pack, scenario))


def make_replay(path: Path | None, *_pack_and_scenario: object) -> ReplaySystem:
    """Return the replay of the run recorded at *path*: its journal, or the folder it lies in.

    Raises:
        SoakUsageError: No path was given, or there is no run to be replayed.
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
