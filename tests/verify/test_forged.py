"""Any one word of a verdict, judgement or decision that is changed in a journal is found.

The hashes of the journal are made anew after each change. `UNFOUND` lists what nothing else in a
journal shows, so that no check can find a change of it.
"""

from __future__ import annotations

import copy
import os
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.commands.verify import examine
from pytest_soak.model.parameters import Note
from pytest_soak.model.problem import Kind
from pytest_soak.model.verdict import Verdict
from tests.runs import RUNS
from tests.support import DEMO, chain_folder, linked, records, told

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("summary", "judgements", "proposals", "decision", "applied", "settles")
END = ("verdict", "window", "reasons", "problems", "unverified", "not_passed")


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each single value in *data*, and of each empty list or object."""
    entries: Any = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in entries:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def others(value: Any) -> list[Any]:
    """Return other values that might stand in the place of *value*."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1]
    if isinstance(value, list | dict):
        return [["later"], [1], {"workers": 1.5}, {"workers": "false"}]
    for words in (list(Verdict.__members__), list(map(str, Kind)), list(map(str, Note))):
        if value in words[1:] or value == words[0] != "":
            return [word for word in words if word != value]
    return ["later", 1]


def forged(found: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield the place of each word, and the journal with another word there."""
    for number, record in enumerate(found):
        parts = PARTS if record["kind"] == "iteration" else END
        for path in leaves({part: record[part] for part in parts if part in record}):
            for other in others(value_at(record, path)):
                changed = [*found]
                changed[number] = copy.deepcopy(record)
                value_at(changed[number], path[:-1])[path[-1]] = other
                place = ".".join("#" if isinstance(step, int) else step for step in path)
                yield place, linked(changed)


def value_at(data: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


UNFOUND = {
    "decision.notices.#.cut",
    "decision.notices.#.detail",
    "decision.notices.#.guard",
    "decision.notices.#.parameter",
    "decision.notices.#.reason",
    "decision.requests.#.reason",
    "decision.vetoes.#.detail",
    "decision.vetoes.#.guard",
    "not_passed",
    "proposals.#.reasons",
    "proposals.#.reasons.#",
    "proposals.#.withheld",
}
"""Words of strategies that stand in one place, and a test that is said to have failed where the
verdict is the same with it. `pytest-soak replay` decides again."""
EVERY = 1 if os.environ.get("SOAK_ALL_FORGED") else 15
"""Which part of all changes is tried."""


@pytest.mark.parametrize("name", ["tuned", "recommend", "no report", "held"])
def test_a_changed_word_is_found_though_the_hashes_are_made_anew(
    pytester: pytest.Pytester, name: str
) -> None:
    pytester.makeconftest(RUNS[name].conftest)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--soak-system=odd", *RUNS[name].args)
    found = records(chain_folder(pytester))
    assert not refused(linked(found))
    tried = list(islice(forged(found), 0, None, EVERY))
    assert len(tried) > 600 / EVERY
    assert {place for place, content in tried if not refused(content)} <= UNFOUND


def refused(content: bytes) -> list[str]:
    """Return the findings in a journal, but not those of changes that no report confirms."""
    findings = [str(one) for one in examine(content, "", None, lambda _: None)[0] if not one.note]
    return [text for text in findings if "does not confirm its changes" not in text]


PLUGINS = """
from pytest_soak import Judgement, Verdict

class Weather:
    def observe(self, report, history):
        return {"weather": 7, "words": ("wet", "cold")}

class Dry:
    requires = ()
    def judge(self, metrics, n):
        return (Judgement("weather", Verdict.WARN, metrics["weather"], None, "> 6"),)

def pytest_soak_watchers():
    return {"weather": lambda pack: Weather()}

def pytest_soak_gates():
    return {"dry": lambda pack: Dry()}
"""


def test_what_plugins_saw_and_judged_is_taken_as_recorded(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(PLUGINS)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm")
    found = records(chain_folder(pytester))
    assert not refused(linked(found))
    found[1]["judgements"].pop(0)
    (told, *_) = refused(linked(found))
    assert "does not follow from its report and criteria: " in told


def test_a_summary_shows_no_verdict_that_verify_refuses(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3")
    folder = chain_folder(pytester)
    found = records(folder)
    for record in found[1:4]:
        record["judgements"] = [{**one, "verdict": "PASS"} for one in record["judgements"]]
        record["summary"]["verdict"] = "PASS"
    found[4] |= {"verdict": "PASS", "reasons": []}
    (folder / "journal.jsonl").write_bytes(linked(found))
    for command in ("summary", "verify"):
        code, lines = told(command)
        assert code == (4 if command == "summary" else 1)
        assert "does not follow from its report and criteria: " in "\n".join(lines)
        assert "## PASS" not in "\n".join(lines)
