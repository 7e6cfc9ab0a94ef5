"""`pytest-soak schema`: the JSON schema of a pack, for editors."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pytest_soak.commands.plugins import Plugins

HELP = "print the JSON schema of a pack, with the settings of all installed guards and criteria"
EXAMPLE = ">pack.schema.json"


def add_arguments(parser: ArgumentParser) -> None:
    """Add no arguments: the schema does not depend on a run."""


def run(_: Namespace) -> tuple[int, list[str]]:
    """Return 0 and the lines of the schema."""
    # These imports load pytest; the other commands start faster without it.
    from pytest_soak.commands.plugins import with_plugins  # noqa: PLC0415

    return 0, with_plugins(_schema)


def _schema(plugins: Plugins) -> list[str]:
    from pytest_soak.config.guards import guard_tables  # noqa: PLC0415 - as above
    from pytest_soak.config.registry import criteria  # noqa: PLC0415 - as above
    from pytest_soak.packs.loader import load_pack  # noqa: PLC0415 - as above
    from pytest_soak.packs.schema import pack_schema  # noqa: PLC0415 - as above

    demo = load_pack(resources.files("pytest_soak.packs").joinpath("demo.toml"))
    schema = pack_schema(criteria(plugins.registry), guard_tables(plugins.registry, demo))
    return json.dumps(schema, indent=2).splitlines()
