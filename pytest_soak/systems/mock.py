"""The system ``mock``: its metrics depend on the parameters and on nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pytest_soak.systems.protocol import scenario_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_soak.model.pack import Pack


class MockSystem:
    """Computes each metric as ``start + sum(effect * (parameter - base)) + noise``.

    ``start`` is the scenario's, ``effect`` and ``noise`` the pack's, ``base`` the pack's default
    profile. Its metrics improve only if the parameters do, so a soak converges only by tuning.
    """

    secrets: tuple[str, ...] = ()
    virtual_time = True
    keeps_state = True  # it has none

    def __init__(self, pack: Pack, scenario: str) -> None:
        """Take the effects that *pack* declares and the starting values of *scenario*.

        Raises:
            SoakUsageError: The scenario has no starting values for the mock.
        """
        self._pack = pack
        self._start = scenario_table(pack, scenario, "mock")
        self._base = pack.profiles[pack.profile].fields

    def run(
        self, parameters: Mapping[str, float], iteration: int, seed: int, state: object
    ) -> tuple[dict[str, object], object]:
        """Return the report of one iteration, and *state* unchanged."""
        noise = random.Random(seed)  # noqa: S311 - reproducible noise, nothing to protect
        totals: dict[str, object] = dict(self._start)
        counts = {}
        for name, response in self._pack.mock.items():
            value = self._start.get(name)
            if not isinstance(value, int | float):
                continue
            moved = sum(
                effect * (parameters[field] - self._base[field])
                for field, effect in response.effects.items()
            )
            metric = self._pack.metrics[name]
            value += moved + response.noise * noise.gauss(0, 1)
            if metric.least is not None:
                value = max(value, metric.least)
            if metric.most is not None:
                value = min(value, metric.most)
            totals[name] = round(value, 6)
            if response.n:
                counts[name] = response.n
        report: dict[str, object] = {
            "iteration": iteration,
            "parameters": dict(parameters),
            "totals": totals,
            "n": counts,
            "runtime": {"system": "mock"},
        }
        return report, state
