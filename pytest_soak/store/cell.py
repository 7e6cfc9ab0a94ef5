"""Cells: a cell is one experiment. Its id names its folder and its runs."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_soak.store.files import json_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IDENTITY = (
    *("chain", "pack", "pack_file", "profile", "profile_file", "system", "recording", "safe_mode"),
    *("scenario", "seed", "tuners", "mode"),
)
"""The settings that make a chain another experiment, by their names in the journal."""
DIGITS = 12
"""How many hex digits an id has: among 10,000 cells of one test, two are the same with p < 2e-7."""
SESSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
"""The part of a run id that all chains of a pytest run share."""


def cell_id(config: Mapping[str, Any]) -> str:
    """Return the id of the cell that a run with the settings *config* belongs to."""
    return json_hash({name: config.get(name) for name in IDENTITY})[:DIGITS]


def family_id(config: Mapping[str, Any]) -> str:
    """Return the id of the family of that run: the cells that differ in their seed alone."""
    return json_hash({name: config.get(name) for name in IDENTITY if name != "seed"})[:DIGITS]


def folder_name(test: str, digest: str) -> str:
    """Return a folder name that people can read.

    Args:
        test: The name of a test, with its class and its parameters, without its file.
        digest: What makes the name unique.
    """
    qualified, bracket, parameters = test.partition("[")
    name = f"{qualified.rpartition('::')[2]}{bracket}{parameters}"
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-")[:80]
    return f"{readable}-{digest}"


def run_id(session: str, cell: str) -> str:
    """Return the id of the run of a *cell* in a *session*, which is one pytest run."""
    return f"{session}-{cell}"


def session_of(run: str) -> str:
    """Return the session of a *run*; in version 0.1.0 the run id was no more than that."""
    found = SESSION.match(run)
    return found[0] if found else run


def new_session(earlier: Iterable[str], digits: str) -> str:
    """Return the id of a new session: a UTC time, then *digits*.

    The time is the clock's, or a second after that of the newest of the *earlier* runs if the clock
    shows no later one. So the order of ids is the order in which runs began, also after the clock
    was set back, and for runs whose folders were copied from another machine. This is a hybrid
    logical clock (Kulkarni et al., 2014, https://cse.buffalo.edu/tech-reports/2014-04.pdf).
    """
    stamp = datetime.now(UTC)
    for run in earlier:
        with suppress(ValueError, OverflowError):  # the folder of a run may have any name
            stamp = max(stamp, _begun(run) + timedelta(seconds=1))
    return f"{stamp:%Y%m%dT%H%M%SZ}-{digits}"


def _begun(run: str) -> datetime:
    return datetime.strptime(run[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def run_age(run: str) -> tuple[bool, str]:
    """Return the key that sorts runs by their ids, the oldest first.

    A run id begins with a time (UTC), see `new_session`. Other names, which folders with an
    unreadable journal have, count as older.
    """
    return run[:1].isdigit(), run
