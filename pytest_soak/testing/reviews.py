"""What a guard may do to a decision: take away from it, and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_soak.model.promises import loosened, malformed
from pytest_soak.testing.promises import Promise
from pytest_soak.testing.watched import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_soak.model.decision import Decision, Notice, Veto
    from pytest_soak.model.pack import Pack


def review_breaches(given: Decision, said: Decision, pack: Pack) -> Iterator[Breach]:
    """Yield what a guard did to the decision it was *given* that no guard may do."""
    if malformed(said):  # the controller refuses it, which breaks ANSWERS
        return
    fault = loosened(given, said)
    if not fault and given.skip_reason not in {"", said.skip_reason}:
        fault = f"rewrote the skip reason {given.skip_reason!r}"
    if fault:
        yield Breach(Promise.TAKES_AWAY, f"it {fault}")
    else:
        yield from _unreported(given, said, pack)


def _unreported(given: Decision, said: Decision, pack: Pack) -> Iterator[Breach]:
    """Yield which steps a guard stopped or made smaller without a valid reason."""
    vetoes = said.vetoes[len(given.vetoes) :]
    notices = said.notices[len(given.notices) :]
    words: tuple[Veto | Notice, ...] = (*vetoes, *notices)
    for word in words:
        if not (word.reason.isascii() and word.reason.replace("-", "_").isidentifier()):
            what = f"the reason {word.reason!r} is not a name; figures belong in the detail"
            yield Breach(Promise.TOLD, what)
        if word.parameter and word.parameter not in pack.parameters:
            yield Breach(Promise.TOLD, f"it names {word.parameter!r}, which is not a parameter")
    stopped = {word.parameter for word in vetoes}
    named = stopped | {word.parameter for word in notices}
    left = {change.parameter: change.effective for change in said.changes}
    for change in given.changes:
        name = change.parameter
        if name not in left:
            if not stopped & {name, ""}:
                yield Breach(Promise.TOLD, f"it stopped {name} without a veto")
        elif left[name] != change.effective and not named & {name, ""}:
            what = f"it made {name} {change.effective:+.10g} {left[name]:+.10g}"
            yield Breach(Promise.TOLD, f"{what} without a notice; use cut(), or notice()")
