"""Settings: what a type says of what may be set, and mistakes in words."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from pytest_soak.model.settings import MetricName, Mistake, Number, ParameterName, Setting


def schema(kind: Any) -> dict[str, Any]:
    return msgspec.json.schema(kind)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "how long"}, {"description": "how long"}),
        ({"unit": "s"}, {"unit": "s"}),
        ({"least": 0}, {"minimum": 0}),
        ({"most": 0.0}, {"maximum": 0.0}),
        ({"above": 0}, {"exclusiveMinimum": 0}),
        ({"below": 1}, {"exclusiveMaximum": 1}),
        ({"unique": True}, {"uniqueItems": True}),
        ({"filled": True}, {"minItems": 1, "minProperties": 1}),
        ({"pattern": "^a", "allowed": "an a"}, {"pattern": "^a", "allowed": "an a"}),
        ({"names": "guard"}, {"names": "guard"}),
        ({}, {}),
    ],
    ids=",".join,
)
def test_what_is_said_of_a_setting_stands_in_its_schema_and_nothing_else(
    given: dict[str, Any], said: dict[str, Any]
) -> None:
    assert schema(Annotated[str, Setting(**given)]) == {"type": "string", **said}


def test_a_name_says_what_it_is_the_name_of() -> None:
    assert schema(ParameterName) == {"type": "string", "names": "parameter"}
    assert schema(MetricName) == {"type": "string", "names": "metric"}


@pytest.mark.parametrize("number", [20, 20.0, -0.5])
def test_a_number_stays_as_it_was_written(number: float) -> None:
    assert repr(msgspec.convert(number, Number)) == repr(number)


def test_a_mistake_tells_where_it_is_what_stands_there_and_what_may() -> None:
    where = "guards.cooldown.iterations"
    assert str(Mistake(where, "'3'")) == f"{where}: '3'"
    assert str(Mistake(where, "'3'", "a whole number")) == f"{where}: '3'; allowed: a whole number"
    assert str(Mistake("a\nb", "is unknown")) == "a b: is unknown"
