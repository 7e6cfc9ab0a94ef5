"""Where a command works: which chain, and which run of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SoakUsageError
from pytest_soak.store.folder import JOURNAL, RUNS, run_age
from pytest_soak.verify.artifacts import is_ours

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

LISTED = 20
"""How many names an error lists."""


@dataclass(frozen=True, slots=True)
class Place:
    """One run of a chain.

    Args:
        chain: The chain's folder, whose lock counts.
        folder: Where the run's files lie: the chain's folder itself, or one under ``runs``.
        run: Its id, as far as its journal can be read.
    """

    chain: Path
    folder: Path
    run: str

    @property
    def journal(self) -> Path:
        """Its journal."""
        return self.folder / JOURNAL

    @property
    def title(self) -> str:
        """The chain and the run, for people."""
        return f"{self.chain.name}, run {self.run}"


def chains(soak_dir: Path) -> list[Path]:
    """Return the folders of all chains in *soak_dir*, whatever state they are in.

    Raises:
        SoakUsageError: There is none.
    """
    folders = sorted(path for path in soak_dir.glob("*") if path.is_dir())
    found = [path for path in folders if not path.is_symlink() and runs(path)]
    if not found:
        msg = f"--soak-dir: no soak has left anything in {soak_dir}"
        raise SoakUsageError(msg)
    return found


def runs(chain: Path) -> list[Place]:
    """Return the runs of a *chain*: first the one in its folder, then the others, newest first."""
    aside = [Place(chain, path, _run_id(path, path.name)) for path in chain.glob(f"{RUNS}/*")]
    newest = sorted(aside, key=lambda place: run_age(place.run), reverse=True)
    here = [Place(chain, chain, _run_id(chain, "unknown"))]
    return [place for place in (*here, *newest) if _has_files(place.folder)]


def _has_files(folder: Path) -> bool:
    return any(is_ours(path.name) for path in folder.glob("*"))


def _first_record(folder: Path) -> Mapping[str, Any]:
    """Return the first record of the journal in *folder*, empty where it cannot be read."""
    try:
        with (folder / JOURNAL).open("rb") as file:
            record: object = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _run_id(folder: Path, otherwise: str) -> str:
    run = _first_record(folder).get("run")
    return run if isinstance(run, str) else otherwise


def _node_id(chain: Path) -> str:
    """Return the node id of the test whose *chain* it is, empty where no journal says it."""
    for place in runs(chain):
        config = _first_record(place.folder).get("config")
        if isinstance(config, dict) and isinstance(config.get("chain"), str):
            return str(config["chain"])
    return ""


def choose_chain(soak_dir: Path, given: str | None) -> Path:
    """Return the folder of the chain that was *given*: its name, its beginning, or its node id.

    Raises:
        SoakUsageError: None or several are meant; the line lists what there is.
    """
    folders = {path.name: path for path in chains(soak_dir)}
    if given is None:
        if len(folders) > 1:
            msg = f"--chain: needed, as {soak_dir} has several: {_listed(folders)}"
            raise SoakUsageError(msg)
        return next(iter(folders.values()))
    nodes = [path for path in folders.values() if _node_id(path) == given]
    return nodes[0] if nodes else folders[_the_one("--chain", "chain", given, folders)]


def choose_run(chain: Path, given: str | None) -> Place:
    """Return the run that was *given* by its id or the beginning of it; the one in the folder.

    Raises:
        SoakUsageError: None or several are meant; the line lists what there is.
    """
    places = runs(chain)
    if given is None:
        return places[0]
    ids: dict[str, Place] = {}
    for place in places:
        ids.setdefault(place.run, place)
    return ids[_the_one("--run", "run", given, ids)]


def _the_one(option: str, kind: str, given: str, names: Collection[str]) -> str:
    meant = [name for name in names if name == given]
    meant = meant or [name for name in names if name.startswith(given)]
    if not meant:
        msg = f"{option}: unknown {kind} {given!r}; there are: {_listed(names)}"
        raise SoakUsageError(msg)
    if len(meant) > 1:
        msg = f"{option}: {given!r} may be any of: {_listed(meant)}"
        raise SoakUsageError(msg)
    return meant[0]


def _listed(names: Collection[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return f"{', '.join(listed[:LISTED])}{more}"
