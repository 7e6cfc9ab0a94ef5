"""The guards define what `[guards.<name>]` may contain; all mistakes are reported at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator

from pytest_soak import hookspecs
from pytest_soak.config.builtin import GUARDS, CorePlugin
from pytest_soak.config.guards import InstalledGuard, install_guards, settings_of
from pytest_soak.config.registry import Registry
from pytest_soak.errors import SoakUsageError
from pytest_soak.guards.protocol import CoreGuard
from pytest_soak.model.decision import Decision
from pytest_soak.model.pack import Pack
from pytest_soak.model.settings import Mistake, Number, ParameterName, Setting
from pytest_soak.packs.check import schema_of_tables
from tests.fuzz.values import Blind
from tests.guards.simulated import demo

FREEZE = """
guards.freeze.parameters = ["workers"]
guards.freeze.when = [{ metric = "throughput", op = ">", value = 1 }]
"""


class Rest:
    """A plugin's guard with settings."""

    @dataclass(frozen=True)
    class Settings:
        iterations: Annotated[int, Setting("how long", least=1)] = 1
        shares: Mapping[ParameterName, Number] = field(default_factory=dict)

    def review(self, history: Any, decision: Decision, settings: Settings) -> Decision:
        return decision


def installed(pack: Pack, **guards: Callable[[Pack], Any]) -> dict[str, InstalledGuard]:
    """Return the guards of *pack* by name: the core's, and those of a plugin called `mine`."""
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    manager.register(CorePlugin(), "soak-core")

    class Plugin:
        def pytest_soak_guards(self) -> Mapping[str, Callable[[Pack], Any]]:
            return guards

    manager.register(Plugin(), "mine")
    return {one.name: one for one in install_guards(Registry(manager), pack)}


def refused(pack: Pack, **guards: Callable[[Pack], Any]) -> list[str]:
    """Return the lines of the usage error."""
    with pytest.raises(SoakUsageError) as caught:
        installed(pack, **guards)
    return str(caught.value).splitlines()


def test_the_core_acts_in_its_order_and_plugins_act_by_name_before_the_clamp() -> None:
    names = list(installed(demo(), zebra=lambda _: Rest(), ape=lambda _: Rest()))
    core = [guard.name for guard in GUARDS if guard.name != "plain_rollback"]
    assert names == [*core[:-1], "ape", "zebra", "clamp"]


def test_a_table_becomes_the_guards_settings_with_the_numbers_as_written() -> None:
    pack = demo("guards.rest = { iterations = 3, shares = { workers = 2, batch_size = 0.5 } }")
    settings = installed(pack, rest=lambda _: Rest())["rest"].settings
    assert isinstance(settings, Rest.Settings)
    assert (settings.iterations, settings.shares) == (3, {"workers": 2, "batch_size": 0.5})
    assert type(settings.shares["workers"]) is int


def test_every_guard_of_a_plugin_can_be_switched_off() -> None:
    assert "rest" not in installed(demo("guards.rest.enabled = false"), rest=lambda _: Rest())


def test_a_guard_may_be_off_by_default() -> None:
    assert "plain_rollback" not in installed(demo())
    assert "plain_rollback" in installed(demo("guards.plain_rollback.enabled = true"))


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ("cooldwn.iterations = 3", "cooldwn: unknown guard 'cooldwn', did you mean 'cooldown'?; a"),
        ("rest.iteration = 3", "rest: unknown key 'iteration', did you mean 'iterations'?; allowe"),
        ('rest.iterations = "3"', "rest.iterations: '3' given; allowed: a whole number"),
        ("rest.iterations = 0", "rest.iterations: 0 given; allowed: 1 or more"),
        ("rest.iterations = 2.0", "rest.iterations: 2.0 given; allowed: a whole number"),
        ("rest = 3", "rest: 3 given; allowed: a table"),
        (
            "rest.shares.wokers = 3",
            "rest.shares: unknown parameter 'wokers', did you mean 'workers",
        ),
        ("budget.large = 1", "budget: unknown key 'large', did you mean 'largest'?; allowed: wind"),
        ("budget.largest.wokers = 1", "budget.largest: unknown parameter 'wokers'"),
        ("budget.largest.workers = 0", "budget.largest.workers: 0 given; allowed: above 0"),
        ("cooldown.iterations = -1", "cooldown.iterations: -1 given; allowed: 0 or more"),
        ("cooldown.iterations = 51", "cooldown.iterations: 51 given; allowed: 50 or less"),
        ("confirmation.iterations = 0", "confirmation.iterations: 0 given; allowed: 1 or more"),
        ("caps.requests = 0", "caps.requests: 0 given; allowed: 1 or more"),
        ("drift.share = 0", "drift.share: 0 given; allowed: above 0"),
        ("smoothing.alpha = 0", "smoothing.alpha: 0 given; allowed: 0.1 or more"),
        ("oscillation.enabled = 1", "oscillation.enabled: 1 given; allowed: true or false"),
        ("clamp.enabled = false", "clamp: unknown key 'enabled'; allowed: nothing"),
        ("observation_window.enabled = false", "observation_window: unknown key 'enabled'"),
        ("alarm.levels.workers = { warn = 3 }", "alarm.levels.workers: pause is missing"),
        (
            "alarm.levels.workers = { warn = 3, pause = 3 }",
            "alarm.levels.workers: warn and pause are both 3; allowed: pause above warn",
        ),
        ("alarm.levels.x = { warn = 3, pause = 4 }", "alarm.levels: unknown parameter 'x'"),
        ('freeze.parameters = ["x"]', "freeze.parameters.0: unknown parameter 'x'"),
        ('freeze.parameters = ["workers", "workers"]', "allowed: each entry once"),
        ('freeze.parameters = ["workers"]', "freeze.parameters: without when; allowed: both"),
        (
            'freeze.when = [{ metric = "throughput", op = ">", value = 1 }]',
            "freeze.when: without parameters; allowed: both",
        ),
        (
            FREEZE.replace("guards.", "").replace("throughput", "speed"),
            "freeze.when.0.metric: unknown metric 'speed'; allowed: latency_p95_ms, ",
        ),
        (
            FREEZE.replace("guards.", "").replace("value = 1", 'value = "x"'),
            "freeze.when.0: throughput > 'x': a number; allowed: >, >=, <, <= and a number",
        ),
        ('conflict.policy = "vote"', "conflict.policy: 'vote' given; allowed: "),
        ('conflict.policy = "priority"', "conflict.priority: policy 'priority' needs a list"),
        ('conflict.priority = ["adaptive"]', "conflict.priority: policy 'priority' needs a list"),
        (
            'conflict = { policy = "priority", priority = ["demo-tabel"] }',
            "conflict.priority.0: unknown tuner 'demo-tabel', did you mean 'demo-table'?; allowed:",
        ),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(changed: str, line: str) -> None:
    tables = "".join(f"guards.{one}\n" for one in changed.strip().splitlines())
    (told,) = refused(demo(tables), rest=lambda _: Rest())
    assert told.startswith("pack demo.toml, changed: guards.")
    assert line in told


def test_all_mistakes_are_reported_at_once_each_with_its_source() -> None:
    pack = demo(
        "guards.budget = { windw = 3 }\nguards.cooldwn.iterations = 3\n"
        "guards.rest = { iteration = 3, iterations = 0 }\n"
        "guards.alarm.levels.workers = { warn = 3, pause = 3 }"
    )
    layers: dict[str, Any] = {
        "pyproject.toml": {"guards": {"cooldwn": {"iterations": 3}, "rest": {"iterations": 0}}},
        "--set": {"guards": {"cooldwn": {"iterations": 3}, "budget": 3}},
    }
    head, *told = refused(replace(pack, layers=layers), rest=lambda _: Rest())
    assert head == "pack demo.toml, changed: 5 mistakes"
    assert [line.partition(": ")[0] for line in told] == [
        "  pack demo.toml, changed",
        "  --set",
        "  pyproject.toml",
        "  pyproject.toml",
        "  --set",
    ]
    assert [line.split(": ")[1] for line in told] == [
        "guards.alarm.levels.workers",
        "guards.budget",
        "guards.rest",
        "guards.rest.iterations",
        "guards.cooldwn",
    ]
    assert told[-1].endswith(
        "clamp, rest (a strategy is seen if an installed package, -p, or a "
        "conftest.py of the collected tests registers it)"
    )


def test_the_tuners_of_the_policy_priority_are_installed_or_tables_of_the_pack() -> None:
    table = 'guards.conflict = {{ policy = "priority", priority = ["{}"] }}'
    for name in ("adaptive", "demo-table"):
        assert "conflict" in installed(demo(table.format(name)))
    (line,) = refused(demo(table.format("nobody")))
    assert "unknown tuner 'nobody'; allowed: adaptive, " in line


def test_an_error_shows_a_limited_number_of_mistakes() -> None:
    head, *lines = refused(demo("".join(f"guards.g{number}.x = 1\n" for number in range(30))))
    assert head == "pack demo.toml, changed: 30 mistakes"
    assert len(lines) == 21
    assert lines[-1] == "  and 10 more"


def test_metrics_of_labels_and_shares_have_their_own_comparisons() -> None:
    kinds = 'metrics.why = { kind = "labels" }\nmetrics.blocked = { kind = "shares" }\n'
    when = 'guards.freeze.when = [{{ metric = "{}", op = "{}", value = {} }}]\n'
    frozen = 'guards.freeze.parameters = ["workers"]\n'
    for metric, op, value in (("why", "has", '"queue"'), ("blocked.quota", ">", "0.5")):
        assert "freeze" in installed(demo(kinds + frozen + when.format(metric, op, value)))
    for metric, op, value, told in (
        ("why", ">", "3", "why > 3: a metric of kind labels; allowed: has and a word"),
        ("blocked", ">", "3", "blocked > 3: a metric of kind shares; allowed: blocked.REASON"),
        ("throughput", "has", '"x"', "throughput has 'x': a number; allowed: >, >=, <, <= and"),
    ):
        (line,) = refused(demo(kinds + frozen + when.format(metric, op, value)))
        assert told in line


# ---- what a plugin's guard says of itself


class Base(Rest):
    """The base of guards with invalid settings."""


class Loose(Base):
    @dataclass
    class Settings:
        iterations: int = 1


class Plain(Base):
    class Settings:
        iterations = 1


class Strange(Base):
    @dataclass(frozen=True)
    class Settings:
        owner: Callable[[], object] | complex = 3j


class Old(Base):
    defaults: Mapping[str, int] = {"iterations": 1}


class Raising(Base):
    @property
    def Settings(self) -> type:  # type: ignore[override] # noqa: N802 - the mistake
        msg = "not today"
        raise RuntimeError(msg)


class Unsaid(Base):
    Settings = Blind()


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        (Loose, "Settings: <class "),
        (Plain, "Settings: <class "),
        (Strange, "Settings: raised "),
        (Old, "has `defaults`, which version 0.1.0 read"),
        (Raising, "Settings: raised RuntimeError: not today"),
        (Unsaid, "Settings: a TouchyObject that cannot be shown"),
    ],
)
def test_settings_that_are_no_frozen_dataclass_are_refused_with_the_plugins_name(
    guard: type[Base], told: str
) -> None:
    (line,) = refused(demo(), rest=lambda _: guard())
    assert line.startswith(f"plugin mine, hook pytest_soak_guards, 'rest': {told}")
    assert "; allowed: `Settings`, a frozen dataclass of numbers, text, " in line


class Finicky(Rest):
    """A guard that checks more than types."""

    def faults(self, settings: Rest.Settings) -> Iterator[Any]:
        if settings.iterations == 13:
            yield Mistake("iterations", "13 is unlucky", "any other number")
        if settings.iterations == 14:
            yield "no mistake"


def test_the_faults_that_a_guard_finds_are_reported_like_other_mistakes() -> None:
    assert "rest" in installed(demo("guards.rest.iterations = 12"), rest=lambda _: Finicky())
    assert refused(demo("guards.rest.iterations = 13"), rest=lambda _: Finicky()) == [
        "pack demo.toml, changed: guards.rest.iterations: 13 is unlucky; allowed: any other number"
    ]
    (line,) = refused(demo("guards.rest.iterations = 14"), rest=lambda _: Finicky())
    assert line.startswith("plugin mine, hook pytest_soak_guards, 'rest': its settings: raised ")


def test_an_error_in_post_init_is_reported_like_other_mistakes() -> None:
    class Unlucky(Base):
        @dataclass(frozen=True)
        class Settings(Rest.Settings):
            def __post_init__(self) -> None:
                if self.iterations == 13:
                    msg = "13 is unlucky"
                    raise ValueError(msg)

    (line,) = refused(demo("guards.rest.iterations = 13"), rest=lambda _: Unlucky())
    assert line == "pack demo.toml, changed: guards.rest: 13 is unlucky"


def test_a_setting_without_a_default_must_be_set() -> None:
    class Needy(Base):
        @dataclass(frozen=True)
        class Settings:
            limit: Number

    (line,) = refused(demo(), rest=lambda _: Needy())
    assert line.endswith("guards.rest: limit is missing")
    assert (
        installed(demo("guards.rest.limit = 3"), rest=lambda _: Needy())["rest"].settings.limit == 3
    )


def test_a_guard_without_settings_allows_no_keys() -> None:
    class Bare:
        def review(self, history: Any, decision: Decision, settings: Any) -> Decision:
            return decision

    assert "rest" in installed(demo("guards.rest = {}"), rest=lambda _: Bare())
    (line,) = refused(demo("guards.rest.iterations = 3"), rest=lambda _: Bare())
    assert line.endswith("guards.rest: unknown key 'iterations'; allowed: enabled")


def test_a_plugins_guard_has_neither_the_rights_nor_the_names_of_the_core() -> None:
    class Claims(CoreGuard):
        name = "claims"
        merges = rolls_back = True

        def review(self, history: Any, decision: Decision, settings: Any) -> Decision:
            return decision

    one = installed(demo(), claims=Claims)["claims"]
    assert (one.core, one.merges, one.rolls_back) == (False, False, False)
    (line,) = refused(demo(), clamp=lambda _: Rest())
    assert line.endswith("the name 'clamp' is taken by plugin soak-core and plugin mine")


def test_a_run_without_the_cores_guards_is_refused() -> None:
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    with pytest.raises(SoakUsageError, match="guards are missing; remove -p no:soak-core"):
        install_guards(Registry(manager), demo())


# ---- the schema


def test_the_schema_of_all_tables_agrees_with_the_check() -> None:
    kinds = {guard.name: settings_of(guard.name, guard) for guard in GUARDS}
    schema = schema_of_tables({**kinds, "no-friday": settings_of("me", Rest())})
    Draft202012Validator.check_schema(schema)
    validator: Any = Draft202012Validator(schema)
    assert validator.is_valid({"budget": {"window": 3, "largest": {"x": 1.5}}, "no-friday": {}})
    assert validator.is_valid({"plain_rollback": {"enabled": True}, "cooldown": {"enabled": False}})
    wrongs: tuple[Any, ...] = (
        {"cooldwn": {}},
        {"budget": {"windw": 3}},
        {"budget": {"window": 0}},
        {"clamp": {"enabled": True}},
        {"no-friday": {"iterations": "3"}},
    )
    for wrong in wrongs:
        assert not validator.is_valid(wrong), wrong
