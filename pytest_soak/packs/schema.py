"""The JSON schema of a pack, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_soak.gates.criteria import kpi_table, verdict_table
from pytest_soak.packs.check import closed
from pytest_soak.packs.document import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.gates.criteria import Kinds


def pack_schema(kinds: Kinds, guards: Mapping[str, type]) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a pack's TOML.

    Args:
        kinds: The installed kinds of criteria, whose keys ``[kpis.<metric>]`` may have.
        guards: ``{installed guard: the type of its table}``.
    """
    (pack, kpi, verdict, *tables), parts = msgspec.json.schema_components(
        [Document, kpi_table(kinds), verdict_table(kinds), *guards.values()]
    )
    schema: dict[str, Any] = closed({**pack, "$defs": parts})
    keys = schema["$defs"]["Document"]["properties"]
    keys["kpis"]["additionalProperties"] = kpi
    keys["verdict"] = verdict
    keys["guards"]["properties"] = dict(zip(guards, tables, strict=True))
    keys["guards"]["additionalProperties"] = False
    return schema
