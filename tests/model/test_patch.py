"""Patches between two sets of overrides: exact, invertible, and applicable to one document only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonpatch
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_soak.model.patch import apply, diff, guarded

if TYPE_CHECKING:
    from random import Random

NUMBERS = st.one_of(
    st.integers(-1000, 1000), st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 3))
)
OVERRIDES = st.dictionaries(
    st.sampled_from(("alpha", "beta", "gamma", "delta", "epsilon")), NUMBERS
)


@given(OVERRIDES, OVERRIDES)
def test_a_patch_leads_from_before_to_after(
    before: dict[str, float], after: dict[str, float]
) -> None:
    assert apply(before, diff(before, after)) == after


@given(OVERRIDES, OVERRIDES)
def test_a_patch_and_its_inverse_cancel_out(
    before: dict[str, float], after: dict[str, float]
) -> None:
    there = guarded(diff(before, after), before)
    back = guarded(diff(after, before), after)
    assert apply(apply(before, there), back) == before


@given(OVERRIDES, OVERRIDES, OVERRIDES)
def test_a_guarded_patch_refuses_a_document_that_it_was_not_made_for(
    before: dict[str, float], after: dict[str, float], other: dict[str, float]
) -> None:
    patch = guarded(diff(before, after), before)
    tested = [operation["path"].lstrip("/") for operation in patch if operation["op"] == "test"]
    assume(any(field not in other or other[field] != before[field] for field in tested))
    with pytest.raises(jsonpatch.JsonPatchException):
        apply(other, patch)


@given(OVERRIDES, OVERRIDES)
def test_every_old_value_that_a_patch_replaces_or_removes_is_tested_first(
    before: dict[str, float], after: dict[str, float]
) -> None:
    patch = guarded(diff(before, after), before)
    gone = {
        field for field in before if field not in after or repr(after[field]) != repr(before[field])
    }
    tests = [operation for operation in patch if operation["op"] == "test"]
    assert {test["path"]: test["value"] for test in tests} == {f"/{f}": before[f] for f in gone}
    assert list(patch[: len(tests)]) == tests


def test_the_field_that_a_value_is_moved_from_is_tested_first() -> None:
    before = {"alpha": 7, "beta": 1}
    moved = {"op": "move", "from": "/alpha", "path": "/gamma"}
    assert diff(before, {"beta": 1, "gamma": 7}) == (moved,)
    assert guarded((moved,), before) == ({"op": "test", "path": "/alpha", "value": 7}, moved)


def test_a_guarded_step_cannot_be_applied_twice() -> None:
    before = {"workers": 2}
    patch = guarded(diff(before, {"workers": 4}), before)
    once = apply(before, patch)
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        apply(once, patch)


@given(OVERRIDES)
def test_nothing_to_change_is_an_empty_patch(overrides: dict[str, float]) -> None:
    assert diff(overrides, dict(overrides)) == ()
    assert guarded((), overrides) == ()


@given(OVERRIDES, OVERRIDES, st.randoms(use_true_random=False))
def test_operations_come_in_the_order_of_their_paths_however_the_fields_do(
    before: dict[str, float], after: dict[str, float], random: Random
) -> None:
    shuffled = list(before)
    random.shuffle(shuffled)
    patch = diff(before, after)
    assert diff({field: before[field] for field in shuffled}, after) == patch
    paths = [operation["path"] for operation in patch]
    assert paths == sorted(paths)


@given(OVERRIDES, OVERRIDES)
def test_documents_are_left_as_they_were(before: dict[str, float], after: dict[str, float]) -> None:
    kept = dict(before)
    apply(before, guarded(diff(before, after), before))
    assert before == kept
