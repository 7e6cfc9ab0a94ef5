"""The packs: one is a file, the other is what differs from it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

PACK = Path(__file__).with_name("market_maker.toml")
LIVE = Path(__file__).with_name("market_live.toml")


class LivePack:
    """The pack of the market in wall-clock time, read as a file is."""

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return it as TOML: what ``market_live.toml`` says, and for all else the other pack."""
        base, own = (tomllib.loads(path.read_text(encoding)) for path in (PACK, LIVE))
        metrics = {**base["metrics"], **own["metrics"]}
        whole = {**base, **own, "metrics": metrics}
        return "".join(f"{name} = {_toml(value)}\n" for name, value in whole.items())

    def __str__(self) -> str:
        """Return what errors are to name."""
        return str(LIVE)


def _toml(value: Any) -> str:  # noqa: ANN401 - whatever TOML may hold
    """Write a value of a pack in TOML, tables within a line."""
    if isinstance(value, dict):
        entries = (f"{json.dumps(key)} = {_toml(entry)}" for key, entry in value.items())
        return f"{{ {', '.join(entries)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)
