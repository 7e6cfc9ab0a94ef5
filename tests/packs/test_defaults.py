"""What a pack may leave out, and what it has then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.loader import build_pack, load_pack

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_soak.model.pack import Pack

FIRST = """
[parameters]
pool = { limits = [1, 64], base = 8 }

[kpis]
latency_ms = { fail = "> 200" }

[command]
program = ["{python}", "worker.py"]
"""
RULE = {
    "id": "slow",
    "when": {"all": [{"metric": "latency_ms", "op": ">", "value": 100}]},
    "step": {"pool": 1},
    "reason": "slow",
}


def pack(**tables: Any) -> Pack:
    """Return a pack of one parameter, one KPI and these tables."""
    first = {
        "parameters": {"pool": {"limits": [1, 64], "base": 8}},
        "kpis": {"latency_ms": {"fail": "> 200"}},
    }
    return build_pack({**first, **tables}, "shop.toml")


def test_the_first_pack_has_eight_lines(tmp_path: Path) -> None:
    assert len(FIRST.strip().splitlines()) == 8
    path = tmp_path / "Web shop_2.toml"
    path.write_text(FIRST, encoding="utf-8")
    made = load_pack(path)
    assert (made.name, made.prefix, made.system) == ("web-shop", "WEB_SHOP_", "command")
    assert (made.tuner, made.profile, made.scenario) == ("adaptive", "default", "default")
    assert made.profiles["default"].fields == {"pool": 8}
    assert made.scenarios == {"default": {}}
    assert list(made.metrics) == ["latency_ms"]
    pool = made.parameters["pool"]
    assert (pool.unit, pool.calm, pool.precision, pool.apply) == ("", "up", 1, pool.limits)


@pytest.mark.parametrize("name", ["Łódź", "2024", "_"])
def test_a_file_whose_name_is_no_name_for_a_pack_is_called_pack_or_what_is_left(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(FIRST, encoding="utf-8")
    assert load_pack(path).name == {"Łódź": "d"}.get(name, "pack")


def test_a_name_that_is_none_is_told_and_not_replaced(tmp_path: Path) -> None:
    for head in ("pack = 3", "pack.name = 3"):
        path = tmp_path / "shop.toml"
        path.write_text(f"{head}\n{FIRST}", encoding="utf-8")
        with pytest.raises(SoakUsageError, match=r"shop.toml: pack.*: 3 given; allowed: "):
            load_pack(path)


@pytest.mark.parametrize(
    ("tables", "system"),
    [
        ({}, "mock"),
        ({"http": {"scrape": "http://127.0.0.1:9/metrics"}}, "http"),
        ({"command": {"program": ["true"]}}, "command"),
        ({"command": {"program": ["true"]}, "http": {"slot_s": 1}}, "command"),
        ({"command": {"program": ["true"]}, "pack": {"system": "mock"}}, "mock"),
    ],
)
def test_the_system_is_the_one_that_the_pack_has_a_table_for(
    tables: dict[str, Any], system: str
) -> None:
    assert pack(**tables).system == system


@pytest.mark.parametrize(
    ("tables", "tuner"),
    [
        ({}, "adaptive"),
        ({"rule": [{**RULE, "tuner": "mine"}]}, "mine"),
        ({"rule": [{**RULE, "tuner": ["one", "two"]}]}, "one"),
        ({"tuners": {"other": {}}, "rule": [{**RULE, "tuner": ["mine", "other"]}]}, "other"),
        ({"rule": [{**RULE, "tuner": "mine"}], "pack": {"tuner": "adaptive"}}, "adaptive"),
    ],
)
def test_the_tuner_is_the_packs_first_table_or_adaptive(tables: dict[str, Any], tuner: str) -> None:
    assert pack(**tables).tuner == tuner


def test_profile_and_scenario_are_the_first_ones() -> None:
    made = pack(profiles={"large": {"pool": 32}, "small": {}}, scenarios={"noon": {}, "night": {}})
    assert (made.profile, made.scenario) == ("large", "noon")
    assert made.profiles["large"].fields == {"pool": 32}
    assert made.profiles["small"].fields == {"pool": 8}


def test_a_parameter_without_any_base_is_refused() -> None:
    with pytest.raises(SoakUsageError, match=r"profiles.default: no base for parameter pool; .*"):
        pack(parameters={"pool": {"limits": [1, 64]}})


def test_metrics_are_those_of_the_kpis_only_where_there_is_no_table_of_them() -> None:
    with pytest.raises(SoakUsageError, match=r"kpis: unknown metric 'latency_ms'.*; allowed: rate"):
        pack(metrics={"rate": {}})
    with pytest.raises(SoakUsageError, match=r"metrics: 'Lag' given; allowed: lower case letters"):
        pack(kpis={"Lag": {"fail": "> 1"}})


@pytest.mark.parametrize(
    ("parameter", "precision"),
    [
        ({"limits": [1, 64], "base": 8}, 1),
        ({"limits": [0, 100_000], "base": 8}, 1),
        ({"limits": [1, 64], "base": 8.5}, 0.1),
        ({"limits": [1, 64], "apply": [2, 3.25], "base": 8}, 0.01),
        ({"limits": [0.0, 2.0], "base": 1.0}, 0.01),
        ({"limits": [0.0, 0.6], "base": 0.0}, 0.001),
        ({"limits": [0.0, 1000.0], "base": 1.0}, 1),
        ({"limits": [0.0, 0.6], "base": 0.0, "precision": 0.2}, 0.2),
        ({"limits": [0.5, 0.5], "base": 0.5}, 0.1),
        ({"limits": [0.0, 1e-25], "base": 0.0}, 1e-27),
        ({"limits": [0.0, 1e-29], "base": 0.0}, 1e-30),
    ],
)
def test_the_precision_follows_from_the_numbers_of_a_parameter(
    parameter: dict[str, Any], precision: float
) -> None:
    made = pack(parameters={"pool": parameter}).parameters["pool"]
    assert made.precision == pytest.approx(precision)
    for value in (*parameter["limits"], parameter["base"]):
        assert made.quantize(value) == value


def test_numbers_stay_as_they_were_written() -> None:
    made = pack(profiles={"small": {"pool": 20, "wait": 20.0}})
    fields = made.profiles["small"].fields
    assert [type(value) for value in fields.values()] == [int, float]


WORKER = """
import json
import os
from pathlib import Path

used = json.loads(Path(os.environ["PYTEST_SOAK_PARAMETERS"]).read_text())
report = {
    "iteration": int(os.environ["PYTEST_SOAK_ITERATION"]),
    "parameters": used,
    "totals": {"latency_ms": 100 + 1000 / used["pool"]},
    "n": {"latency_ms": 5000},
}
Path(os.environ["PYTEST_SOAK_REPORT"]).write_text(json.dumps(report))
"""


@pytest.mark.process
def test_the_first_pack_is_tuned(pytester: pytest.Pytester) -> None:
    pytest.importorskip("psutil", reason="needs the extra command")
    pytester.makepyfile(test_shop="def test_shop(soak):\n    soak.run()\n", worker=WORKER)
    (pytester.path / "shop.toml").write_text(FIRST, encoding="utf-8")
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-pack=shop.toml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "  shop/default  system command/default  tuner adaptive  mode apply  seed 0",
            "*pool *8 → *verified*latency_ms>200*",
            "*verdict PASS*",
        ]
    )
