"""What a scenario sets for a system is checked for every system that says what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from pytest_soak import Setting, SoakUsageError, SystemFactory, scenario_settings
from pytest_soak.packs.loader import build_pack
from tests.support import DEMO

if TYPE_CHECKING:
    from pytest_soak.model.pack import Pack

TUNED = ("--soak-iterations=3", "--auto-tune")
STAGING = """
from dataclasses import dataclass
from typing import Annotated
from pytest_soak import Setting

@dataclass(frozen=True)
class Settings:
    region: str
    users: Annotated[float, Setting(unit="1", least=1)] = 10

class Staging:
    Settings = Settings
    def __init__(self, pack, scenario):
        raise AssertionError("it is checked before it is made")

def pytest_soak_systems():
    return {"staging": Staging}
"""


@dataclass(frozen=True, slots=True)
class Settings:
    users: Annotated[float, Setting(unit="1", least=1)] = 10


def pack(scenarios: dict[str, Any], **systems: type | None) -> Pack:
    data = {
        "parameters": {"pool": {"limits": [1, 64], "base": 8}},
        "kpis": {"latency_ms": {"fail": "> 200"}},
        "scenarios": scenarios,
    }
    return build_pack(data, "shop.toml", systems)


def test_all_scenarios_are_checked_not_only_the_one_that_is_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeconftest(STAGING)
    pytester.makepyprojecttoml(
        """
        [tool.pytest-soak.packs.demo.scenarios]
        busy.staging = { region = "eu", users = 0 }
        calm.staging = { users = 5, usres = 6 }
        night.staging = { region = "us" }
        """
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    source = "  pyproject.toml, [[]tool.pytest-soak.packs.demo[]]: scenarios"
    result.stderr.fnmatch_lines(
        [
            "ERROR: pack *demo.toml with [[]tool.pytest-soak.packs.demo[]]: 3 mistakes",
            f"{source}.busy.staging.users: 0 given; allowed: 1 or more",
            f"{source}.calm.staging: unknown key 'usres', did you mean 'users'?; allowed: *",
            f"{source}.calm.staging: region is missing",
        ],
        consecutive=True,
    )


def test_a_factory_that_is_a_function_says_what_its_system_takes() -> None:
    factory = SystemFactory(lambda pack, scenario: (pack, scenario), Settings)  # type: ignore[arg-type, return-value] # no system is needed here
    made = pack({"noon": {"mine": {"users": 3}}}, mine=factory.Settings)
    assert factory(made, "noon") == (made, "noon")  # type: ignore[comparison-overlap] # as above
    assert scenario_settings(made, "noon", "mine", Settings) == Settings(3)


@pytest.mark.parametrize(
    ("system", "line"),
    [
        ("mine", "pack shop.toml: scenarios.noon.mine.users: 0 given; allowed: 1 or more"),
        ("other", "pack shop.toml: scenario 'noon' has no [scenarios.noon.other]; scenarios *"),
    ],
)
def test_settings_that_a_system_cannot_take_are_refused_where_it_is_made(
    system: str, line: str
) -> None:
    made = pack({"noon": {"mine": {"users": 0}}, "night": {"other": {}}})
    with pytest.raises(SoakUsageError) as caught:
        scenario_settings(made, "noon", system, Settings)
    assert fnmatch(str(caught.value), line.replace("[", "[[]"))


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"mcok": {}}, "scenarios.noon: unknown system 'mcok', did you mean 'mock'?; allowed: "),
        ({"comand": {}}, "scenarios.noon: unknown system 'comand', did you mean 'command'?; "),
        ({"htpp": {}}, "scenarios.noon: unknown system 'htpp', did you mean 'http'?; "),
        ({"http": {"slots": 3}}, "scenarios.noon.http: unknown key 'slots', did you mean 'slot_s"),
        ({"http": {"metrics": {"lag": {}}}}, "scenarios.noon.http.metrics: unknown metric 'lag'"),
        ({"command": {"live": "x"}}, "scenarios.noon.command: unknown key 'live', did you mean 'l"),
        ({"replay": {"path": "x"}}, "scenarios.noon.replay: unknown key 'path'; allowed: nothing"),
        ({"mock": {"latency": 3}}, "scenarios.noon.mock: unknown metric 'latency', did you mean"),
        ({"http": 3}, "scenarios.noon.http: 3 given; allowed: a table"),
    ],
)
def test_the_core_checks_what_is_set_for_its_own_systems(table: dict[str, Any], line: str) -> None:
    with pytest.raises(SoakUsageError) as caught:
        pack({"noon": table})
    assert str(caught.value).startswith(f"pack shop.toml: {line}")


@pytest.mark.parametrize("system", ["locust", "grpc", "market", "replay"])
def test_a_scenario_may_have_a_table_for_a_system_that_is_not_installed(system: str) -> None:
    assert pack({"noon": {system: {}}}).scenarios == {"noon": {system: {}}}


def test_an_installed_system_may_be_called_almost_as_one_of_the_core() -> None:
    assert pack({"noon": {"mock2": {"x": 1}}}, mock2=None).scenarios["noon"]["mock2"] == {"x": 1}


def test_a_table_for_a_pack_of_an_unknown_name_is_a_warning(pytester: pytest.Pytester) -> None:
    """A name near to an installed one is an error: see tests/config/test_usage_errors.py."""
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.shop.kpis]")
    line = "*pyproject.toml: [[]tool.pytest-soak.packs]: unknown pack 'shop'; there are: demo*"
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "-W", "default")
    assert result.ret == 0
    result.stdout.fnmatch_lines([line])
    strict = pytester.runpytest(*TUNED, "-W", "error")
    assert strict.ret == pytest.ExitCode.USAGE_ERROR
    strict.stderr.fnmatch_lines([line])
