"""Problems: every kind has a message, which is made from its data."""

from __future__ import annotations

import string

import pytest

from pytest_soak.model.problem import SENTENCES, Kind, Problem
from pytest_soak.schemas import schema_of


def test_every_kind_has_a_sentence_and_is_in_the_schemas() -> None:
    assert set(SENTENCES) == set(Kind)
    for name in ("journal.jsonl", "KPI_GATE.json", "ITER_SUMMARY_1.json"):
        known = schema_of(name)["$defs"]["problem"]["properties"]["kind"]["enum"]
        assert known == [str(kind) for kind in Kind]


@pytest.mark.parametrize("kind", Kind)
def test_a_sentence_is_made_of_the_data(kind: Kind) -> None:
    keys = [key for _, key, _, _ in string.Formatter().parse(SENTENCES[kind]) if key]
    data = dict.fromkeys(keys, 7)
    assert str(Problem(kind, 3, data)) == string.Formatter().vformat(SENTENCES[kind], (), data)
    assert Problem(kind, 3, data).located.startswith("iteration 3: ")
    assert Problem(kind, data=data).located == str(Problem(kind, data=data))


def test_text_from_outside_is_never_a_template() -> None:
    assert str(Problem(Kind.SYSTEM, data={"text": "{error} {0} {"})) == "{error} {0} {"


def test_the_data_of_a_problem_cannot_be_changed() -> None:
    problem = Problem(Kind.SYSTEM, data={"text": "odd"})
    with pytest.raises(TypeError):
        problem.data["text"] = "fine"  # type: ignore[index] # the fault


def test_numbers_are_told_with_the_digits_that_tell_them_apart() -> None:
    def told(asked: float, used: float) -> str:
        data: dict[str, str | float] = {"parameter": "rate", "asked": asked, "used": used}
        return str(Problem(Kind.OVERRIDE_NOT_EFFECTIVE, data=data)).partition(": ")[2]

    assert told(3e-10, 1e-10) == "rate asked=0.0000000003 used=0.0000000001"
    assert told(123456789, 123456788.0) == "rate asked=123456789 used=123456788"
