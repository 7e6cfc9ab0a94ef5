"""A tuner that learns: it takes the bounded step after which all KPIs most probably hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_soak.model.headroom import UNBOUNDED
from pytest_soak.model.metrics import is_number
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.proposal import Proposal
from pytest_soak.tuners.beliefs import outlook
from pytest_soak.tuners.response import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.model.headroom import Headroom
    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Pack
    from pytest_soak.tuners.beliefs import Limit, Outlook

MEMORY = 16
"""How many of the latest iterations are used, so that the cost of an iteration is bounded."""
ENOUGH = math.log(0.8)
"""From this log of the probability that every KPI holds, nothing is changed."""
LEAST_GAIN = 0.05
"""A step must raise the log of the probability by at least this."""
COST = 0.02
"""The cost of moving one parameter by its largest step, in the log of the probability."""
RISK = 0.05
"""By how much a step may raise the probability that a KPI breaks its FAIL limit."""
RISK_COST = 1_000.0
"""The cost of a higher risk, in the log of the probability: more than any step can gain."""
SURPRISE = 4.0
"""A value worse than expected by more standard deviations than this starts a new line."""
FINEST = 1 / 8
"""The share of the largest step at which the search for a better point ends."""

Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """The expectation at one point: the log of each limit's probability to hold, and the sum."""

    chances: tuple[float, ...]
    merit: float


class Adaptive:
    """Learns in the run how each KPI depends on each parameter; the pack's effects are its prior.

    After each iteration it searches the points within one largest step of every parameter, and
    proposes the one with the largest product of the probabilities that each limit holds (the
    probability of feasibility of Schonlau, Welch and Jones, 1998), if the gain is worth a step.
    Pure: each call learns again from the whole history.
    """

    corridor = Corridor.LIMITS

    def __init__(self, pack: Pack) -> None:
        """Take parameters, KPIs, noise and effects from *pack*."""
        self._parameters = pack.parameters
        self._outlooks = [outlook(pack, kpi) for kpi in pack.required_kpis if kpi.limits]
        self._limits = [limit for each in self._outlooks for limit in each.limits]
        bounds = [parameter.limits for parameter in pack.parameters.values()]
        self._low = [each.lo for each in bounds]
        self._range = [each.hi - each.lo or 1.0 for each in bounds]
        self._largest = [
            parameter.largest_step / reach
            for parameter, reach in zip(pack.parameters.values(), self._range, strict=True)
        ]

    @property
    def requires(self) -> tuple[str, ...]:
        """The metrics of all KPIs with limits, but for optional ones."""
        return tuple(each.metric for each in self._outlooks)

    def propose(
        self,
        history: History,
        parameters: Mapping[str, float],
        headroom: Headroom = MappingProxyType({}),
    ) -> Proposal:
        """Propose the best step, or nothing if none is needed or none is worth taking."""
        usable = [e.summary for e in history[-MEMORY:] if not e.summary.problems]
        usable = [s for s in usable if all(is_number(s.metrics.get(m)) for m in self.requires)]
        if not usable:
            return Proposal()
        origin = self._point(usable[0].parameters)
        points = [_minus(self._point(summary.parameters), origin) for summary in usable]
        responses = {}
        for each in self._outlooks:
            values = [each.see(summary.number(each.metric)) for summary in usable]
            responses[each.metric] = learn(each, points, values)
        here = _minus(self._point(parameters), origin)
        now = self._look(responses, here)
        if self._all_hold(now) >= ENOUGH:
            return Proposal()
        low, high = self._reach(headroom, parameters, origin)
        best, then = self._search(responses, here, now, (low, high))
        if then.merit - now.merit < LEAST_GAIN:
            return Proposal()
        return self._proposal(responses, here, best, now)

    def _point(self, parameters: Mapping[str, float]) -> Point:
        """Return *parameters* as shares of their limits' range."""
        named = zip(self._parameters, self._low, self._range, strict=True)
        return tuple((parameters[name] - low) / reach for name, low, reach in named)

    def _all_hold(self, look: Look) -> float:
        """Return the log of the probability that every KPI holds its tightest limit."""
        tightest: dict[str, float] = {}
        for limit, chance in zip(self._limits, look.chances, strict=True):
            tightest[limit.metric] = min(chance, tightest.get(limit.metric, 0.0))
        return math.fsum(tightest.values())

    def _look(
        self,
        responses: Mapping[str, Response],
        point: Point,
        start: tuple[Point, Look] | None = None,
    ) -> Look:
        """Return the expectation at *point*, less the cost of the step from *start* if given."""
        expected = {metric: response.predict(point) for metric, response in responses.items()}
        chances = tuple(limit.chance(*expected[limit.metric]) for limit in self._limits)
        merit = math.fsum(chances)
        if start is not None:
            here, now = start
            merit -= COST * sum(
                abs(a - b) / largest
                for a, b, largest in zip(point, here, self._largest, strict=True)
            )
            merit -= RISK_COST * math.fsum(self._risks(chances, now.chances))
        return Look(chances, merit)

    def _risks(self, chances: Sequence[float], now: Sequence[float]) -> Iterator[float]:
        """Yield by how much each FAIL limit exceeds its allowed probability to break."""
        for limit, chance, before in zip(self._limits, chances, now, strict=True):
            if limit.fails:
                allowed = RISK + 1 - math.exp(before)
                yield max(0.0, 1 - math.exp(chance) - allowed)

    def _reach(
        self, headroom: Headroom, parameters: Mapping[str, float], origin: Point
    ) -> tuple[Point, Point]:
        """Return the corners of the box that one step can reach.

        It is bounded by the largest steps, the limits, and the headroom that the guards leave.
        """
        low, high = [], []
        for i, (name, parameter) in enumerate(self._parameters.items()):
            at, most = parameters[name], parameter.largest_step
            down, up = headroom.get(name, UNBOUNDED)
            ends = (
                max(at - min(most, down), min(at, parameter.limits.lo)),
                min(at + min(most, up), max(at, parameter.limits.hi)),
            )
            first, last = ((end - self._low[i]) / self._range[i] - origin[i] for end in ends)
            low.append(first)
            high.append(last)
        return tuple(low), tuple(high)

    def _search(
        self, responses: Mapping[str, Response], here: Point, now: Look, box: tuple[Point, Point]
    ) -> tuple[Point, Look]:
        """Return the best point in the *box*, by a compass search.

        It tries each parameter in both directions, keeps what is better, and halves its reach when
        nothing is better (Kolda, Lewis and Torczon, SIAM Review 45, 2003).
        """
        start = (here, now)
        low, high = box
        best, best_look = here, now
        reach = 1.0
        while reach >= FINEST:
            moved = False
            for i, parameter in enumerate(self._parameters.values()):
                calm = reach if parameter.calm == "up" else -reach
                tried = []
                for way in (calm, -calm):
                    value = min(max(best[i] + way * self._largest[i], low[i]), high[i])
                    point = (*best[:i], value, *best[i + 1 :])
                    tried.append((point, self._look(responses, point, start)))
                point, look = max(tried, key=lambda each: each[1].merit)
                if look.merit > best_look.merit + 1e-9:
                    best, best_look, moved = point, look, True
            if not moved:
                reach /= 2
        return best, best_look

    def _proposal(
        self, responses: Mapping[str, Response], here: Point, best: Point, now: Look
    ) -> Proposal:
        """Return the step from *here* to *best*, each delta with the limit it helps most."""
        deltas, reason_of = {}, {}
        reached = self._look(responses, best)
        for i, (name, parameter) in enumerate(self._parameters.items()):
            delta = parameter.quantize((best[i] - here[i]) * self._range[i])
            if delta:
                without = self._look(responses, (*best[:i], here[i], *best[i + 1 :]))
                deltas[name] = delta
                reason_of[name] = self._most_helped(reached, without).text
        return Proposal(deltas, (self._most_helped(reached, now).text,), reason_of)

    def _most_helped(self, reached: Look, without: Look) -> Limit:
        gains = [a - b for a, b in zip(reached.chances, without.chances, strict=True)]
        return self._limits[gains.index(max(gains))]


def learn(kpi: Outlook, points: Sequence[Point], values: Sequence[float]) -> Response:
    """Return the response of one KPI, learned from *values* at *points*.

    A value much worse than expected starts a new line, and the values before it are forgotten:
    an overloaded system may report good values of everything but its load. A value better than
    expected is learned from like any other.
    """
    bad = kpi.limits[0].bad
    start = 0
    while True:
        response = Response(kpi.belief, points[start:], values[start:])
        worse = [bad * surprise > SURPRISE for surprise in response.surprises[1:]]
        if not any(worse):
            return response
        start += 1 + worse.index(True)


def _minus(a: Point, b: Point) -> Point:
    return tuple(x - y for x, y in zip(a, b, strict=True))
