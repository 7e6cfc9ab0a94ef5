"""Overrides given at the start by a person or CI: read once, checked, clamped to the limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pytest_soak.errors import SoakUsageError
from pytest_soak.model.metrics import is_number
from pytest_soak.model.safe_repr import safe_repr, safe_text
from pytest_soak.store.files import BOM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.config.request import OverridesText
    from pytest_soak.model.pack import Pack, Profile


@dataclass(frozen=True, slots=True)
class InitialField:
    """One given field: its base, the given value, and the value after clamping."""

    field: str
    base: float
    given: float
    value: float


@dataclass(frozen=True, slots=True)
class InitialOverrides:
    """The overrides a chain starts from.

    Args:
        source: ``option``, ``env``, ``file`` or ``profile``.
        fields: ``{field: its values}``.
    """

    source: str
    fields: Mapping[str, InitialField]

    @property
    def overrides(self) -> dict[str, float]:
        """The overrides, ``{field: number}``."""
        return {name: field.value for name, field in sorted(self.fields.items())}


def read_overrides(given: OverridesText, pack: Pack, profile: Profile) -> InitialOverrides:
    """Read the overrides in *given*.

    A parameter is clamped to its limits and rounded to its grid. A field of the profile that is no
    parameter is kept as it is.

    Raises:
        SoakUsageError: Broken JSON, an unknown field, or a value that is not a finite number; the
            line names source, field, value and what is allowed.
    """

    def refuse(problem: str) -> NoReturn:
        msg = f"overrides from {given.label}: {problem}"
        raise SoakUsageError(msg)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in items:
            if key in found:
                refuse(f"the field {safe_repr(key)} is given twice")
            found[key] = value
        return found

    try:
        data = json.loads(given.text.removeprefix(BOM), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        refuse(f"broken JSON: {error}; allowed: one JSON object, {{field: number}}")
    if not isinstance(data, dict):
        refuse(f"{given.text.strip()[:60]!r} given; allowed: one JSON object, {{field: number}}")
    known = (*pack.parameters, *(n for n in profile.fields if n not in pack.parameters))
    fields = {}
    for name, value in data.items():
        if name not in known:
            given_as = f"{safe_repr(name)} given as {safe_text(json.dumps(value), 60, 0)}"
            refuse(f"unknown field {given_as}; pack {pack.name} has {', '.join(known)}")
        if not is_number(value):
            refuse(f"{name} is {safe_text(json.dumps(value), 60, 0)}; allowed: a finite number")
        parameter = pack.parameters.get(name)
        final = parameter.quantize(parameter.limits.clamp(value)) if parameter else value
        base = profile.fields[name]
        fields[name] = InitialField(name, base, value, final)
    return InitialOverrides(given.source, fields)
