"""The mode of a run."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What happens to tuners' proposals: not asked for, recorded only, or applied."""

    OFF = "off"
    RECOMMEND = "recommend"
    APPLY = "apply"
