"""Checks that the words of a decision agree with each other.

Only the strategies could decide again, which `pytest-soak replay` does. But most words of a
decision stand in two places: in a request and in its change, in a veto and in the skip reason.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_soak.model.mode import Mode
from pytest_soak.model.problem import Kind
from pytest_soak.store import legacy
from pytest_soak.store.artifacts import moves
from pytest_soak.verify.finding import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAME = {"tuner": "tuner", "reason": "reason", "corridor": "corridor", "requested": "delta"}
"""``{key of a change: key of the request that it came from}``."""


def decision_faults(record: Mapping[str, Any], start: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of an iteration's decision that contradict each other.

    Args:
        record: The record of the iteration.
        start: The record with the configuration in force.
    """
    config, decision = start["config"], record["decision"]
    if record["applied"] != (config["mode"] == Mode.APPLY and bool(moves(record))):
        yield f"its applied is {as_json(record['applied'])}, its mode and decision say otherwise"
    yield from _request_faults(record, config)
    yield from _change_faults(decision)
    if record["v"] != legacy.FORMAT:
        yield from _asked_faults(decision)
    if start["reading"] and not start["reading"]["guards"]:  # those of plugins may do otherwise
        yield from _veto_faults(record)


def _request_faults(record: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    tuners = [proposal["tuner"] for proposal in record["proposals"]]
    if tuners and tuners != config["tuners"]:
        yield f"has proposals of {', '.join(tuners)}, but its tuners are others"
    for request in record["decision"]["requests"]:
        if request["tuner"] not in tuners:
            yield f"has a request of {request['tuner']}, which has no proposal"
        if request["parameter"] not in record["summary"]["parameters"]:
            yield f"has a request for {request['parameter']}, which is no parameter"


def _change_faults(decision: Mapping[str, Any]) -> Iterator[str]:
    for change in decision["changes"]:
        name = change["parameter"]
        requests = [each for each in decision["requests"] if each["parameter"] == name]
        if not requests:
            yield f"changes {name}, which nobody asked for"
        for key, of_request in SAME.items() if len(requests) == 1 else ():
            if change[key] != requests[0][of_request]:
                given, asked = as_json(change[key]), as_json(requests[0][of_request])
                yield f"the {key} of its change of {name} is {given}, that of its request {asked}"
        old, new, step = (Decimal(str(change[key])) for key in ("old", "new", "effective"))
        if old + step != new:
            yield f"its change of {name} by {step} does not lead from {old} to {new}"
        notes = {"": True, "hold": not step, "cap": step > 0, "floor": step < 0}
        if not notes[change["note"]] or (not step and not change["note"]):
            yield f"the note {change['note']!r} of its change of {name} does not fit {step:+}"


def _asked_faults(decision: Mapping[str, Any]) -> Iterator[str]:
    asked, requests = decision["asked"], decision["requests"]
    for name in sorted({*asked, *(request["parameter"] for request in requests)}):
        deltas = [request["delta"] for request in requests if request["parameter"] == name]
        alone = len(deltas) == 1
        if not deltas or (alone and asked.get(name) != deltas[0]):
            given, expected = as_json(asked.get(name)), as_json(deltas[0] if deltas else None)
            yield f"asked for {name} is {given}, its requests say {expected}"
    for change in decision["changes"]:
        if change["requested"] != asked.get(change["parameter"]):
            yield f"the change of {change['parameter']} is not what was asked for"


def _veto_faults(record: Mapping[str, Any]) -> Iterator[str]:
    decision = record["decision"]
    whole = [veto for veto in decision["vetoes"] if not veto["parameter"]]
    reason = whole[0]["reason"] if whole else ""
    if decision["skip_reason"] != reason:
        yield f"its skip_reason is {decision['skip_reason']!r}, that of its vetoes {reason!r}"
    asked = {request["parameter"] for request in decision["requests"]}
    changed = {change["parameter"] for change in decision["changes"]}
    single = [veto for veto in decision["vetoes"] if veto["parameter"]]
    cuts = [notice for notice in decision["notices"] if notice["cut"]]
    for one in (*single, *cuts):
        if one["reason"] != one["guard"] or one["parameter"] not in asked:
            yield f"{one['guard']} is said to have stopped {one['parameter']!r}: {one['reason']}"
    stopped = {veto["parameter"] for veto in single}
    if stopped & changed or (not whole and asked - stopped - changed):
        yield "its vetoes and changes are not all of its requests, each once"
    back = decision["rollback"]
    if back and (back["guard"], back["detail"]) not in [(v["guard"], v["detail"]) for v in whole]:
        yield f"its rollback by {back['guard']} is not among its vetoes"
    texts = {problem["data"].get("text") for problem in record["summary"]["problems"]}
    if reason == Kind.STRATEGY_FAULT and whole[0]["detail"] not in texts:
        yield "the fault of a strategy in its vetoes is none of its problems"
