"""Overrides that a person or CI gives: checked whole, or refused in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.config.overrides import InitialOverrides, read_overrides
from pytest_soak.config.request import OverridesText
from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.loader import build_pack

if TYPE_CHECKING:
    from pytest_soak.model.pack import Pack

LABEL = "--soak-overrides"


def a_pack() -> Pack:
    return build_pack(
        {
            "pack": {
                "name": "tiny",
                "prefix": "TINY_",
                "profile": "base",
                "tuner": "none",
                "system": "mock",
                "scenario": "calm",
            },
            "parameters": {
                "workers": {"unit": "1", "limits": [1, 16], "calm": "up", "precision": 1},
                "spread": {"unit": "1", "limits": [0.0, 0.6], "calm": "up", "precision": 0.001},
            },
            "profiles": {"base": {"workers": 2, "spread": 0.1, "tilt": 0.85}},
            "metrics": {"latency": {}},
            "kpis": {"latency": {"fail": "> 300"}},
            "scenarios": {"calm": {}},
        },
        "tiny.toml",
    )


def read(text: str) -> InitialOverrides:
    pack = a_pack()
    return read_overrides(OverridesText("option", LABEL, text), pack, pack.profiles["base"])


def refusal(text: str) -> str:
    with pytest.raises(SoakUsageError) as caught:
        read(text)
    line = str(caught.value)
    assert line.startswith(f"overrides from {LABEL}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"wokers": 3}', ("'wokers'", "3", "workers, spread, tilt")),
        ('{"workers": "3"}', ("workers", '"3"', "number")),
        ('{"workers": true}', ("workers", "true", "number")),
        ('{"workers": null}', ("workers", "null", "number")),
        ('{"workers": [3]}', ("workers", "[3]", "number")),
        ('{"workers": {"to": 3}}', ("workers", '{"to": 3}', "number")),
        ('{"workers": NaN}', ("workers", "nan", "finite number")),
        ('{"workers": Infinity}', ("workers", "inf", "finite number")),
        ('{"workers": -Infinity}', ("workers", "-inf", "finite number")),
        ('{"workers": 1e999}', ("workers", "inf", "finite number")),
        (f'{{"workers": {10**400}}}', ("workers", "1000000", "finite number")),
        (f'{{"workers": 1{"0" * 5000}}}', ("broken JSON", "{field: number}")),
        ('{"tilt": "0.9"}', ("tilt", '"0.9"', "number")),
        ('{"tilt": NaN}', ("tilt", "nan", "finite number")),
        ('{"workers": 3, "workers": 4}', ("'workers'", "twice")),
        ('{"workers": 3, "wokers": 4}', ("'wokers'",)),
        ("[3]", ("'[3]'", "{field: number}")),
        ("3", ("'3'", "{field: number}")),
        ("null", ("'null'", "{field: number}")),
        ('"workers"', ("'\"workers\"'", "{field: number}")),
        ('{"workers": 3', ("broken JSON", "{field: number}")),
        ("{'workers': 3}", ("broken JSON", "{field: number}")),
        ("", ("broken JSON", "{field: number}")),
        ("[" * 100_000, ("broken JSON", "{field: number}")),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_refused_in_one_line_that_names_it(text: str, named: tuple[str, ...]) -> None:
    line = refusal(text)
    for word in named:
        assert word.lower() in line.lower()


@pytest.mark.parametrize("depth", range(100, 1000, 50))
def test_a_value_nested_however_deep_is_refused(depth: int) -> None:
    refusal(f'{{"workers": {"[" * depth}{"]" * depth}}}')


@given(st.text(max_size=20) | st.recursive(st.none() | st.floats(), st.lists).map(json.dumps))
def test_no_text_is_taken_for_overrides_unless_it_is_an_object_of_numbers(text: str) -> None:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if found != {}:
        refusal(text)


NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS)
def test_a_seeded_value_lies_inside_the_limits_and_on_the_grid(
    workers: float, spread: float
) -> None:
    pack = a_pack()
    seeding = read(json.dumps({"workers": workers, "spread": spread}))
    for name, given_value in (("workers", workers), ("spread", spread)):
        parameter, seeded = pack.parameters[name], seeding.fields[name]
        assert seeded.given == given_value
        assert seeded.value in parameter.limits
        assert parameter.quantize(seeded.value) == seeded.value
        if given_value in parameter.limits:
            assert abs(seeded.value - given_value) <= parameter.precision / 2 + 1e-12


@pytest.mark.parametrize(
    ("given_value", "value"),
    [(20, 16), (0, 1), (-3.5, 1), (16, 16), (4, 4), (4.4, 4)],
)
def test_outside_the_limits_a_value_is_clamped_and_both_are_remembered(
    given_value: float, value: float
) -> None:
    seeded = read(json.dumps({"workers": given_value})).fields["workers"]
    assert (seeded.base, seeded.given, seeded.value) == (2, given_value, value)


def test_a_value_is_rounded_to_the_grid_without_dust() -> None:
    seeding = read('{"spread": 0.13999999999999999}')
    assert seeding.overrides == {"spread": 0.14}


def test_a_field_that_no_tuner_touches_is_taken_as_it_is() -> None:
    seeding = read('{"tilt": 123.4567}')
    assert seeding.overrides == {"tilt": 123.4567}
    assert seeding.fields["tilt"].base == 0.85


def test_no_fields_are_no_overrides() -> None:
    assert read("{}").overrides == {}


def test_overrides_are_sorted_by_name_and_know_their_source() -> None:
    seeding = read('{"workers": 3, "spread": 0.2}')
    assert list(seeding.overrides) == ["spread", "workers"]
    assert seeding.source == "option"
