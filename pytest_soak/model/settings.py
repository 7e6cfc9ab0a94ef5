"""How a strategy, or a table of a pack, says what may be set: a frozen dataclass with these types.

From that alone come the check of what a user wrote, the JSON schema, the reference in the docs and
the words of the errors::

    @dataclass(frozen=True, slots=True)
    class Settings:
        iterations: Annotated[int, Setting("how long nothing is changed", least=0)] = 0
        largest: Mapping[ParameterName, Number] = field(default_factory=dict)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from msgspec import Meta

from pytest_soak.model.safe_repr import safe_text

__all__ = ["MetricName", "Mistake", "Number", "ParameterName", "Setting"]


def Setting(  # noqa: N802 - it stands where msgspec's own class would stand
    text: str = "",
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    unique: bool = False,
    filled: bool = False,
    pattern: str | None = None,
    allowed: str = "",
    names: str = "",
) -> Meta:
    """Describe one setting, as metadata of ``Annotated``: what the JSON schema says of it.

    Args:
        text: What it does, in one line.
        unit: The unit of its number.
        least: The smallest number allowed.
        most: The largest number allowed.
        above: A number that it must exceed.
        below: A number that it must stay below.
        unique: Whether a list must not hold anything twice.
        filled: Whether a list or a table must hold something.
        pattern: The regular expression that a text must match.
        allowed: That pattern in words, for errors.
        names: What its text must be the name of: ``parameter``, ``metric``, or another kind that
            the check is told the names of.
    """
    told = {
        "description": text,
        "unit": unit,
        "minimum": least,
        "maximum": most,
        "exclusiveMinimum": above,
        "exclusiveMaximum": below,
        "uniqueItems": unique or None,
        "minItems": 1 if filled else None,
        "minProperties": 1 if filled else None,
        "pattern": pattern,
        "allowed": allowed,
        "names": names,
    }
    return Meta(
        extra_json_schema={key: value for key, value in told.items() if value not in ("", None)}
    )


Number: TypeAlias = int | float
"""A finite number, kept as it was written: 20 does not become 20.0."""
ParameterName: TypeAlias = Annotated[str, Setting(names="parameter")]
"""The name of a parameter of the pack."""
MetricName: TypeAlias = Annotated[str, Setting(names="metric")]
"""The name of a metric of the pack."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in what a user wrote.

    Args:
        where: The key, such as ``guards.cooldown.iterations``.
        what: What stands there.
        allowed: What may stand there.
    """

    where: str
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        line = f"{safe_text(self.where)}: {self.what}"
        return f"{line}; allowed: {self.allowed}" if self.allowed else line
