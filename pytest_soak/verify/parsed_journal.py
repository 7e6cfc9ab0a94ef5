"""Checks each line of a journal: is it a record, and does it follow the one before it?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_soak.model.metrics import is_number
from pytest_soak.model.problem import NEEDED, Kind
from pytest_soak.model.safe_repr import safe_text
from pytest_soak.schemas import schema_of
from pytest_soak.store import legacy
from pytest_soak.store.files import line, parse_json
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import SCHEMA_VERSION, START, is_supported, unsupported
from pytest_soak.verify.finding import Finding, as_json, location, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jsonschema import Draft202012Validator

HEAD = 16
"""How many hex digits of a head identify it; a soak prints as many at its end."""


@dataclass(frozen=True, slots=True)
class ParsedJournal:
    """A parsed journal.

    Args:
        records: The lines that are valid records, in the current format.
        hashes: The SHA-256 of every complete line.
        torn: The number of bytes of an incomplete record at the end.
        findings: Errors in single lines, or in their order.
    """

    records: tuple[dict[str, Any], ...]
    hashes: tuple[str, ...]
    torn: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether all complete lines are valid."""
        return all(finding.note for finding in self.findings)

    @property
    def head(self) -> str:
        """The hash of the last complete line; 64 zeros if there is none."""
        return self.hashes[-1] if self.hashes else START


def parse_journal(content: bytes, *, shape: bool = True) -> ParsedJournal:
    """Parse the *content* of a journal; damage becomes findings.

    Without *shape*, no record is compared with its schema.
    """
    whole = content[: content.rfind(b"\n") + 1]
    records: list[dict[str, Any]] = []
    hashes: list[str] = []
    findings: list[Finding] = []
    for seq, text in enumerate(whole.split(b"\n")[:-1]):
        previous = hashes[-1] if hashes else START
        hashes.append(hashlib.sha256(text).hexdigest())
        fault, record, canonical = _parsed(text, shape=shape)
        if fault:
            findings.append(Finding(f"{JOURNAL}, record {seq}", fault))
            continue
        findings += _check_order(record, seq, previous, records)
        if not canonical:
            what = "is not in the format of a journal: sorted keys, no extra spaces"
            findings.append(Finding(location(record), what))
        records.append(record)
    return ParsedJournal(tuple(records), tuple(hashes), len(content) - len(whole), tuple(findings))


def _parsed(text: bytes, *, shape: bool) -> tuple[str, dict[str, Any], bool]:
    """Return an error, or else the record in *text* and whether its formatting is canonical."""
    try:
        raw: object = parse_json(text)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {shorten(str(error))}", {}, False
    if not isinstance(raw, dict):
        return f"is not a record: {as_json(raw)}", {}, False
    if not is_supported(raw.get("v")):
        return unsupported(raw.get("v")), {}, False
    try:
        record = legacy.upgrade(raw)
        fault = _invalid({**record, "v": SCHEMA_VERSION}) if shape else ""
    except (AttributeError, KeyError, TypeError) as error:
        fault = f"{type(error).__name__}: {safe_text(str(error))}"
    if fault:
        return f"is not a valid record: {fault}", {}, False
    return "", record, line(raw).encode() == text


@cache
def _kinds() -> dict[str, str]:
    """Return ``{kind of a record: reference to the schema of its keys}``."""
    return {
        case["if"]["properties"]["kind"]["const"]: case["then"]["$ref"]
        for case in schema_of(JOURNAL)["allOf"]
    }


@cache
def _validator(kind: str) -> Draft202012Validator:
    """Return the validator for a record of *kind*; for an unknown kind, that for the common keys.

    Unknown keys and kinds are accepted, because a later version may have written them.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - a third of a command's start

    schema = _open(schema_of(JOURNAL))
    schema["properties"]["kind"] = {"type": "string"}
    schema["allOf"] = [{"$ref": _kinds()[kind]}] if kind in _kinds() else []
    return Draft202012Validator(schema)


def _open(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return *schema* changed to accept unknown keys."""
    if isinstance(schema, list):
        return [_open(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = ("additionalProperties", "unevaluatedProperties")
    return {key: _open(part) for key, part in schema.items() if key not in shut or part}


def _invalid(record: dict[str, Any]) -> str:
    """Return an error if *record* is not valid, or an empty string."""
    kind = record.get("kind")
    validator = _validator(kind if isinstance(kind, str) and kind in _kinds() else "")
    error = next(validator.iter_errors(record), None)
    if error:
        return safe_text(f"{error.json_path}: {error.message}")
    for problem in _problems(record):
        lacking = sorted(NEEDED[Kind(problem["kind"])] - problem["data"].keys())
        if lacking:
            return f"its problem {problem['kind']} lacks {lacking[0]}"
    odd = next(_too_large({**record, "report": None}), None)  # a report may contain anything
    return "" if odd is None else f"{safe_text(str(odd))} is larger than any float"


def _problems(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the problems of a record that follows its schema."""
    if record["kind"] == "iteration":
        return list(record["summary"]["problems"])
    return list(record["problems"]) if record["kind"] in ("run_ended", "run_interrupted") else []


def _too_large(value: Any) -> Iterator[int]:  # noqa: ANN401 - any JSON
    """Yield the integers within *value* that no float can hold."""
    if isinstance(value, int) and not isinstance(value, bool) and not is_number(value):
        yield value
    entries: Any = value.values() if isinstance(value, dict) else value
    for entry in entries if isinstance(value, dict | list) else ():
        yield from _too_large(entry)


def _check_order(
    record: dict[str, Any], seq: int, previous: str, before: Sequence[dict[str, Any]]
) -> Iterator[Finding]:
    """Yield findings if *record* does not follow those *before* it."""
    where = location(record)
    if record["prev"] != previous:
        yield Finding(
            where,
            f"its prev is {record['prev'][:HEAD]}…, the line before it has the hash "
            f"{previous[:HEAD]}…: one of the two was changed, or a line between them removed",
        )
    if record["seq"] != seq:
        yield Finding(where, f"its seq is {record['seq']}, expected {seq}")
    first = before[0] if before else record
    if record["run"] != first["run"]:
        yield Finding(where, f"its run is {record['run']}, that of the first record {first['run']}")
    if (record["kind"] == "run_started") != (record is first):
        yield Finding(where, "a journal must begin with run_started, and have only one")
    if record["kind"] not in _kinds():
        yield Finding(
            where, "is of a kind that this version does not know; it is ignored", note=True
        )
    last = before[-1]["iteration"] if before else 0
    due = last + (record["kind"] == "iteration")
    if record["iteration"] != due:
        yield Finding(where, f"its iteration is {record['iteration']}, expected {due}")


def check_head(journal: ParsedJournal, head: str) -> Iterator[Finding]:
    """Yield a finding if the hash of the last record does not begin with *head*."""
    if journal.head.startswith(head):
        return
    known = [seq for seq, digest in enumerate(journal.hashes) if digest.startswith(head)]
    what = "no record has it: the journal was changed, or its end cut off"
    if known:
        added = len(journal.hashes) - known[0] - 1
        what = f"record {known[0]} has it; records added after it: {added}"
    yield Finding(JOURNAL, f"the last record does not have the hash {head} of --head: {what}")
