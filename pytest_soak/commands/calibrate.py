"""`pytest-soak calibrate`: the noise of every metric, from iterations with unchanged parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.places import choose_chain, choose_run
from pytest_soak.commands.records import linked
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.noise import noise_by_metric
from pytest_soak.packs.overlay import TABLE

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator, Mapping

HELP = "measure the noise of every metric, and print it as pyproject.toml takes it"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what only this command takes: nothing."""


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Measure; return the exit code and what to tell.

    Raises:
        SoakUsageError: There is no such chain or run, or too little in its journal.
    """
    place = choose_run(choose_chain(arguments.soak_dir, arguments.chain), arguments.run)
    return 0, calibrated(linked(place.journal), place.title)


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
