"""The extension hooks: what plugins implement to offer packs and strategies, and to observe.

Every hook that offers strategies returns ``{name: factory}``. A factory is called only if its
strategy is used. Two plugins that offer the same name are a usage error.

PYTEST_DONT_REWRITE: it asserts nothing, and every pytest run imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_soak.config.plan import ChainPlan
    from pytest_soak.engine.controller import IterationResult
    from pytest_soak.gates.protocol import Gate
    from pytest_soak.guards.protocol import Guard
    from pytest_soak.model.chain import ChainVerdict
    from pytest_soak.model.kpi import Criterion
    from pytest_soak.model.pack import Pack
    from pytest_soak.systems.protocol import System
    from pytest_soak.tuners.protocol import Tuner
    from pytest_soak.watchers.protocol import Watcher


@pytest.hookspec
def pytest_soak_packs() -> Mapping[str, Callable[[], Path]]:
    """Return packs: ``{name: factory}``; ``factory()`` gives the path of a TOML file.

    Example::

        def pytest_soak_packs():
            return {"web-service": lambda: Path(__file__).with_name("web-service.toml")}
    """


@pytest.hookspec
def pytest_soak_systems() -> Mapping[str, Callable[[Pack, str], System]]:
    """Return systems: ``{name: factory}``; ``factory(pack, scenario)`` gives a `System`.

    Example::

        def pytest_soak_systems():
            return {"staging": lambda pack, scenario: Staging(pack.scenarios[scenario])}
    """


@pytest.hookspec
def pytest_soak_watchers() -> Mapping[str, Callable[[Pack], Watcher]]:
    """Return watchers: ``{name: factory}``; ``factory(pack)`` gives a `Watcher`. All are used.

    Example::

        def pytest_soak_watchers():
            return {"error-burst": lambda pack: ErrorBurst()}
    """


@pytest.hookspec
def pytest_soak_tuners() -> Mapping[str, Callable[[Pack], Tuner]]:
    """Return tuners: ``{name: factory}``; ``factory(pack)`` gives a `Tuner`.

    A tuner is used if ``--soak-tuner``, the marker, the ini file or the pack names it.

    Example::

        def pytest_soak_tuners():
            return {"mine": lambda pack: Mine()}
    """


@pytest.hookspec
def pytest_soak_guards() -> Mapping[str, Callable[[Pack], Guard]]:
    """Return guards: ``{name: factory}``; ``factory(pack)`` gives a `Guard`. All are used.

    They act after the core's guards and before its last one, the clamp, in the order of their
    names. The guard's ``Settings`` say what a pack's ``[guards.<name>]`` may set.

    Example::

        def pytest_soak_guards():
            return {"no-friday-changes": lambda pack: NoFridayChanges()}
    """


@pytest.hookspec
def pytest_soak_gates() -> Mapping[str, Callable[[Pack], Gate]]:
    """Return gates: ``{name: factory}``; ``factory(pack)`` gives a `Gate`. All are used.

    Example::

        def pytest_soak_gates():
            return {"error-budget": lambda pack: ErrorBudget()}
    """


@pytest.hookspec
def pytest_soak_criteria() -> Mapping[str, type[Criterion]]:
    """Return kinds of criteria: ``{name: class}``; each class is a `Criterion`.

    A KPI uses those whose keys its table ``[kpis.<metric>]`` or a gate setting sets. No two kinds
    may read the same key.

    Example::

        def pytest_soak_criteria():
            return {"band": Band}
    """


@pytest.hookspec
def pytest_soak_started(plan: ChainPlan) -> None:
    """Observe the start of a chain. All observers are called in the process that runs it.

    Example::

        def pytest_soak_started(plan):
            log.info("soaking %s with %s", plan.name, plan.tuner_names)
    """


@pytest.hookspec
def pytest_soak_iteration(plan: ChainPlan, result: IterationResult) -> None:
    """Observe an iteration, after it ran and was recorded.

    Example::

        def pytest_soak_iteration(plan, result):
            gauge.set(result.summary.metrics["latency_p95_ms"])
    """


@pytest.hookspec
def pytest_soak_applied(plan: ChainPlan, result: IterationResult) -> None:
    """Observe applied changes, after they are in the overrides file.

    Example::

        def pytest_soak_applied(plan, result):
            log.info("applied %s", result.patch)
    """


@pytest.hookspec
def pytest_soak_verdict(plan: ChainPlan, verdict: ChainVerdict) -> None:
    """Observe the verdict of a chain.

    Example::

        def pytest_soak_verdict(plan, verdict):
            notify(plan.name, verdict.verdict.name)
    """
