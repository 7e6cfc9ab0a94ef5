"""`pytest-soak calibrate`: the noise of every metric, from iterations with unchanged parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.records import load_hashed
from pytest_soak.commands.selection import add_selection, selected_run
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.noise import noise_by_metric
from pytest_soak.packs.overlay import TABLE

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator, Mapping

HELP = "measure the noise of every metric, and print it as settings for pyproject.toml"
EXAMPLE = "--soak-dir untuned"
add_arguments = add_selection


def run(arguments: Namespace) -> tuple[int, list[str]]:
    """Measure the noise; return the exit code and the lines to print.

    Raises:
        SoakUsageError: The chain or run does not exist, or its journal has too few iterations.
    """
    selected = selected_run(arguments)
    return 0, calibrated(load_hashed(selected.journal), selected.title)


def calibrated(records: Iterable[Mapping[str, Any]], title: str) -> list[str]:
    """Return the lines of TOML that give a pack the noise measured in *records*.

    Leaves out INCONCLUSIVE iterations and the first one after a restart of the system. Iterations
    of a tuned run count if several ran with the same parameters.

    Args:
        records: The records of a journal.
        title: The name of the run in error messages.

    Raises:
        SoakUsageError: Too few iterations ran with unchanged parameters.
    """
    pack, samples = "", []
    for record in records:
        if record["kind"] == "run_started":
            pack = record["config"]["pack"]
        elif record["kind"] == "iteration":
            summary = record["summary"]
            if not summary["problems"] and not summary["restarted"]:
                samples.append((tuple(sorted(summary["parameters"].items())), summary["metrics"]))
    found = noise_by_metric(samples)
    if not any(found.values()):
        msg = (
            f"{title}: no metric varied in five iterations with unchanged parameters; run some "
            "without --auto-tune first, such as pytest --soak-iterations=20"
        )
        raise SoakUsageError(msg)
    return [f"[{TABLE}.{pack}.noise]", *_lines(found)]


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    for name, noise in found.items():
        key = name if name.replace("_", "").isalnum() else json.dumps(name)
        if noise is None:
            yield f"# {key}: did not vary, or was measured too rarely"
        else:
            yield f"{key} = {float(f'{noise.sigma:.4g}')}  # n={noise.n}"
