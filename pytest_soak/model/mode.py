"""What happens to proposals."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What happens to proposals."""

    OFF = "off"
    RECOMMEND = "recommend"
    APPLY = "apply"
