"""Journals of format 1, which release 0.1.0 wrote, read as format 2.

Format 1 has problems as sentences, does not mark which notice is a cut, and says only at the end of
a run which tests did not pass. Only this module
parses such sentences. The lines on disk, and their hashes, stay unchanged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_soak.model.problem import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
NOT_TOLD = {"stretch": {"first": 0, "last": 0, "settled": 0}, "criteria": [], "counts": {}}
"""What a verdict of 0.1.0, which looked at the observation window alone, does not say."""
CUTS = ("budget", "smoothing")
"""The guards of 0.1.0 whose notices report a reduced step."""
SENTENCES = {
    Kind.NOT_RUN: "did not run",
    Kind.TEST_NOT_PASSED: "its test did not pass",
    Kind.BROKEN_OFF: "broken off: the gate did not run",
    Kind.PARTIAL: "partial chain: only single iterations of it were asked for by node id",
    Kind.UNSETTLED: "only {settled} of {window} iterations ran on settled parameters",
    Kind.CLOSING: "closing: {text}",
    Kind.EARLIER_FORMAT: "{text}",
}
"""The sentences of 0.1.0 for each kind of problem; the last one matches any text."""
PATTERNS = {
    kind: re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(sentence)), re.DOTALL)
    for kind, sentence in SENTENCES.items()
}
OF_ITERATION = re.compile(r"iteration (\d+): (.*)", re.DOTALL)


def upgrade(record: dict[str, Any]) -> dict[str, Any]:
    """Return *record* in format 2, except for ``v``, which stays as it is in its line.

    Raises:
        AttributeError, KeyError, TypeError: *record* lacks keys of a record.
    """
    if record["v"] != FORMAT:
        return record
    if record["kind"] == "iteration":
        summary, decision = record["summary"], record["decision"]
        problems = [_parsed(text, record["iteration"]) for text in summary["problems"]]
        judged = [{"gate": "", **one} for one in record.get("judgements", ())]
        notices = [{**one, "cut": one["guard"] in CUTS} for one in decision.get("notices", ())]
        return {
            "not_passed": [],
            **record,
            "judgements": judged,
            "summary": {**summary, "problems": problems},
            "decision": {"asked": {}, "rollback": None, **decision, "notices": notices},
        }
    if record["kind"] in ("run_started", "run_resumed"):
        return {**record, "reading": None}
    if "problems" in record:
        problems = [_located(text) for text in record["problems"]]
        return {"untold": [], **NOT_TOLD, **record, "problems": problems}
    return record


def _located(text: str) -> dict[str, Any]:
    """Return the problem that a chain's verdict has as *text*."""
    match = OF_ITERATION.fullmatch(text)
    return _parsed(match[2], int(match[1])) if match else _parsed(text, 0)


def _parsed(text: str, iteration: int) -> dict[str, Any]:
    matches = ((kind, pattern.fullmatch(text)) for kind, pattern in PATTERNS.items())
    kind, match = next((kind, match) for kind, match in matches if match)
    data: dict[str, Any] = match.groupdict()
    if kind is Kind.UNSETTLED:
        data = {name: int(number) for name, number in data.items()}
    return {"kind": str(kind), "iteration": iteration, "data": data}


def problems_as_written(record: Mapping[str, Any], problems: Sequence[Any]) -> list[Any]:
    """Return *problems* in the form that the artifacts of *record* have them."""
    if record["v"] != FORMAT:
        return list(problems)
    texts = [SENTENCES[one["kind"]].format_map(one["data"]) for one in problems]
    if record["kind"] == "iteration":
        return texts
    prefixes = (f"iteration {one['iteration']}: " if one["iteration"] else "" for one in problems)
    return [prefix + text for prefix, text in zip(prefixes, texts, strict=True)]


def notices_as_written(record: Mapping[str, Any]) -> list[Any]:
    """Return the notices of an iteration's *record* in the form that its summary has them."""
    notices = record["decision"]["notices"]
    if record["v"] != FORMAT:
        return list(notices)
    return [{key: one[key] for key in one if key != "cut"} for one in notices]


def problems_once(record: Mapping[str, Any]) -> list[Any]:
    """Return the problems of a chain's end, without the duplicates that a resume by 0.1.0 left."""
    problems = record["problems"]
    if record["v"] != FORMAT:
        return list(problems)
    return [one for index, one in enumerate(problems) if one not in problems[:index]]


def keys_of(ending: Mapping[str, Any], keys: Sequence[str]) -> Sequence[str]:
    """Return those of the *keys* of a verdict that the artifacts of *ending* have."""
    return [key for key in keys if ending["v"] != FORMAT or key not in NOT_TOLD]
