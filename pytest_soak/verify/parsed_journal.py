"""The journal line by line: is each one a record, and does it follow the one before it?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_soak.model.metrics import is_number
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.schemas import schema_of
from pytest_soak.store import legacy
from pytest_soak.store.files import line
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import SCHEMA_VERSION, START, foreign, reads
from pytest_soak.verify.finding import Finding, as_json, at, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jsonschema import Draft202012Validator

HEAD = 16
"""How many hex digits of a head are enough to tell it: what a soak prints at its end."""


@dataclass(frozen=True, slots=True)
class ParsedJournal:
    """A journal as it was read.

    Args:
        records: The lines that have the shape of a record, in the present format.
        hashes: The SHA-256 of every whole line.
        torn: How many bytes of an unfinished record come after the last whole line.
        findings: What is wrong with single lines, or with how they follow each other.
    """

    records: tuple[dict[str, Any], ...]
    hashes: tuple[str, ...]
    torn: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether every whole line can be relied on."""
        return all(finding.note for finding in self.findings)

    @property
    def head(self) -> str:
        """The hash of the last whole line; 64 zeros where there is none."""
        return self.hashes[-1] if self.hashes else START


def parse_journal(content: bytes) -> ParsedJournal:
    """Read the *content* of a journal, whatever it is."""
    whole = content[: content.rfind(b"\n") + 1]
    records: list[dict[str, Any]] = []
    hashes: list[str] = []
    findings: list[Finding] = []
    for seq, text in enumerate(whole.split(b"\n")[:-1]):
        previous = hashes[-1] if hashes else START
        hashes.append(hashlib.sha256(text).hexdigest())
        fault, record, canonical = _parsed(text)
        if fault:
            findings.append(Finding(f"{JOURNAL}, record {seq}", fault))
            continue
        told = list(_told(record, seq, previous, records))
        if not canonical:
            told.append(
                Finding(at(record), "is not written as a journal is: sorted keys, no spare spaces")
            )
        findings += told
        records.append(record)
    return ParsedJournal(tuple(records), tuple(hashes), len(content) - len(whole), tuple(findings))


def _parsed(text: bytes) -> tuple[str, dict[str, Any], bool]:
    """Return why *text* is no record; or the record, and whether it is written as one should be."""
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {shorten(str(error))}", {}, False
    if not isinstance(raw, dict):
        return f"is no record: {as_json(raw)}", {}, False
    if not reads(raw.get("v")):
        return foreign(raw.get("v")), {}, False
    try:
        record = legacy.upgrade(raw)
        fault = _misshapen({**record, "v": SCHEMA_VERSION})
    except (AttributeError, KeyError, TypeError) as error:
        fault = f"{type(error).__name__}: {safe_text(str(error))}"
    if fault:
        return f"has not the shape of a record: {fault}", {}, False
    return "", record, line(raw).encode() == text


@cache
def _kinds() -> dict[str, str]:
    """Return ``{kind of a record: where the schema describes what it brings}``."""
    return {
        case["if"]["properties"]["kind"]["const"]: case["then"]["$ref"]
        for case in schema_of(JOURNAL)["allOf"]
    }


@cache
def _validator(kind: str) -> Draft202012Validator:
    """Return what checks a record of one *kind*; of one that nobody knows what all have.

    Keys and kinds that this version does not know are no fault: a later one may have written them.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - a third of a command's start

    schema = _open(schema_of(JOURNAL))
    schema["properties"]["kind"] = {"type": "string"}
    schema["allOf"] = [{"$ref": _kinds()[kind]}] if kind in _kinds() else []
    return Draft202012Validator(schema)


def _open(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return *schema* with room for keys that it does not describe."""
    if isinstance(schema, list):
        return [_open(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = ("additionalProperties", "unevaluatedProperties")
    return {key: _open(part) for key, part in schema.items() if key not in shut or part}


def _misshapen(record: dict[str, Any]) -> str:
    """Return what is wrong with the shape of *record*, or an empty string."""
    kind = record.get("kind")
    validator = _validator(kind if isinstance(kind, str) and kind in _kinds() else "")
    error = next(validator.iter_errors(record), None)
    if error:
        return safe_text(f"{error.json_path}: {error.message}")
    odd = next(_too_large({**record, "report": None}), None)  # a report may hold what it likes
    return "" if odd is None else f"{safe_text(str(odd))} is larger than any float"


def _too_large(value: Any) -> Iterator[int]:  # noqa: ANN401 - any JSON
    """Yield the whole numbers within *value* that no float can hold."""
    if isinstance(value, int) and not isinstance(value, bool) and not is_number(value):
        yield value
    entries: Any = value.values() if isinstance(value, dict) else value
    for entry in entries if isinstance(value, dict | list) else ():
        yield from _too_large(entry)


def _told(
    record: dict[str, Any], seq: int, previous: str, before: Sequence[dict[str, Any]]
) -> Iterator[Finding]:
    """Yield what is wrong between *record* and those *before* it."""
    where = at(record)
    if record["prev"] != previous:
        yield Finding(
            where,
            f"its prev is {record['prev'][:HEAD]}…, the line before it has the hash "
            f"{previous[:HEAD]}…: one of the two was changed, or a line between them taken out",
        )
    if record["seq"] != seq:
        yield Finding(where, f"stands at place {seq}")
    first = before[0] if before else record
    if record["run"] != first["run"]:
        yield Finding(where, f"is of run {record['run']}, the first record of {first['run']}")
    if (record["kind"] == "run_started") != (record is first):
        yield Finding(where, "a journal has one run_started, and begins with it")
    if record["kind"] not in _kinds():
        yield Finding(where, "is of a kind that this version does not know, and skips", note=True)
    last = before[-1]["iteration"] if before else 0
    due = last + (record["kind"] == "iteration")
    if record["iteration"] != due:
        yield Finding(where, f"is of iteration {record['iteration']}, due was {due}")


def check_head(lines: ParsedJournal, head: str) -> Iterator[Finding]:
    """Yield a finding where *head*, the beginning of a hash, is not that of the last record."""
    if lines.head.startswith(head):
        return
    known = [seq for seq, digest in enumerate(lines.hashes) if digest.startswith(head)]
    what = "no record has it: the journal was changed, or its end cut off"
    if known:
        added = len(lines.hashes) - known[0] - 1
        what = f"it is that of record {known[0]}; records added after it: {added}"
    yield Finding(JOURNAL, f"--head {head} is not that of the last record: {what}")
