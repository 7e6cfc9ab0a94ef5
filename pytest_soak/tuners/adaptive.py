"""The tuner that learns: it takes the bounded step after which all KPIs most probably hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_soak.model.parameters import Corridor, step
from pytest_soak.model.proposal import Proposal
from pytest_soak.tuners.response import Belief, Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_soak.model.history import Entry, History
    from pytest_soak.model.pack import Pack
    from pytest_soak.model.verdict import Kpi, Threshold

MEMORY = 24
"""How many of the latest usable iterations are learned from: the cost must not grow."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold of one KPI: beyond *value* on the side *bad* (+1 or -1) it is broken."""

    metric: str
    value: float
    bad: int
    fails: bool

    def holds(self, mean: float, sigma: float) -> float:
        """Return the log of the chance that a value ~ N(mean, sigma^2) keeps the limit."""
        return log_chance(self.bad * (self.value - mean) / sigma)


class Adaptive:
    """see docs."""

    corridor = Corridor.LIMITS

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._names = tuple(pack.parameters)
        self._settings = dict(DEFAULTS)
        self._limits = [limit for kpi in pack.kpis for limit in _limits(pack, kpi)]
        self._beliefs = {kpi.metric: _belief(pack, kpi) for kpi in pack.kpis}
        self._logs = {k.metric: _trans(pack, k) for k in pack.kpis}
        bounds = [p.limits for p in pack.parameters.values()]
        self._ranges = [(b.hi - b.lo) or 1.0 for b in bounds]
        self._low = [b.lo for b in bounds]
        self._largest = [
            p.largest_step / r for p, r in zip(pack.parameters.values(), self._ranges, strict=True)
        ]

    @property
    def requires(self) -> tuple[str, ...]:
        return tuple(self._beliefs)

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        usable = [e for e in history if not e.summary.problems][-MEMORY:]
        origin = self._point(usable[0].summary.parameters)
        points = [self._offset(e.summary.parameters, origin) for e in usable]
        responses = {
            m: Response(b, *self.seen(m, b, points, [self._logs[m](e.summary.number(m)) for e in usable]))
            for m, b in self._beliefs.items()
        }
        here = self._offset(parameters, origin)
        view = View(self._limits, responses, self._settings)
        before = view.look(here)
        if before.all_hold >= math.log(self._settings['enough']):
            return Proposal()
        low = [max(h - s, min(h, -o)) for h, s, o in zip(here, self._largest, origin)]
        high = [min(h + s, max(h, 1 - o)) for h, s, o in zip(here, self._largest, origin)]
        best, after = view.search(here, before, low, high, self._largest, points)
        if after.utility - before.utility < self._settings['least_gain']:
            return Proposal()
        deltas = {}
        for name, a, b, r in zip(self._names, here, best, self._ranges):
            p = self._pack.parameters[name]
            d = p.quantize((b - a) * r)
            if abs(d) > p.largest_step: d = math.copysign(p.largest_step, d)
            if d: deltas[name] = d
        why = [l.metric for l, x in zip(self._limits, before.chances) if x < math.log(.9)]
        return Proposal(deltas, tuple(dict.fromkeys(why)))

    def seen(self, m, b, points, values):
        # start anew after a surprise
        start=0
        if self._settings['surprise']:
            for i in range(1,len(values)):
                mean,sd=Response(b, points[start:i], values[start:i]).predict(points[i])
                lims=[l for l in self._limits if l.metric==m]
                danger=any(l.bad*(values[i-1]-l.value)>0>=l.bad*(values[i]-l.value) for l in lims)
                if abs(values[i]-mean)>self._settings['surprise']*sd and not danger: start=i
        return points[start:], values[start:]

    def _point(self, parameters):
        return [(parameters[n] - l) / r for n, l, r in zip(self._names, self._low, self._ranges)]

    def _offset(self, parameters, origin):
        return tuple(a - b for a, b in zip(self._point(parameters), origin))

DEFAULTS = {'enough': .8, 'least_gain': .05, 'risk': .05, 'caution': 0.02, 'warn': 1.0, 'surprise': 4.0, 'sober': 1}
import os,json
DEFAULTS|=json.loads(os.environ.get('AD','{}'))

class Look:
    def __init__(self, chances, all_hold, utility):
        self.chances=chances; self.all_hold=all_hold; self.utility=utility

class View:
    def __init__(self, limits, responses, settings):
        self.limits=limits; self.responses=responses; self.s=settings
    def look(self, x, here=None, before=None, largest=None):
        pred={m:r.predict(x) for m,r in self.responses.items()}
        if self.s['sober'] and before is not None:
            pred0=before.pred
            def sd(l):
                m,d=pred[l.metric]
                if l.bad*(l.value-m)<0: d=min(d,pred0[l.metric][1])
                return m,d
            ch=[l.holds(*sd(l)) for l in self.limits]
        else:
            ch=[l.holds(*pred[l.metric]) for l in self.limits]
        worst={}
        for l,c in zip(self.limits,ch): worst[l.metric]=min(worst.get(l.metric,0),c)
        u=sum(c*(1 if l.fails else self.s['warn']) for l,c in zip(self.limits,ch))
        if before is not None:
            u-=self.s['caution']*sum(abs(a-b)/s for a,b,s in zip(x,here,largest))
            for l,c,c0 in zip(self.limits,ch,before.chances):
                if l.fails:
                    allowed=max(self.s['risk'],1-math.exp(c0))
                    broken=1-math.exp(c)
                    if broken>allowed+1e-9: u-=1000*(broken-allowed)
        lk=Look(ch,sum(worst.values()),u); lk.pred=pred; return lk
    def search(self, here, before, low, high, largest, points):
        best,look=list(here),before
        look=self.look(best,here,before,largest)
        frac=1.0
        while frac>=0.12:
            moved=False
            for j in range(len(here)):
                step_best=None
                for sign in (1,-1):
                    c=list(best); c[j]=min(max(c[j]+sign*frac*largest[j],low[j]),high[j])
                    if c[j]==best[j]: continue
                    lk=self.look(c,here,before,largest)
                    if lk.utility>look.utility+1e-9 and (step_best is None or lk.utility>step_best[1].utility):
                        step_best=(c,lk)
                if step_best: best,look,moved=*step_best,True
            if not moved: frac/=2
        return best,look

def _trans(pack, kpi):
    e=pack.effects.get(kpi.metric)
    if e is None or not e.log: return float
    lim=(kpi.warn or kpi.fail).value
    return lambda v: math.log(max(v, lim*1e-3))

def _limits(pack, kpi):
    g=_trans(pack,kpi)
    for th,f in ((kpi.warn,False),(kpi.fail,True)):
        if th is not None: yield Limit(kpi.metric, g(th.value), 1 if th.op.holds(1,0) else -1, f)

def _belief(pack, kpi):
    e=pack.effects.get(kpi.metric)
    e={'mean':dict(e.mean),'spread':dict(e.spread)}|({'bend':e.bend} if e.bend is not None else {}) if e else {}
    limit=abs((kpi.fail or kpi.warn).value)
    rng={n:p.limits.hi-p.limits.lo for n,p in pack.parameters.items()}
    mock=pack.mock.get(kpi.metric)
    mean=e.get('mean') or (mock.effects if mock and not pack.effects else {})
    noise=pack.noise.get(kpi.metric) or (mock.noise if mock else 0) or .02*limit
    spread=e.get('spread',{})
    known=bool(mean)
    eff=tuple(mean.get(n,0)*r for n,r in rng.items())
    def sp(n,r):
        if n in spread: return spread[n]*r
        if known: return .5*abs(mean.get(n,0)*r)+noise
        return .5*limit
    if pack.effects.get(kpi.metric) and pack.effects[kpi.metric].log:
        noise/=limit; limit=1.0
    return Belief(eff, tuple(sp(n,r) for n,r in rng.items()), e.get('bend', noise), noise, max(limit,noise))

def log_chance(z):
    if z > TAIL: return math.log(0.5*math.erfc(-z/math.sqrt(2)))
    return math.log(0.5*math.erfc(-TAIL/math.sqrt(2)))+(z-TAIL)*2.5
TAIL=-3.0
