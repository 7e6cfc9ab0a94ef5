"""What strategies hand over is bounded and without secrets before anything else looks at it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from pytest_soak.model.answers import (
    DEEPEST,
    MOST_CHARACTERS,
    MOST_ENTRIES,
    UnusableAnswer,
    received,
)
from pytest_soak.model.decision import Decision, Veto
from pytest_soak.model.mask import Mask
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.verdict import Judgement, Verdict

MASK = Mask({"KEY": "hunter2!"})
HIDDEN = "[secret KEY]"


class Shy:
    """An object that shows its text by its repr alone."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"<{self._text}>"


@pytest.mark.parametrize("mask", [Mask(), MASK], ids=["no secrets", "secrets"])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        1.5,
        True,
        "a",
        {"a": 1, "b": ("c", None)},
        MappingProxyType({"a": "b"}),
        [{"a"}],
        frozenset(("a",)),
        Proposal({"workers": 1}, ("because",), {"workers": "slow"}),
        (Judgement("a", Verdict.PASS, 1, 2, "<= 3"),),
        Corridor.APPLY,
        Shy("a"),
        Proposal,
    ],
)
def test_an_answer_without_secrets_stays_the_same_object(answer: object, mask: Mask) -> None:
    assert received(answer, mask) is answer


@pytest.mark.parametrize(
    ("answer", "masked"),
    [
        ("hunter2!", HIDDEN),
        ({"hunter2!": "hunter2!"}, {HIDDEN: HIDDEN}),
        ({"a": "hunter2!", "b": 1}, {"a": HIDDEN, "b": 1}),
        (("a", "hunter2!"), ("a", HIDDEN)),
        ([("hunter2!",)], [(HIDDEN,)]),
        ({"hunter2!"}, [HIDDEN]),
        (Proposal({}, ("a", "hunter2!")), Proposal({}, ("a", HIDDEN))),
        ((Judgement("hunter2!", Verdict.FAIL),), (Judgement(HIDDEN, Verdict.FAIL),)),
        (Shy("hunter2!"), f"<{HIDDEN}>"),
        (b"hunter2!", f"b'{HIDDEN}'"),
    ],
)
def test_a_secret_is_masked_wherever_an_answer_has_it(answer: object, masked: object) -> None:
    assert received(answer, MASK) == masked


def test_a_number_that_is_a_secret_is_masked() -> None:
    assert received({"pin": 48151623}, Mask({"PIN": "48151623"})) == {"pin": "[secret PIN]"}


def test_our_own_words_are_never_masked() -> None:
    mask = Mask({"KEY": "apply"})
    assert received(Corridor.APPLY, mask) is Corridor.APPLY
    assert received("apply", mask) == HIDDEN


def test_what_is_known_is_neither_masked_nor_counted() -> None:
    veto = Veto("mine", "hunter2!" * MOST_CHARACTERS)
    answer = Decision(1, vetoes=(veto, Veto("mine", "hunter2!")))
    assert received(answer, MASK, (veto,)).vetoes == (veto, Veto("mine", HIDDEN))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (("",) * MOST_ENTRIES, f"{MOST_ENTRIES} entries"),
        ({"a": [0] * (MOST_ENTRIES - 1)}, f"{MOST_ENTRIES} entries"),
        ("x" * MOST_CHARACTERS, f"{MOST_CHARACTERS} characters of text"),
        (("x" * (MOST_CHARACTERS - 1), "x"), f"{MOST_CHARACTERS} characters of text"),
    ],
    ids=["entries", "nested", "one text", "texts"],
)
def test_an_answer_may_be_as_large_as_is_allowed_and_not_larger(answer: Any, kind: str) -> None:
    assert received(answer, Mask()) is answer
    with pytest.raises(UnusableAnswer, match=rf"^handed over more than {kind}, the most allowed$"):
        received((answer, "x"), Mask())


def test_an_answer_is_read_only_so_deep() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert f"nested deeper than {DEEPEST}" in str(received(ring, MASK))
    inner: object = 1
    for _ in range(DEEPEST - 1):
        inner = (inner,)
    assert received(inner, MASK) is inner
