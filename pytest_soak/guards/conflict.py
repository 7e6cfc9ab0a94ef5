"""The guard that merges the requests of several tuners into one change per parameter."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision, Request, change_for
from pytest_soak.model.history import History
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.settings import Mistake, Setting


class Conflict(CoreGuard):
    """Merges the requests of several tuners into one change for each parameter.

    Of requests with the same sign the larger step is taken, not the sum, because two tuners that
    see the same problem would correct it twice. For opposite signs the policy decides: `veto`
    applies nothing; `priority` takes the tuner that is first in the list (tuners that are not in
    it come last, in their usual order); `mean` takes the mean of all requests; `smaller` the
    smallest. If the mean is 0, or the smallest cancel out, nothing is applied.
    """

    name = "conflict"
    required = True
    merges = True

    @dataclass(frozen=True, slots=True)
    class Settings:
        """What can be set."""

        policy: Annotated[
            Literal["veto", "priority", "mean", "smaller"],
            Setting("what happens to requests of opposite signs"),
        ] = "veto"
        priority: Annotated[
            tuple[Annotated[str, Setting(names="tuner")], ...],
            Setting("the tuners, the most important first, for the policy `priority`", unique=True),
        ] = ()

    def faults(self, settings: Settings) -> Iterator[Mistake]:
        """Yield a list of tuners without the policy `priority`, or the policy without a list."""
        if (settings.policy == "priority") != bool(settings.priority):
            told = "policy 'priority' needs a list priority, and no other takes one"
            yield Mistake("priority", told)

    def review(self, history: History, decision: Decision, settings: Settings) -> Decision:
        """Turn the requests into changes."""
        if not decision.requests:
            return decision
        requests: dict[str, list[Request]] = {}
        for request in decision.requests:
            requests.setdefault(request.parameter, []).append(request)
        changes = []
        for name, group in requests.items():
            old, parameter = decision.parameters[name], self._pack.parameters[name]
            takes = [change_for(request, parameter, old) for request in group]
            chosen = max(takes, key=lambda change: abs(change.effective))
            if len({request.delta > 0 for request in group}) > 1:
                detail = " ".join(f"{request.tuner}={request.delta:+g}" for request in group)
                one = _settle(group, settings)
                if one is None:
                    decision = decision.veto(self.name, name, self.name, detail)
                    continue
                detail = f"{detail} {settings.policy} {one.delta:+g}"
                decision = decision.notice(self.name, self.name, name, detail)
                chosen = change_for(one, parameter, old)
            changes.append(chosen)
        asked = {change.parameter: change.requested for change in changes}
        return replace(decision, changes=tuple(changes), asked=asked)


def _settle(group: Sequence[Request], settings: Conflict.Settings) -> Request | None:
    """Return what the policy makes of requests of opposite signs, or None."""
    if settings.policy == "priority":
        ranks = {name: rank for rank, name in enumerate(settings.priority)}
        return min(group, key=lambda request: ranks.get(request.tuner, len(ranks)))
    if settings.policy == "mean":
        return _mean(group)
    if settings.policy == "smaller":
        least = min(abs(request.delta) for request in group)
        smallest = [request for request in group if abs(request.delta) == least]
        return smallest[0] if len({request.delta > 0 for request in smallest}) == 1 else None
    return None


def _mean(group: Sequence[Request]) -> Request | None:
    delta = math.fsum(request.delta for request in group) / len(group)
    if not delta:
        return None
    narrow = any(request.corridor is Corridor.APPLY for request in group)
    return Request(
        tuner="+".join(request.tuner for request in group),
        parameter=group[0].parameter,
        delta=delta,
        corridor=Corridor.APPLY if narrow else Corridor.LIMITS,
        reason="+".join(request.reason for request in group),
    )
