"""Merging tables over a pack, from pyproject.toml or from a pack that extends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.safe_repr import safe_repr

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = "tool.pytest-soak.packs"


def lay_over(
    base: Mapping[str, Any],
    overlay: Mapping[str, Any],
    source: str = f"pyproject.toml, {TABLE}",
) -> dict[str, Any]:
    """Return *base* with *overlay* merged over it.

    Tables are merged key by key, other values are replaced; a ``[[rule]]`` is merged with the one
    of the same tuner and id, or added.

    Args:
        base: A pack's tables.
        overlay: The tables that change it.
        source: Where *overlay* comes from, for errors.

    Raises:
        SoakUsageError: A rule in *overlay* has no tuner or no id.
    """
    merged = _merge(base, {key: value for key, value in overlay.items() if key != "rule"})
    if "rule" in overlay:
        merged["rule"] = _rules(base.get("rule", []), overlay["rule"], source)
    return merged


def _merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        there = merged.get(key)
        both = isinstance(there, dict) and isinstance(value, dict)
        merged[key] = _merge(there, value) if both and there is not None else value
    return merged


def _rules(base: object, changed: object, source: str) -> object:
    if not isinstance(base, list) or not all(isinstance(row, dict) for row in base):
        return base  # the check of the pack reports it
    rows: list[dict[str, Any]] = [dict(row) for row in base]
    for change in changed if isinstance(changed, list) else [changed]:
        if not isinstance(change, dict) or not {"tuner", "id"} <= change.keys():
            msg = f"{source}: rule {safe_repr(change)}: say which one by tuner and id"
            raise SoakUsageError(msg)
        same = [row for row in rows if all(row.get(key) == change[key] for key in ("tuner", "id"))]
        if same:
            same[0].update(_merge(same[0], change))
        else:
            rows.append(change)
    return rows
