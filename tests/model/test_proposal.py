"""Proposals are checked before they are used."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_soak.model.proposal import Proposal, proposal_fault

KNOWN = {"workers": None, "batch": None}


def forged(**parts: Any) -> Proposal:
    return Proposal(**parts)


@pytest.mark.parametrize(
    "proposal",
    [Proposal(), Proposal({"workers": 2}), Proposal({"batch": -0.5}, ("slow",), {"batch": "r"})],
)
def test_a_proposal_of_finite_steps_of_known_parameters_is_fine(proposal: Proposal) -> None:
    assert proposal_fault(proposal, KNOWN) == ""


@pytest.mark.parametrize(
    ("returned", "phrase"),
    [
        (None, "returned None, not a Proposal"),
        ({"workers": 2}, "returned {'workers': 2}, not a Proposal"),
        (forged(deltas={"wokers": 2}), "wants to change 'wokers'; tunable are workers, batch"),
        (forged(deltas={"workers": "2"}), "gave '2' as the delta of workers, not a"),
        (forged(deltas={"workers": True}), "gave True as the delta of workers, not a"),
        (forged(deltas={"workers": None}), "gave None as the delta of workers, not a"),
        (forged(deltas={"workers": math.nan}), "gave nan as the delta of workers, not a finite"),
        (forged(deltas={"workers": -math.inf}), "gave -inf as the delta of workers, not a finite"),
        (forged(deltas={"workers": 10**400}), "as the delta of workers, not a finite"),
        (forged(deltas=None), "gave None as its deltas, not {parameter: increment}"),
        (forged(deltas=[("workers", 2)]), "gave [('workers', 2)] as its deltas"),
        (forged(reasons="slow"), "gave 'slow' as its reasons, not a tuple of strings"),
        (forged(reasons=(1,)), "not a tuple of strings"),
        (forged(reasons=None), "not a tuple of strings"),
        (forged(withheld=(None,)), "not a tuple of strings"),
        (forged(withheld="multi_fail"), "not a tuple of strings"),
        (forged(reason_of={"workers": 1}), "not a tuple of strings"),
        (forged(reason_of=("slow",)), "gave ('slow',) as its reason_of, not {parameter: reason}"),
    ],
)
def test_anything_else_is_a_fault_that_names_the_value(returned: object, phrase: str) -> None:
    assert phrase in proposal_fault(returned, KNOWN)


def test_a_parameter_without_a_reason_of_its_own_has_those_that_no_other_has() -> None:
    steps = {"workers": 1.0, "batch": 1.0}
    proposal = Proposal(steps, ("slow", "errors"), {"workers": "slow"})
    assert proposal.reason("workers") == "slow"
    assert proposal.reason("batch") == "errors"
    assert Proposal(steps, ("slow", "errors")).reason("batch") == "slow+errors"
    assert Proposal(steps, ("slow",), {"workers": "slow"}).reason("batch") == ""
