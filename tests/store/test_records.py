"""Records: values written to the journal are read back unchanged."""

from __future__ import annotations

import json
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.decision import Change, Decision, Notice, Request, Veto
from pytest_soak.model.parameters import Corridor, Note
from pytest_soak.model.problem import Kind, Problem
from pytest_soak.model.summary import Summary, Verified
from pytest_soak.model.verdict import IterationVerdict, Judgement, Verdict
from pytest_soak.store.files import line
from pytest_soak.store.records import (
    decision_from_json,
    decision_to_json,
    judged_from_json,
    judgements_to_json,
    summary_from_json,
    summary_to_json,
)

T = TypeVar("T")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
FIELDS = st.sampled_from(("workers", "batch"))


def some(elements: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(elements, max_size=3).map(lambda found: tuple(found))  # noqa: PLW0108 - typed


REQUESTS = some(st.builds(Request, WORDS, FIELDS, NUMBERS, st.sampled_from(Corridor), WORDS))
CHANGES = some(
    st.builds(
        Change,
        FIELDS,
        *[NUMBERS] * 4,
        st.sampled_from(Note),
        WORDS,
        WORDS,
        st.sampled_from(Corridor),
    )
)
VETOES = some(st.builds(Veto, WORDS, WORDS, WORDS, WORDS))
NOTICES = some(st.builds(Notice, WORDS, WORDS, FIELDS, WORDS, st.booleans()))
COUNTS = st.none() | st.integers()
JUDGEMENTS = some(
    st.builds(Judgement, WORDS, st.sampled_from(Verdict), st.none() | NUMBERS, COUNTS, WORDS, WORDS)
)
NUMBERS_OF = st.integers(0, 9)
DATA = st.dictionaries(WORDS, WORDS | NUMBERS, max_size=2)
NOTICES = some(st.builds(Notice, WORDS, WORDS, WORDS, WORDS, st.booleans()))
VALUES = st.none() | NUMBERS | some(WORDS)


@given(REQUESTS, CHANGES, VETOES, WORDS, NOTICES)
def test_a_decision_comes_back_the_same(
    requests: tuple[Request, ...],
    changes: tuple[Change, ...],
    vetoes: tuple[Veto, ...],
    skip_reason: str,
    notices: tuple[Notice, ...],
) -> None:
    decision = Decision(3, {"workers": 2}, requests, changes, vetoes, skip_reason, notices=notices)
    written = json.loads(line(decision_to_json(decision)))
    assert decision_from_json(written, 3, {"workers": 2}) == decision


@given(
    st.dictionaries(WORDS, VALUES, max_size=3),
    st.sampled_from(Verdict),
    some(st.builds(Problem, st.sampled_from(Kind), NUMBERS_OF, DATA)),
    st.dictionaries(FIELDS, st.sampled_from(Verified)),
    st.booleans(),
    JUDGEMENTS,
)
def test_a_summary_and_its_judgements_come_back_the_same(
    metrics: dict[str, float | tuple[str, ...] | None],
    verdict: Verdict,
    problems: tuple[Problem, ...],
    doubts: dict[str, Verified],
    in_window: bool,
    judgements: tuple[Judgement, ...],
) -> None:
    n = {"latency": 9}
    summary = Summary(3, {"workers": 2}, metrics, n, verdict, problems, doubts, in_window)
    judged = IterationVerdict(3, verdict, judgements, problems)
    record = json.loads(
        line(
            {
                "iteration": 3,
                "summary": summary_to_json(summary),
                "judgements": judgements_to_json(judged),
            }
        )
    )
    assert summary_from_json(record["summary"], 3) == summary
    assert judged_from_json(record) == judged
