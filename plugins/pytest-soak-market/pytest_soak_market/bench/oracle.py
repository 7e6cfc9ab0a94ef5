"""The oracle: the best parameters of a large offline search in the corridor `limits`.

About 300 runs of a regime: points spread over the whole corridor, then four rounds of local
refinement around the best of them, with fresh seeds, then the finalists over more seeds. Nothing
bounds its steps, and it runs each regime far more often than a soak can: no tuner need reach it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from pytest_soak.model.parameters import Bounds

from .limits import Limits, passes
from .regimes import (
    FIRST_SEED,
    KEPT,
    Best,
    Regime,
    draw,
    how_many_drawn,
    load,
    save,
    simulate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_soak import Pack

UNSEEN = tuple(range(9_001, 9_006))
"""The seeds on which all final parameters are judged, the oracle's too."""
ENOUGH = 4
"""The numbers of unseen seeds on which untuned must fail, and on which the oracle must pass."""

SPREAD = 96
ROUNDS = (0.25, 0.15, 0.10, 0.06)
"""Standard deviation of each refining round's moves, as a share of the range."""
ELITE, CHILDREN = 8, 16
FINALISTS, FINAL_SEEDS = 5, 5
HOPELESS = -40.0
"""The merit that one of the spread points must reach, or the regime is given up early."""


@dataclass
class Search:
    """All points tried in one regime, with the totals of each run."""

    pack: Pack
    settings: Mapping[str, float]
    rng: Random
    runs: dict[tuple[float, ...], list[dict[str, float]]] = field(default_factory=dict)
    seed: int = 0

    def parameters(self, point: tuple[float, ...]) -> dict[str, float]:
        """Return all fields of the profile, with *point* as the tunable ones."""
        base = self.pack.profiles[self.pack.profile].fields
        return {**base, **dict(zip(self.pack.parameters, point, strict=True))}

    def try_out(self, point: tuple[float, ...]) -> None:
        """Run *point* once more, with a seed not used before."""
        self.seed += 1
        totals = simulate(self.settings, self.parameters(point), self.seed)
        self.runs.setdefault(point, []).append(totals)

    def best(self, limits: Limits, most: int) -> list[tuple[float, ...]]:
        """Return the *most* best points under *limits*, best first."""

        def merit(point: tuple[float, ...]) -> float:
            runs = self.runs[point]
            return statistics.fmean(limits.merit(totals) for totals in runs) - 1 / len(runs)

        return sorted(self.runs, key=merit, reverse=True)[:most]

    def spread_out(self) -> None:
        """Try points spread over the whole corridor, a Latin hypercube."""
        columns = []
        for parameter in self.pack.parameters.values():
            low, high = parameter.limits.lo, parameter.limits.hi
            cells = [(cell + self.rng.random()) / SPREAD for cell in range(SPREAD)]
            self.rng.shuffle(cells)
            columns.append([parameter.quantize(low + cell * (high - low)) for cell in cells])
        for point in zip(*columns, strict=True):
            self.try_out(point)

    def refine(self, limits: Limits) -> tuple[float, ...]:
        """Search around the best points in ever smaller steps; return the best of all."""
        for width in ROUNDS:
            elite = self.best(limits, ELITE)
            for number in range(CHILDREN):
                self.try_out(self._near(elite[number % ELITE], width))
            for point in self.best(limits, ELITE // 2):
                self.try_out(point)
        for point in self.best(limits, FINALISTS):
            while len(self.runs[point]) < FINAL_SEEDS:
                self.try_out(point)
        return max(
            (point for point in self.runs if len(self.runs[point]) >= FINAL_SEEDS),
            key=lambda point: statistics.fmean(map(limits.merit, self.runs[point])),
        )

    def _near(self, point: tuple[float, ...], width: float) -> tuple[float, ...]:
        moved = []
        for value, parameter in zip(point, self.pack.parameters.values(), strict=True):
            bounds = parameter.limits
            moved_to = value + self.rng.gauss(0, width) * (bounds.hi - bounds.lo)
            moved.append(parameter.quantize(bounds.clamp(moved_to)))
        return tuple(moved)


def judge(pack: Pack, settings: Mapping[str, float], parameters: Mapping[str, float]) -> list[bool]:
    """Return for each unseen seed whether no KPI is at FAIL, and whether none is at WARN."""
    seen = [simulate(settings, parameters, seed) for seed in UNSEEN]
    return [passes(pack, totals, level) for level in ("fail", "warn") for totals in seen]


def examine(pack: Pack, which: str, seed: int, noise: Mapping[str, float]) -> Regime | None:
    """Draw the regime of *seed*; return it if it is kept, with its oracle.

    Args:
        pack: The parameters and KPIs.
        which: The set it belongs to.
        seed: The drawing seed.
        noise: ``{metric: sigma}``, the scale on which distances from limits are measured.
    """
    settings = draw(seed)
    base = pack.profiles[pack.profile].fields
    untuned = [simulate(settings, base, unseen) for unseen in UNSEEN]
    if sum(not passes(pack, totals, "fail") for totals in untuned) < ENOUGH:
        return None
    search = Search(pack, settings, Random(seed))  # noqa: S311 - reproducible search
    search.spread_out()
    fail = Limits(pack, "fail", noise)
    if max(fail.merit(runs[0]) for runs in search.runs.values()) < HOPELESS:
        return None
    oracle = {}
    for level in ("fail", "warn"):
        oracle[level] = find(search, level, noise)
        if level == "fail" and oracle[level].passes < ENOUGH:
            return None
    return Regime(seed, which, settings, oracle, dict(_spread(untuned, noise)))


def find(search: Search, level: str, noise: Mapping[str, float]) -> Best:
    """Return the best point that *search* finds under the limits of *level*, judged."""
    point = search.refine(Limits(search.pack, level, noise))
    judged = judge(search.pack, search.settings, search.parameters(point))
    half = judged[: len(UNSEEN)] if level == "fail" else judged[len(UNSEEN) :]
    return Best(dict(zip(search.pack.parameters, point, strict=True)), sum(half), len(UNSEEN))


def within_budget(pack: Pack, iterations: int) -> Pack:
    """Return *pack* with only what the guard `budget` lets a chain of so many iterations reach.

    The last two iterations are the observation window. A budget that is spent in the first
    iteration is there again when the guard's window has passed.
    """
    budget, base = pack.guards["budget"], pack.profiles[pack.profile].fields
    times = 1 + (iterations - 3) // budget["window"]
    parameters = {}
    for name, parameter in pack.parameters.items():
        most = times * budget["largest"][name]
        near = Bounds(parameter.quantize(base[name] - most), parameter.quantize(base[name] + most))
        parameters[name] = replace(parameter, limits=parameter.limits.intersect(near))
    return replace(pack, parameters=parameters)


def bounded(pack: Pack, regimes: Sequence[Regime], iterations: int) -> str:
    """Search *regimes* again within the budget of a chain, and report what passes."""
    bests = []
    for regime in regimes:
        rng = Random(regime.seed)  # noqa: S311 - reproducible search
        search = Search(within_budget(pack, iterations), regime.settings, rng)
        search.spread_out()
        bests.append([find(search, level, pack.noise).share for level in ("fail", "warn")])
    fail, warn = map(statistics.fmean, zip(*bests, strict=True))
    return f"no FAIL {fail:.2f}, no WARN {warn:.2f}"


def _spread(
    untuned: list[dict[str, float]], noise: Mapping[str, float]
) -> Iterator[tuple[str, float]]:
    for metric in noise:
        values = [totals[metric] for totals in untuned if totals[metric] is not None]
        yield metric, float(f"{statistics.stdev(values):.3g}") if len(values) > 1 else 0.0


def search(pack: Pack, keep: Mapping[str, int], path: Path = KEPT) -> None:
    """Draw regimes until so many of each set are kept; they are written to *path* as they come.

    Where the file is there already, the search goes on from it.
    """
    drawn = how_many_drawn(path)
    found = [regime for which in drawn for regime in load(which, path)] if path.exists() else []
    for which in drawn:
        while sum(regime.which == which for regime in found) < keep[which]:
            regime = examine(pack, which, FIRST_SEED[which] + drawn[which], pack.noise)
            drawn[which] += 1
            found += [] if regime is None else [regime]
            save(found, drawn, path)
