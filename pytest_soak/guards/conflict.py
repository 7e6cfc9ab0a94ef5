"""The guard that makes one change a parameter out of what several tuners ask for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_soak.model.decision import Decision, Request, take
from pytest_soak.model.parameters import Corridor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak.model.history import History
    from pytest_soak.model.parameters import Parameter

REASON = "conflict"


class Conflict:
    """With one sign on a parameter, the larger step; with opposite signs, as the *policy* says.

    Never the sum: two tuners that see the same trouble would repair it twice. The policies are
    ``veto`` (nothing is applied), ``priority`` (the tuner that *priority* names first; those it
    does not name come last, in the order in which they are asked), ``mean`` of all requests, and
    ``smaller``. Mean and smaller of two that cancel out are nothing, and a veto.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"policy": "veto", "priority": ()}

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the pack's *parameters*, whose corridors each request passes on its own."""
        self._parameters = parameters

    def review(
        self,
        history: History,
        decision: Decision,
        settings: Mapping[str, Any],
    ) -> Decision:
        """Turn the requests into changes."""
        wishes: dict[str, list[Request]] = {}
        for wish in decision.requests:
            wishes.setdefault(wish.parameter, []).append(wish)
        changes = []
        for name, group in wishes.items():
            old = decision.parameters[name]
            takes = [take(wish, self._parameters[name], old) for wish in group]
            chosen = max(takes, key=lambda change: abs(change.effective))
            if len({wish.delta > 0 for wish in group}) > 1:
                detail = " ".join(f"{wish.tuner}={wish.delta:+g}" for wish in group)
                one = POLICIES[settings["policy"]](group, settings["priority"])
                if one is None:
                    decision = decision.veto(REASON, name, REASON, detail)
                    continue
                detail = f"{detail} {settings['policy']} {one.delta:+g}"
                decision = decision.notice(REASON, REASON, name, detail)
                chosen = take(one, self._parameters[name], old)
            changes.append(chosen)
        asked = {change.parameter: change.requested for change in changes}
        return replace(decision, changes=tuple(changes), asked=asked)


def _veto(group: Sequence[Request], priority: Sequence[str]) -> Request | None:  # noqa: ARG001 - one signature
    return None


def _priority(group: Sequence[Request], priority: Sequence[str]) -> Request | None:
    ranks = {name: rank for rank, name in enumerate(priority)}
    return min(group, key=lambda wish: ranks.get(wish.tuner, len(ranks)))


def _mean(group: Sequence[Request], priority: Sequence[str]) -> Request | None:  # noqa: ARG001 - one signature
    delta = math.fsum(wish.delta for wish in group) / len(group)
    if not delta:
        return None
    narrow = any(wish.corridor is Corridor.APPLY for wish in group)
    return Request(
        tuner="+".join(wish.tuner for wish in group),
        parameter=group[0].parameter,
        delta=delta,
        corridor=Corridor.APPLY if narrow else Corridor.LIMITS,
        reason="+".join(wish.reason for wish in group),
    )


def _smaller(group: Sequence[Request], priority: Sequence[str]) -> Request | None:  # noqa: ARG001 - one signature
    least = min(abs(wish.delta) for wish in group)
    smallest = [wish for wish in group if abs(wish.delta) == least]
    return smallest[0] if len({wish.delta > 0 for wish in smallest}) == 1 else None


POLICIES = {"veto": _veto, "priority": _priority, "mean": _mean, "smaller": _smaller}
