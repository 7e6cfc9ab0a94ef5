"""JSON schemas (draft 2020-12) of everything that a soak writes, found by the file's name."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

ARTIFACTS = {
    r"runtime_overrides\.json": "runtime_overrides",
    r"runtime_overrides_backup_\d+\.json": "runtime_overrides",
    r"applied_profile\.json": "applied_profile",
    r"EDGE_REPORT_\d+\.json": "edge_report",
    r"ITER_SUMMARY_\d+\.json": "iter_summary",
    r"TUNING_REPORT\.json": "tuning_report",
    r"KPI_GATE\.json": "kpi_gate",
    r"system_state_\d+\.json": "system_state",
    r"journal\.jsonl": "journal_record",
}
"""``{pattern of a file's name: schema}``; for the journal, the schema of one line."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of the artifact whose file is called *name*.

    Raises:
        KeyError: No artifact is called so.
    """
    for pattern, stem in ARTIFACTS.items():
        if re.fullmatch(pattern, name):
            file = resources.files(__package__).joinpath(f"{stem}.schema.json")
            schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return schema
    raise KeyError(name)
