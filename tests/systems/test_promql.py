"""What a Prometheus server is asked, and that nothing but one number counts as its answer."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_soak.systems.http.exposition import Unmeasured
from pytest_soak.systems.http.fetch import Answer
from pytest_soak.systems.http.promql import read_answer, read_number, url_of


def answer(data: object, code: int = 200, **more: object) -> Answer:
    return Answer(
        code, "application/json", json.dumps({"status": "success", "data": data, **more}).encode()
    )


def vector(*values: str) -> dict[str, object]:
    return {"resultType": "vector", "result": [{"metric": {}, "value": [1.5, v]} for v in values]}


def test_the_slot_stands_in_the_query_as_milliseconds() -> None:
    url = urlsplit(url_of("http://h:1/p/", 'rate(x{a="{slot}"}[{slot}])', 2.5, 4))
    assert (url.netloc, url.path) == ("h:1", "/p/api/v1/query")
    given = parse_qs(url.query)
    assert given == {"query": ['rate(x{a="2500ms"}[2500ms])'], "timeout": ["4s"]}


def test_one_number_is_the_answer() -> None:
    assert read_answer(answer(vector("2.5"))) == 2.5
    assert read_answer(answer({"resultType": "scalar", "result": [1.5, "7"]})) == 7


INFO = 'PromQL info: metric might not be a counter, name does not end in _total: "x" (1:6)'


def test_an_information_is_no_warning_wherever_it_stands() -> None:
    assert read_answer(answer(vector("1"), infos=[INFO])) == 1
    assert read_answer(answer(vector("1"), warnings=[INFO, INFO])) == 1
    assert read_answer(answer(vector("1"), warnings=[])) == 1
    assert read_answer(answer(vector("1"), warnings=None, isPartial=False)) == 1


def test_a_number_that_is_none_yet_is_an_answer_to_whether_it_exists() -> None:
    assert str(read_number(answer(vector("NaN")))) == "nan"


BAD = {
    "empty": (answer(vector()), "^the answer is empty; allowed: a metric that the server scrapes"),
    "several": (answer(vector("1", "2")), "has 2 series; allowed: one"),
    "NaN": (answer(vector("NaN")), "the answer is nan; allowed: a finite number"),
    "infinite": (answer(vector("+Inf")), "the answer is inf"),
    "a range": (answer({"resultType": "matrix", "result": []}), "the answer is a matrix"),
    "a text": (answer({"resultType": "string", "result": [1, "3"]}), "the answer is a string"),
    "a warning": (answer(vector("1"), warnings=["partial"]), r"the server warns: \['partial'\]"),
    "a warning in one text": (answer(vector("1"), warnings="partial"), r"warns: \['partial'\]"),
    "a warning beside an information": (
        answer(vector("1"), warnings=[INFO, "PromQL warning: bad"]),
        r"the server warns: \['PromQL warning: bad'\]",
    ),
    "warnings that are none": (answer(vector("1"), warnings=7), "none of a Prometheus server"),
    "a part": (answer(vector("1"), isPartial=True), "says that its answer is partial; allowed: "),
    "an error": (
        answer(None, 400, status="error", error="parse error"),
        "the server refused: parse error",
    ),
    "another status": (answer(vector("1"), 503), "answered with status 503, 'success'"),
    "half a success": (answer(vector("1"), status="partial"), "status 200, 'partial'"),
    "no JSON": (Answer(502, "text/html", b"<html>"), "none of a Prometheus server; status 502"),
    "a list": (Answer(200, "", b"[]"), "none of a Prometheus server"),
    "no numbers": (answer(vector("x")), "none of a Prometheus server"),
    "a histogram": (
        answer({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}),
        "none of a Prometheus server",
    ),
    "nested": (Answer(200, "", b"[" * 99999), "none of a Prometheus server"),
}


@pytest.mark.parametrize(("given", "why"), BAD.values(), ids=list(BAD))
def test_any_other_answer_is_none(given: Answer, why: str) -> None:
    with pytest.raises(Unmeasured, match=why):
        read_answer(given)
