"""Records of format 1: converted to the current format, and back to the wording of 0.1.0."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_soak.store.legacy import (
    notices_as_written,
    problems_as_written,
    problems_once,
    upgrade,
)
from pytest_soak.store.records import problems_from_json

SAID = {
    "did not run": "not_run",
    "its test did not pass": "test_not_passed",
    "no report": "earlier_format",
    "several\nlines: of iteration 7: a system's own": "earlier_format",
    "": "earlier_format",
}
SAID_OF_A_CHAIN = {
    "broken off: the gate did not run": ("broken_off", 0),
    "partial chain: only single iterations of it were asked for by node id": ("partial", 0),
    "only 1 of 2 iterations ran on settled parameters": ("unsettled", 0),
    "closing: system stuck: iteration 3: no": ("closing", 0),
    "iteration 12: its test did not pass": ("test_not_passed", 12),
    "iteration 12: closing: time": ("closing", 12),
    "iteration x: odd": ("earlier_format", 0),
}


def an_iteration(*problems: str, notices: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    decision = {"skip_reason": "", "notices": list(notices)}
    summary = {"verdict": "INCONCLUSIVE", "problems": list(problems)}
    body = {"summary": summary, "decision": decision}
    return {"v": 1, "kind": "iteration", "iteration": 3, **body}


def an_end(*problems: str, v: int = 1) -> dict[str, Any]:
    return {"v": v, "kind": "run_ended", "iteration": 6, "problems": list(problems)}


@pytest.mark.parametrize("text", SAID)
def test_a_sentence_of_an_iteration_is_read_and_told_as_it_was(text: str) -> None:
    record = upgrade(an_iteration(text))
    (problem,) = problems_from_json(record["summary"]["problems"])
    assert (problem.kind, problem.iteration, str(problem)) == (SAID[text], 3, text)
    assert problems_as_written(record, record["summary"]["problems"]) == [text]


@pytest.mark.parametrize("text", SAID_OF_A_CHAIN)
def test_a_sentence_of_a_chain_is_read_and_told_as_it_was(text: str) -> None:
    record = upgrade(an_end(text))
    (problem,) = problems_from_json(record["problems"])
    assert (problem.kind, problem.iteration) == SAID_OF_A_CHAIN[text]
    assert problem.located == text
    assert problems_as_written(record, record["problems"]) == [text]


@pytest.mark.parametrize(
    ("guard", "cut"), [("budget", True), ("smoothing", True), ("drift", False), ("mine", False)]
)
def test_a_cut_is_recognized_by_its_guard(guard: str, cut: bool) -> None:
    told = {"guard": guard, "reason": guard, "parameter": "workers", "detail": "+2 cut to +1"}
    record = upgrade(an_iteration(notices=(told,)))
    assert record["decision"]["notices"] == [{**told, "cut": cut}]
    assert notices_as_written(record) == [told]


def test_a_decision_from_before_notices_and_rollbacks_has_none() -> None:
    record = an_iteration()
    del record["decision"]["notices"]
    due: dict[str, Any] = {"skip_reason": "", "asked": {}, "notices": [], "rollback": None}
    assert upgrade(record)["decision"] == due


@pytest.mark.parametrize("kind", ["run_started", "run_resumed"])
def test_the_start_of_a_run_does_not_say_how_reports_were_read(kind: str) -> None:
    record = {"v": 1, "kind": kind, "iteration": 0, "config": {}}
    assert upgrade(record) == {**record, "reading": None}


@pytest.mark.parametrize("kind", ["rolled_back", "of a later release"])
def test_a_record_without_problems_stays_as_it_is(kind: str) -> None:
    record = {"v": 1, "kind": kind, "iteration": 0, "config": {}}
    assert upgrade(record) is record


def test_a_record_of_the_present_format_stays_as_it_is() -> None:
    record = {**an_iteration("did not run"), "v": 2}
    assert upgrade(record) is record
    assert problems_as_written(record, ["as it is"]) == ["as it is"]
    assert notices_as_written(record) == []


def test_a_problem_that_an_old_resume_added_again_counts_once() -> None:
    twice = upgrade(an_end("closing: no", "closing: no", "iteration 6: did not run"))
    assert [one["kind"] for one in problems_once(twice)] == ["closing", "not_run"]
    assert len(problems_once(an_end("a", "a", v=2))) == 2
