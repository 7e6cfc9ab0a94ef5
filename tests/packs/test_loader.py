"""Packs: what is wrong with one is told in one line that names file, key and what is allowed."""

from __future__ import annotations

import copy
import datetime as dt
import math
import tomllib
import zipfile
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.errors import SoakUsageError
from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.metrics import Op
from pytest_soak.model.pack import Effects
from pytest_soak.model.parameters import Bounds, Corridor
from pytest_soak.packs.loader import build_pack, load_pack
from pytest_soak.packs.overlay import lay_over

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_soak.model.pack import Pack

GOOD: dict[str, Any] = {
    "pack": {
        "name": "tiny",
        "prefix": "TINY_",
        "profile": "base",
        "tuner": "table",
        "system": "mock",
        "scenario": "calm",
        "marker": ["latency"],
        "columns": ["rate"],
    },
    "parameters": {
        "workers": {
            "unit": "1",
            "limits": [1, 16],
            "apply": [2, 12],
            "calm": "up",
            "precision": 1,
        }
    },
    "profiles": {"base": {"workers": 2, "tilt": 0.5}},
    "metrics": {
        "latency": {"least": 0},
        "rate": {},
        "blocked": {"kind": "shares"},
        "drivers": {"kind": "labels"},
    },
    "kpis": {"latency": {"warn": "> 250", "fail": ">= 300"}},
    "tuners": {
        "table": {
            "step_cap": {"workers": 3},
            "multi_fail": {"triggers": 3, "step": {"workers": 1}, "reason": "many"},
        }
    },
    "rule": [
        {
            "tuner": "table",
            "id": "slow",
            "when": {"all": [{"metric": "latency", "op": ">", "value": 240}]},
            "step": {"workers": 2},
            "reason": "latency>240",
        }
    ],
    "scenarios": {"calm": {"mock": {"latency": 300}}},
    "mock": {"latency": {"effects": {"workers": -10}}},
    "effects": {"latency": {"mean": {"workers": -0.1}, "log": True}, "rate": {"bend": 2}},
}
MISSING = object()


def broken(path: str, value: object) -> dict[str, Any]:
    """Return the good pack with *value* at *path*, or without the key that it names."""
    data = copy.deepcopy(GOOD)
    place: Any = data
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parents:
        place = place[part]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return data


def refusals(data: dict[str, Any]) -> list[str]:
    """Return the mistakes that are told of *data*, one a line."""
    with pytest.raises(SoakUsageError) as caught:
        build_pack(data, "here/tiny.toml")
    head, *rest = str(caught.value).split("\n")
    assert head.startswith("pack here/tiny.toml: ")
    assert not rest or head == f"pack here/tiny.toml: {len(rest)} mistakes"
    return rest or [head]


def refusal(data: dict[str, Any]) -> str:
    (line,) = refusals(data)
    return line


def test_the_good_pack_is_good() -> None:
    pack = build_pack(GOOD, "here/tiny.toml")
    assert (pack.name, pack.source, pack.prefix) == ("tiny", "here/tiny.toml", "TINY_")
    assert pack.kpis == (make_kpi("latency", {"warn": "> 250", "fail": ">= 300"}),)
    assert pack.parameters["workers"].corridor(Corridor.APPLY) == Bounds(2, 12)
    assert pack.metrics["latency"].label == "latency"
    (rule,) = pack.tables["table"].rules
    assert (rule.id, rule.step, rule.all[0].streak) == ("slow", {"workers": 2}, 1)
    assert pack.tables["table"].corridor is Corridor.APPLY
    assert pack.effects["latency"] == Effects({"workers": -0.1}, log=True)
    assert pack.effects["rate"] == Effects(bend=2)


def test_without_apply_bounds_the_limits_are_the_corridor() -> None:
    pack = build_pack(broken("parameters/workers/apply", MISSING), "tiny")
    assert pack.parameters["workers"].corridor(Corridor.APPLY) == Bounds(1, 16)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        # what every pack needs
        ("parameters", MISSING, ["parameters: there are none", "[parameters]"]),
        ("kpis", MISSING, ["kpis: there are none", "[kpis]"]),
        ("scenarios", MISSING, ["pack.scenario", "unknown scenario 'calm'", "default"]),
        ("parameters/workers/limits", MISSING, ["parameters.workers", "limits is missing"]),
        ("rule/0/reason", MISSING, ["rule.slow", "reason is missing"]),
        ("rule/0/when", MISSING, ["rule.slow", "when is missing"]),
        # what is no key, with the keys there are
        ("paramters", {}, ["top level", "'paramters'", "parameters"]),
        ("pack/nmae", "x", ["pack:", "'nmae'", "name"]),
        ("parameters/workers/limit", [1, 2], ["parameters.workers", "'limit'", "limits"]),
        ("metrics/latency/lable", "x", ["metrics.latency", "'lable'", "label"]),
        ("kpis/latency/fails", "> 1", ["kpis.latency", "'fails'", "fail"]),
        ("rule/0/steps", {}, ["rule.slow", "'steps'", "step"]),
        ("tuners/table/corrider", "apply", ["tuners.table", "'corrider'", "corridor"]),
        # values of the wrong type or range
        ("pack/name", "Tiny Pack", ["pack.name", "'Tiny Pack'"]),
        ("pack/prefix", "tiny", ["pack.prefix", "'tiny'"]),
        ("pack/max_inconclusive", -1, ["pack.max_inconclusive", "-1", "0"]),
        ("pack/marker", ["latency", "latency"], ["pack.marker"]),
        ("parameters", {}, ["parameters"]),
        ("parameters/workers/limits", [1], ["parameters.workers.limits", "[1]"]),
        ("parameters/workers/limits", [1, 2, 3], ["parameters.workers.limits"]),
        ("parameters/workers/limits", ["1", 16], ["parameters.workers.limits.0", "'1'", "number"]),
        ("parameters/workers/limits", [True, 16], ["parameters.workers.limits.0", "number"]),
        ("parameters/workers/calm", "left", ["parameters.workers.calm", "'left'", "down, up"]),
        ("parameters/workers/precision", 0, ["parameters.workers.precision", "0"]),
        ("profiles/base/workers", "2", ["profiles.base.workers", "'2'", "number"]),
        ("profiles/base/workers", True, ["profiles.base.workers", "True", "number"]),
        ("metrics/latency/kind", "text", ["metrics.latency.kind", "'text'", "shares"]),
        ("kpis", {}, ["kpis"]),
        ("kpis/latency", {}, ["kpis.latency"]),
        ("kpis/latency/fail", "== 3", ["kpis.latency.fail", "'== 3'"]),
        ("kpis/latency/fail", "300", ["kpis.latency.fail", "'300'"]),
        ("rule/0/when/all/0/op", "==", ["rule.slow.when.all.0.op", "'=='", ">="]),
        ("rule/0/when/all/0/streak", 0, ["rule.slow.when.all.0.streak", "0"]),
        ("rule/0/when", {}, ["rule.slow.when"]),
        ("rule/0/when", {"all": []}, ["rule.slow.when.all"]),
        ("rule/0/step/workers", "2", ["rule.slow.step.workers", "'2'", "number"]),
        ("tuners/table/corridor", "wide", ["tuners.table.corridor", "'wide'", "limits"]),
        ("tuners/table/max_changes_per_field", 0, ["max_changes_per_field", "0"]),
        ("mock/latency/noise", -1, ["mock.latency.noise", "-1"]),
        ("parameters/workers/step", 0, ["parameters.workers.step", "0"]),
        ("effects/latency/bend", -1, ["effects.latency.bend", "-1"]),
        ("effects/latency/spread", {"workers": -1}, ["effects.latency.spread.workers", "-1"]),
        ("effects/latency/means", {}, ["effects.latency", "'means'", "mean"]),
        # numbers that TOML can write and nobody can use
        ("parameters/workers/limits", [1, math.inf], ["parameters.workers.limits.1", "inf"]),
        ("parameters/workers/precision", math.nan, ["parameters.workers.precision", "nan"]),
        ("profiles/base/tilt", math.nan, ["profiles.base.tilt", "nan"]),
        ("rule/0/when/all/0/value", math.nan, ["rule.slow.when.all.0.value", "nan"]),
        ("rule/0/step/workers", math.inf, ["rule.slow.step.workers", "inf"]),
        # names that point nowhere, with the names there are
        ("pack/profile", "prod", ["pack.profile", "'prod'", "base"]),
        ("pack/scenario", "storm", ["pack.scenario", "'storm'", "calm"]),
        ("pack/marker", ["lag"], ["pack.marker", "'lag'", "latency"]),
        ("pack/columns", ["lag"], ["pack.columns", "'lag'", "latency"]),
        ("kpis/lag", {"fail": "> 1"}, ["kpis: ", "'lag'", "latency"]),
        ("mock/lag", {}, ["mock", "'lag'", "latency"]),
        ("rule/0/when/all/0/metric", "lag", ["rule.slow", "'lag'", "latency"]),
        ("rule/0/when/any", [{"metric": "lag", "op": ">", "value": 1}], ["rule.slow", "'lag'"]),
        ("rule/0/step", {"wokers": 1}, ["rule.slow", "'wokers'", "workers"]),
        ("rule/0/not_above", {"wokers": 1}, ["rule.slow", "'wokers'", "workers"]),
        ("rule/0/not_below", {"wokers": 1}, ["rule.slow", "'wokers'", "workers"]),
        ("rule/0/at_least", {"wokers": 1}, ["rule.slow", "'wokers'", "workers"]),
        ("rule/0/step", {"tilt": 1}, ["rule.slow", "'tilt'", "workers"]),
        ("tuners/table/step_cap", {"wokers": 1}, ["tuners.table.step_cap", "'wokers'", "workers"]),
        (
            "tuners/table/multi_fail/step",
            {"wokers": 1},
            ["tuners.table.multi_fail.step", "'wokers'", "workers"],
        ),
        ("mock/latency/effects", {"wokers": 1}, ["mock.latency.effects", "'wokers'", "workers"]),
        ("effects", {"lag": {}}, ["effects", "'lag'", "latency"]),
        ("effects/latency/mean", {"wokers": 1}, ["effects.latency.mean", "'wokers'", "workers"]),
        ("effects/latency/spread", {"wokers": 1}, ["effects.latency.spread", "'wokers'"]),
        # bounds that contradict
        ("parameters/workers/limits", [16, 1], ["parameters.workers.limits", "16", "1"]),
        ("parameters/workers/apply", [12, 2], ["parameters.workers.apply", "12", "2"]),
        ("parameters/workers/apply", [20, 30], ["parameters.workers", "nothing in common"]),
        ("profiles/base/workers", 17, ["profiles.base.workers", "17", "1 to 16"]),
        ("profiles/base/workers", 0.5, ["profiles.base.workers", "0.5", "1 to 16"]),
        ("profiles/base/workers", MISSING, ["profiles.base", "workers"]),
        ("profiles/base/workers", 2.5, ["profiles.base.workers", "2.5", "precision 1"]),
        ("metrics/latency/most", -1, ["metrics.latency", "least 0", "most -1"]),
        ("kpis/latency/warn", "> 0", ["effects.latency.log", "> 0", "above 0"]),
        # rows that can do nothing, or that cannot be told apart
        ("rule/0/step", MISSING, ["rule.slow", "changes nothing", "step or at_least"]),
        ("rule", GOOD["rule"] * 2, ["rule.slow", "tuner table", "twice"]),
        ("tuners/table/step_cap", {"workers": 0}, ["tuners.table.step_cap.workers", "above 0"]),
        ("tuners/table/step_cap", {"workers": -1}, ["tuners.table.step_cap.workers", "-1"]),
        ("scenarios/calm/mock", {"lag": 1}, ["scenarios.calm.mock", "'lag'", "latency"]),
        ("scenarios/calm/mock", {"latency": True}, ["scenarios.calm.mock.latency", "True"]),
        ("scenarios/calm/mock", {"latency": "9"}, ["scenarios.calm.mock.latency", "'9'"]),
        # what only looks like what is allowed
        ("metrics/latency/digits", 2.0, ["metrics.latency.digits", "2.0", "a whole number"]),
        ("rule/0/when/all/0/streak", 2.0, ["rule.slow.when.all.0.streak", "2.0", "a whole number"]),
        ("pack/name", "tiny\n", ["pack.name", "'tiny\\n'"]),
        ("kpis/latency/fail", "> 300\n", ["kpis.latency.fail", "'> 300\\n'"]),
        ("kpis/latency/fail", "> " + "9" * 400, ["kpis.latency: > inf", "finite number"]),
        ("profiles/base/tilt", 10**400, ["profiles.base.tilt", "100000", "finite number"]),
        ("profiles/base/tilt", 2e30, ["profiles.base.tilt", "2e+30", "of 1e+30 at most"]),
        ("kpis/latency/fail", "> " + "9" * 40, ["kpis.latency: > 1e+40", "of 1e+30 at most"]),
        # conditions that can never hold, thresholds that nothing can ever break
        ("rule/0/when/all/0/metric", "latency.p95", ["rule.slow", "'latency.p95'"]),
        ("kpis/latency.p95", {"fail": "> 1"}, ["kpis: ", "'latency.p95'"]),
        ("kpis/drivers", {"fail": "> 1"}, ["kpis.drivers", "labels"]),
        ("kpis/blocked", {"fail": "> 1"}, ["kpis.blocked", "shares"]),
        (
            "parameters/workers/binding",
            {"metric": "drivers", "op": ">", "value": 1},
            ["parameters.workers.binding: drivers > 1, but drivers is of kind labels"],
        ),
        ("objective", {"metric": "drivers", "better": "up"}, ["objective", "drivers", "labels"]),
        ("rule/0/when/all/0/op", "has", ["rule.slow", "latency"]),
        ("rule/0/when/all/0/value", "240", ["rule.slow", "latency", "'240'"]),
        ("rule/0/when/all/0/metric", "drivers", ["rule.slow", "drivers"]),
        ("rule/0/when/all/0/metric", "blocked", ["rule.slow", "blocked"]),
    ],
)
def test_a_fault_is_told_in_one_line_with_file_key_and_what_is_allowed(
    path: str, value: object, named: list[str]
) -> None:
    line = refusal(broken(path, value))
    for word in named:
        assert word in line


@pytest.mark.parametrize(
    ("limits", "precision"), [([0.4, 16], 1), ([1, 16.4], 1), ([0, 0.0005], 0.001)]
)
def test_limits_that_no_point_of_the_grid_can_reach_are_refused(
    limits: list[float], precision: float
) -> None:
    data = broken("parameters/workers/limits", limits)
    data["parameters"]["workers"] |= {"apply": limits, "precision": precision}
    data["profiles"]["base"]["workers"] = limits[0]
    assert any(
        "parameters.workers.limits" in line and "precision" in line for line in refusals(data)
    )


def test_a_share_of_a_shares_metric_may_be_judged_and_ruled_on() -> None:
    data = broken("kpis/blocked.risk", {"fail": "> 0.4"})
    data["rule"][0]["when"]["all"][0] = {"metric": "blocked.risk", "op": ">", "value": 0.4}
    assert [kpi.metric for kpi in build_pack(data, "tiny").kpis] == ["latency", "blocked.risk"]


def test_a_label_may_be_ruled_on_with_has() -> None:
    data = broken("rule/0/when/all/0", {"metric": "drivers", "op": "has", "value": "fees"})
    assert build_pack(data, "tiny").tables["table"].rules[0].all[0].op is Op.HAS


@pytest.mark.parametrize(
    "content",
    [
        b"[pack\n",
        b"\xff\xfe",
        b'[pack]\nname = "a"\nname = "b"\n',
        b"a = " + b"1" * 5000,
        b"a = " + b"[" * 5000,
        None,
    ],
    ids=["broken", "not utf-8", "twice", "a number too long", "too deep", "absent"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tiny.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SoakUsageError, match="cannot be read") as caught:
        load_pack(path)
    assert str(path) in str(caught.value)


def test_a_pack_may_be_in_a_package_that_is_a_zip_file(tmp_path: Path) -> None:
    demo = resources.files("pytest_soak.packs").joinpath("demo.toml")
    with zipfile.ZipFile(tmp_path / "packs.zip", "w") as archive:
        archive.writestr("demo.toml", demo.read_bytes())
    zipped: Any = zipfile.Path(tmp_path / "packs.zip", "demo.toml")
    assert load_pack(zipped).digest == load_pack(demo).digest


def test_a_pack_may_hold_dates_where_it_may_hold_anything() -> None:
    when = dt.date(1979, 5, 27)
    assert build_pack(broken("guards", {"mine": {"since": when}}), "tiny").guards["mine"] == {
        "since": when
    }


@pytest.mark.parametrize(
    ("data", "overlay", "told"),
    [
        (
            {"rule": 3},
            {"rule": [{"tuner": "table", "id": "slow"}]},
            "rule: 3 given; allowed: a list",
        ),
        (
            {"rule": [3]},
            {"rule": [{"tuner": "table", "id": "slow"}]},
            "rule.0: 3 given; allowed: a table",
        ),
        (
            {"rule": [{}]},
            {"rule": [{"tuner": "table", "id": "slow"}]},
            "rule.slow: reason is missing",
        ),
        ({}, {"rule": 3}, "pyproject.toml, tool.pytest-soak.packs: rule 3: say which one"),
    ],
)
def test_an_overlay_on_a_pack_that_is_wrong_itself_is_told_by_the_packs_check(
    data: dict[str, Any], overlay: dict[str, Any], told: str
) -> None:
    with pytest.raises(SoakUsageError) as caught:
        build_pack(lay_over({**GOOD, **data}, overlay), "tiny.toml")
    assert told in str(caught.value)


def test_an_error_is_short_however_long_what_was_given_is() -> None:
    assert len(refusal(broken("pack/prefix", "x" * 100_000))) < 1000
    assert len(refusal(broken("pack/scenario", "x" * 100_000))) < 1000


def test_a_folder_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(SoakUsageError, match="cannot be read"):
        load_pack(tmp_path)


@pytest.fixture(scope="module")
def demo() -> Pack:
    return load_pack(resources.files("pytest_soak.packs").joinpath("demo.toml"))


def test_the_demo_pack_loads(demo: Pack) -> None:
    assert demo.name == "demo"
    assert demo.tuner in demo.tables
    assert demo.scenario in demo.scenarios


def test_the_demo_pack_is_neutral() -> None:
    text = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8").lower()
    assert tomllib.loads(text)
    for word in ("bps", "spread", "maker", "fill", "order", "inventory", "quote"):
        assert word not in text


def test_every_kpi_of_the_demo_pack_has_a_value_in_every_scenario(demo: Pack) -> None:
    for scenario in demo.scenarios.values():
        assert {kpi.metric for kpi in demo.kpis} <= set(scenario["mock"])


@pytest.mark.parametrize("stop", ["not_above", "not_below"])
def test_a_stop_for_what_a_rule_does_not_change_is_refused(stop: str) -> None:
    data = broken(f"rule/0/{stop}", {"batch": 5})
    data["parameters"]["batch"] = {"unit": "1", "limits": [1, 9], "calm": "up", "precision": 1}
    data["profiles"]["base"]["batch"] = 5
    assert "rule.slow: a stop for batch, which it does not change" in refusal(data)
