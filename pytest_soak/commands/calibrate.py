"""`pytest-soak calibrate`: the noise of every metric, from iterations with unchanged parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SoakUsageError, why_unreadable
from pytest_soak.model.noise import noise_by_metric
from pytest_soak.packs.overlay import TABLE
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import stream_journal

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

HELP = "measure the noise of every metric, and print it as pyproject.toml takes it"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what only this command takes: nothing."""


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Measure; return the exit code and what to tell.

    Raises:
        SoakUsageError: There is no such chain, or too little in its journal.
    """
    folder = _folder(arguments.soak_dir, arguments.chain)
    path = folder / JOURNAL
    try:
        return 0, calibrated(stream_journal(path), folder.name)
    except OSError as error:
        msg = f"{path}: cannot be read: {why_unreadable(error)}"
        raise SoakUsageError(msg) from None


def calibrated(records: Iterable[Mapping[str, Any]], chain: str) -> list[str]:
    """Return the lines of TOML that give a pack the noise that *records* tell.

    Iterations that nobody can judge are left out, and so is the first one after a restart of the
    system. Iterations of a tuned run count where several ran with the same parameters.

    Args:
        records: A journal's.
        chain: What to call it in errors.

    Raises:
        SoakUsageError: Too few iterations with unchanged parameters.
    """
    pack, told = "", []
    for record in records:
        if record["kind"] == "run_started":
            pack = record["config"]["pack"]
        elif record["kind"] == "iteration":
            summary = record["summary"]
            if not summary["problems"] and not summary["restarted"]:
                told.append((tuple(sorted(summary["parameters"].items())), summary["metrics"]))
    found = noise_by_metric(told)
    if not any(found.values()):
        msg = (
            f"{chain}: no metric varied in five iterations with unchanged parameters; run some "
            "without --auto-tune first, such as pytest --soak-iterations=20"
        )
        raise SoakUsageError(msg)
    return [f"[{TABLE}.{pack}.noise]", *_lines(found)]


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    for name, noise in found.items():
        key = name if name.replace("_", "").isalnum() else json.dumps(name)
        if noise is None:
            yield f"# {key}: did not vary, or was measured too seldom"
        else:
            yield f"{key} = {float(f'{noise.sigma:.4g}')}  # n={noise.n}"


def _folder(soak_dir: Path, chain: str | None) -> Path:
    """Return the folder of the chain that *chain* begins, of the newest one unless given."""
    if chain is None:
        return soak_dir / "latest"
    chains = sorted(
        path.parent for path in soak_dir.glob(f"*/{JOURNAL}") if not path.parent.is_symlink()
    )
    found = [folder for folder in chains if folder.name.startswith(chain)]
    if len(found) != 1:
        there = ", ".join(folder.name for folder in chains)
        msg = f"--chain: {chain} is {len(found)} chains of {soak_dir}; there are: {there or 'none'}"
        raise SoakUsageError(msg)
    return found[0]
