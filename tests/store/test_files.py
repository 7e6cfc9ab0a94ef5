"""Files: deterministic JSON, replaced atomically."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_soak.store import files
from pytest_soak.store.files import document, jsonable, line, parse_json
from tests.fuzz.values import Blind, Mute, TouchyDict, TouchyFloat, TouchyInt, TouchyList, TouchyStr

if TYPE_CHECKING:
    from random import Random


QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(TEXT, JSON, max_size=4), st.randoms(use_true_random=False))
def test_a_document_is_json_and_independent_of_the_order_of_keys(
    value: dict[str, Any], random: Random
) -> None:
    text = document(value)
    assert json.loads(text) == value
    assert text.endswith("\n")
    keys = list(value)
    random.shuffle(keys)
    assert document({key: value[key] for key in keys}) == text
    text.encode()


@given(JSON)
def test_a_line_is_one_line_of_json(value: object) -> None:
    text = line(value)
    assert json.loads(text) == value
    assert "\n" not in text
    text.encode()


def test_keys_are_sorted_at_every_depth() -> None:
    assert line({"b": {"d": 1, "c": 2}, "a": 3}) == '{"a": 3, "b": {"c": 2, "d": 1}}'


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_a_number_that_json_cannot_represent_becomes_text(value: float, text: str) -> None:
    written = json.loads(document({"totals": {"net": [value], "ok": 1.5}}))
    assert written == {"totals": {"net": [text], "ok": 1.5}}


def test_objects_that_are_not_json_become_text() -> None:
    assert json.loads(document({"folder": Path("a"), "pair": (1, 2)})) == {
        "folder": "a",
        "pair": [1, 2],
    }


@pytest.mark.parametrize("value", [{1: 2}, {1: 2, "a": 3}, {None: 1}, {"in": {1: 2, "a": 3}}])
def test_keys_become_text(value: dict[Any, Any]) -> None:
    json.loads(document(value))


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "overrides.json"
    files.write_text(str(path), '{"workers": 2}')

    def crashing(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crashing)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(str(path), '{"workers": 4}')
    assert json.loads(path.read_text("utf-8")) == {"workers": 2}


def test_a_circular_reference_ends_at_the_maximum_depth() -> None:
    circle: dict[str, object] = {"value": math.nan}
    circle["self"] = circle
    found = json.loads(line(circle))
    assert found["value"] == "nan"
    for _ in range(files.MAX_DEPTH - 1):
        found = found["self"]
    assert found == {"value": "nested deeper than 40", "self": "nested deeper than 40"}


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        Blind(),
        TouchyStr("a"),
        TouchyInt(7),
        {Mute(): Blind()},
        {10**5000: [TouchyList([1])]},
    ],
    ids=["huge", "blind", "text", "number", "key", "huge key"],
)
def test_any_object_of_a_plugin_can_be_written(value: object) -> None:
    assert line(jsonable(value)) == line(json.loads(line(jsonable(value))))
    assert line({"value": value, "odd": math.nan})


def test_methods_of_subclasses_are_not_called() -> None:
    value = TouchyDict({TouchyStr("a"): TouchyList([TouchyFloat(0.5), TouchyInt(7)])})
    assert jsonable(value) == {"a": [0.5, 7]}


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "a": 1}}]', '{"b": 1, "a": {}, "a": []}']
)
def test_json_with_a_key_twice_says_two_things_and_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the key 'a' is there twice"):
        parse_json(text)
    assert parse_json('{"a": [{"a": 1}, {"a": 2}]}') == {"a": [{"a": 1}, {"a": 2}]}
