"""Which chain, and which run of it, a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_soak.config.options import DEFAULT_DIR
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.safe_repr import did_you_mean
from pytest_soak.store.cell import run_age
from pytest_soak.store.files import is_folder
from pytest_soak.store.folder import JOURNAL, put_aside
from pytest_soak.store.journal import first_record
from pytest_soak.verify.artifacts import is_ours

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Collection

LISTED = 20
"""How many names an error message lists."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run of a chain.

    Args:
        chain: The chain's folder, which has the lock.
        folder: The folder with the run's files: the chain's folder itself, or one under ``runs``.
        run: The run id, if the journal can be read.
    """

    chain: Path
    folder: Path
    run: str

    @property
    def journal(self) -> Path:
        """The path of the run's journal."""
        return self.folder / JOURNAL

    @property
    def title(self) -> str:
        """The chain and the run, for people."""
        return f"{self.chain.name}, run {self.run}"


def add_selection(parser: ArgumentParser) -> None:
    """Add the options that select a run."""
    add_chain(parser)
    parser.add_argument(
        "--run",
        metavar="R",
        help="a run id, or the beginning of it (default: the run in the chain's folder)",
    )


def add_chain(parser: ArgumentParser) -> None:
    """Add the options that select a chain."""
    parser.add_argument(
        "--soak-dir",
        metavar="PATH",
        type=Path,
        default=Path(DEFAULT_DIR),
        help=f"the folder with the artifacts of soaks (default: {DEFAULT_DIR})",
    )
    parser.add_argument(
        "--chain",
        metavar="C",
        help="a chain: its folder's name, the beginning of it, or the node id of its test "
        "(default: the chain of the only test, of its cells the one that ran last)",
    )


def chains(soak_dir: Path) -> list[Path]:
    """Return the folders of all chains in *soak_dir*, damaged ones included.

    Raises:
        SoakUsageError: There is none.
    """
    found = sorted(path for path in filter(is_folder, soak_dir.glob("*")) if runs(path))
    if not found:
        msg = f"--soak-dir: there are no soaks in {soak_dir}"
        raise SoakUsageError(msg)
    return found


def runs(chain: Path) -> list[RunFolder]:
    """Return the runs of a *chain*: first the one in its folder, then the others, newest first."""
    aside = [RunFolder(chain, path, _run_id(path, path.name)) for path in put_aside(chain)]
    newest = sorted(aside, key=lambda run: run_age(run.run), reverse=True)
    current = RunFolder(chain, chain, _run_id(chain, "unknown"))
    return [run for run in (current, *newest) if _has_files(run.folder)]


def _has_files(folder: Path) -> bool:
    return any(is_ours(path.name) for path in folder.glob("*"))


def _run_id(folder: Path, default: str) -> str:
    run = first_record(folder / JOURNAL).get("run")
    return run if isinstance(run, str) else default


def _node_id(chain: Path) -> str:
    """Return the node id of the test that made the *chain*; empty if no journal has it."""
    for run in runs(chain):
        config = first_record(run.journal).get("config")
        if isinstance(config, dict) and isinstance(config.get("chain"), str):
            return str(config["chain"])
    return ""


def selected_run(arguments: Namespace) -> RunFolder:
    """Return the run that ``--soak-dir``, ``--chain`` and ``--run`` select.

    Raises:
        SoakUsageError: No chain or run matches, or several do.
    """
    return choose_run(choose_chain(arguments.soak_dir, arguments.chain), arguments.run)


def choose_chain(soak_dir: Path, given: str | None) -> Path:
    """Return the folder of the chain that matches *given*.

    Args:
        soak_dir: The folder of the soaks.
        given: The name of the chain's folder, its beginning, or a node id; None for the chain of
            the only test, of its cells for the one that ran last.

    Raises:
        SoakUsageError: No chain matches, or several do; the message lists them.
    """
    folders = {path.name: path for path in chains(soak_dir)}
    if given is None:
        if len({_node_id(path) or name for name, path in folders.items()}) > 1:
            msg = f"--chain: needed, because {soak_dir} has several chains: {_listed(folders)}"
            raise SoakUsageError(msg)
        return max(folders.values(), key=lambda path: run_age(runs(path)[0].run))
    cells = [name for name, path in folders.items() if _node_id(path) == given]
    return folders[
        _the_one("--chain", given, cells or _matching("--chain", "chain", given, folders))
    ]


def choose_run(chain: Path, given: str | None) -> RunFolder:
    """Return the run that matches *given*.

    Args:
        chain: The chain's folder.
        given: A run id or its beginning; None for the run in the chain's folder.

    Raises:
        SoakUsageError: No run matches, or several do; the message lists them.
    """
    found = runs(chain)
    if given is None:
        return found[0]
    ids: dict[str, RunFolder] = {}
    for run in found:
        ids.setdefault(run.run, run)
    return ids[_the_one("--run", given, _matching("--run", "run", given, ids))]


def _matching(option: str, kind: str, given: str, names: Collection[str]) -> list[str]:
    """Return the one of *names* that equals *given*, or else those that begin with it."""
    matches = [name for name in names if name == given]
    matches = matches or [name for name in names if name.startswith(given)]
    if not matches:
        near = did_you_mean(given, names)
        msg = f"{option}: unknown {kind} {given!r}{near}; there are: {_listed(names)}"
        raise SoakUsageError(msg)
    return matches


def _the_one(option: str, given: str, names: list[str]) -> str:
    """Return the only one of *names*, which match what was *given*."""
    if len(names) > 1:
        msg = f"{option}: {given!r} matches several: {_listed(names)}"
        raise SoakUsageError(msg)
    return names[0]


def _listed(names: Collection[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return f"{', '.join(listed[:LISTED])}{more}"
