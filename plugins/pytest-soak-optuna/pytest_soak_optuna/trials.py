"""Converts measurements to Optuna's trials, and asks its sampler for the next point."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from optuna import create_study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, create_trial

from pytest_soak_optuna.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_soak import Pack
    from pytest_soak_optuna.aim import Aim, Measurement

STARTUP = 3
"""Number of measurements from which on the sampler models; before, it draws at random.

Optuna's default of 10 is more than most soaks have iterations. The README has the measured
alternatives.
"""


def space(pack: Pack) -> dict[str, BaseDistribution]:
    """Return the search space: every parameter of *pack* within its limits.

    It ignores the precision: a value may start off the grid, and the clamp rounds what is applied.
    """
    return {
        name: FloatDistribution(parameter.limits.lo, parameter.limits.hi)
        for name, parameter in pack.parameters.items()
    }


def as_trial(
    measurement: Measurement,
    aim: Aim,
    distributions: dict[str, BaseDistribution],
    notes: Mapping[str, object] | None = None,
) -> FrozenTrial:
    """Return *measurement* as a finished trial, with *notes* as its user attributes."""
    return create_trial(
        params=dict(measurement.parameters),
        distributions=distributions,
        value=aim.value(measurement.metrics),
        constraints=aim.constraints(measurement.metrics),
        user_attrs=dict(notes or {}),
    )


def next_point(measured: Sequence[Measurement], aim: Aim, pack: Pack) -> dict[str, float]:
    """Return the parameters that Optuna's sampler asks for after the *measured* ones.

    The seed is a hash of the measurements: the same ones give the same point in any process, and
    chains with different measurements explore different points.
    """
    text = "\n".join(measurement.dumps() for measurement in measured)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    distributions = space(pack)
    with quiet():
        sampler = TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True)
        study = create_study(sampler=sampler, direction=aim.direction)
        study.add_trials([as_trial(one, aim, distributions) for one in measured])
        return dict(study.ask(distributions).params)
