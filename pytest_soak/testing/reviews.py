"""Compares the decision that a guard was given with the one that it returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_soak.testing.promises import Promise
from pytest_soak.testing.watched import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_soak.model.pack import Pack


def guard_breaches(given: Any, said: Any, pack: Pack) -> Iterator[Breach]:  # noqa: ANN401 - Decisions, or not
    """Yield what a guard did to the decision it was *given* that no guard may do."""
    yield from _enlarged(given, said)
    for what in ("iteration", "parameters", "requests", "asked", "rollback"):
        if getattr(given, what) != getattr(said, what):
            yield Breach(Promise.TAKES_AWAY, f"it rewrote {what}")
    for what in ("vetoes", "notices"):
        before: Sequence[object] = getattr(given, what)
        if tuple(getattr(said, what))[: len(before)] != before:
            yield Breach(Promise.TAKES_AWAY, f"it took back {what} of other guards")
    if given.skip_reason and said.skip_reason != given.skip_reason:
        yield Breach(Promise.TAKES_AWAY, f"it rewrote the skip reason {given.skip_reason!r}")
    yield from _untold(given, said, pack)


def _enlarged(given: Any, said: Any) -> Iterator[Breach]:  # noqa: ANN401 - as above
    changes = {change.parameter: change for change in given.changes}
    left = {change.parameter: change for change in said.changes}
    for name, change in left.items():
        was = changes.get(name)
        if was is None:
            yield Breach(Promise.TAKES_AWAY, f"it added a change of {name}")
            continue
        for field in ("old", "requested", "reason", "tuner", "corridor"):
            if getattr(was, field) != getattr(change, field):
                yield Breach(Promise.TAKES_AWAY, f"it rewrote {field} of the change of {name}")
        told = f"{name} {was.effective:+.10g} became {change.effective:+.10g}"
        if change.effective * was.effective < 0:
            yield Breach(Promise.TAKES_AWAY, f"it turned a step: {told}")
        elif not abs(change.effective) <= abs(was.effective):
            yield Breach(Promise.TAKES_AWAY, f"it enlarged a step: {told}")


def _untold(given: Any, said: Any, pack: Pack) -> Iterator[Breach]:  # noqa: ANN401 - as above
    vetoes = said.vetoes[len(given.vetoes) :]
    notices = said.notices[len(given.notices) :]
    for word in (*vetoes, *notices):
        if not (word.reason.isascii() and word.reason.replace("-", "_").isidentifier()):
            what = f"{word.reason!r} is no name; figures belong into the detail"
            yield Breach(Promise.TOLD, what)
        if word.parameter and word.parameter not in pack.parameters:
            yield Breach(Promise.TOLD, f"it told of {word.parameter!r}, which is no parameter")
    stopped = {word.parameter for word in vetoes}
    heard = stopped | {word.parameter for word in notices}
    left = {change.parameter: change for change in said.changes}
    for change in given.changes:
        name = change.parameter
        if name not in left:
            if not stopped & {name, ""}:
                yield Breach(Promise.TOLD, f"it stopped {name} without a veto")
        elif left[name].effective != change.effective and not heard & {name, ""}:
            now = left[name].effective
            told = f"it made {name} {change.effective:+.10g} {now:+.10g}"
            yield Breach(Promise.TOLD, f"{told} and told nobody; use cut(), or notice()")
