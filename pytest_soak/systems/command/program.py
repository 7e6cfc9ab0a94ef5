"""The program of the system ``command``: what is run, and within which limits."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec import convert

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.mask import Mask
from pytest_soak.packs.document import CommandTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pytest_soak.model.pack import Pack
    from pytest_soak.packs.document import ProgramTable

PYTHON = "{python}"
"""Stands for the interpreter that runs pytest, in a program's arguments."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and how it is run.

    Args:
        arguments: The program and its arguments. There is no shell.
        cwd: Its working folder.
        env: ``{variable: text}`` added to the environment that it inherits.
        for_chain: Whether one process serves the whole chain; otherwise each iteration has its own.
        limit: Seconds that one iteration may take; None for what follows from the slot.
        grace: Seconds that a process has to end by itself once it was asked to.
        output: Bytes that it may write to its output in one iteration.
        keeps_state: Whether the state file is all it needs to go on in another process.
        secrets: The environment variables that it needs and whose values are never shown.
        safe: Whether it runs in its dry form, without them.
        mask: Hides their values.
        metrics: The names that the pack's metrics have.
        named: ``{name: text}`` for processes that are measured by themselves.
    """

    arguments: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    for_chain: bool
    limit: float | None
    grace: float
    output: float
    keeps_state: bool
    secrets: tuple[str, ...]
    safe: bool
    mask: Mask
    metrics: frozenset[str]
    named: Mapping[str, str]


def read_program(given: tuple[str, ...], root: Path, pack: Pack, scenario: str) -> Program:
    """Return the program that the ini file, the *scenario* or the *pack* gives, in this order.

    Args:
        given: The program and its arguments from the ini file; empty where it gives none.
        root: The folder that the working folder is named from.
        pack: The pack; its tables were checked.
        scenario: The name of one of its scenarios.

    Raises:
        SoakUsageError: There is no program, or the pack gives a secret.
    """
    own = pack.scenarios[scenario].get("command", {})
    env = {**pack.command.get("env", {}), **own.get("env", {})}
    table = convert({**pack.command, **own, "env": env}, CommandTable)
    arguments = given or table.program
    if not arguments:
        msg = (
            f"system command: no program; allowed: program = [...] in [command] of pack "
            f"{pack.source}, in [tool.pytest-soak.packs.{pack.name}.command] of pyproject.toml, or "
            "soak_command in the ini file"
        )
        raise SoakUsageError(msg)
    return replace(
        program_of(table, arguments, root, pack, "command"),
        for_chain=table.life == "chain",
        limit=table.limit_s,
        keeps_state=table.keeps_state,
    )


def program_of(
    table: ProgramTable, arguments: tuple[str, ...], root: Path, pack: Pack, system: str
) -> Program:
    """Return the program that a *table* of the *pack* describes, run once for each iteration.

    Args:
        table: The settings of the *system*.
        arguments: The program and its arguments.
        root: The folder that the working folder is named from.
        pack: The pack.
        system: The system that runs it, for errors.

    Raises:
        SoakUsageError: Its ``env`` gives a secret, which everybody who reads the pack would read.
    """
    secrets = secrets_of(pack, table)
    for name in secrets:
        if name in table.env:
            msg = (
                f"system {system}: env gives {name}, which is a secret (in [{system}] of pack "
                f"{pack.source}, in a scenario of it, or in pyproject.toml); allowed: to set it in "
                "the environment of pytest"
            )
            raise SoakUsageError(msg)
    return Program(
        arguments=with_python(arguments),
        cwd=root / table.cwd,
        env=table.env,
        for_chain=False,
        limit=None,
        grace=table.grace_s,
        output=table.output_mb * 1e6,
        keeps_state=False,
        secrets=secrets,
        safe=bool(secrets) and os.environ.get(pack.safe_switch) == "1",
        mask=Mask.of(secrets, os.environ),
        metrics=frozenset(pack.metrics),
        named=table.processes,
    )


def secrets_of(pack: Pack, table: ProgramTable) -> tuple[str, ...]:
    """Return the names of the secrets of the *pack* and of its *table* for a system."""
    return tuple(dict.fromkeys((*pack.secrets, *table.secrets)))


def with_python(arguments: Iterable[str]) -> tuple[str, ...]:
    """Return *arguments* with the interpreter's path where it is asked for."""
    return tuple(sys.executable if word == PYTHON else word for word in arguments)
